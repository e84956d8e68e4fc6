/* detector_world: two detectors, a network between them that can be cut, routers and third parties that
 * answer or not, and a clock that the test turns. Times are milliseconds since the start. Included by the
 * tests of the detector, each of which has a world of its own. */
#pragma once
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heartbeatd/detector.h"

/* Not every test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static const char text[] = "cluster \"gate\" { profile = lan }\n"
                           "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"
                           "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"
                           "channel \"outside\" {\n"
                           "    device = \"eth0\"\n"
                           "    active-address = {\"203.0.113.10/24\"}\n"
                           "    router = {\"203.0.113.1\"}\n"
                           "    node \"alpha\" { passive-address = {\"203.0.113.11/24\"} }\n"
                           "    node \"beta\" { passive-address = {\"203.0.113.12/24\"} }\n"
                           "}\n"
                           "channel \"inside\" {\n"
                           "    device = \"eth1\"\n"
                           "    active-address = {\"192.0.2.1/24\", \"192.0.2.9/24\"}\n"
                           "    node \"alpha\" { passive-address = {\"192.0.2.2/24\"} }\n"
                           "    node \"beta\" { passive-address = {\"192.0.2.3/24\"} }\n"
                           "}\n";

enum { ALPHA, BETA, NOBODY };
enum { OUTSIDE, INSIDE };
enum { ALL_PATHS = 7 };

#define START INT64_C(1000000000000) /* the machine has been up for a while */
#define MS(n) ((n)*NS_PER_MS)

struct node {
    struct config *config;
    struct detector detector;
    struct outbox out;
    struct search_message told[CONFIG_CHANNELS_MAX];
    int searches_told[CONFIG_CHANNELS_MAX];
    int asked[2], unicast[2], from_active[2], sent, published; /* counted since the last look */
    int64_t paused_until;                                      /* this process does not run */
    struct {
        size_t path;
        int64_t at;
        struct heartbeat_header header;
        struct heartbeat heartbeat;
    } queue[4096]; /* what its sockets hold while it is paused */
    size_t queued;
};

static struct {
    int64_t now;
    struct node nodes[2];
    unsigned cut[2];     /* by sender: paths on which nothing passes */
    bool router_dead[2]; /* by asking node */
    int holder;          /* who answers for the active addresses: ALPHA, BETA, NOBODY, or 3: a stranger */
    uint64_t starts[2];
} w;

static struct mac mac_of(int node, int channel)
{
    return (struct mac){{2, 0, 0, (uint8_t)node, 0, (uint8_t)channel}};
}

/* ---------------------------------------------------------------- the world */

static void start(int n, uint64_t peer_start)
{
    struct node *node = &w.nodes[n];
    struct heartbeat_session own = {.start = ++w.starts[n],
                                    .random = {(uint8_t)n, 1, 2, (uint8_t)w.starts[n]}};
    struct heartbeat_session peer = {.start = peer_start, .random = {(uint8_t)!n, 1, 2, (uint8_t)peer_start}};

    node->queued = 0;
    node->paused_until = 0;
    outbox_empty(&node->out);
    detector_init(&node->detector, node->config, &own, peer_start ? &peer : &(struct heartbeat_session){0},
                  w.now);
    for (int c = 0; c < 2; c++) {
        const struct link_event up = {true, true, mac_of(n, c), 100};
        detector_link(&node->detector, (size_t)c, &up, w.now, &node->out);
    }
}

static void hear(int n, size_t path, const struct heartbeat_header *header, const struct heartbeat *heartbeat)
{
    struct node *node = &w.nodes[n];

    if (node->paused_until == 0) {
        detector_heartbeat(&node->detector, path, header, heartbeat, w.now, w.now, &node->out);
        return;
    }
    assert_true(node->queued < ARRAY_LENGTH(node->queue));
    node->queue[node->queued].path = path;
    node->queue[node->queued].at = w.now;
    node->queue[node->queued].header = *header;
    node->queue[node->queued++].heartbeat = *heartbeat;
}

/* What is sent goes through the codec, as on the wire. */
static void transmit(int n, size_t path)
{
    struct node *node = &w.nodes[n];
    struct heartbeat_header header;
    struct heartbeat heartbeat, read;
    uint8_t body[HEARTBEAT_BODY_MAX];

    detector_compose(&node->detector, path, w.now, &header, &heartbeat);
    const size_t length = heartbeat_pack_body(&heartbeat, body);
    assert_int_equal(heartbeat_parse_body(1, body, length, &read), 0);
    detector_sent(&node->detector, path, true);
    node->sent++;
    if (!(w.cut[n] >> path & 1))
        hear(!n, path, &header, &read);
}

static void answer(int n, const struct ask *ask)
{
    struct node *node = &w.nodes[n];
    const bool is_router =
        net_address_equal(&ask->request.target, &node->config->channels[0].routers.items[0]);
    const int who = is_router ? 4 : w.holder;
    struct neighbour neighbour = {.mac = mac_of(who, (int)ask->channel), .address = ask->request.target};

    if (is_router ? w.router_dead[n] : w.holder == NOBODY || w.holder == n)
        return;
    detector_neighbour(&node->detector, ask->channel, &neighbour, w.now, w.now, &node->out);
}

static void count_ask(struct node *node, const struct ask *ask)
{
    const struct config_channel *channel = &node->config->channels[ask->channel];

    node->asked[ask->channel]++;
    node->unicast[ask->channel] += !mac_equal(&ask->request.to, &mac_broadcast);
    node->from_active[ask->channel] += net_address_equal(&ask->request.sender, &channel->active.items[0]);
}

static void count_searches(struct node *node, const struct outbox *out)
{
    for (size_t c = 0; c < node->config->channel_count; c++)
        if (out->publish_searches >> c & 1) {
            search_fill(&node->detector.channels[c].search, &node->told[c]);
            node->searches_told[c]++;
        }
}

static void empty(int n)
{
    struct node *node = &w.nodes[n];

    while (node->out.send_paths || node->out.ask_count || node->out.publish_peer) {
        static struct outbox taken;
        taken = node->out;
        outbox_empty(&node->out);
        count_searches(node, &taken);
        if (taken.publish_peer) {
            struct peer_message message;
            detector_fill_peer(&node->detector, w.now, &message);
            node->published++;
        }
        for (size_t p = 0; p < node->detector.path_count; p++)
            if (taken.send_paths >> p & 1)
                transmit(n, p);
        for (size_t i = 0; i < taken.ask_count; i++) {
            count_ask(node, &taken.asks[i]);
            answer(n, &taken.asks[i]);
        }
    }
    count_searches(node, &node->out);
    outbox_empty(&node->out);
}

static void wake(int n)
{
    struct node *node = &w.nodes[n];

    if (node->paused_until && w.now < node->paused_until)
        return;
    if (node->paused_until) { /* first the sockets, then the time */
        node->paused_until = 0;
        for (size_t i = 0; i < node->queued; i++)
            detector_heartbeat(&node->detector, node->queue[i].path, &node->queue[i].header,
                               &node->queue[i].heartbeat, node->queue[i].at, w.now, &node->out);
        node->queued = 0;
    }
    if (w.now >= detector_wake_ns(&node->detector, w.now))
        detector_tick(&node->detector, w.now, &node->out);
}

static void run_until(int64_t at_ms)
{
    for (; w.now < START + MS(at_ms); w.now += NS_PER_MS / 4)
        for (int n = 0; n < 2; n++) {
            wake(n);
            empty(n);
            empty(!n);
        }
}

static void role(int n, enum role role, bool suspicious)
{
    struct role_message message = {.role = role,
                                   .phase = role == ROLE_ACTIVE ? PHASE_ACTIVE : PHASE_PASSIVE,
                                   .epoch = 3,
                                   .fit = true,
                                   .suspicious = suspicious,
                                   .lease_ns = role == ROLE_ACTIVE ? w.now + MS(3600000) : 0};
    struct address_message address = {.state = role == ROLE_ACTIVE ? HOLD_STATE_HOLDING : HOLD_STATE_RELEASED,
                                      .held = role == ROLE_ACTIVE ? 2 : 0,
                                      .lease_ns = message.lease_ns};

    detector_role(&w.nodes[n].detector, &message, w.now, w.now, &w.nodes[n].out);
    detector_address(&w.nodes[n].detector, &address, &w.nodes[n].out);
    empty(n);
}

static struct peer_message peer_at(int n)
{
    struct peer_message message;

    detector_fill_peer(&w.nodes[n].detector, w.now, &message);
    return message;
}

static enum path_state path_at(int n, size_t path)
{
    return w.nodes[n].detector.paths[path].state;
}

static const struct channel *channel_at(int n, int channel)
{
    return &w.nodes[n].detector.channels[channel];
}

static void look(int n)
{
    struct node *node = &w.nodes[n];

    memset(node->asked, 0, sizeof node->asked);
    memset(node->unicast, 0, sizeof node->unicast);
    memset(node->from_active, 0, sizeof node->from_active);
    node->sent = node->published = 0;
}

/* As long as its arbiter renews the lease. */
static void serve_until(int n, int64_t until_ms)
{
    for (int64_t at_ms = 100; at_ms < until_ms; at_ms += 100) {
        role(n, ROLE_ACTIVE, false);
        run_until(at_ms);
    }
    run_until(until_ms);
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.now = START;
    w.holder = NOBODY;
    for (int n = 0; n < 2; n++)
        if (config_read_text("test", text, n == ALPHA ? "alpha" : "beta", stderr, &w.nodes[n].config) < 0)
            return -1;
    start(ALPHA, 0);
    start(BETA, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++)
        config_free(w.nodes[n].config);
    return 0;
}
