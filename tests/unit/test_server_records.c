/* What arbiterd's shell does with the records of both nodes: two of them, with a bus that brings what one
 * gives to its heartbeatd to the other, and clocks that the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiterd/server.h"
#include "common/clock.h"

#define INTERVAL (50 * NS_PER_MS)
#define YEAR_2026 (INT64_C(1767225600) * NS_PER_S)

/* A node and its machine, whose clock began `boot_ns` after the world's. */
struct node {
    struct server server;
    struct daemon daemon;
    struct config config;
    char boot[SYS_BOOT_ID_MAX];
    bus_handler *handler;
    int64_t boot_ns, wall_at_boot_ns;
    int sent;
    bool arrived; /* what it sent last is still to be heard */
    struct peer_record_message heard;
};

static struct node alpha, beta, *at; /* `at`: whose daemon runs */
static int64_t now_ns;
static char directory[64];

int64_t __wrap_clock_now_ns(void);
int64_t __wrap_clock_wall_offset_ns(void);
int __wrap_bus_publish(struct bus *bus, const struct message_type *type, const char *name, const void *body,
                       const char *cause);
int __wrap_bus_subscribe(struct bus *bus, const struct message_type *type, const char *daemon,
                         bus_handler *handler, void *userdata);
void __wrap_bus_last_cause(const struct bus *bus, char cause[static CAUSE_MAX]);
void __wrap_loop_set_timer(struct loop_source *timer, int64_t at_ns);
void __wrap_state_write(struct state_writer *writer, const struct arbiter_durable *durable);

int64_t __wrap_clock_now_ns(void)
{
    return now_ns - at->boot_ns;
}

int64_t __wrap_clock_wall_offset_ns(void)
{
    return at->wall_at_boot_ns;
}

static struct node *other_of(const struct node *node)
{
    return node == &alpha ? &beta : &alpha;
}

int __wrap_bus_publish(struct bus *bus, const struct message_type *type, const char *name, const void *body,
                       const char *cause)
{
    struct node *other = other_of(at);

    (void)bus, (void)name, (void)cause;
    if (type != &record_type)
        return 0;
    at->sent++;
    other->arrived = true;
    text_copy(other->heard.text, sizeof other->heard.text, ((const struct record_message *)body)->text);
    return 0;
}

int __wrap_bus_subscribe(struct bus *bus, const struct message_type *type, const char *daemon,
                         bus_handler *handler, void *userdata)
{
    (void)bus;
    assert_ptr_equal(type, &peer_record_type);
    assert_string_equal(daemon, "heartbeatd");
    assert_ptr_equal(userdata, &at->server);
    at->handler = handler;
    return 0;
}

void __wrap_bus_last_cause(const struct bus *bus, char cause[static CAUSE_MAX])
{
    (void)bus;
    cause[0] = '\0';
}

void __wrap_loop_set_timer(struct loop_source *timer, int64_t at_ns)
{
    (void)timer, (void)at_ns;
}

void __wrap_state_write(struct state_writer *writer, const struct arbiter_durable *durable)
{
    (void)writer, (void)durable;
}

/* --------------------------------------------------------------------- the world */

/* The daemon starts: from its disk, on a machine that goes on or (`boot`) has just begun. */
static void start(struct node *node, const char *boot)
{
    struct server *s = &node->server;

    at = node;
    if (boot)
        node->boot_ns = now_ns;
    memset(s, 0, sizeof *s);
    s->daemon = &node->daemon;
    assert_int_equal(scribe_open(&s->scribe), 0);
    snprintf(s->history_path, sizeof s->history_path, "%s/changes.jsonl", node->daemon.state_dir);
    history_load(&s->history, s->history_path, s->scribe);
    server_open_records(s);
    if (boot)
        text_copy(node->boot, sizeof node->boot, boot);
    text_copy(s->boot, sizeof s->boot, node->boot); /* the real one is the same all the time */
    assert_int_equal(server_subscribe_records(s), 0);
    s->role_rule = s->role_reason = "";
    s->arbiter.loaded = true;
    s->arbiter.phase = PHASE_PASSIVE;
    s->arbiter.set = (struct arbiter_settings){
        .heartbeat_interval = INTERVAL, .takeover_after = 6 * INTERVAL, .evidence_wait = INTERVAL};
    text_copy(s->arbiter.peer.name, sizeof s->arbiter.peer.name, node->config.nodes[!node->config.self].name);
    s->arbiter.peer.takes_records = true;
}

static void end(struct node *node)
{
    at = node;
    history_finish(&node->server.history);
    scribe_close(node->server.scribe);
    node->server.scribe = NULL;
}

static void start_anew(struct node *node, const char *boot)
{
    end(node);
    start(node, boot);
}

static void make(struct node *node, const char *name, const char *boot)
{
    memset(node, 0, sizeof *node);
    text_copy(node->daemon.node, sizeof node->daemon.node, name);
    node->daemon.config = &node->config;
    node->config.self = node == &beta;
    text_copy(node->config.nodes[0].name, CONFIG_NAME_MAX, "alpha");
    text_copy(node->config.nodes[1].name, CONFIG_NAME_MAX, "beta");
    snprintf(node->daemon.state_dir, sizeof node->daemon.state_dir, "%s/%s", directory, name);
    assert_int_equal(mkdir(node->daemon.state_dir, 0700), 0);
    node->wall_at_boot_ns = YEAR_2026 + now_ns;
    start(node, boot);
}

static int begin(void **state)
{
    (void)state;
    log_open("test", "test");
    now_ns = 1000 * NS_PER_S;
    strcpy(directory, "/tmp/duet-records-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    make(&alpha, "alpha", "a1");
    now_ns += 1000 * NS_PER_S;
    make(&beta, "beta", "b1");
    now_ns += 1000 * NS_PER_S;
    return 0;
}

static int finish(void **state)
{
    static const char *const files[] = {"changes.jsonl", "peer-changes.jsonl"};
    char path[PATH_MAX];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct node *node = i ? &beta : &alpha;
        if (node->server.scribe)
            end(node);
        for (size_t k = 0; k < ARRAY_LENGTH(files); k++) {
            snprintf(path, sizeof path, "%s/%s", node->daemon.state_dir, files[k]);
            unlink(path);
        }
        rmdir(node->daemon.state_dir);
    }
    return rmdir(directory);
}

/* This node's role changes, and its record is closed three seconds later. */
static void change(struct node *node, enum phase to)
{
    struct change_message change = {.from = to == PHASE_RELEASING ? PHASE_ACTIVE : PHASE_PASSIVE,
                                    .to = to,
                                    .epoch = 3,
                                    .rule = "R9-yield"};

    if (to == PHASE_ACTIVE)
        text_copy(change.rule, sizeof change.rule, "R1-resume");
    at = node;
    change.at_ns = clock_now_ns();
    change.number = (change.at_ns + clock_wall_offset_ns()) / NS_PER_MS;
    text_copy(change.node, sizeof change.node, node->daemon.node);
    text_copy(change.boot, sizeof change.boot, node->server.boot);
    utc_print(change.at_ns + clock_wall_offset_ns(), change.at);
    history_change(&node->server.history, &change, change.at_ns);
    history_note(&node->server.history, change.at_ns + NS_PER_MS, "heartbeatd:9", "the peer is heard");
}

static void hear(struct node *node)
{
    const struct bus_message m = {.type = &peer_record_type, .body = &node->heard};

    at = node;
    if (!node->arrived)
        return;
    node->arrived = false;
    node->heard.received_ns = clock_now_ns();
    node->handler(&node->server, &m);
}

static void pass(int64_t span_ns)
{
    for (const int64_t until = now_ns + span_ns; now_ns < until; now_ns += INTERVAL)
        for (int i = 0; i < 2; i++) {
            struct node *node = i ? &beta : &alpha;
            struct arbiter *a = &node->server.arbiter;
            at = node;
            history_tick(&node->server.history, clock_now_ns());
            a->now = a->observed = a->peer.linked_ns = clock_now_ns();
            server_tell_records(&node->server, clock_now_ns());
            hear(other_of(node));
        }
}

static const struct change_message *told(const struct node *node, int64_t nth)
{
    return chronicle_get(&node->server.peers, nth);
}

static int64_t wall_of(const char *text)
{
    int64_t wall_ns = 0;

    assert_int_equal(utc_parse(text, &wall_ns), 0);
    return wall_ns;
}

/* --------------------------------------------------------------------- out, and in */

static void test_a_record_reaches_the_other_node(void **state)
{
    const int64_t then_ns = now_ns;

    (void)state;
    change(&alpha, PHASE_RELEASING);
    pass(5 * NS_PER_S);
    assert_int_equal(beta.server.peers.count, 1);
    const struct change_message *came = told(&beta, 0);
    assert_string_equal(came->node, "alpha");
    assert_string_equal(came->boot, "b1");
    assert_int_equal(came->at_ns, then_ns - beta.boot_ns);
    assert_in_range(wall_of(came->at), YEAR_2026 + then_ns - NS_PER_US, YEAR_2026 + then_ns);
    assert_int_equal(came->steps_count, 1);
    assert_string_equal(came->steps[0].text, "the peer is heard");
    end(&beta);
    start(&beta, NULL);
    assert_string_equal(told(&beta, 0)->boot, "b1"); /* it is on the disk */
}

static void test_one_that_is_still_open_is_not_told(void **state)
{
    (void)state;
    change(&alpha, PHASE_RELEASING);
    pass(5 * NS_PER_S / 2);
    assert_int_equal(beta.server.peers.count, 0);
    at = &alpha;
    history_note(&alpha.server.history, clock_now_ns(), NULL, "and more");
    pass(NS_PER_S);
    assert_int_equal(told(&beta, 0)->steps_count, 2);
}

static void test_nothing_goes_to_who_takes_none(void **state)
{
    (void)state;
    change(&alpha, PHASE_RELEASING);
    alpha.server.arbiter.peer.takes_records = false;
    pass(5 * NS_PER_S);
    assert_int_equal(alpha.sent, 0);
    alpha.server.arbiter.peer.takes_records = true;
    pass(NS_PER_S);
    assert_int_equal(beta.server.peers.count, 1);
}

/* The sender lost its last one, which was not on its disk yet, and tells all that it has again. */
static void test_each_is_kept_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        change(&alpha, i % 2 ? PHASE_CLAIMING : PHASE_RELEASING);
        pass(5 * NS_PER_S);
    }
    assert_int_equal(beta.server.peers.count, 3);
    alpha.server.history.own.count--;
    exchange_open(&alpha.server.exchange, alpha.daemon.node, 0);
    pass(5 * NS_PER_S);
    assert_int_equal(beta.server.peers.count, 3);
    change(&alpha, PHASE_RELEASING);
    pass(5 * NS_PER_S);
    assert_int_equal(beta.server.peers.count, 4);
    assert_int_equal(told(&beta, 0)->number, chronicle_newest(&alpha.server.history.own, 0));
}

/* It ends again and again, and goes on each time: the same again is not written down here. */
static void test_restarts_in_a_row_there_are_two_records_here(void **state)
{
    (void)state;
    change(&alpha, PHASE_CLAIMING);
    pass(5 * NS_PER_S);
    for (int i = 0; i < 6; i++) {
        now_ns += NS_PER_S;
        start_anew(&alpha, NULL);
        change(&alpha, PHASE_ACTIVE);
        pass(5 * NS_PER_S);
    }
    assert_int_equal(beta.server.peers.count, 3);
    assert_int_equal(told(&beta, 0)->number, chronicle_newest(&alpha.server.history.own, 0));
    assert_int_equal(told(&beta, 0)->repeats, 4);
    start_anew(&beta, NULL);
    assert_int_equal(beta.server.peers.count, 3);
    assert_int_equal(told(&beta, 0)->repeats, 0);
    pass(5 * NS_PER_S); /* the latest comes again */
    assert_int_equal(beta.server.peers.count, 3);
    assert_int_equal(told(&beta, 0)->number, chronicle_newest(&alpha.server.history.own, 0));
}

/* ---------------------------------------------------------------- what may come */

static void say(struct node *to, const char *name, int64_t number)
{
    static struct piece_message piece;

    piece = (struct piece_message){.heard = true, .newest = number, .number = number, .epoch = number};
    text_copy(piece.node, sizeof piece.node, name);
    AUTO_FREE char *json = message_pack(&piece_type, NULL, &piece);
    text_copy(to->heard.text, sizeof to->heard.text, json);
    to->arrived = true;
    hear(to);
}

static void test_what_a_peer_can_have_written_is_bounded(void **state)
{
    (void)state;
    for (int i = 1; i <= 300; i++)
        say(&beta, "alpha", i);
    assert_int_equal(beta.server.peers.count, HISTORY_CHANGES);
    now_ns += 10 * NS_PER_S;
    for (int i = 301; i <= 600; i++)
        say(&beta, "alpha", i);
    assert_int_equal(beta.server.peers.count, HISTORY_CHANGES + 10);
    now_ns += 10000 * NS_PER_S;
    for (int i = 601; i <= 900; i++)
        say(&beta, "alpha", i);
    assert_int_equal(beta.server.peers.count, 2 * HISTORY_CHANGES + 10);
}

static void test_another_node_tells_nothing(void **state)
{
    (void)state;
    say(&beta, "gamma", 1);
    say(&beta, "beta", 1);
    text_copy(beta.heard.text, sizeof beta.heard.text, "{\"node\":\"alpha\"}");
    beta.arrived = true;
    hear(&beta);
    assert_int_equal(beta.server.peers.count, 0);
    say(&beta, "alpha", 1);
    assert_int_equal(beta.server.peers.count, 1);
}

/* ------------------------------------------------------------------------ times */

/* Its steps are of no clock of this boot, and only their distances count; JSON takes no negative ones. */
static void test_what_was_before_this_boot_has_times_of_no_clock(void **state)
{
    const int64_t then_ns = now_ns;

    (void)state;
    end(&beta);
    change(&alpha, PHASE_RELEASING);
    now_ns += 60 * NS_PER_S;
    beta.wall_at_boot_ns = YEAR_2026 + now_ns;
    start(&beta, "b2");
    pass(5 * NS_PER_S);
    const struct change_message *came = told(&beta, 0);
    assert_non_null(came);
    assert_string_equal(came->boot, "");
    assert_in_range(came->at_ns, 0, NS_PER_S);
    assert_int_equal(came->steps[0].at_ns - came->at_ns, NS_PER_MS);
    assert_in_range(wall_of(came->at), YEAR_2026 + then_ns - NS_PER_US, YEAR_2026 + then_ns);
    end(&beta);
    start(&beta, NULL);
    assert_int_equal(beta.server.peers.count, 1);
}

/* A machine without a clock that goes on while it is off may begin in 1970, or where it was last time. */
static void test_what_was_before_the_peer_s_boot_is_not_told_as_of_now(void **state)
{
    static const int64_t walls_ns[][2] = {
        /* at the boot before; at this one */
        {YEAR_2026, 0},                           /* set by hand, once */
        {0, 0},                                   /* never set */
        {0, YEAR_2026},                           /* set, but not before the change */
        {YEAR_2026, YEAR_2026 - 3600 * NS_PER_S}, /* set back */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(walls_ns); i++) {
        alpha.wall_at_boot_ns = walls_ns[i][0];
        start_anew(&alpha, "a1");
        now_ns += 100 * NS_PER_S;
        change(&alpha, PHASE_RELEASING);
        now_ns += NS_PER_S;
        alpha.wall_at_boot_ns = walls_ns[i][1];
        start_anew(&alpha, "a2");
        const int64_t booted_ns = now_ns;
        now_ns += 500 * NS_PER_S;
        pass(5 * NS_PER_S);
        assert_int_equal(beta.server.peers.count, i + 1);
        assert_int_equal(told(&beta, 0)->at_ns, booted_ns - beta.boot_ns);
    }
}

/* --------------------------------------------------------------- what was considered */

static int considered(const struct node *node, const char *rule)
{
    static struct recent_message recent;
    int count = 0;

    history_recent(&node->server.history, &recent);
    for (size_t i = 0; i < recent.steps_count; i++)
        count += strcmp(recent.steps[i].considered, rule) == 0;
    return count;
}

/* A silent peer, and a hold. */
static void wait_in_silence(struct node *node, int64_t span_ns)
{
    struct arbiter *a = &node->server.arbiter;

    at = node;
    for (const int64_t until = now_ns + span_ns; now_ns < until; now_ns += INTERVAL) {
        a->now = a->observed = clock_now_ns();
        server_note_barred(&node->server, clock_now_ns());
    }
}

static void test_what_bars_is_noted_once_and_when_it_lasts(void **state)
{
    (void)state;
    alpha.server.arbiter.held = true;
    wait_in_silence(&alpha, 4 * INTERVAL);
    assert_true(considered(&alpha, "R3-takeover") == 0);
    wait_in_silence(&alpha, 20 * INTERVAL);
    assert_true(considered(&alpha, "R3-takeover") == 1);
    alpha.server.arbiter.held = false;
    alpha.server.arbiter.stopping = true; /* another bar */
    wait_in_silence(&alpha, 20 * INTERVAL);
    assert_true(considered(&alpha, "R3-takeover") == 2);
}

static void test_what_was_rejected_is_noted(void **state)
{
    const struct arbiter_transition t = {.rule = "R3-takeover", .from = PHASE_PASSIVE, .to = PHASE_CLAIMING};

    (void)state;
    at = &alpha;
    server_note_rejected(&alpha.server, &t, clock_now_ns());
    assert_true(considered(&alpha, "R4-mute") == 1);
    assert_true(considered(&alpha, "R5-stall") == 1);
    assert_true(considered(&alpha, "R8-partition") == 1);
}

/* An operator answered for it, which its end ends: nor does the witness stand for that in the record. */
static void test_a_lapse_after_a_claim_by_hand_is_not_laid_to_the_witness(void **state)
{
    struct arbiter *a = &alpha.server.arbiter;

    (void)state;
    for (int by_hand = 1; by_hand >= 0; by_hand--) {
        struct arbiter_event event = {.kind = EVENT_TIME};
        at = &alpha;
        a->set.witness = true;
        a->set.handover_time = a->set.claim_time = NS_PER_S;
        a->phase = PHASE_ACTIVE;
        a->epoch = 3;
        a->vouched = by_hand;
        a->now = clock_now_ns();
        a->lapsed = a->now - 2 * NS_PER_S;
        server_step(&alpha.server, &event, NULL);
        assert_int_equal(a->phase, PHASE_RELEASING);
        assert_false(a->vouched);
        const struct change_message *record = chronicle_get(&alpha.server.history.own, 0);
        assert_string_equal(record->rule, "R12-lapsed");
        assert_string_equal(record->other, "beta");
        assert_string_equal(record->steps[0].considered, "R12-renewed");
        assert_true((strstr(record->steps[0].text, "witness") == NULL) == by_hand);
        now_ns += 10 * NS_PER_S; /* the next record is of its own time alone */
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(test_a_record_reaches_the_other_node),
        TEST(test_one_that_is_still_open_is_not_told),
        TEST(test_nothing_goes_to_who_takes_none),
        TEST(test_each_is_kept_once),
        TEST(test_restarts_in_a_row_there_are_two_records_here),
        TEST(test_what_a_peer_can_have_written_is_bounded),
        TEST(test_another_node_tells_nothing),
        TEST(test_what_was_before_this_boot_has_times_of_no_clock),
        TEST(test_what_was_before_the_peer_s_boot_is_not_told_as_of_now),
        TEST(test_what_bars_is_noted_once_and_when_it_lasts),
        TEST(test_what_was_rejected_is_noted),
        TEST(test_a_lapse_after_a_claim_by_hand_is_not_laid_to_the_witness),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
