/* outlet: the endpoint for tools on other hosts: one XPUB over TCP, sealed with CURVE. Each tool has a key of
 * its own; who has none is refused (ZAP) and counted. What a tool subscribes to is sent to it at once as it
 * is, and from then on as it comes.
 *
 * Nobody outside can make it wait or grow: nothing is read from tools but subscriptions; a queue holds
 * OUTLET_QUEUE messages, and what a slow tool does not fetch is dropped; the whole state is sent at most ten
 * times a second, whoever asks; who asks too often is shut out (readers.h), and a key that was taken from the
 * directory ends its connections within two seconds.
 *
 * ZeroMQ cannot end the connections of one tool: the socket is closed and bound anew. The others come back
 * within milliseconds and have the whole state again. */
#pragma once
#include "common/config.h"
#include "common/loop.h"
#include "monitord/store.h"

enum { OUTLET_QUEUE = 1000, OUTLET_SUBSCRIPTIONS_MAX = 2000, OUTLET_TEXT_MAX = 192 };

struct outlet;

struct outlet_state {
    bool listening;
    int64_t clients, subscriptions, refused, barred;
    char text[OUTLET_TEXT_MAX]; /* what is wrong; empty: nothing */
};

/* `config` and `store` are kept by reference. `changed` is called when the state is another. What is wrong
 * with keys, clients or the endpoint is logged, told in the state, and tried again each two seconds. 0 or a
 * negative errno. */
int outlet_open(struct loop *loop, const struct config *config, const char *node, const struct store *store,
                void (*changed)(void *userdata), void *userdata, struct outlet **outlet);
void outlet_close(struct outlet *outlet);

/* Sends one message on, under CLUSTER/NODE/TOPIC. Never blocks. */
void outlet_send(struct outlet *outlet, const char *topic, const char *json, size_t size);

const struct outlet_state *outlet_state(const struct outlet *outlet);
