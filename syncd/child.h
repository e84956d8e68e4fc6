/* child: a command of a set (`validate`, `apply`, `restore`), run beside the loop: its end, or the end of its
 * time, is told by a call. Ordinary, without a shell; its output goes to this daemon's log; with its time
 * over, its process group is killed. Implemented in linux_child.c. */
#pragma once
#include "common/config.h"
#include "common/loop.h"

struct child;

/* `well`: it ended with status 0; `text` says how it ended ("ended with status 3: LAST LINE OF ITS OUTPUT").
 * The child is freed after the call. */
typedef void child_handler(void *userdata, bool well, const char *text);

/* `environment`: "NAME=value" and NULL, added to this daemon's own; `directory`: where it runs, or NULL;
 * `input`: its standard input, or NULL: none. 0 or a negative errno. */
int child_start(struct loop *loop, const struct config_strings *command, const char *const *environment,
                const char *directory, const char *input, int64_t timeout_ns, child_handler *handler,
                void *userdata, struct child **child);
/* Kills it; nobody is told. NULL is ignored. */
void child_kill(struct child *child);
