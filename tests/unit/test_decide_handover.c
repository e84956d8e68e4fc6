/* The handover that makes before it breaks (R13), on both sides; what is void after a lapse (R12). */
#include "tests/unit/decide_world.h"

static struct data_message data;

static int begin_gated(void **state)
{
    begin(state);
    w.gate = true;
    return 0;
}

static void order_switch(void)
{
    step((struct arbiter_event){.kind = EVENT_SWITCH});
    pass(MS(20), true);
    assert_int_equal(w.arbiter.phase, PHASE_OFFERING);
    assert_false(w.role.quiet);
}

/* Offering, considered, and confirmed by takeoverd: nothing answers from here. */
static void become_quiet(void)
{
    active_beside_beta();
    order_switch();
    beta_considers();
    pass(MS(20), true);
    assert_rules("R13-ordered R13-quiet ");
    assert_true(w.role.silent);
    assert_int_equal(w.role.role, ROLE_ACTIVE);
    assert_true(w.role.lease_ns > w.now);
}

static void test_R13_it_takes_traffic_until_the_peer_has_served_for_linger(void **state)
{
    (void)state;
    become_quiet();
    peer_says(PHASE_CLAIMING, 2);
    pass(MS(900), true);
    assert_int_equal(w.arbiter.phase, PHASE_OFFERING); /* R9 is not meant by this */
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(40), true);
    assert_int_equal(w.arbiter.phase, PHASE_OFFERING);
    pass(MS(30), true);
    assert_rules("R13-ordered R13-quiet R13-taken R13-released ");
    assert_int_equal(w.role.epoch, 2);
    assert_false(w.role.quiet);
}

static void test_R13_no_alarm_of_two_owners_in_between(void **state)
{
    (void)state;
    become_quiet();
    peer_says(PHASE_ACTIVE, 2);
    report();
    assert_false(arbiter_alarms(&w.arbiter) & ALARM_DUAL_ACTIVE);
}

static void test_R13_a_peer_that_does_not_claim_is_asked_before_all_is_as_before(void **state)
{
    (void)state;
    become_quiet();
    pass(MS(2900), true);
    assert_rules("R13-ordered R13-quiet ");
    pass(MS(200), true);
    assert_rules("R13-ordered R13-quiet R13-recalled ");
    assert_true(w.role.searching); /* it may be claiming at this moment */
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R13-ordered R13-quiet R13-recalled R12-renewed ");
    assert_int_equal(w.role.phase, PHASE_ACTIVE);
    assert_false(w.role.quiet);
    assert_int_equal(w.role.offer, OFFER_NONE);
}

static void test_R13_a_peer_that_claims_too_late_keeps_what_it_has(void **state)
{
    (void)state;
    become_quiet();
    pass(MS(3100), true);
    assert_true(w.role.searching);
    peer_says(PHASE_CLAIMING, 2);
    pass(MS(50), true);
    assert_rules("R13-ordered R13-quiet R13-recalled R9-yield R13-released ");
}

static void test_R13_a_peer_that_falls_silent_in_between_is_searched_for(void **state)
{
    (void)state;
    become_quiet();
    pass(MS(350), false);
    assert_rules("R13-ordered R13-quiet R13-recalled ");
    search(SEARCH_STATE_SILENT);
    w.searches[0].unanswered_ns = w.searches[1].unanswered_ns = w.now;
    tell_links();
    pass(MS(150), false);
    assert_rules("R13-ordered R13-quiet R13-recalled R12-renewed ");
}

static void test_R9_before_the_answers_are_shut_a_higher_epoch_wins_at_once(void **state)
{
    (void)state;
    active_beside_beta();
    order_switch();
    peer_says(PHASE_ACTIVE, 2);
    report();
    assert_rules("R13-ordered R9-yield R13-released ");
}

static void test_R13_without_a_gate_the_addresses_go_first(void **state)
{
    (void)state;
    active_beside_beta();
    w.gate = false;
    report();
    order_switch();
    beta_considers();
    pass(MS(20), true);
    assert_rules("R13-ordered R13-considered R13-released ");
}

static void test_R13_before_a_peer_of_an_older_version_the_addresses_go_first(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.takes_silent = false;
    order_switch();
    beta_considers();
    pass(MS(20), true);
    assert_rules("R13-ordered R13-considered R13-released ");
}

static void test_R13_a_takeoverd_that_does_not_confirm_holds_it_up_for_a_lease_at_most(void **state)
{
    (void)state;
    active_beside_beta();
    order_switch();
    beta_considers();
    report();
    assert_rules("R13-ordered R13-quiet ");
    w.takeoverd_dead = true; /* its word of `silent` never comes */
    w.address.silent = false;
    w.address.lease_ns = w.now + MS(10000);
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    w.peer.considered = w.role.change;
    pass(MS(150), true);
    assert_rules("R13-ordered R13-quiet ");
    pass(MS(100), true);
    assert_rules("R13-ordered R13-quiet R13-considered ");
}

/* --------------------------------------------------------- exclusive services */

static void services(bool exclusive_up)
{
    step((struct arbiter_event){.kind = EVENT_SERVICES, .exclusive_up = exclusive_up});
}

static void begin_exclusive(void)
{
    w.arbiter.set.exclusive = true;
    w.arbiter.set.exclusive_stop = MS(10000);
    active_beside_beta();
    services(true);
    order_switch();
}

static void test_R13_exclusive_services_end_before_anything_else(void **state)
{
    (void)state;
    begin_exclusive();
    assert_false(w.role.yielding); /* the peer has to be ready: else they would end for nothing */
    beta_considers();
    pass(MS(5000), true);
    assert_rules("R13-ordered R13-exclusive ");
    assert_true(w.role.yielding);
    assert_false(w.role.quiet);
    services(false);
    pass(MS(20), true);
    assert_rules("R13-ordered R13-exclusive R13-quiet ");
}

static void test_R13_after_a_recall_exclusive_services_wait_for_the_renewal(void **state)
{
    (void)state;
    begin_exclusive();
    w.arbiter.set.exclusive_stop = 0;
    beta_considers();
    services(false);
    pass(MS(20), true);
    assert_rules("R13-ordered R13-exclusive R13-quiet ");
    pass(MS(3100), true);
    assert_rules("R13-ordered R13-exclusive R13-quiet R13-recalled ");
    assert_true(w.role.searching);
    assert_true(w.role.yielding); /* the peer may just be starting them */
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R13-ordered R13-exclusive R13-quiet R13-recalled R12-renewed ");
    assert_false(w.role.yielding);
}

static void test_R13_an_exclusive_service_that_does_not_end_keeps_the_role_here(void **state)
{
    (void)state;
    begin_exclusive();
    beta_considers();
    pass(MS(12900), true);
    assert_rules("R13-ordered R13-exclusive ");
    pass(MS(300), true); /* handover-time and its stop-timeout */
    assert_rules("R13-ordered R13-exclusive R13-withdrawn ");
    assert_false(w.role.yielding);
}

static void test_R13_what_they_wrote_last_is_waited_for(void **state)
{
    (void)state;
    begin_exclusive();
    w.arbiter.set.sync_sets = 1;
    data = (struct data_message){.state = SYNC_STATE_BEHIND, .whole = true, .connected = true};
    step((struct arbiter_event){.kind = EVENT_DATA, .data = &data});
    beta_considers();
    services(false);
    report();
    services(false); /* at rest since now */
    assert_false(w.role.draining && w.role.quiet);
    pass(MS(500), true);
    assert_rules("R13-ordered R13-exclusive ");
    assert_true(w.role.draining);
    data.state = SYNC_STATE_CURRENT;
    data.looked_ns = w.now;
    step((struct arbiter_event){.kind = EVENT_DATA, .data = &data});
    pass(MS(20), true);
    assert_rules("R13-ordered R13-exclusive R13-quiet ");
}

static void test_R13_they_end_first_before_a_peer_of_an_older_version_too(void **state)
{
    (void)state;
    begin_exclusive();
    w.peer.takes_silent = false;
    beta_considers();
    pass(MS(500), true);
    assert_rules("R13-ordered R13-exclusive ");
    services(false);
    pass(MS(20), true);
    assert_rules("R13-ordered R13-exclusive R13-considered R13-released ");
}

/* ------------------------------------------------------------- the other side */

static void beta_offers(bool silent)
{
    passive_beside_beta();
    search(SEARCH_STATE_SILENT);
    w.peer.offer = OFFER_OFFERED;
    peer_says(PHASE_OFFERING, 2);
    w.peer.silent = silent;
    w.peer.prefers = PREFERS_PEER;
    pass(MS(20), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    w.peer.considered = w.role.change;
    pass(MS(50), true);
}

static void test_R13_an_offer_is_taken_once_nothing_answers_there(void **state)
{
    (void)state;
    beta_offers(true);
    assert_rules("R2-offered R2-confirmed ");
    assert_int_equal(w.role.epoch, 3);
    assert_false(arbiter_alarms(&w.arbiter) & ALARM_DUAL_ACTIVE);
    pass(MS(500), true); /* it lingers; its lower epoch is nothing to give way to */
    assert_rules("R2-offered R2-confirmed ");
}

static void test_R13_an_offer_is_not_taken_while_something_answers_there(void **state)
{
    (void)state;
    beta_offers(false);
    pass(MS(2000), true);
    assert_rules("");
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
}

/* ------------------------------------------------------------------- terms */

static void test_R12_addresses_that_went_without_an_order_are_a_lapse(void **state)
{
    (void)state;
    active_beside_beta();
    w.takeoverd_dead = true; /* it stood still, and let go by itself */
    w.address.state = HOLD_STATE_RELEASED;
    w.address.lease_ns = 0;
    w.address.term = 7;
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_int_equal(w.role.term, 7);
    assert_true(w.role.searching);
    w.takeoverd_dead = false;
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R12-renewed ");
    assert_int_equal(w.address.state, HOLD_STATE_HOLDING);
}

static void test_R12_a_takeoverd_that_kept_them_over_its_restart_is_no_lapse(void **state)
{
    (void)state;
    active_beside_beta();
    w.address.term = 7;
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_int_equal(w.role.term, 7);
    assert_false(w.role.searching);
}

static void test_R5_after_a_stall_of_its_own_it_claims_by_newer_reports_only(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(290), false);
    const struct peer_message before = w.peer;
    const int64_t sent = w.now + MS(280); /* while this arbiter stood still; the rest waits behind it */
    w.now += MS(300);
    step((struct arbiter_event){.kind = EVENT_TIME});
    step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = sent, .peer = &before});
    assert_rules("");
    pass(MS(20), false);
    assert_rules("R3-takeover R2-confirmed ");
}

#define TEST(name) cmocka_unit_test_setup(name, begin_gated)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_R13_it_takes_traffic_until_the_peer_has_served_for_linger),
        TEST(test_R13_no_alarm_of_two_owners_in_between),
        TEST(test_R13_a_peer_that_does_not_claim_is_asked_before_all_is_as_before),
        TEST(test_R13_a_peer_that_claims_too_late_keeps_what_it_has),
        TEST(test_R13_a_peer_that_falls_silent_in_between_is_searched_for),
        TEST(test_R9_before_the_answers_are_shut_a_higher_epoch_wins_at_once),
        TEST(test_R13_without_a_gate_the_addresses_go_first),
        TEST(test_R13_before_a_peer_of_an_older_version_the_addresses_go_first),
        TEST(test_R13_a_takeoverd_that_does_not_confirm_holds_it_up_for_a_lease_at_most),
        TEST(test_R13_exclusive_services_end_before_anything_else),
        TEST(test_R13_after_a_recall_exclusive_services_wait_for_the_renewal),
        TEST(test_R13_an_exclusive_service_that_does_not_end_keeps_the_role_here),
        TEST(test_R13_what_they_wrote_last_is_waited_for),
        TEST(test_R13_they_end_first_before_a_peer_of_an_older_version_too),
        TEST(test_R13_an_offer_is_taken_once_nothing_answers_there),
        TEST(test_R13_an_offer_is_not_taken_while_something_answers_there),
        TEST(test_R12_addresses_that_went_without_an_order_are_a_lapse),
        TEST(test_R12_a_takeoverd_that_kept_them_over_its_restart_is_no_lapse),
        TEST(test_R5_after_a_stall_of_its_own_it_claims_by_newer_reports_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
