/* plug: one ZeroMQ socket of the link in the loop, with the monitor that tells what becomes of its
 * connections, and CURVE. What has happened to a connection was put into the monitor before a later
 * connection's messages were put into the socket (one I/O thread does both); plug_look() keeps that order for
 * whoever needs it.
 *
 * Heartbeats (ZMTP PING) notice a dead connection, TCP_USER_TIMEOUT one whose other end has stopped reading:
 * there a PING would wait behind what is not read. */
#pragma once
#include "common/loop.h"
#include "syncd/keys.h"

enum plug_kind { PLUG_CONNECTS, PLUG_BINDS };
enum plug_event {
    PLUG_LOST,    /* a connection, or the attempt at one, has ended */
    PLUG_REFUSED, /* a handshake has failed; PLUG_LOST follows */
};

struct plug;

struct plug_events {
    void (*message)(void *userdata); /* one waits, and must be taken with plug_take() */
    void (*happened)(void *userdata, enum plug_event event, int fd); /* fd: of PLUG_LOST */
};

/* `context` is a ZeroMQ context. 0 or a negative errno. Neither a plug's `message` nor its `happened` may
 * close it. */
int plug_open(void *context, struct loop *loop, enum plug_kind kind, const struct plug_events *events,
              void *userdata, struct plug **plug);
void plug_close(struct plug *plug); /* what waits is dropped */

/* Before plug_bind() or plug_connect(). `domain`: for ZAP (gate.h). */
int plug_set_server(struct plug *plug, const struct curve_pair *own, const char *domain);
int plug_set_client(struct plug *plug, const struct curve_pair *own, const uint8_t server[CURVE_BYTES]);

/* 0 or a negative errno. */
int plug_bind(struct plug *plug, const struct net_address *own, int port);
int plug_connect(struct plug *plug, const struct net_address *own, const struct net_address *peer, int port);

/* A connection of a plug that binds, as ZeroMQ names it; no two in its life have the same name. */
enum { PLUG_NAME_MAX = 16 };
struct plug_name {
    size_t size; /* 0: none, as on a plug that connects */
    uint8_t bytes[PLUG_NAME_MAX];
};
bool plug_name_equal(const struct plug_name *a, const struct plug_name *b);

struct plug_message {
    struct plug_name name;
    int fd; /* the connection that it came from */
    const uint8_t *bytes;
    size_t size;
    void *part; /* private */
};
/* 0, then plug_drop() frees it; -EAGAIN; -EBADMSG: it was not one of ours, and is gone. */
int plug_take(struct plug *plug, struct plug_message *message);
void plug_drop(struct plug_message *message);

/* 0; -EAGAIN (the queue is full), -ENOTCONN (that connection is gone), or another negative errno. */
int plug_send(struct plug *plug, const struct plug_name *name, const void *bytes, size_t size);

/* Tells now all that has happened. */
void plug_look(struct plug *plug);
