/* link: the one connection between the two syncd, over the reserved line: ZeroMQ over TCP, sealed with CURVE
 * under keys that are derived from the cluster key; nobody but the peer is admitted (ZAP). The first-named
 * node binds, the other connects, from its reserved address. While two cluster keys are in force
 * (old-key-file), the next port (SYNC_PORT + 1) is bound as well: it needs to pass a firewall only then. Dead
 * connections are noticed by ZMTP heartbeats. Messages arrive whole and in order, or the link is told to be
 * down; what was under way then may be lost.
 *
 * It knows nothing of what is in a message. Bounded: at most LINK_QUEUE messages wait at either end; the
 * caller's credit must keep it lower, in bytes too: while a receiver's queue is full, nothing is read,
 * heartbeats neither, and the connection is taken for dead. Keys are wiped, but for ZeroMQ's own copies of
 * them. */
#pragma once
#include "common/config.h"
#include "common/loop.h"

enum {
    LINK_QUEUE = 256,
    LINK_HEARTBEAT_MS = 500,
    LINK_TIMEOUT_MS = 2000, /* a silent peer is down after this and a heartbeat at the latest */
    LINK_TROUBLE_MAX = 256,
};

struct link;

struct link_events {
    void (*up)(void *userdata); /* connected and admitted (again): everything before is void */
    void (*down)(void *userdata, const char *why);
    void (*message)(void *userdata, const uint8_t *bytes, size_t size);
    void (*room)(void *userdata); /* after link_send() said -EAGAIN: try again */
};

struct link_counts {
    uint64_t sent_bytes, received_bytes, refused; /* refused: connections that were not the peer's */
};

/* Derives the keys from the key files of `config` (key-file and old-key-file), whose `self` must be one of
 * its two nodes. 0; -EINVAL (no such node, no reserved address), as config_read_key(), or another negative
 * errno. Neither link_open() nor an event of it waits for the address or the peer to be there. */
int link_open(struct loop *loop, const struct config *config, const struct link_events *events,
              void *userdata, struct link **link);
void link_close(struct link *link); /* not from an event of its own; what waits is dropped */
/* The line works again: no pause is waited for, and no packet that was lost before. */
void link_hurry(struct link *link);
/* Why it is not up, in words; empty while it is. */
const char *link_trouble(const struct link *link);
/* 0; -EAGAIN (the queue is full, `room` follows); -ENOTCONN; -EMSGSIZE. */
int link_send(struct link *link, const uint8_t *bytes, size_t size);
struct link_counts link_counts(const struct link *link);

/* The hasher's key and the like: 32 bytes derived from the cluster key for one purpose (8 bytes of text). */
int link_derive(const struct config *config, const char context[8], uint8_t key[32]);
