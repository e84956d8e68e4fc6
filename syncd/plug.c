#include "syncd/plug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "proto/sync.h"
#include "syncd/link.h"

/* A message under CURVE is so much longer on the wire ("\x07MESSAGE", nonce, flags, tag), and that is what
 * ZMQ_MAXMSGSIZE looks at. */
enum { CURVE_OVERHEAD = 64 };

struct plug {
    struct loop *loop;
    void *socket, *monitor;
    struct loop_source *source, *monitor_source;
    enum plug_kind kind;
    const struct plug_events *events;
    void *userdata;
};

/* ---------------------------------------------------------------- monitor */

static const int watched = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

/* An event has two parts: number (16 bits) and value (32 bits), both in this machine's order; an address. */
static bool take_event(void *monitor, uint16_t *number, int32_t *value)
{
    zmq_msg_t part;
    bool more = false, good = false;

    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&part);
        return false;
    }
    if (zmq_msg_size(&part) >= sizeof *number + sizeof *value) {
        memcpy(number, zmq_msg_data(&part), sizeof *number);
        memcpy(value, (const uint8_t *)zmq_msg_data(&part) + sizeof *number, sizeof *value);
        good = true;
    }
    more = zmq_msg_more(&part);
    while (more && zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) >= 0)
        more = zmq_msg_more(&part);
    zmq_msg_close(&part);
    if (!good)
        *number = 0;
    return true;
}

static bool look_once(struct plug *plug)
{
    uint16_t number;
    int32_t value;

    if (!take_event(plug->monitor, &number, &value))
        return false;
    if (number == ZMQ_EVENT_DISCONNECTED || number == ZMQ_EVENT_CLOSED)
        plug->events->happened(plug->userdata, PLUG_LOST, value);
    else if (number != 0)
        plug->events->happened(plug->userdata, PLUG_REFUSED, -1);
    return true;
}

void plug_look(struct plug *plug)
{
    while (look_once(plug))
        ;
}

static void on_event(void *userdata, void *socket)
{
    (void)socket;
    look_once(userdata);
}

/* ---------------------------------------------------------------- lifetime */

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void set_options(const struct plug *plug)
{
    const int64_t most = SYNC_MESSAGE_MAX + CURVE_OVERHEAD;

    zmq_setsockopt(plug->socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    set_option(plug->socket, ZMQ_LINGER, 0);
    set_option(plug->socket, ZMQ_SNDHWM, LINK_QUEUE);
    set_option(plug->socket, ZMQ_RCVHWM, LINK_QUEUE);
    set_option(plug->socket, ZMQ_HEARTBEAT_IVL, LINK_HEARTBEAT_MS);
    set_option(plug->socket, ZMQ_HEARTBEAT_TIMEOUT, LINK_TIMEOUT_MS);
    set_option(plug->socket, ZMQ_HEARTBEAT_TTL, LINK_TIMEOUT_MS);
    set_option(plug->socket, ZMQ_TCP_MAXRT, LINK_TIMEOUT_MS);
    set_option(plug->socket, ZMQ_CONNECT_TIMEOUT, LINK_TIMEOUT_MS);
    set_option(plug->socket, ZMQ_HANDSHAKE_IVL, 2 * LINK_TIMEOUT_MS);
    set_option(plug->socket, ZMQ_BACKLOG, 16);
    if (plug->kind == PLUG_BINDS)
        set_option(plug->socket, ZMQ_ROUTER_MANDATORY, 1);
    else
        set_option(plug->socket, ZMQ_RECONNECT_IVL, -1); /* a lost plug is closed, and another one made */
}

static void on_message(void *userdata, void *socket)
{
    struct plug *plug = userdata;

    (void)socket;
    plug->events->message(plug->userdata);
}

static int open_monitor(struct plug *plug, void *context)
{
    char endpoint[64];

    /* Unlike a memory address of this plug's, that of its socket is taken until ZeroMQ has let it go. */
    snprintf(endpoint, sizeof endpoint, "inproc://monitor-%p", plug->socket);
    if (zmq_socket_monitor(plug->socket, endpoint, watched) < 0)
        return -errno;
    plug->monitor = zmq_socket(context, ZMQ_PAIR);
    if (!plug->monitor)
        return -errno;
    set_option(plug->monitor, ZMQ_LINGER, 0);
    if (zmq_connect(plug->monitor, endpoint) < 0)
        return -errno;
    return loop_add_zmq(plug->loop, plug->monitor, on_event, plug, &plug->monitor_source);
}

int plug_open(void *context, struct loop *loop, enum plug_kind kind, const struct plug_events *events,
              void *userdata, struct plug **plug)
{
    struct plug *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made = (struct plug){.loop = loop, .kind = kind, .events = events, .userdata = userdata};
    made->socket = zmq_socket(context, kind == PLUG_BINDS ? ZMQ_ROUTER : ZMQ_DEALER);
    int r = made->socket ? 0 : -errno;
    if (r == 0) {
        set_options(made);
        r = open_monitor(made, context);
    }
    if (r == 0)
        r = loop_add_zmq(loop, made->socket, on_message, made, &made->source);
    if (r < 0) {
        plug_close(made);
        return r;
    }
    *plug = made;
    return 0;
}

void plug_close(struct plug *plug)
{
    if (!plug)
        return;
    loop_remove(plug->source);
    loop_remove(plug->monitor_source);
    if (plug->socket) {
        zmq_socket_monitor(plug->socket, NULL, 0);
        zmq_close(plug->socket);
    }
    if (plug->monitor)
        zmq_close(plug->monitor);
    free(plug);
}

/* --------------------------------------------------------------- addresses */

int plug_set_server(struct plug *plug, const struct curve_pair *own, const char *domain)
{
    const int on = 1;

    if (zmq_setsockopt(plug->socket, ZMQ_CURVE_SERVER, &on, sizeof on) < 0 ||
        zmq_setsockopt(plug->socket, ZMQ_CURVE_SECRETKEY, own->secret, CURVE_BYTES) < 0 ||
        zmq_setsockopt(plug->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0)
        return -errno;
    return 0;
}

int plug_set_client(struct plug *plug, const struct curve_pair *own, const uint8_t server[CURVE_BYTES])
{
    if (zmq_setsockopt(plug->socket, ZMQ_CURVE_SERVERKEY, server, CURVE_BYTES) < 0 ||
        zmq_setsockopt(plug->socket, ZMQ_CURVE_PUBLICKEY, own->open, CURVE_BYTES) < 0 ||
        zmq_setsockopt(plug->socket, ZMQ_CURVE_SECRETKEY, own->secret, CURVE_BYTES) < 0)
        return -errno;
    return 0;
}

enum { HOST_MAX = ADDRESS_TEXT_MAX + 2, ENDPOINT_MAX = 2 * HOST_MAX + 32 };

static void print_host(const struct net_address *address, char text[static HOST_MAX])
{
    char plain[ADDRESS_TEXT_MAX];

    net_address_print(address, false, plain);
    snprintf(text, HOST_MAX, address->family == AF_INET6 ? "[%s]" : "%s", plain);
}

int plug_bind(struct plug *plug, const struct net_address *own, int port)
{
    char host[HOST_MAX], endpoint[ENDPOINT_MAX];

    print_host(own, host);
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", host, port);
    set_option(plug->socket, ZMQ_IPV6, own->family == AF_INET6);
    return zmq_bind(plug->socket, endpoint) < 0 ? -errno : 0;
}

int plug_connect(struct plug *plug, const struct net_address *own, const struct net_address *peer, int port)
{
    char from[HOST_MAX], to[HOST_MAX], endpoint[ENDPOINT_MAX];

    print_host(own, from);
    print_host(peer, to);
    snprintf(endpoint, sizeof endpoint, "tcp://%s:0;%s:%d", from, to, port);
    set_option(plug->socket, ZMQ_IPV6, peer->family == AF_INET6);
    return zmq_connect(plug->socket, endpoint) < 0 ? -errno : 0;
}

/* ---------------------------------------------------------------- messages */

bool plug_name_equal(const struct plug_name *a, const struct plug_name *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* The first part of what a ROUTER gives is the name of the connection. */
static int take_name(struct plug *plug, zmq_msg_t *part, struct plug_name *name)
{
    if (zmq_msg_recv(part, plug->socket, ZMQ_DONTWAIT) < 0)
        return -errno;
    const size_t size = zmq_msg_size(part);
    if (size > PLUG_NAME_MAX || !zmq_msg_more(part))
        return -EBADMSG;
    name->size = size;
    memcpy(name->bytes, zmq_msg_data(part), size);
    return 0;
}

static int take_parts(struct plug *plug, zmq_msg_t *part, struct plug_message *message)
{
    int r = plug->kind == PLUG_BINDS ? take_name(plug, part, &message->name) : 0;

    if (r == 0 && zmq_msg_recv(part, plug->socket, ZMQ_DONTWAIT) < 0)
        r = -errno;
    if (r == 0 && zmq_msg_more(part))
        r = -EBADMSG;
    while (r == -EBADMSG && zmq_msg_more(part) && zmq_msg_recv(part, plug->socket, ZMQ_DONTWAIT) >= 0)
        ; /* the rest of what is not ours */
    return r;
}

int plug_take(struct plug *plug, struct plug_message *message)
{
    zmq_msg_t *part = malloc(sizeof *part);

    if (!part)
        return -ENOMEM;
    *message = (struct plug_message){.fd = -1, .part = part};
    zmq_msg_init(part);
    const int r = take_parts(plug, part, message);
    if (r < 0) {
        plug_drop(message);
        return r;
    }
    message->fd = zmq_msg_get(part, ZMQ_SRCFD);
    message->bytes = zmq_msg_data(part);
    message->size = zmq_msg_size(part);
    return 0;
}

void plug_drop(struct plug_message *message)
{
    zmq_msg_close(message->part);
    free(message->part);
    message->part = NULL;
}

int plug_send(struct plug *plug, const struct plug_name *name, const void *bytes, size_t size)
{
    /* The name's part decides: where it is taken, so is what follows. */
    if (plug->kind == PLUG_BINDS &&
        zmq_send(plug->socket, name->bytes, name->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EHOSTUNREACH ? -ENOTCONN : -errno;
    if (zmq_send(plug->socket, bytes, size, ZMQ_DONTWAIT) < 0)
        return -errno;
    return 0;
}
