/* The detector, as a conversation: paths, sessions, and what is known of the peer. */
#include "tests/unit/detector_world.h"

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

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
