#pragma once
#include <libpq-fe.h>

// Swift imports no macros of character literals.
static const int steerscope_diag_sqlstate = PG_DIAG_SQLSTATE;
static const int steerscope_diag_message_primary = PG_DIAG_MESSAGE_PRIMARY;
static const int steerscope_diag_message_detail = PG_DIAG_MESSAGE_DETAIL;
static const int steerscope_diag_constraint_name = PG_DIAG_CONSTRAINT_NAME;
