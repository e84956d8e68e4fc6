/* dump: a command whose standard output becomes a file, run beside the loop. */
#pragma once
#include "common/config.h"
#include "common/loop.h"

struct dump;

enum { DUMP_ERROR_MAX = 512 };

/* `r`: 1 (there is a new copy), 0 (it is the same as the last one, which stays), or a negative errno with
 * `error` in words. The dump may be freed then. */
typedef void dump_ended(void *userdata, int r, const char *error);

/* Starts `command`, which has `timeout_ns`; its output goes to `to`.new, and to `to` by rename. `command` and
 * `to` are kept by reference. 0 or a negative errno. */
int dump_start(struct loop *loop, const struct config_strings *command, const char *to, int64_t timeout_ns,
               dump_ended *ended, void *userdata, struct dump **dump);
void dump_free(struct dump *dump); /* kills it, and all in its process group */
