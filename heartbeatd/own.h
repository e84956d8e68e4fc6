/* own: what this node tells of itself: the state that arbiterd and takeoverd publish.
 *
 * heartbeatd carries the arbiter's state to the peer and adds how old it is. The lease that it shows is the
 * one that takeoverd confirmed, never the one that arbiterd only wishes for.
 *
 * Sequences number the datagrams of a session over all paths and kinds, so that session and sequence together
 * are a nonce that never comes twice. */
#pragma once
#include "common/base.h"
#include "proto/heartbeat.h"

struct own {
    struct heartbeat_session session;
    uint64_t sequence; /* of the last datagram sent */
    int64_t role_ns;   /* when arbiterd last spoke; 0 = never */
    struct role_message role;
    struct address_message address;
};

/* Another session, whose sequences begin again. */
void own_set_session(struct own *own, const struct heartbeat_session *session);

/* A new state of the arbiter, sent at `sent_ns`. True if the peer should hear of it at once. */
bool own_set_role(struct own *own, const struct role_message *role, int64_t sent_ns);

/* What takeoverd says. True if the peer should hear of it at once. */
bool own_set_address(struct own *own, const struct address_message *address);

/* This node is active by a living lease, so it does not search. */
bool own_holds(const struct own *own, int64_t now_ns);

/* This node has the active addresses on its adapters, confirmed, so it may ask from them. */
bool own_serves(const struct own *own, int64_t now_ns);

/* The header of the next datagram of either kind: takes the next sequence. It lacks the key's id and the
 * length. */
void own_head(struct own *own, const char *cluster, enum datagram_kind kind, struct heartbeat_header *header);

/* Fills in what this module knows. */
void own_say(const struct own *own, int64_t now_ns, struct heartbeat *heartbeat);
