/* peer: the other node, as its sealed heartbeats show it.
 *
 * A session is one run of the peer's heartbeatd. Its start counter only grows, and the highest one heard is
 * kept on disk, so that what was recorded in an earlier session is refused for ever. Within a session the
 * sequence must grow on each path; and what is far behind the highest on any path was held back by somebody,
 * and is refused as well.
 *
 * The same state comes on every path: only a heartbeat newer than all others replaces what is known. One that
 * does not echo this node's session is no answer to anything: it proves life (`heard_ns`, `backed_ns`), and
 * `linked` tells. */
#pragma once
#include "common/config.h"
#include "heartbeatd/path.h"

enum { PEER_WINDOW = 1024 };

struct peer {
    struct heartbeat_session session; /* the highest one ever accepted; start 0 = none */
    bool heard;                       /* in this run */
    bool linked;
    uint64_t sequence;        /* highest in this session, on any path */
    uint64_t record_sequence; /* a record must have a higher one; 0: none is taken yet */
    int64_t heard_ns, linked_ns, backed_ns;
    int64_t said_ns; /* when `said` was received */
    uint8_t version_min, version_max;
    struct heartbeat said;
    struct mac macs[CONFIG_CHANNELS_MAX]; /* learned, by channel; zero while unknown */
};

enum peer_verdict { PEER_FRESH, PEER_NEW_SESSION, PEER_REPLAYED };

/* Whether a heartbeat that opened is new. */
enum peer_verdict peer_judge(const struct peer *peer, const struct path *path,
                             const struct heartbeat_header *header);

/* The session of PEER_NEW_SESSION begins; the caller starts its paths anew. */
void peer_new_session(struct peer *peer, const struct heartbeat_session *session);

/* An accepted heartbeat. `echoes`: it names this node's session. */
void peer_heard(struct peer *peer, const struct config *config, const struct heartbeat_header *header,
                const struct heartbeat *heartbeat, bool echoes, int64_t received_ns);

/* Fills in all but what the peer cannot know (`alive`, `counting_since_ns`, `own_late_us`). */
void peer_fill(const struct peer *peer, const struct config *config, struct peer_message *message);

/* What arbiterd must know at once differs between what was told (`b`) and now (`a`); not so for mere
 * renewals. Newer evidence of channels counts while either node suspects something (`suspicious`: this one).
 */
bool peer_differs(const struct peer *a, const struct peer *b, bool suspicious);
