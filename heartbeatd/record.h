/* record: a text of this node's arbiter on its way to the peer's, beside the heartbeats.
 *
 * A record is sent once, on one path, and one that is lost stays lost: the arbiters send again. It proves
 * nothing and refreshes nothing: what is known of the peer comes from heartbeats alone, and a record opens no
 * session. What was recorded is refused by one count over all paths, which begins at the first heartbeat that
 * echoes this node's session: only to a node that it hears in both directions does the peer send records. */
#pragma once
#include "heartbeatd/detector.h"

/* The path on which a record goes to the peer now: the reserved line if it is up, else the first channel that
 * is. PATHS_MAX: none is, the peer is not linked, or its version takes no records. */
size_t record_path(const struct detector *detector);

/* The next record's header, which lacks the key's id and the length. */
void record_compose(struct detector *detector, struct heartbeat_header *header);

/* A record that opened: whether it is new. If not, it is counted on its path. */
bool record_accept(struct detector *detector, size_t path, const struct heartbeat_header *header);
