/* feeder: whether the hardware watchdog of this node may be fed. Pure: no clock, no I/O.
 *
 * To feed it is to say that this node works. superviserd may say so of itself, since it is its loop that asks
 * here; of the others it goes by their pulse (`daemon/NAME`, once a second), dated by its sender. Those that
 * matter are the lease chain: without one of them this node cannot serve for long, nor take over.
 *
 * - A daemon that was killed and comes back soon starves nobody: its silence has a limit, and a restart takes
 *   less. One that is restarted for ever does, though each run may get as far as its first pulse: a run
 * counts only once it has lasted for about a second.
 * - One that has not lived since superviserd began to listen is no reason to restart the machine: what did
 * not come up after a restart would not come up after the next one either.
 * - One that was told to stop is silent for a reason, until it is heard anew.
 * - Under the operator's hold no node restarts by itself (R15): then only superviserd's own loop counts.
 * - While superviserd stood still (SIGSTOP, a suspended or paused machine), it heard nobody: that time counts
 *   as nobody's silence. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

enum { FEEDER_DAEMONS = 3, FEEDER_TEXT_MAX = 192 };

extern const char *const feeder_daemons[FEEDER_DAEMONS];

struct feeder {
    int64_t timeout;  /* of the device, as its driver confirmed it */
    int64_t judged;   /* when it was last asked; 0 = not yet */
    int64_t starving; /* since when it says no; 0 = it says yes */
    bool stopping;    /* superviserd itself: a clean stop is under way */
    bool held;
    int64_t held_until; /* 0 = without end */
    char refused[FEEDER_TEXT_MAX];
    struct feeder_pulse {
        bool lived, stopping;
        int64_t sent;    /* the last one that counts */
        int64_t late_us; /* what it said of its timers then */
    } pulses[FEEDER_DAEMONS];
};

struct feeder_verdict {
    bool feed;
    int64_t next_ns;            /* when to ask again */
    char text[FEEDER_TEXT_MAX]; /* why it is not fed, or is in spite of; else empty */
};

/* All is forgotten but what is known of the daemons. `timeout_ns`: of the device that is armed now. */
void feeder_arm(struct feeder *feeder, int64_t timeout_ns, int64_t now_ns);

/* The pulse that `daemon` sent at `sent_ns`; of a daemon that does not matter it is ignored. */
void feeder_pulse(struct feeder *feeder, const char *daemon, const struct daemon_message *pulse,
                  int64_t sent_ns, int64_t now_ns);

/* Do not feed, whatever else is the case, since `reason`; an empty one takes that back. */
void feeder_refuse(struct feeder *feeder, const char *reason);

/* To be asked from the loop, at `next_ns`. */
void feeder_judge(struct feeder *feeder, int64_t now_ns, struct feeder_verdict *verdict);
