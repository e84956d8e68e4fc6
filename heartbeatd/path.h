/* path: one way on which heartbeats travel, the reserved line or a channel.
 *
 * A path is *up* when this node hears the peer on it and the peer, by its echo, heard this node on it a
 * moment ago; *one-way* when only the first is so; *down* when nothing comes. The echo carries back the stamp
 * that this node had put into its own heartbeat, so that its age, and the round trip, are measured by this
 * node's clock alone.
 *
 * Within a session, sequences only grow on a path; what is not newer was heard before. */
#pragma once
#include "common/base.h"
#include "proto/heartbeat.h"

struct path {
    bool configured;
    bool missing; /* silent for more than 2.5 intervals, and that was told */
    enum path_state state;
    int64_t heard_ns;  /* receive time of the last accepted heartbeat */
    int64_t since_ns;  /* since when something is heard; 0 = nothing is */
    int64_t echoed_ns; /* when this node had sent what the peer last echoed on this path */
    int64_t rtt_ns;

    uint64_t sequence, stamp; /* of the last accepted heartbeat */
    uint64_t count;           /* its number on this path */
    uint64_t got;             /* which of the last 64 came: bit 0 is number `count` */
    unsigned expected;        /* how many bits of `got` mean something */

    uint64_t sent_in_session;
    int64_t sent, received, unopened, foreign, replayed, send_errors;
};

/* The peer began a new session: its counts start again. */
void path_new_session(struct path *path);

/* An accepted heartbeat; `echoes`: it names this node's session. */
void path_heard(struct path *path, uint64_t sequence, const struct heartbeat *heartbeat, bool echoes,
                int64_t received_ns);

/* Brings `state` up to date. Up to `counting_since_ns` this node itself did not listen: for a moment after,
 * nothing is held against the path. True if the state changed. */
bool path_judge(struct path *path, int64_t interval_ns, int64_t counting_since_ns, int64_t now_ns);

/* Of the last 64 heartbeats that should have come, how many did not, in permille. */
int64_t path_loss_permille(const struct path *path, int64_t interval_ns, int64_t now_ns);

void path_fill(const struct path *path, int64_t interval_ns, int64_t now_ns, struct path_message *message);
