#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "proto/sync.h"
#include "syncd/ends.h"
#include "syncd/gate.h"
#include "syncd/plug.h"

/* Connections that have greeted and not yet confirmed: the peer makes one at a time, and what others are
 * there are its dead ones. */
enum { CANDIDATES = 4 };

struct port {
    struct answer *answer;
    struct plug *plug;
    struct loop_source *timer; /* binds (again) */
    int64_t nth;
};

struct connection {
    const struct port *port; /* NULL: none */
    struct plug_name name;
    int fd;
    uint8_t nonce[NONCE_BYTES];
};

struct answer {
    const struct end_setup *setup;
    struct gate *gate;
    struct port ports[KEYS_MAX];
    struct connection candidates[CANDIDATES], current;
    size_t next_candidate;
};

static const int64_t pause_first_ns = 10 * NS_PER_MS, pause_most_ns = NS_PER_S;

/* -------------------------------------------------------------- greetings */

static void lose_current(struct answer *answer, const char *why)
{
    if (!answer->current.port)
        return;
    answer->current.port = NULL;
    text_copy(answer->setup->trouble, LINK_TROUBLE_MAX, why);
    answer->setup->events->down(answer->setup->userdata, why);
}

static bool is_connection(const struct connection *connection, const struct port *port,
                          const struct plug_message *message)
{
    return connection->port == port && plug_name_equal(&connection->name, &message->name);
}

static void take_greet(struct answer *answer, const struct port *port, const struct plug_message *message)
{
    struct connection *candidate = &answer->candidates[answer->next_candidate++ % CANDIDATES];
    uint8_t greeting[GREETING_BYTES];

    *candidate = (struct connection){.port = port, .name = message->name, .fd = message->fd};
    randombytes_buf(candidate->nonce, sizeof candidate->nonce);
    memcpy(greeting, NONCE, GREET_BYTES);
    memcpy(greeting + GREET_BYTES, candidate->nonce, NONCE_BYTES);
    if (plug_send(port->plug, &candidate->name, greeting, sizeof greeting) < 0)
        candidate->port = NULL; /* it is gone already */
}

static void take_confirm(struct answer *answer, const struct port *port, const struct plug_message *message)
{
    for (size_t i = 0; i < CANDIDATES; i++) {
        struct connection *candidate = &answer->candidates[i];
        if (!is_connection(candidate, port, message) ||
            memcmp(candidate->nonce, message->bytes + GREET_BYTES, NONCE_BYTES) != 0)
            continue;
        /* The end of an earlier connection first, which may have had the same descriptor. */
        for (size_t k = 0; k < answer->setup->keys->count; k++)
            plug_look(answer->ports[k].plug);
        lose_current(answer, "the peer has connected anew");
        answer->current = *candidate;
        candidate->port = NULL;
        answer->setup->trouble[0] = '\0';
        answer->setup->events->up(answer->setup->userdata);
        return;
    }
}

static void on_message(void *userdata)
{
    struct port *port = userdata;
    struct answer *answer = port->answer;
    struct plug_message message;

    if (plug_take(port->plug, &message) < 0)
        return;
    if (is_connection(&answer->current, port, &message))
        answer->setup->events->message(answer->setup->userdata, message.bytes, message.size);
    else if (message.size == GREET_BYTES && memcmp(message.bytes, GREET, GREET_BYTES) == 0)
        take_greet(answer, port, &message);
    else if (message.size == GREETING_BYTES && memcmp(message.bytes, CONFIRM, GREET_BYTES) == 0)
        take_confirm(answer, port, &message);
    plug_drop(&message);
}

static void on_happened(void *userdata, enum plug_event event, int fd)
{
    struct port *port = userdata;
    struct answer *answer = port->answer;

    if (event == PLUG_REFUSED) {
        ++*answer->setup->refused;
        if (!answer->current.port)
            text_copy(answer->setup->trouble, LINK_TROUBLE_MAX,
                      "a connection was refused; do both nodes have the same key?");
    } else if (answer->current.port == port && answer->current.fd == fd) {
        lose_current(answer, "the connection is lost");
    }
}

int answer_send(struct answer *answer, const uint8_t *bytes, size_t size)
{
    if (!answer->current.port)
        return -ENOTCONN;
    return plug_send(answer->current.port->plug, &answer->current.name, bytes, size);
}

/* ------------------------------------------------------------------ ports */

static const struct plug_events plug_events = {.message = on_message, .happened = on_happened};

/* The address may come later: with its adapter, or its cable. Once bound, the socket stays, also while the
 * address is away. */
static void on_bind(void *userdata, int64_t now_ns)
{
    struct port *port = userdata;
    const struct end_setup *setup = port->answer->setup;
    const int number = SYNC_PORT + (int)(port - port->answer->ports);
    char address[ADDRESS_TEXT_MAX];

    const int r = plug_bind(port->plug, &setup->own, number);
    if (r == 0) {
        if (!port->answer->current.port)
            text_copy(setup->trouble, LINK_TROUBLE_MAX, "the peer has not connected");
        return;
    }
    net_address_print(&setup->own, false, address);
    snprintf(setup->trouble, LINK_TROUBLE_MAX, "cannot listen on %s port %d: %s", address, number,
             strerror(-r));
    loop_set_timer(port->timer, now_ns + backoff_ns(pause_first_ns, ++port->nth, pause_most_ns));
}

static int open_port(struct answer *answer, size_t key)
{
    const struct end_setup *setup = answer->setup;
    struct port *port = &answer->ports[key];
    char domain[GATE_DOMAIN_MAX];

    port->answer = answer;
    gate_domain(key, domain);
    int r = plug_open(setup->context, setup->loop, PLUG_BINDS, &plug_events, port, &port->plug);
    if (r == 0)
        r = plug_set_server(port->plug, &setup->keys->node[key][setup->self], domain);
    if (r == 0)
        r = loop_add_timer(setup->loop, on_bind, port, &port->timer);
    if (r == 0)
        loop_set_timer(port->timer, 0);
    return r;
}

int answer_open(const struct end_setup *setup, struct answer **answer)
{
    struct answer *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->setup = setup;
    int r = gate_open(setup->context, setup->loop, setup->keys, !setup->self, &setup->peer, &made->gate);
    for (size_t i = 0; r == 0 && i < setup->keys->count; i++)
        r = open_port(made, i);
    if (r < 0) {
        answer_close(made);
        return r;
    }
    *answer = made;
    return 0;
}

void answer_close(struct answer *answer)
{
    if (!answer)
        return;
    for (size_t i = 0; i < KEYS_MAX; i++) {
        loop_remove(answer->ports[i].timer);
        plug_close(answer->ports[i].plug);
    }
    gate_close(answer->gate);
    free(answer);
}
