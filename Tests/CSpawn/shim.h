#pragma once
#include <spawn.h>

// What glibc 2.34 has beyond POSIX, and its header shows to GNU sources only.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
static const short steerscope_spawn_setsid = 0x80;
