/* restarts: how often in a row this node was restarted, and how long it waits before once more.
 *
 * A fault that a restart does not cure would restart the machine for ever. So the count is kept across boots
 * (STATE/superviserd/restarts), and each further restart waits for twice as long after the one before it,
 * whatever its cause: two faults that take turns are no better than one. RESTARTS_CALM_NS without a restart
 * begins anew.
 *
 * Time is what this boot has lived (CLOCK_BOOTTIME): since the restart, if it did not come about and this is
 * still the same boot, else since the machine came up. That is never more than has really passed, and nobody
 * sets that clock; a wall clock that jumps would make a pause, or the row, go away. Pure. */
#pragma once
#include "common/statefile.h"

#define RESTARTS_PAUSE_NS (60 * NS_PER_S)
#define RESTARTS_PAUSE_MAX_NS (3600 * NS_PER_S)
#define RESTARTS_CALM_NS (2 * RESTARTS_PAUSE_MAX_NS)

enum { RESTARTS_CAUSE_MAX = 128, RESTARTS_BOOT_MAX = 37 };

struct restarts {
    int64_t row;                    /* one after the other; 0: there was none, and the rest means nothing */
    char boot[RESTARTS_BOOT_MAX];   /* the boot in which the latest one was ordered */
    int64_t at_s;                   /* when in that boot */
    char cause[RESTARTS_CAUSE_MAX]; /* of the latest one, for people; one line */
};

/* When something is asked: the id of the present boot, and its CLOCK_BOOTTIME. */
struct restarts_now {
    const char *boot;
    int64_t at_ns;
};

void restarts_print(const struct restarts *restarts, char text[static STATEFILE_MAX]);

/* 0, or -EBADMSG if it is not the whole of it. */
int restarts_parse(const char *text, struct restarts *restarts);

/* How many restarts came before one that is ordered now. */
int64_t restarts_row(const struct restarts *restarts, const struct restarts_now *now);

/* How long that one has to wait from now on; 0 = not at all. */
int64_t restarts_wait_ns(const struct restarts *restarts, const struct restarts_now *now);

/* How long from now on until the row is over, if there is no other restart; 0 = there is none. */
int64_t restarts_calm_ns(const struct restarts *restarts, const struct restarts_now *now);

/* Counts one for `cause`. */
void restarts_count(struct restarts *restarts, const char *cause, const struct restarts_now *now);
