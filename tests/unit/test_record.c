/* Records between two detectors: when and where they go, and which are taken. Times are heartbeat intervals
 * of 50 ms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heartbeatd/record.h"

static const char text[] =
    "cluster \"gate\" { profile = lan }\n"
    "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"
    "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"
    "channel \"outside\" { device = \"eth0\" active-address = {\"203.0.113.10/24\"} }\n"
    "channel \"inside\" { device = \"eth1\" active-address = {\"192.0.2.1/24\"} }\n";

enum { ALPHA, BETA };
enum { OUTSIDE = PATH_CHANNEL, INSIDE, PATHS };

static struct {
    int64_t now;
    struct config *config[2];
    struct detector detectors[2];
    struct outbox out;
    uint64_t starts[2];
    unsigned cut[2]; /* by sender: paths on which nothing passes */
    bool older[2];   /* of a version without records */
} w;

static void start(int n, const struct heartbeat_session *peer)
{
    const struct heartbeat_session own = {.start = ++w.starts[n], .random = {(uint8_t)n, 7}};

    detector_init(&w.detectors[n], w.config[n], &own, peer, w.now);
    detector_tick(&w.detectors[n], w.now, &w.out);
    outbox_empty(&w.out);
}

static void say(int n, size_t path)
{
    struct heartbeat_header header;
    struct heartbeat said, heard;
    uint8_t body[HEARTBEAT_BODY_MAX];

    detector_compose(&w.detectors[n], path, w.now, &header, &said);
    said.takes_records = said.takes_records && !w.older[n];
    const size_t size = heartbeat_pack_body(&said, body);
    assert_int_equal(heartbeat_parse_body(1, body, size, &heard), 0);
    if (w.cut[n] >> path & 1)
        return;
    detector_heartbeat(&w.detectors[!n], path, &header, &heard, w.now, w.now, &w.out);
    outbox_empty(&w.out);
}

static void run(int intervals)
{
    while (intervals-- > 0) {
        w.now += 50 * NS_PER_MS;
        for (int n = 0; n < 2; n++) {
            for (size_t p = 0; p < PATHS; p++)
                say(n, p);
            detector_tick(&w.detectors[n], w.now, &w.out);
            outbox_empty(&w.out);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.now = 1000 * NS_PER_S;
    for (int n = 0; n < 2; n++) {
        if (config_read_text("test", text, n == ALPHA ? "alpha" : "beta", stderr, &w.config[n]) < 0)
            return -1;
        start(n, &(struct heartbeat_session){0});
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(w.config[ALPHA]);
    config_free(w.config[BETA]);
    return 0;
}

static size_t way(int n)
{
    return record_path(&w.detectors[n]);
}

static struct heartbeat_header record_of(int n)
{
    struct heartbeat_header header;

    record_compose(&w.detectors[n], &header);
    return header;
}

static bool take(int n, size_t path, struct heartbeat_header header)
{
    const int64_t before = w.detectors[n].paths[path].replayed;
    const bool taken = record_accept(&w.detectors[n], path, &header);

    assert_int_equal(w.detectors[n].paths[path].replayed, before + !taken);
    return taken;
}

static struct peer_message peer_at(int n)
{
    struct peer_message message;

    detector_fill_peer(&w.detectors[n], w.now, &message);
    return message;
}

/* ------------------------------------------------------------------ sending */

static void test_by_the_reserved_line_else_by_the_first_channel(void **state)
{
    (void)state;
    assert_int_equal(way(ALPHA), PATHS_MAX); /* nothing was heard yet */
    run(20);
    assert_int_equal(way(ALPHA), PATH_RESERVED);
    w.cut[ALPHA] = 1 << PATH_RESERVED; /* one-way is not enough */
    run(20);
    assert_int_equal(way(ALPHA), OUTSIDE);
    w.cut[BETA] = 1 << OUTSIDE;
    run(20);
    assert_int_equal(way(ALPHA), INSIDE);
    w.cut[ALPHA] |= 1 << INSIDE;
    run(20);
    assert_int_equal(way(ALPHA), PATHS_MAX);
    w.cut[ALPHA] = w.cut[BETA] = 0;
    run(20);
    assert_int_equal(way(ALPHA), PATH_RESERVED);
}

static void test_only_to_a_peer_whose_version_takes_them(void **state)
{
    (void)state;
    w.older[BETA] = true;
    run(20);
    assert_int_equal(way(ALPHA), PATHS_MAX);
    assert_int_equal(way(BETA), PATH_RESERVED);
    assert_false(peer_at(ALPHA).takes_records);
    assert_true(peer_at(BETA).takes_records);
    w.older[BETA] = false; /* upgraded */
    start(BETA, &(struct heartbeat_session){0});
    run(20);
    assert_int_equal(way(ALPHA), PATH_RESERVED);
    assert_true(peer_at(ALPHA).takes_records);
}

static void test_only_to_a_peer_that_is_linked(void **state)
{
    (void)state;
    run(20);
    start(BETA, &(struct heartbeat_session){0});
    say(BETA, PATH_RESERVED); /* it has not heard alpha yet */
    assert_true(peer_at(ALPHA).alive && !peer_at(ALPHA).linked);
    assert_int_equal(w.detectors[ALPHA].paths[PATH_RESERVED].state, PATH_STATE_UP);
    assert_int_equal(way(ALPHA), PATHS_MAX);
    run(1);
    assert_int_equal(way(ALPHA), PATH_RESERVED);
}

static void test_sequences_are_of_both_kinds(void **state)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;

    (void)state;
    run(3);
    detector_compose(&w.detectors[ALPHA], OUTSIDE, w.now, &header, &heartbeat);
    const uint64_t sequence = header.sequence, count = heartbeat.path_count;
    const struct heartbeat_header record = record_of(ALPHA);
    assert_int_equal(record.kind, DATAGRAM_RECORD);
    assert_int_equal(record.cluster, header.cluster);
    assert_int_equal(record.sequence, sequence + 1);
    assert_true(heartbeat_session_equal(&record.session, &header.session));
    detector_compose(&w.detectors[ALPHA], OUTSIDE, w.now, &header, &heartbeat);
    assert_int_equal(header.kind, DATAGRAM_HEARTBEAT);
    assert_int_equal(header.sequence, sequence + 2);
    assert_int_equal(heartbeat.path_count, count + 1); /* or a record would look like a lost heartbeat */
}

/* ---------------------------------------------------------------- accepting */

static void test_each_is_taken_once_whatever_the_path(void **state)
{
    (void)state;
    run(3);
    const struct heartbeat_header first = record_of(BETA), second = record_of(BETA), third = record_of(BETA);
    run(3); /* newer heartbeats make none old */
    assert_true(take(ALPHA, PATH_RESERVED, first));
    assert_false(take(ALPHA, PATH_RESERVED, first));
    assert_false(take(ALPHA, OUTSIDE, first));
    assert_true(take(ALPHA, OUTSIDE, third));
    assert_false(take(ALPHA, PATH_RESERVED, second)); /* overtaken */
    assert_true(take(ALPHA, PATH_RESERVED, record_of(BETA)));
}

static void test_none_opens_a_session(void **state)
{
    (void)state;
    run(3);
    const struct heartbeat_session present = w.detectors[ALPHA].peer.session;
    struct heartbeat_header later = record_of(BETA), other = record_of(BETA);
    later.session.start++;
    other.session.random[3] ^= 1;
    assert_false(take(ALPHA, PATH_RESERVED, later));
    assert_false(take(ALPHA, PATH_RESERVED, other));
    assert_true(heartbeat_session_equal(&w.detectors[ALPHA].peer.session, &present));
    assert_true(take(ALPHA, PATH_RESERVED, record_of(BETA)));
}

static void test_recordings_are_refused_after_the_sender_started_anew(void **state)
{
    (void)state;
    run(3);
    struct heartbeat_header recorded = record_of(BETA);
    recorded.sequence += 100000;
    assert_true(take(ALPHA, PATH_RESERVED, recorded));
    start(BETA, &(struct heartbeat_session){0});
    run(3);
    recorded.sequence++;
    assert_false(take(ALPHA, PATH_RESERVED, recorded));
    assert_true(take(ALPHA, PATH_RESERVED, record_of(BETA))); /* its count began anew */
}

/* The receiver knows the session from its disk or from a heartbeat, but not which records of it came before.
 */
static void test_recordings_are_refused_after_the_receiver_started_anew(void **state)
{
    (void)state;
    run(3);
    const struct heartbeat_session session = w.detectors[ALPHA].peer.session;
    const struct heartbeat_header recorded = record_of(BETA);
    assert_true(take(ALPHA, PATH_RESERVED, recorded));
    run(3);
    start(ALPHA, &session);
    assert_false(take(ALPHA, PATH_RESERVED, recorded));
    w.cut[ALPHA] = (1 << PATHS) - 1;
    run(1);
    assert_true(peer_at(ALPHA).alive && !peer_at(ALPHA).linked);
    assert_false(take(ALPHA, PATH_RESERVED, recorded));
    const struct heartbeat_header late = record_of(BETA); /* to the earlier run */
    assert_false(take(ALPHA, PATH_RESERVED, late));
    w.cut[ALPHA] = 0;
    run(3);
    assert_true(peer_at(ALPHA).linked);
    assert_false(take(ALPHA, PATH_RESERVED, recorded));
    assert_false(take(ALPHA, PATH_RESERVED, late));
    assert_true(take(ALPHA, PATH_RESERVED, record_of(BETA)));
}

static void test_a_record_is_no_sign_of_life(void **state)
{
    static struct detector before;

    (void)state;
    run(3);
    const struct heartbeat_header record = record_of(BETA);
    w.now += 5 * NS_PER_S;
    detector_tick(&w.detectors[ALPHA], w.now, &w.out);
    outbox_empty(&w.out);
    memcpy(&before, &w.detectors[ALPHA], sizeof before);
    assert_true(take(ALPHA, PATH_RESERVED, record));
    assert_int_equal(w.detectors[ALPHA].peer.record_sequence, record.sequence);
    before.peer.record_sequence = record.sequence; /* this alone */
    assert_memory_equal(&w.detectors[ALPHA], &before, sizeof before);
}

/* ------------------------------------------------------------------- delays */

static void test_both_nodes_delays_are_told(void **state)
{
    (void)state;
    run(3);
    assert_int_equal(peer_at(ALPHA).own_late_us, 0);
    detector_tick(&w.detectors[ALPHA], w.detectors[ALPHA].tick_ns + 3 * NS_PER_MS, &w.out);
    outbox_empty(&w.out);
    run(1);
    assert_int_equal(peer_at(ALPHA).own_late_us, 3000);
    assert_int_equal(peer_at(ALPHA).late_us, 0);
    assert_int_equal(peer_at(BETA).own_late_us, 0);
    assert_int_equal(peer_at(BETA).late_us, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_by_the_reserved_line_else_by_the_first_channel),
        TEST(test_only_to_a_peer_whose_version_takes_them),
        TEST(test_only_to_a_peer_that_is_linked),
        TEST(test_sequences_are_of_both_kinds),
        TEST(test_each_is_taken_once_whatever_the_path),
        TEST(test_none_opens_a_session),
        TEST(test_recordings_are_refused_after_the_sender_started_anew),
        TEST(test_recordings_are_refused_after_the_receiver_started_anew),
        TEST(test_a_record_is_no_sign_of_life),
        TEST(test_both_nodes_delays_are_told),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
