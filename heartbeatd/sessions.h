/* sessions: the two session counters on disk (proto/heartbeat.md, "Sessions").
 *
 * This node's own start counter is durable before its first heartbeat leaves, so it never comes twice. The
 * peer's highest session is written soon after it was heard: by a thread of its own, because a slow disk must
 * not stop the heartbeats. A crash in between lets at most the session before be heard again. */
#pragma once
#include <limits.h>

#include "common/base.h"
#include "proto/heartbeat.h"

struct sessions {
    struct heartbeat_session own, peer; /* peer.start 0: none known */
};

enum { SESSIONS_TEXT_MAX = 128 };
void sessions_print(const struct sessions *sessions, char text[static SESSIONS_TEXT_MAX]);
int sessions_parse(const char *text, struct sessions *sessions); /* 0 or -EBADMSG */

/* Begins this run's session: its counter is one more than the one on disk; the wall clock's seconds if
 * nothing readable is there (logged). Durable on return; if it cannot be, that is logged too, and the wall
 * clock helps. */
void sessions_begin(const char *path, struct sessions *sessions);

/* The same again during a run, for a counter higher than `after`. */
void sessions_renew(const char *path, struct sessions *sessions, uint64_t after);

/* Writes them now; a failure is logged. 0 or a negative errno. */
int sessions_save(const char *path, const struct sessions *sessions);

/* What it means that they cannot be written, for the log. */
extern const char sessions_unsaved[];
