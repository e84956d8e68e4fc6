/* The decision: who lost a carrier shuts its answers before it knows whether the peer hears better (R6). */
#include <stdlib.h>

#include "tests/unit/decide_world.h"

static int begin_gated(void **state)
{
    begin(state);
    w.gate = true;
    active_beside_beta();
    return 0;
}

/* What the peer said before proves nothing about a fault of now. */
static void beta_has_no_news(int64_t evidence_ns)
{
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    w.peer.channels[0].evidence_ns = evidence_ns;
}

static int64_t lose_carrier(void)
{
    const int64_t before = w.now;

    w.now += MS(1);
    w.links[0].usable = w.links[0].carrier = false;
    w.links[0].fault_ns = w.now;
    w.peer.channels[0].evidence_ns = before;
    tell_links();
    obey();
    return before;
}

static void wait_in_vain(int64_t duration, int64_t evidence_ns)
{
    for (const int64_t end = w.now + duration; w.now < end;) {
        w.now += MS(2);
        beta_has_no_news(evidence_ns);
        report();
    }
}

static void test_R6_quiet_at_once_and_the_role_stays_until_the_peer_tells(void **state)
{
    (void)state;
    const int64_t before = lose_carrier();
    assert_rules("R6-quiet ");
    assert_true(w.role.quiet);
    assert_false(w.role.silent); /* the peer is not told: nothing is offered */
    assert_int_equal(w.role.offer, OFFER_NONE);
    assert_int_equal(w.role.phase, PHASE_ACTIVE);
    assert_true(w.role.lease_ns > w.now);
    wait_in_vain(MS(30), before);
    assert_rules("R6-quiet ");
}

static void test_R6_offered_and_silent_in_one_step_when_the_evidence_comes(void **state)
{
    (void)state;
    const int64_t before = lose_carrier();
    wait_in_vain(MS(4), before);
    w.now += MS(1);
    peer_says(PHASE_PASSIVE, w.arbiter.epoch); /* evidence of now */
    step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.peer});
    assert_rules("R6-quiet R6-network ");
    assert_int_equal(w.role.phase, PHASE_OFFERING);
    assert_true(w.role.silent);
    assert_int_equal(w.role.offer, OFFER_OFFERED);
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(60), true);
    assert_rules("R6-quiet R6-network R13-taken R13-released ");
    assert_false(w.role.quiet);
}

static void test_R6_evidence_that_comes_before_takeoverd_has_obeyed_waits_for_it(void **state)
{
    (void)state;
    w.takeoverd_dead = true;
    lose_carrier();
    w.now += MS(1);
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    report();
    assert_rules("R6-quiet R6-network ");
    assert_false(w.role.silent);
    w.takeoverd_dead = false;
    report();
    assert_true(w.role.silent);
}

static void test_R6_without_better_evidence_all_is_as_before(void **state)
{
    (void)state;
    const int64_t before = lose_carrier(), lease_ns = w.role.lease_ns;
    wait_in_vain(MS(50), before);
    assert_rules("R6-quiet R6-aloud ");
    assert_false(w.role.quiet);
    assert_false(w.role.searching); /* nobody was told that it may claim */
    assert_true(w.role.lease_ns > lease_ns);
    assert_int_equal(w.arbiter.lapsed, 0);
    assert_int_equal(w.arbiter.no_offer_before, 0);
    wait_in_vain(MS(3000), before);
    assert_rules("R6-quiet R6-aloud ");
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    report();
    assert_rules("R6-quiet R6-aloud R6-network ");
}

static void test_R6_a_carrier_that_is_back_or_lost_on_the_peer_too_opens_the_answers_at_once(void **state)
{
    (void)state;
    lose_carrier();
    w.links[0] = w.links[1];
    tell_links();
    assert_rules("R6-quiet R6-aloud ");
    assert_false(w.role.quiet);
    pass(MS(5100), true);
    w.rules[0] = '\0';
    lose_carrier();
    w.peer.channels[0].usable = false; /* the switch died for both */
    report();
    assert_rules("R6-quiet R6-aloud ");
}

static void test_R6_a_line_that_comes_and_goes_does_not_silence_the_node(void **state)
{
    (void)state;
    wait_in_vain(MS(50), lose_carrier());
    assert_rules("R6-quiet R6-aloud ");
    for (int i = 0; i < 10; i++) {
        w.links[0] = w.links[1];
        tell_links();
        pass(MS(20), true);
        wait_in_vain(MS(50), lose_carrier());
    }
    assert_rules("R6-quiet R6-aloud ");
    w.links[0] = w.links[1];
    tell_links();
    pass(MS(5000), true);
    lose_carrier();
    assert_rules("R6-quiet R6-aloud R6-quiet ");
}

static void test_R6_it_ends_long_before_the_peer_could_take_it_for_an_end(void **state)
{
    (void)state;
    w.arbiter.set.evidence_wait = MS(400); /* router-interval-quick = 100ms */
    const int64_t before = lose_carrier();
    wait_in_vain(MS(140), before);
    assert_rules("R6-quiet ");
    wait_in_vain(MS(20), before);
    assert_rules("R6-quiet R6-aloud ");
}

static void test_R13_services_that_become_exclusive_meanwhile_end_first(void **state)
{
    struct arbiter_settings next = lan;

    (void)state;
    lose_carrier();
    next.exclusive = true;
    arbiter_configure(&w.arbiter, &next);
    w.arbiter.exclusive_up = true;
    w.now += MS(1);
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    report();
    assert_rules("R6-quiet R6-network ");
    assert_false(w.role.quiet);
    beta_considers();
    report();
    assert_rules("R6-quiet R6-network R13-exclusive ");
}

static void test_R6_a_lease_that_lapses_meanwhile_ends_it(void **state)
{
    (void)state;
    lose_carrier();
    w.now += MS(300); /* all stood still */
    beta_has_no_news(0);
    report();
    assert_true(w.role.searching);
    assert_rules("R6-quiet R6-aloud ");
    assert_false(w.role.quiet);
}

static void test_R13_a_recalled_offer_of_this_kind_leaves_nothing_quiet(void **state)
{
    (void)state;
    lose_carrier();
    w.now += MS(1);
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    report();
    assert_rules("R6-quiet R6-network ");
    pass(MS(3100), true);
    assert_rules("R6-quiet R6-network R13-recalled ");
    assert_false(w.role.quiet);
    assert_true(w.role.searching); /* here it was told */
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R6-quiet R6-network R13-recalled R12-renewed ");
}

static void assert_not_quiet(void)
{
    const int64_t before = lose_carrier();

    assert_rules("");
    assert_false(w.role.quiet);
    wait_in_vain(MS(50), before);
    assert_rules("");
}

static void test_R6_not_without_a_gate(void **state)
{
    (void)state;
    w.gate = false;
    report();
    assert_not_quiet();
}

static void test_R6_not_before_a_peer_that_does_not_take_it(void **state)
{
    (void)state;
    w.peer.takes_silent = false;
    report();
    assert_not_quiet();
}

static void test_R6_not_before_an_unfit_peer(void **state)
{
    (void)state;
    w.peer.unfit = true;
    report();
    assert_not_quiet();
}

static void test_R6_not_under_a_hold(void **state)
{
    (void)state;
    step((struct arbiter_event){.kind = EVENT_HOLD});
    report();
    assert_true(w.role.held);
    assert_not_quiet();
}

static void test_R6_not_where_services_may_not_run_twice(void **state)
{
    (void)state;
    w.arbiter.set.exclusive = true;
    assert_not_quiet();
}

static void test_R6_not_where_the_peer_has_lost_that_channel_before(void **state)
{
    (void)state;
    w.peer.channels[0].usable = false;
    report();
    assert_not_quiet();
}

static void test_R6_not_before_a_peer_that_would_be_no_better_off(void **state)
{
    (void)state;
    w.peer.channels[1].usable = false;
    report();
    assert_not_quiet();
}

static void test_R6_not_for_a_router_which_may_answer_again(void **state)
{
    (void)state;
    w.now += MS(1);
    w.links[0].usable = false;
    w.links[0].fault_ns = w.now;
    tell_links();
    assert_rules("");
    assert_false(w.role.quiet);
}

/* The other side: who was told that nothing answers there any more need not be heard first. */
static void test_R13_a_silent_offer_is_taken_without_another_word(void **state)
{
    begin(state);
    passive_beside_beta();
    search(SEARCH_STATE_IDLE);
    w.peer.offer = OFFER_OFFERED;
    w.peer.prefers = PREFERS_PEER;
    w.peer.considered = w.role.change - 1; /* what this node was before */
    peer_says(PHASE_OFFERING, 2);
    step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.peer});
    assert_rules("");
    w.peer.silent = true;
    step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.peer});
    assert_rules("R2-offered ");
}

#define TEST(test) cmocka_unit_test_setup(test, begin_gated)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_R6_quiet_at_once_and_the_role_stays_until_the_peer_tells),
        TEST(test_R6_offered_and_silent_in_one_step_when_the_evidence_comes),
        TEST(test_R6_evidence_that_comes_before_takeoverd_has_obeyed_waits_for_it),
        TEST(test_R6_without_better_evidence_all_is_as_before),
        TEST(test_R6_a_carrier_that_is_back_or_lost_on_the_peer_too_opens_the_answers_at_once),
        TEST(test_R6_a_line_that_comes_and_goes_does_not_silence_the_node),
        TEST(test_R6_it_ends_long_before_the_peer_could_take_it_for_an_end),
        TEST(test_R13_services_that_become_exclusive_meanwhile_end_first),
        TEST(test_R6_a_lease_that_lapses_meanwhile_ends_it),
        TEST(test_R13_a_recalled_offer_of_this_kind_leaves_nothing_quiet),
        TEST(test_R6_not_without_a_gate),
        TEST(test_R6_not_before_a_peer_that_does_not_take_it),
        TEST(test_R6_not_before_an_unfit_peer),
        TEST(test_R6_not_under_a_hold),
        TEST(test_R6_not_where_services_may_not_run_twice),
        TEST(test_R6_not_where_the_peer_has_lost_that_channel_before),
        TEST(test_R6_not_before_a_peer_that_would_be_no_better_off),
        TEST(test_R6_not_for_a_router_which_may_answer_again),
        TEST(test_R13_a_silent_offer_is_taken_without_another_word),
    };

    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
