/* The decision: lapses, handovers, holds, and claims by hand (R12, R13, R15). */
#include "tests/unit/decide_world.h"

/* What is reported next may say that somebody serves. */
static void test_a_claim_by_hand_waits_for_a_report_that_is_not_old(void **state)
{
    (void)state;
    passive_beside_beta();
    peer_says(PHASE_PASSIVE, w.peer.epoch);
    report();
    search(SEARCH_STATE_SILENT);
    w.deaf = true;
    pass(MS(100), false);
    step((struct arbiter_event){.kind = EVENT_CLAIM, .force = true});
    pass(MS(100), false);
    assert_rules("");
    w.deaf = false;
    pass(MS(10), false);
    assert_rules("claim-ordered R2-confirmed ");
}

static void test_a_claim_by_hand_is_forgotten_when_the_peer_serves_after_all(void **state)
{
    (void)state;
    passive_beside_beta();
    peer_says(PHASE_PASSIVE, w.peer.epoch);
    report();
    search(SEARCH_STATE_SILENT);
    w.deaf = true;
    pass(MS(50), false);
    step((struct arbiter_event){.kind = EVENT_CLAIM, .force = true});
    peer_says(PHASE_ACTIVE, w.peer.epoch + 2);
    w.deaf = false;
    pass(MS(500), true);
    assert_rules("");
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
}

static void test_R15_a_held_node_that_was_active_last_may_serve_again_after_a_lapse(void **state)
{
    (void)state;
    active_beside_beta();
    step((struct arbiter_event){.kind = EVENT_HOLD});
    w.deaf = true;
    pass(MS(4000), true);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    w.deaf = false;
    search(SEARCH_STATE_SILENT);
    w.peer.held = true;
    w.peer.hold_version = 1;
    pass(MS(1000), true);
    beta_considers();
    w.peer.prefers = PREFERS_PEER;
    pass(MS(100), true);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void test_R12_the_lease_follows_the_listeners_reports(void **state)
{
    (void)state;
    active_beside_beta();
    assert_int_equal(w.role.lease_ns, w.now + MS(200));
    const int64_t lease = w.role.lease_ns;
    w.deaf = true;
    pass(MS(150), false);
    assert_int_equal(w.role.lease_ns, lease);
}

static void test_R12_a_lapsed_lease_waits_until_the_peer_has_considered_it(void **state)
{
    (void)state;
    active_beside_beta();
    w.deaf = true;
    pass(MS(300), false);
    assert_rules("");
    assert_true(w.role.searching);
    w.deaf = false;
    pass(MS(100), true);
    assert_true(w.role.searching);
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R12-renewed ");
    assert_false(w.role.searching);
    assert_true(w.role.lease_ns > w.now);
}

/* What the peer said before this node stood still says nothing of what it did meanwhile. */
static void test_R12_after_a_stall_of_its_own_it_is_renewed_by_newer_reports_only(void **state)
{
    (void)state;
    active_beside_beta();
    w.deaf = true;
    pass(MS(300), false);
    w.deaf = false;
    pass(MS(100), true);
    assert_true(w.role.searching);
    w.peer.considered = w.role.change;
    const struct peer_message before = w.peer;
    const int64_t sent = w.now + MS(10);
    w.now += MS(500);
    step((struct arbiter_event){.kind = EVENT_TIME});
    step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = sent, .peer = &before});
    assert_rules("");
    pass(MS(20), true);
    assert_rules("R12-renewed ");
}

static void test_R12_alone_it_waits_for_a_quick_search(void **state)
{
    (void)state;
    alone_and_active();
    search(SEARCH_STATE_IDLE);
    w.deaf = true;
    pass(MS(300), false);
    w.deaf = false;
    pass(MS(50), false);
    assert_true(w.role.searching);
    search(SEARCH_STATE_SILENT);
    w.searches[0].unanswered_ns = w.searches[1].unanswered_ns = w.now;
    tell_links();
    pass(MS(100), false);
    assert_false(w.role.searching);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void test_R12_what_answers_after_a_stall_has_replaced_it(void **state)
{
    (void)state;
    active_beside_beta();
    w.deaf = true;
    pass(MS(300), false);
    w.deaf = false;
    search(SEARCH_STATE_ANSWERED);
    assert_rules("R12-replaced ");
}

static void test_R13_switch_is_refused_with_its_reason(void **state)
{
    (void)state;
    alone_and_active();
    assert_string_equal(arbiter_refusal(&w.arbiter, EVENT_SWITCH, false), "the peer is not heard");
    begin(state);
    active_beside_beta();
    w.peer.unfit = true;
    pass(MS(20), true);
    assert_string_equal(arbiter_refusal(&w.arbiter, EVENT_SWITCH, false), "the peer is unfit");
    assert_null(arbiter_refusal(&w.arbiter, EVENT_SWITCH, true));
}

static void test_R13_stop_hands_over_and_never_claims_again(void **state)
{
    (void)state;
    active_beside_beta();
    step((struct arbiter_event){.kind = EVENT_STOP});
    assert_rules("R13-ordered ");
    beta_considers();
    pass(MS(50), true);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    search(SEARCH_STATE_SILENT);
    pass(MS(20000), false); /* although nobody serves */
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
}

static void test_R13_stop_alone_lets_go_at_once(void **state)
{
    (void)state;
    alone_and_active();
    w.rules[0] = '\0';
    step((struct arbiter_event){.kind = EVENT_STOP});
    pass(MS(20), false);
    assert_rules("R13-stop R13-released ");
}

static void test_R15_hold_takes_effect_when_durable_and_bars_takeover(void **state)
{
    (void)state;
    passive_beside_beta();
    w.peer.held = true;
    w.peer.hold_version = 1;
    pass(MS(50), true);
    assert_true(w.role.held);
    assert_int_equal(w.arbiter.disk.hold_version, 1);
    beta_falls_silent();
    pass(MS(5000), false);
    assert_rules("");
    step((struct arbiter_event){.kind = EVENT_RESUME});
    pass(MS(20), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R15_a_limited_hold_ends(void **state)
{
    (void)state;
    active_beside_beta();
    step((struct arbiter_event){.kind = EVENT_HOLD, .hold_until_ns = w.now + MS(500)});
    assert_true(w.role.held);
    pass(MS(520), true);
    assert_false(w.role.held);
    assert_int_equal(w.role.hold_version, 2);
}

static void test_R13_an_old_word_of_takeoverds_confirms_no_release(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    pass(MS(500), false);
    w.takeoverd_dead = true; /* it has said released, long ago, and does not get to the claim */
    pass(MS(200), false);
    assert_int_equal(w.arbiter.phase, PHASE_CLAIMING);
    peer_says(PHASE_ACTIVE, 2);
    report();
    assert_int_equal(w.arbiter.phase, PHASE_RELEASING);
    step((struct arbiter_event){.kind = EVENT_ADDRESS,
                                .address = &w.address}); /* the same again, once a second */
    assert_int_equal(w.arbiter.phase, PHASE_RELEASING);
    assert_false(w.role.released);
    w.takeoverd_dead = false;
    report();
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    assert_true(w.role.released);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_a_claim_by_hand_waits_for_a_report_that_is_not_old),
        TEST(test_a_claim_by_hand_is_forgotten_when_the_peer_serves_after_all),
        TEST(test_R15_a_held_node_that_was_active_last_may_serve_again_after_a_lapse),
        TEST(test_R12_the_lease_follows_the_listeners_reports),
        TEST(test_R12_a_lapsed_lease_waits_until_the_peer_has_considered_it),
        TEST(test_R12_after_a_stall_of_its_own_it_is_renewed_by_newer_reports_only),
        TEST(test_R12_alone_it_waits_for_a_quick_search),
        TEST(test_R12_what_answers_after_a_stall_has_replaced_it),
        TEST(test_R13_switch_is_refused_with_its_reason),
        TEST(test_R13_stop_hands_over_and_never_claims_again),
        TEST(test_R13_stop_alone_lets_go_at_once),
        TEST(test_R15_hold_takes_effect_when_durable_and_bars_takeover),
        TEST(test_R15_a_limited_hold_ends),
        TEST(test_R13_an_old_word_of_takeoverds_confirms_no_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
