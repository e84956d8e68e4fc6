/* announcer: tells the networks of the active addresses that this node took, at once and again.
 *
 * The first burst goes out before announcer_start() returns; it is repeated after 20, 100 and 500 ms and 2 s,
 * since single frames get lost, and switches and neighbours are busy just when something failed. With
 * thousands of addresses a burst takes turns with the rest of the loop, and the channels take turns with each
 * other. Only what the kernel has is announced, and only on adapters that are up. */
#pragma once
#include "common/loop.h"
#include "takeoverd/adapters.h"

struct announcer;

/* `plan` and `adapters` are kept by reference. 0 or a negative errno; the caller frees,
 * after the loop. */
int announcer_open(struct loop *loop, const struct plan *plan, const struct adapters *adapters,
                   struct announcer **announcer);
void announcer_free(struct announcer *announcer);

/* The plan is another one by now, with these adapters: what was under way ends. */
void announcer_configure(struct announcer *announcer, const struct adapters *adapters);

/* Nothing is sent from `end_ns` (CLOCK_BOOTTIME) on: the lease is over then, though a process that stood
 * still may not have noticed yet. A later end lets it go on. At first nothing may be sent. */
void announcer_until(struct announcer *announcer, int64_t end_ns);

/* Announces the active addresses of `channels` (a bit each), and of those whose repetitions still run.
 * Returns whether any frame went out. */
bool announcer_start(struct announcer *announcer, unsigned channels);
void announcer_stop(struct announcer *announcer);

/* Frames sent on a channel so far. */
int64_t announcer_sent(const struct announcer *announcer, size_t channel);
