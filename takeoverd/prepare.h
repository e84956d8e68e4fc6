/* prepare: how long the active addresses of a claim wait for what must be in place before them.
 *
 * The before-active hooks of the configuration are run by superviserd, which tells in `hook` under which
 * epoch they came to their end, well or not. A claim waits for that word, and if it does not come, for as
 * long as all of them may take, and a little more for their starting and telling: a dead superviserd costs
 * that time, and nothing else. Counted from when the arbiter claimed, so that a restart of takeoverd does not
 * begin anew.
 *
 * Pure. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

struct prepare {
    int64_t limit_ns; /* 0: there are no such hooks, and nothing waits */
    int64_t prepared; /* the epoch that they came to their end for */
};

/* `hooks_ns`: what all of them may take; `claim_ns`: within which the addresses must be up, at least twice as
 * long. */
void prepare_init(struct prepare *prepare, int64_t hooks_ns, int64_t claim_ns);

/* Until when the addresses of this role have to wait; 0: not at all. Only a claim waits: what serves already,
 * under whatever epoch, does not. */
int64_t prepare_until(const struct prepare *prepare, const struct role_message *role, int64_t now_ns);
