/* setup_plan: what `duet setup` is told on its command line, and the configuration that is made of it. No
 * I/O.
 *
 *     nodes NAME=RESERVED NAME=RESERVED
 *     channel NAME device=D[,D] active=A[+A…] passive=P[+P…],P[+P…] [router=R[+R…]] [gateway=G]
 *
 * A comma parts what belongs to the first node from what belongs to the second, a plus sign what stands
 * together. */
#pragma once
#include "common/base.h"

enum { SETUP_NODES = 2, SETUP_CHANNELS_MAX = 16, SETUP_ERROR_MAX = 240, SETUP_TEXT_MAX = 16384 };

/* Strings point into the words. */
struct setup_channel {
    const char *name, *device[SETUP_NODES], *active, *passive[SETUP_NODES], *router, *gateway;
};

struct setup_plan {
    const char *cluster, *profile, *key_file;
    const char *node[SETUP_NODES], *reserved[SETUP_NODES];
    struct setup_channel channels[SETUP_CHANNELS_MAX];
    size_t channel_count;
};

/* Reads `count` words, which it cuts into pieces. 0; or -EINVAL, and in `error` what is wrong and what would
 * be right. */
int setup_plan_parse(struct setup_plan *plan, char **words, size_t count, char error[static SETUP_ERROR_MAX]);

/* The configuration, with comments. 0, or -ENOSPC. */
int setup_plan_print(const struct setup_plan *plan, char text[static SETUP_TEXT_MAX]);
