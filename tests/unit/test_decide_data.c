/* The decision and the data (R14): who may serve with what. */
#include "tests/unit/decide_world.h"

static struct data_message data;

static void tell_data(void)
{
    step((struct arbiter_event){.kind = EVENT_DATA, .data = &data});
}

static int begin_with_sets(void **state, struct arbiter_durable durable)
{
    (void)state;
    begin_with(durable);
    w.arbiter.set.sync_sets = 1;
    w.arbiter.set.stale_start_wait = MS(120000);
    data = (struct data_message){.state = SYNC_STATE_CURRENT, .whole = true, .connected = true};
    return 0;
}

/* Both have served before: epoch 4 is known. */
static int begin_old(void **state)
{
    return begin_with_sets(state, (struct arbiter_durable){.epoch = 4});
}

static int begin_new(void **state)
{
    return begin_with_sets(state, (struct arbiter_durable){0});
}

static void data_is(int64_t epoch, int64_t generation)
{
    data.data_epoch = epoch;
    data.data_generation = generation;
    tell_data();
}

static void test_R14_a_pair_that_never_served_needs_no_data(void **state)
{
    (void)state;
    data.whole = false;
    tell_data();
    search(SEARCH_STATE_SILENT);
    pass(MS(700), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    assert_true(w.role.whole);
}

static void test_R14_without_its_first_sync_a_node_claims_nothing_by_itself(void **state)
{
    (void)state;
    data.whole = false;
    tell_data();
    search(SEARCH_STATE_SILENT);
    pass(MS(200000), false);
    assert_rules("");
    assert_false(w.role.whole);
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_DATA_NOT_WHOLE);
    assert_non_null(strstr(w.role.not_ready, "not whole"));
    step((struct arbiter_event){.kind = EVENT_CLAIM, .force = true});
    pass(MS(100), false);
    assert_rules("claim-ordered R2-confirmed ");
}

static void test_R14_nor_does_it_take_over(void **state)
{
    (void)state;
    data.whole = false;
    tell_data();
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(10000), false);
    assert_rules("");
    data.whole = true;
    tell_data();
    pass(MS(20), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R14_a_takeover_goes_by_with_data_that_is_behind(void **state)
{
    (void)state;
    data.state = SYNC_STATE_BEHIND;
    data_is(1, 3);
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(400), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R14_what_was_last_known_of_the_data_counts_while_syncd_is_silent(void **state)
{
    (void)state;
    begin_with_sets(NULL, (struct arbiter_durable){.epoch = 4, .data_whole = true, .data_epoch = 4});
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(400), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R14_a_node_with_stale_data_waits_for_the_other_at_a_cold_start(void **state)
{
    (void)state;
    data_is(3, 900);
    search(SEARCH_STATE_SILENT);
    pass(MS(119000), false);
    assert_rules("");
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_DATA_STALE);
    pass(MS(2000), false);
    assert_rules("R2-vacancy R2-confirmed ");
}

static void test_R14_a_node_with_current_data_does_not_wait(void **state)
{
    (void)state;
    data_is(4, 1);
    search(SEARCH_STATE_SILENT);
    pass(MS(700), false);
    assert_rules("R2-vacancy R2-confirmed ");
}

static void meet_beta(bool whole, int64_t epoch, int64_t generation)
{
    w.peer.whole = whole;
    w.peer.data_epoch = epoch;
    w.peer.data_generation = generation;
    search(SEARCH_STATE_SILENT);
    peer_says(PHASE_SEARCHING, 4);
    pass(MS(20), true);
}

static void test_R14_newer_data_wins_the_contest(void **state)
{
    (void)state;
    data_is(4, 7);
    meet_beta(true, 4, 8);
    assert_int_equal(w.role.prefers, PREFERS_PEER);
    meet_beta(true, 4, 6);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    meet_beta(true, 3, 1000);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    meet_beta(false, 5, 1000);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
}

static void test_R14_who_has_not_heard_of_its_own_data_agrees_to_nothing(void **state)
{
    (void)state;
    meet_beta(true, 4, 8);
    assert_int_equal(w.role.prefers, PREFERS_NONE);
    data_is(4, 9);
    pass(MS(20), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
}

static void test_R10_who_has_not_heard_of_its_watchdog_agrees_to_nothing(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    data_is(4, 10);
    meet_beta(true, 4, 9);
    assert_int_equal(w.role.prefers, PREFERS_NONE);
    step((struct arbiter_event){.kind = EVENT_WATCHDOG, .watchdog_armed = true});
    pass(MS(20), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
}

static void test_R14_of_two_without_any_data_one_serves(void **state)
{
    (void)state;
    data.whole = false;
    tell_data();
    w.peer.prefers = PREFERS_PEER;
    meet_beta(false, 0, 0);
    assert_true(w.role.whole);
    data_is(2, 1);
    pass(MS(20), true);
    assert_false(w.role.whole);
}

/* A node that boots: its heartbeatd speaks before its arbiterd does, and that one before it has heard of its
 * syncd. Neither knows of the data yet. */
static void test_R14_a_peer_that_does_not_know_of_its_data_yet_may_have_some(void **state)
{
    (void)state;
    data.whole = false;
    tell_data();
    w.peer.arbiter_age_us = INT64_MAX / NS_PER_US;
    w.peer.prefers = PREFERS_PEER;
    meet_beta(false, 0, 0);
    pass(MS(2000), true);
    assert_rules("");
    assert_false(w.role.whole);
    w.peer.arbiter_age_us = 0;
    w.peer.prefers = PREFERS_NONE;
    pass(MS(2000), true);
    assert_rules("");
    assert_false(w.role.whole);
    w.peer.prefers = PREFERS_PEER;
    pass(MS(20), true);
    assert_true(w.role.whole);
}

static void test_R14_the_whole_and_the_epoch_are_durable(void **state)
{
    (void)state;
    data_is(4, 1);
    pass(MS(20), false);
    assert_true(w.arbiter.disk.data_whole);
    assert_int_equal(w.arbiter.disk.data_epoch, 4);
}

static void test_R13_a_switch_waits_until_the_peer_has_the_data(void **state)
{
    (void)state;
    tell_data();
    active_beside_beta();
    data.state = SYNC_STATE_BEHIND;
    tell_data();
    assert_null(arbiter_refusal(&w.arbiter, EVENT_SWITCH, false));
    step((struct arbiter_event){.kind = EVENT_SWITCH});
    pass(MS(500), true);
    assert_rules("");
    assert_true(w.role.draining);
    data.state = SYNC_STATE_CURRENT; /* told before it has looked again */
    tell_data();
    assert_rules("");
    data.looked_ns = w.arbiter.ordered + 1;
    tell_data();
    assert_rules("R13-ordered ");
    assert_false(w.role.draining);
}

/* What is written after the order does not count: a service that never stops writing holds nothing up. */
static void test_R13_a_switch_waits_for_what_was_changed_before_it(void **state)
{
    (void)state;
    tell_data();
    active_beside_beta();
    step((struct arbiter_event){.kind = EVENT_SWITCH});
    data.state = SYNC_STATE_BEHIND;
    data.looked_ns = w.arbiter.ordered + 1;
    data.behind_since_ns = w.arbiter.ordered - 1;
    tell_data();
    assert_rules("");
    data.behind_since_ns = w.arbiter.ordered + 1;
    tell_data();
    assert_rules("R13-ordered ");
}

static void test_R13_the_wait_for_the_data_has_an_end(void **state)
{
    (void)state;
    tell_data();
    active_beside_beta();
    data.state = SYNC_STATE_BEHIND;
    tell_data();
    step((struct arbiter_event){.kind = EVENT_SWITCH});
    pass(MS(1600), true); /* half of handover-time */
    assert_rules("R13-ordered ");
}

static void test_R13_a_switch_without_a_way_for_the_data_must_be_forced(void **state)
{
    (void)state;
    tell_data();
    active_beside_beta();
    data.state = SYNC_STATE_DISCONNECTED;
    data.connected = false;
    tell_data();
    assert_non_null(strstr(arbiter_refusal(&w.arbiter, EVENT_SWITCH, false), "syncd is not reached"));
    assert_null(arbiter_refusal(&w.arbiter, EVENT_SWITCH, true));
    step((struct arbiter_event){.kind = EVENT_SWITCH, .force = true});
    assert_rules("R13-ordered ");
}

int main(void)
{
#define ON(test, begin) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        ON(test_R14_a_pair_that_never_served_needs_no_data, begin_new),
        ON(test_R14_without_its_first_sync_a_node_claims_nothing_by_itself, begin_old),
        ON(test_R14_nor_does_it_take_over, begin_old),
        ON(test_R14_a_takeover_goes_by_with_data_that_is_behind, begin_old),
        ON(test_R14_what_was_last_known_of_the_data_counts_while_syncd_is_silent, begin_old),
        ON(test_R14_a_node_with_stale_data_waits_for_the_other_at_a_cold_start, begin_old),
        ON(test_R14_a_node_with_current_data_does_not_wait, begin_old),
        ON(test_R14_newer_data_wins_the_contest, begin_old),
        ON(test_R14_who_has_not_heard_of_its_own_data_agrees_to_nothing, begin_old),
        ON(test_R10_who_has_not_heard_of_its_watchdog_agrees_to_nothing, begin_old),
        ON(test_R14_of_two_without_any_data_one_serves, begin_old),
        ON(test_R14_a_peer_that_does_not_know_of_its_data_yet_may_have_some, begin_old),
        ON(test_R14_the_whole_and_the_epoch_are_durable, begin_old),
        ON(test_R13_a_switch_waits_until_the_peer_has_the_data, begin_new),
        ON(test_R13_a_switch_waits_for_what_was_changed_before_it, begin_new),
        ON(test_R13_the_wait_for_the_data_has_an_end, begin_new),
        ON(test_R13_a_switch_without_a_way_for_the_data_must_be_forced, begin_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
