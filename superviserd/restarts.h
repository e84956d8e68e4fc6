/* restarts: how often in a row this node was restarted for one cause, and how long it waits before once more.
 *
 * A fault that a restart does not cure would restart the machine for ever. So the count is kept across boots
 * (STATE/superviserd/restarts), and each further restart for the same cause waits for twice as long after the
 * one before it. Another cause, or RESTARTS_CALM_NS without a restart, begins anew. Pure. */
#pragma once
#include "common/statefile.h"

#define RESTARTS_PAUSE_NS (60 * NS_PER_S)
#define RESTARTS_PAUSE_MAX_NS (3600 * NS_PER_S)
#define RESTARTS_CALM_NS (2 * RESTARTS_PAUSE_MAX_NS)

enum { RESTARTS_CAUSE_MAX = 128 };

struct restarts {
    char cause[RESTARTS_CAUSE_MAX]; /* one line; empty: there was none */
    int64_t row;                    /* restarts for it, one after the other */
    int64_t last_s; /* the latest one, in seconds of the wall clock, which goes on while the machine boots */
};

void restarts_print(const struct restarts *restarts, char text[static STATEFILE_MAX]);

/* 0, or -EBADMSG if it is not the whole of it. */
int restarts_parse(const char *text, struct restarts *restarts);

/* How many restarts for `cause` came before one that is ordered at `now_s`. */
int64_t restarts_row(const struct restarts *restarts, const char *cause, int64_t now_s);

/* How long that one has to wait from now on; 0 = not at all. A clock that was set back does not shorten it.
 */
int64_t restarts_wait_ns(const struct restarts *restarts, const char *cause, int64_t now_s);

/* Counts one for `cause`, at `now_s`. */
void restarts_count(struct restarts *restarts, const char *cause, int64_t now_s);
