#pragma once
#include <sys/time.h>
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#else
#include <amqp.h>
#endif

// Swift calls no variadic functions. (The program itself does its handshake by hand, with a time limit.)
static inline amqp_rpc_reply_t steerscope_plain_login(
    amqp_connection_state_t connection, const char *vhost, const char *user, const char *password) {
  return amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, user, password);
}
