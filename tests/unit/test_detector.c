/* The detector, as a conversation: two of them, a network between them that can be cut, routers and third
 * parties that answer or not, and a clock that the test turns. Times are milliseconds since the start. */
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

/* -------------------------------------------------------------------- paths */

static void test_all_is_well(void **state)
{
    (void)state;
    run_until(1000);
    for (int n = 0; n < 2; n++) {
        for (size_t p = 0; p < 3; p++) {
            struct path_message path;
            assert_int_equal(path_at(n, p), PATH_STATE_UP);
            detector_fill_path(&w.nodes[n].detector, p, w.now, &path);
            assert_int_equal(path.loss_permille, 0);
            assert_int_equal(path.replayed + path.unopened + path.foreign, 0);
        }
        const struct peer_message peer = peer_at(n);
        assert_true(peer.alive && peer.linked);
        assert_int_equal(peer.phase, PHASE_SEARCHING);
        assert_int_equal(peer.backed_ns, 0);
        assert_int_equal(peer.counting_since_ns, START);
        assert_int_equal(peer.channels_count, 2);
        assert_true(peer.channels[OUTSIDE].usable && peer.channels[INSIDE].usable);
        assert_string_equal(peer.channels[OUTSIDE].mac,
                            n == ALPHA ? "02:00:00:01:00:00" : "02:00:00:00:00:00");
    }
}

static void test_calm_is_cheap(void **state)
{
    (void)state;
    run_until(2000);
    look(ALPHA);
    run_until(3000);
    assert_in_range(w.nodes[ALPHA].sent, 58, 64);          /* 20 a second on 3 paths */
    assert_in_range(w.nodes[ALPHA].published, 19, 23);     /* one each interval */
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 9, 11); /* 5 searches, 5 router tests */
    assert_in_range(w.nodes[ALPHA].asked[INSIDE], 4, 6);
    assert_int_equal(w.nodes[ALPHA].unicast[INSIDE], 0);
}

static void test_one_way(void **state)
{
    (void)state;
    run_until(1000);
    w.cut[ALPHA] = 1 << (PATH_CHANNEL + OUTSIDE);
    run_until(1500);
    assert_int_equal(path_at(ALPHA, PATH_CHANNEL + OUTSIDE), PATH_STATE_ONE_WAY);
    assert_int_equal(path_at(BETA, PATH_CHANNEL + OUTSIDE), PATH_STATE_DOWN);
    assert_int_equal(path_at(ALPHA, PATH_RESERVED), PATH_STATE_UP);
    assert_true(peer_at(ALPHA).linked && peer_at(BETA).linked);
    w.cut[ALPHA] = 0;
    run_until(1600);
    assert_int_equal(path_at(ALPHA, PATH_CHANNEL + OUTSIDE), PATH_STATE_UP);
    assert_int_equal(path_at(BETA, PATH_CHANNEL + OUTSIDE), PATH_STATE_UP);
}

static void test_lost_heartbeats_are_counted(void **state)
{
    struct path_message path;

    (void)state;
    run_until(1000);
    for (int i = 0; i < 32; i++) { /* each other one */
        w.cut[BETA] = i % 2 ? 1 << PATH_RESERVED : 0;
        run_until(1000 + 50 * (i + 1));
    }
    detector_fill_path(&w.nodes[ALPHA].detector, PATH_RESERVED, w.now, &path);
    assert_in_range(path.loss_permille, 250, 420); /* of the last 64, some 20 were before */
}

/* ----------------------------------------------------------------- sessions */

static void test_a_recording_is_refused_even_after_restarts(void **state)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;
    struct detector *alpha = &w.nodes[ALPHA].detector;

    (void)state;
    run_until(500);
    detector_compose(&w.nodes[BETA].detector, PATH_RESERVED, w.now, &header, &heartbeat);
    hear(ALPHA, PATH_RESERVED, &header, &heartbeat);
    const int64_t received = alpha->paths[PATH_RESERVED].received;
    hear(ALPHA, PATH_RESERVED, &header, &heartbeat); /* the same again */
    assert_int_equal(alpha->paths[PATH_RESERVED].received, received);
    assert_int_equal(alpha->paths[PATH_RESERVED].replayed, 1);

    start(BETA, w.starts[ALPHA]); /* beta runs anew … */
    run_until(700);
    assert_int_equal(alpha->peer.session.start, 2);
    assert_true(peer_at(ALPHA).linked);
    header.sequence = 1000000; /* … and whatever its earlier session said is worthless */
    hear(ALPHA, PATH_RESERVED, &header, &heartbeat);
    assert_int_equal(alpha->paths[PATH_RESERVED].replayed, 2);

    start(ALPHA, 2); /* also when alpha itself runs anew, since the highest session is on its disk */
    hear(ALPHA, PATH_RESERVED, &header, &heartbeat);
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_RESERVED].replayed, 1);
    assert_false(peer_at(ALPHA).alive);
}

static void test_a_delayed_datagram_of_another_path_is_refused(void **state)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;

    (void)state;
    w.cut[BETA] = 1 << PATH_RESERVED;
    run_until(100);
    detector_compose(&w.nodes[BETA].detector, PATH_RESERVED, w.now, &header,
                     &heartbeat); /* somebody keeps it */
    run_until(30000);
    hear(ALPHA, PATH_RESERVED, &header, &heartbeat);
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_RESERVED].replayed, 1);
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_RESERVED].received, 0);
}

static void test_a_new_session_is_answered_at_once(void **state)
{
    (void)state;
    run_until(1010);
    start(BETA, w.starts[ALPHA]);
    assert_false(peer_at(BETA).linked);
    run_until(1012); /* beta's first tick sends, alpha answers, and that echoes */
    assert_true(peer_at(BETA).linked);
    assert_true(peer_at(ALPHA).alive);
}

static void test_heartbeats_without_echo_prove_life_only(void **state)
{
    (void)state;
    run_until(500);
    role(BETA, ROLE_ACTIVE, false);
    w.cut[ALPHA] = ALL_PATHS; /* beta hears nothing from now on */
    start(ALPHA, w.starts[BETA]);
    run_until(750);
    role(BETA, ROLE_ACTIVE, false);
    run_until(800);
    const struct peer_message peer = peer_at(ALPHA);
    assert_true(peer.alive);
    assert_false(peer.linked);
    assert_int_equal(peer.linked_ns, 0);
    assert_true(peer.backed_ns > w.now - MS(100));
    assert_int_equal(peer.role, ROLE_ACTIVE);
}

/* A node that lost its state file and whose clock stood at zero learns from the echo that it counts too low.
 */
static void test_a_forgotten_start_counter_is_found_again(void **state)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;

    (void)state;
    w.starts[BETA] = 40;
    start(BETA, 0);
    run_until(300);
    w.starts[BETA] = 4;
    start(BETA, 0);
    detector_tick(&w.nodes[BETA].detector, w.now, &w.nodes[BETA].out);
    empty(BETA);
    assert_true(w.nodes[ALPHA].detector.paths[PATH_RESERVED].replayed > 0);
    detector_compose(&w.nodes[ALPHA].detector, PATH_RESERVED, w.now, &header, &heartbeat);
    detector_heartbeat(&w.nodes[BETA].detector, PATH_RESERVED, &header, &heartbeat, w.now, w.now,
                       &w.nodes[BETA].out);
    assert_int_equal(w.nodes[BETA].out.renew_session_after, 41);
    outbox_empty(
        &w.nodes[BETA].out); /* not again at once: two machines of one name must not outbid each other */
    detector_compose(&w.nodes[ALPHA].detector, PATH_RESERVED, w.now, &header, &heartbeat);
    detector_heartbeat(&w.nodes[BETA].detector, PATH_RESERVED, &header, &heartbeat, w.now, w.now,
                       &w.nodes[BETA].out);
    assert_int_equal(w.nodes[BETA].out.renew_session_after, 0);
}

/* ----------------------------------------------------------------- the peer */

static void test_backed_needs_lease_and_a_living_arbiter(void **state)
{
    (void)state;
    run_until(500);
    role(BETA, ROLE_ACTIVE, false);
    run_until(600);
    assert_true(peer_at(ALPHA).backed_ns > START + MS(500));
    run_until(1000); /* beta's arbiter speaks no more: its state ages */
    const int64_t backed = peer_at(ALPHA).backed_ns;
    assert_in_range(backed, START + MS(640), START + MS(700));
    assert_true(peer_at(ALPHA).alive);
    assert_in_range(peer_at(ALPHA).arbiter_age_us, 390000, 510000);

    role(BETA, ROLE_ACTIVE, false);
    struct address_message released = {.state = HOLD_STATE_RELEASED};
    detector_address(&w.nodes[BETA].detector, &released, &w.nodes[BETA].out);
    const int64_t before = w.now;
    run_until(1100);
    assert_true(peer_at(ALPHA).backed_ns <= before);
    assert_int_equal(peer_at(ALPHA).lease_us, 0);
}

static void test_changes_travel_at_once_and_renewals_do_not(void **state)
{
    (void)state;
    run_until(1010);
    look(ALPHA), look(BETA);
    role(BETA, ROLE_ACTIVE, false);
    assert_int_equal(w.nodes[BETA].sent, 3);
    empty(ALPHA);
    assert_true(w.nodes[ALPHA].published >= 1);
    assert_int_equal(peer_at(ALPHA).phase, PHASE_ACTIVE);
    look(ALPHA), look(BETA);
    struct role_message offering = w.nodes[BETA].detector.own.role;
    offering.offer = OFFER_OFFERED;
    detector_role(&w.nodes[BETA].detector, &offering, w.now, w.now, &w.nodes[BETA].out);
    empty(BETA);
    assert_int_equal(w.nodes[BETA].sent, 3);
    assert_int_equal(peer_at(ALPHA).offer, OFFER_OFFERED);
    offering.lease_ns += MS(50); /* a mere renewal */
    empty(ALPHA);
    look(ALPHA), look(BETA);
    detector_role(&w.nodes[BETA].detector, &offering, w.now, w.now, &w.nodes[BETA].out);
    empty(BETA);
    assert_int_equal(w.nodes[BETA].sent, 0);
    empty(ALPHA);
    assert_int_equal(w.nodes[ALPHA].published, 0);
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

static void test_addresses_that_answer_without_a_lease_are_asked_for_quickly(void **state)
{
    (void)state;
    w.holder = BETA;
    serve_until(BETA, 1010);
    assert_false(w.nodes[ALPHA].detector.quick);
    run_until(1400); /* beta's arbiter speaks no more, its addresses still answer */
    assert_true(w.nodes[ALPHA].detector.quick);
    run_until(8000);
    assert_true(w.nodes[ALPHA].detector.quick);
    assert_int_equal(channel_at(ALPHA, OUTSIDE)->search.state, SEARCH_STATE_ANSWERED);
    w.holder = NOBODY;
    run_until(16000); /* nothing answers any more: certain, and calm */
    assert_false(w.nodes[ALPHA].detector.quick);
}

static void test_silence_quickens_and_is_told(void **state)
{
    (void)state;
    w.holder = BETA;
    serve_until(BETA, 1010);
    assert_int_equal(channel_at(ALPHA, OUTSIDE)->search.state, SEARCH_STATE_ANSWERED);
    assert_int_equal(channel_at(BETA, OUTSIDE)->search.state, SEARCH_STATE_IDLE);
    w.cut[BETA] = ALL_PATHS; /* power off: */
    w.holder = NOBODY;
    run_until(1074);
    assert_false(w.nodes[ALPHA].detector.quick);
    run_until(1080); /* one and a half intervals */
    assert_true(w.nodes[ALPHA].detector.quick);
    look(ALPHA);
    run_until(1110);
    assert_int_equal(channel_at(ALPHA, OUTSIDE)->search.state, SEARCH_STATE_SILENT);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    assert_in_range(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START + MS(750), START + MS(1000));
    assert_true(w.nodes[ALPHA].unicast[INSIDE] >= 1); /* to the MAC that the peer named */
    assert_in_range(w.nodes[ALPHA].published, 3, 5);
    run_until(1310);
    assert_false(peer_at(ALPHA).alive);
    run_until(9000); /* certain by then */
    assert_false(w.nodes[ALPHA].detector.quick);
}

static void test_own_stall_is_no_silence(void **state)
{
    (void)state;
    w.holder = BETA;
    run_until(1000);
    w.nodes[ALPHA].paused_until = START + MS(1400);
    run_until(1401);
    const struct peer_message peer = peer_at(ALPHA);
    assert_in_range(peer.counting_since_ns, START + MS(1400), START + MS(1401));
    assert_in_range(peer.heard_ns, START + MS(1350), START + MS(1401)); /* by the kernel's receive time */
    assert_true(peer.alive && peer.linked);
    assert_false(w.nodes[ALPHA].detector.doubting);
    for (size_t p = 0; p < 3; p++)
        assert_int_equal(path_at(ALPHA, p), PATH_STATE_UP);
    assert_int_not_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    run_until(2000);
    assert_in_range(peer_at(ALPHA).counting_since_ns, START + MS(1400), START + MS(1401));
}

static void test_after_a_stall_the_search_counts_anew(void **state)
{
    (void)state;
    run_until(1000);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    w.nodes[ALPHA].paused_until = START + MS(1400);
    run_until(1401);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
    assert_in_range(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START + MS(1400), START + MS(1401));
    assert_true(channel_at(ALPHA, INSIDE)->search.unanswered <= 1);
}

static void test_a_late_tick_within_an_interval_is_no_stall(void **state)
{
    (void)state;
    run_until(1000);
    w.nodes[ALPHA].paused_until = w.nodes[ALPHA].detector.tick_ns + MS(54);
    run_until(1200);
    assert_int_equal(peer_at(ALPHA).counting_since_ns, START);
    assert_in_range(w.nodes[ALPHA].detector.late_ns, MS(54), MS(55));
}

/* ------------------------------------------------------------------- search */

static void test_search_verdicts(void **state)
{
    (void)state;
    run_until(100);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
    run_until(400);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START);
    w.holder = BETA;
    run_until(700);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.silent_since_ns, 0);
    w.holder = 3; /* a stranger takes the address */
    run_until(1400);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_CONFLICT);
    assert_true(channel_at(ALPHA, INSIDE)->search.unanswered >= 2);
    assert_in_range(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START + MS(400), START + MS(700));
    w.holder = NOBODY;
    run_until(2300);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    role(ALPHA, ROLE_ACTIVE, false);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_IDLE);
    role(ALPHA, ROLE_PASSIVE, false);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
}

/* What the arbiter agrees on: it must not wait for what is told each second (R2). */
static void test_a_calm_search_is_told_while_nobody_answers(void **state)
{
    const struct node *alpha = &w.nodes[ALPHA];

    (void)state;
    run_until(3000);
    assert_false(alpha->detector.quick);
    const int told = alpha->searches_told[INSIDE], asked = alpha->asked[INSIDE];
    for (int64_t at = 3050; at <= 5000; at += 50) {
        run_until(at);
        assert_int_equal(alpha->told[INSIDE].state, SEARCH_STATE_SILENT);
        /* At most two requests old, and none that could still be answered. */
        assert_in_range(w.now - alpha->told[INSIDE].unanswered_ns, MS(100), MS(450));
    }
    assert_in_range(alpha->searches_told[INSIDE] - told, 9, 14);
    assert_int_equal(alpha->asked[INSIDE] - asked, 10); /* one for each 200 ms */
}

static void test_a_calm_search_is_not_told_while_the_peer_answers(void **state)
{
    const struct node *alpha = &w.nodes[ALPHA];

    (void)state;
    w.holder = BETA;
    serve_until(BETA, 3000);
    const int told = alpha->searches_told[INSIDE];
    serve_until(BETA, 5000);
    assert_false(alpha->detector.quick);
    assert_int_equal(alpha->told[INSIDE].state, SEARCH_STATE_ANSWERED);
    assert_int_equal(alpha->told[INSIDE].unanswered_ns, 0);
    assert_in_range(alpha->searches_told[INSIDE] - told, 2, 4); /* each 0.8 s, as before */
}

static void test_a_request_is_unanswered_when_it_had_its_time(void **state)
{
    struct search search = {0};
    const struct mac mac = mac_of(BETA, INSIDE);

    (void)state;
    search_begin(&search, START);
    for (int i = 0; i <= 4; i++)
        search_asked(&search, MS(1), START + MS(i));
    assert_int_equal(search.unanswered_ns, 0);
    search_asked(&search, MS(1), START + MS(5));
    assert_int_equal(search.unanswered_ns, START);
    search_judge(&search, START + MS(10));
    assert_int_equal(search.unanswered_ns, START + MS(5));
    search_answered(&search, &mac, true, START + MS(11));
    assert_int_equal(search.unanswered_ns, 0);
    search_asked(&search, MS(200), START + MS(12));
    search_restart(&search, START + MS(100)); /* who did not listen knows of no silence */
    search_judge(&search, START + MS(150));
    assert_int_equal(search.unanswered_ns, 0);
}

static void test_each_request_is_given_time(void **state)
{
    struct search search = {0};

    (void)state;
    search_begin(&search, START);
    search_asked(&search, MS(2), START);
    search_asked(&search, MS(2), START + MS(2));
    search_asked(&search, MS(2), START + MS(4)); /* going on to ask puts nothing off */
    assert_int_equal(search_verdict_ns(&search), START + MS(7));
    assert_false(search_judge(&search, START + MS(7) - 1));
    assert_true(search_judge(&search, START + MS(7)));
    assert_int_equal(search.state, SEARCH_STATE_SILENT);
}

static void test_anybody_counts_while_the_peer_is_unknown(void **state)
{
    (void)state;
    w.cut[BETA] = ALL_PATHS;
    w.holder = 3;
    run_until(500);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
}

static void test_an_expired_lease_starts_the_search(void **state)
{
    struct role_message active = {.role = ROLE_ACTIVE, .phase = PHASE_ACTIVE, .lease_ns = START + MS(200)};

    (void)state;
    detector_role(&w.nodes[ALPHA].detector, &active, w.now, w.now, &w.nodes[ALPHA].out);
    run_until(190);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_IDLE);
    run_until(260);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
}

static void test_requests_stay_polite(void **state)
{
    (void)state;
    run_until(500);
    look(ALPHA);
    for (int i = 0; i < 20; i++) { /* every reason to hurry, all the time */
        role(ALPHA, ROLE_PASSIVE, i % 2);
        w.router_dead[ALPHA] = true;
        run_until(500 + 50 * (i + 1));
    }
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 20, 126); /* 100 a second, and a burst of 25 */
}

/* ------------------------------------------------------------------ routers */

static void test_router_dies_and_returns(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);

    (void)state;
    run_until(1010);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_int_equal(channel->fault_ns, 0);
    w.router_dead[ALPHA] = true;
    run_until(1900); /* the third miss, and the quick ones have begun */
    assert_true(channel->usable);
    assert_true(channel->routers[0].missed >= 3);
    run_until(2200);
    assert_false(channel->routers[0].answering);
    assert_false(channel->usable);
    assert_true(channel->routers[0].missed >= 23);
    assert_in_range(channel->fault_ns, START + MS(1190),
                    START + MS(1250)); /* the first request that was missed */
    assert_false(peer_at(BETA).channels[OUTSIDE].usable);
    run_until(2400);
    assert_true(channel->routers[0].missed > 40); /* quick for a second more */
    run_until(6000);
    look(ALPHA);
    run_until(7000);
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 9, 11); /* calm again */
    w.router_dead[ALPHA] = false;
    run_until(7260);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_int_equal(channel->routers[0].missed, 0);
    assert_int_equal(channel->fault_ns, 0);
    assert_true(peer_at(BETA).channels[OUTSIDE].usable);
}

static void router_talks(const struct mac *from, int64_t until_ms)
{
    while (w.now < START + MS(until_ms)) {
        run_until((w.now - START) / NS_PER_MS + 20);
        detector_router_frame(&w.nodes[ALPHA].detector, OUTSIDE, from, w.now, w.now, &w.nodes[ALPHA].out);
    }
}

static void test_a_router_that_talks_is_not_asked(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);
    const struct mac router = mac_of(4, OUTSIDE), stranger = mac_of(5, OUTSIDE);

    (void)state;
    w.nodes[ALPHA].config->channels[OUTSIDE].check_only_idle = true;
    role(ALPHA, ROLE_ACTIVE, false); /* no search of its own */
    run_until(1000);
    look(ALPHA);
    w.router_dead[ALPHA] = true; /* it answers no ARP, say, but sends */
    router_talks(&router, 3000);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 0, 1);
    router_talks(&stranger, 6000);
    assert_false(channel->usable || channel->routers[0].answering);
    assert_true(w.nodes[ALPHA].asked[OUTSIDE] > 20);
    router_talks(&router, 6050);
    assert_true(channel->usable && channel->routers[0].answering);
}

static void test_router_is_asked_from_the_addresses_held(void **state)
{
    (void)state;
    run_until(1000);
    look(ALPHA);
    run_until(2000);
    assert_int_equal(w.nodes[ALPHA].from_active[OUTSIDE], 0);
    role(ALPHA, ROLE_ACTIVE, false);
    look(ALPHA);
    run_until(3000);
    assert_in_range(w.nodes[ALPHA].from_active[OUTSIDE], 4, 6);
    assert_int_equal(w.nodes[ALPHA].asked[OUTSIDE], w.nodes[ALPHA].from_active[OUTSIDE]);
}

static void test_missing_heartbeats_hint_at_the_router(void **state)
{
    (void)state;
    run_until(1000);
    w.router_dead[ALPHA] = true;
    w.cut[BETA] = 1 << (PATH_CHANNEL + OUTSIDE); /* the line outside is dead for alpha, carrier or not */
    run_until(1450);                             /* 125 ms, and 23 quick probes: not 3 x 200 ms first */
    assert_false(channel_at(ALPHA, OUTSIDE)->usable);
}

static void test_suspicion_brings_fresh_evidence(void **state)
{
    (void)state;
    run_until(1010);
    look(BETA);
    const int64_t suspected = w.now;
    role(ALPHA, ROLE_PASSIVE, true);
    run_until(1020);
    assert_true(w.nodes[BETA].detector.quick);
    assert_true(peer_at(ALPHA).channels[OUTSIDE].evidence_ns >= suspected - NS_PER_MS);
    run_until(1110);
    assert_true(w.nodes[BETA].asked[OUTSIDE] >= 9);
    assert_true(w.now - peer_at(ALPHA).channels[OUTSIDE].evidence_ns < MS(15));
}

/* -------------------------------------------------------------------- links */

static void test_carrier_loss_is_seen_at_once_and_must_be_cured(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);
    struct link_event link = {true, false, mac_of(ALPHA, OUTSIDE), 500};

    (void)state;
    run_until(1010);
    look(ALPHA);
    detector_link(&w.nodes[ALPHA].detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    assert_false(channel->usable || channel->routers[0].answering);
    assert_int_equal(channel->fault_ns, w.now);
    assert_int_equal(channel->search.state, SEARCH_STATE_IDLE);
    empty(ALPHA);
    assert_int_equal(w.nodes[ALPHA].sent, 3);
    assert_false(peer_at(BETA).channels[OUTSIDE].usable);
    run_until(1500);
    w.router_dead[ALPHA] = true;
    link.carrier = true; /* carrier alone is no proof */
    detector_link(&w.nodes[ALPHA].detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    run_until(1600);
    assert_false(channel->usable);
    w.router_dead[ALPHA] = false;
    run_until(1650);
    assert_true(channel->usable);
    assert_int_equal(channel->fault_ns, 0);
}

static void test_without_router_a_frame_is_proof(void **state)
{
    const struct channel *channel = channel_at(ALPHA, INSIDE);
    struct link_event link = {true, false, mac_of(ALPHA, INSIDE), 500};

    (void)state;
    run_until(1000);
    assert_true(channel->usable);
    w.cut[BETA] = ALL_PATHS;
    run_until(5000); /* silence alone is no fault there */
    assert_true(channel->usable);
    assert_true(w.now - channel->evidence_ns < MS(60));
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    link.carrier = true;
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    run_until(6000);
    assert_false(channel->usable);
    link.frames++; /* the adapter counted one that nobody here has seen */
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    assert_true(channel->usable);
}

static void test_garbage_changes_only_counters(void **state)
{
    static struct detector before;

    (void)state;
    run_until(1000);
    before = w.nodes[ALPHA].detector;
    for (int i = 0; i < 1000; i++) {
        detector_refused(&w.nodes[ALPHA].detector, PATH_RESERVED, REFUSED_UNOPENED);
        detector_refused(&w.nodes[ALPHA].detector, PATH_CHANNEL, REFUSED_FOREIGN);
    }
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_RESERVED].unopened, 1000);
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_CHANNEL].foreign, 1000);
    before.paths[PATH_RESERVED].unopened = before.paths[PATH_CHANNEL].foreign = 1000;
    assert_memory_equal(&before, &w.nodes[ALPHA].detector, sizeof before);
}

/* ------------------------------------------------------ a changed configuration */

/* Alpha goes to `changed_text`; the configuration before lives on, as it does in the daemon. */
static struct config *change(const char *changed_text)
{
    struct config *before = w.nodes[ALPHA].config;

    assert_int_equal(config_read_text("test", changed_text, "alpha", stderr, &w.nodes[ALPHA].config), 0);
    detector_configure(&w.nodes[ALPHA].detector, w.nodes[ALPHA].config, w.now);
    return before;
}

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *made;

    assert_non_null(at);
    assert_true(asprintf(&made, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return made;
}

static const char dmz[] = "channel \"dmz\" { device = \"eth2\" active-address = {\"198.51.100.1/24\"}\n"
                          "    node \"alpha\" { passive-address = {\"198.51.100.2/24\"} }\n"
                          "    node \"beta\" { passive-address = {\"198.51.100.3/24\"} } }\n"
                          "channel \"outside\" {\n";

static void test_a_channel_before_the_others_disturbs_none(void **state)
{
    (void)state;
    run_until(1000);
    const struct path outside = w.nodes[ALPHA].detector.paths[PATH_CHANNEL + OUTSIDE];
    const struct mac peer = w.nodes[ALPHA].detector.peer.macs[INSIDE];
    char *more = replaced("channel \"outside\" {\n", dmz);
    struct config *before = change(more);
    const struct detector *d = &w.nodes[ALPHA].detector;

    free(more);
    assert_int_equal(d->path_count, 4);
    assert_memory_equal(&d->paths[PATH_CHANNEL + 1], &outside, sizeof outside);
    assert_true(mac_equal(&d->peer.macs[2], &peer) && mac_is_zero(&d->peer.macs[0]));
    assert_true(d->channels[1].usable && d->channels[1].routers[0].answering && d->channels[1].index == 1);
    assert_true(d->channels[1].config == &w.nodes[ALPHA].config->channels[1]);
    assert_false(d->channels[0].present || d->channels[0].usable);
    assert_true(peer_at(ALPHA).alive && peer_at(ALPHA).linked);
    assert_true(d->config_hash != w.nodes[BETA].detector.config_hash);
    config_free(before);
}

static void test_other_addresses_are_searched_for_anew(void **state)
{
    (void)state;
    w.holder = BETA;
    run_until(1000);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    char *fewer = replaced("\"192.0.2.1/24\", \"192.0.2.9/24\"", "\"192.0.2.1/24\"");
    struct config *before = change(fewer);

    free(fewer);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
    assert_int_equal(channel_at(ALPHA, OUTSIDE)->search.state, SEARCH_STATE_ANSWERED);
    run_until(1500);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    config_free(before);
}

static void test_a_new_router_that_is_silent_beside_one_that_answers_is_no_fault(void **state)
{
    (void)state;
    run_until(1000);
    char *more = replaced("{\"203.0.113.1\"}", "{\"203.0.113.99\", \"203.0.113.1\"}");
    struct config *before = change(more);
    const struct channel *outside = channel_at(ALPHA, OUTSIDE);

    free(more);
    assert_int_equal(outside->router_count, 2);
    assert_true(outside->usable && outside->routers[1].answering && !outside->routers[0].answering);
    config_free(before);
}

/* The evidence that the channel had is of a router that is not asked any more. */
static void test_a_channel_with_other_routers_is_not_looked_at_yet(void **state)
{
    (void)state;
    run_until(1000);
    char *other = replaced("{\"203.0.113.1\"}", "{\"203.0.113.99\"}");
    struct config *before = change(other);
    const struct channel *outside = channel_at(ALPHA, OUTSIDE);

    free(other);
    assert_false(outside->usable);
    assert_int_equal(outside->fault_ns, 0);
    config_free(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_is_well),
        TEST(test_calm_is_cheap),
        TEST(test_one_way),
        TEST(test_lost_heartbeats_are_counted),
        TEST(test_a_recording_is_refused_even_after_restarts),
        TEST(test_a_delayed_datagram_of_another_path_is_refused),
        TEST(test_a_new_session_is_answered_at_once),
        TEST(test_heartbeats_without_echo_prove_life_only),
        TEST(test_a_forgotten_start_counter_is_found_again),
        TEST(test_backed_needs_lease_and_a_living_arbiter),
        TEST(test_changes_travel_at_once_and_renewals_do_not),
        TEST(test_addresses_that_answer_without_a_lease_are_asked_for_quickly),
        TEST(test_silence_quickens_and_is_told),
        TEST(test_own_stall_is_no_silence),
        TEST(test_after_a_stall_the_search_counts_anew),
        TEST(test_a_late_tick_within_an_interval_is_no_stall),
        TEST(test_search_verdicts),
        TEST(test_a_calm_search_is_told_while_nobody_answers),
        TEST(test_a_calm_search_is_not_told_while_the_peer_answers),
        TEST(test_a_request_is_unanswered_when_it_had_its_time),
        TEST(test_each_request_is_given_time),
        TEST(test_anybody_counts_while_the_peer_is_unknown),
        TEST(test_an_expired_lease_starts_the_search),
        TEST(test_requests_stay_polite),
        TEST(test_router_dies_and_returns),
        TEST(test_a_router_that_talks_is_not_asked),
        TEST(test_router_is_asked_from_the_addresses_held),
        TEST(test_missing_heartbeats_hint_at_the_router),
        TEST(test_suspicion_brings_fresh_evidence),
        TEST(test_carrier_loss_is_seen_at_once_and_must_be_cured),
        TEST(test_without_router_a_frame_is_proof),
        TEST(test_garbage_changes_only_counters),
        TEST(test_a_channel_before_the_others_disturbs_none),
        TEST(test_other_addresses_are_searched_for_anew),
        TEST(test_a_new_router_that_is_silent_beside_one_that_answers_is_no_fault),
        TEST(test_a_channel_with_other_routers_is_not_looked_at_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
