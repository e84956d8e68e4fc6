/* The decision: faults of the network, of services and of addresses, dual active, damping (R6, R7, R9, R10).
 */
#include "tests/unit/decide_world.h"

static void lose(size_t channel, bool carrier)
{
    w.links[channel].usable = false;
    w.links[channel].carrier = carrier;
    w.links[channel].fault_ns = w.now;
    tell_links();
}

static void test_R6_offers_when_only_this_node_lost_the_carrier(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, false);
    pass(MS(20), true);
    assert_rules("R6-network ");
    assert_int_equal(w.role.offer, OFFER_OFFERED);
    assert_int_equal(w.role.role, ROLE_ACTIVE); /* until the peer has considered it */
    beta_considers();
    pass(MS(30), true);
    assert_rules("R6-network R13-considered R13-released ");
    assert_int_equal(w.role.role, ROLE_PASSIVE);
    assert_true(w.role.released);
    assert_false(w.role.fit);
}

static void test_R6_stays_when_both_lost_it(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.channels[0].usable = false;
    lose(0, false);
    pass(MS(5000), true);
    assert_rules("");
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_NETWORK_FAULT);
}

static void test_R6_old_evidence_of_the_peer_does_not_count(void **state)
{
    (void)state;
    active_beside_beta();
    const int64_t old = w.peer.channels[0].evidence_ns;
    w.now += MS(1);
    lose(0, false);
    for (int i = 0; i < 50; i++) {
        w.now += MS(10);
        peer_says(PHASE_PASSIVE, w.arbiter.epoch);
        w.peer.channels[0].evidence_ns = old;
        report();
    }
    assert_rules("");
}

static void test_R6_a_router_heard_by_the_peer_first_is_probed_once_more(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, true);
    pass(MS(30), true);
    assert_rules("");
    assert_true(w.role.suspicious);
    pass(MS(30), true);
    assert_rules("R6-network ");
}

static void test_R6_channels_not_looked_at_yet_are_no_fault(void **state)
{
    (void)state;
    active_beside_beta();
    w.links[0] = w.links[1] =
        (struct link_message){.present = true, .carrier = true}; /* heartbeatd was restarted */
    tell_links();
    pass(MS(2000), true);
    assert_rules("");
}

static void test_R6_an_unfit_or_held_pair_does_not_hand_over(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.unfit = true;
    lose(0, false);
    pass(MS(1000), true);
    assert_rules("");
    w.peer.unfit = false;
    step((struct arbiter_event){.kind = EVENT_HOLD});
    pass(MS(1000), true);
    assert_rules("");
    step((struct arbiter_event){.kind = EVENT_RESUME});
    pass(MS(20), true);
    assert_rules("R6-network ");
}

static void test_R6_reboots_only_once_the_peer_has_served_for_a_second(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, false);
    pass(MS(20), true);
    beta_considers();
    pass(MS(50), true);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(950), true);
    assert_false(w.role.reboot);
    pass(MS(100), true);
    assert_true(w.role.reboot);
}

static void test_R6_an_offer_that_nobody_takes_is_withdrawn(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, false);
    pass(MS(3050), true);
    assert_rules("R6-network R13-withdrawn ");
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    pass(MS(4000), true);
    assert_rules("R6-network R13-withdrawn ");
    pass(MS(2000), true); /* settle-time later it tries again */
    assert_rules("R6-network R13-withdrawn R6-network ");
}

static void test_R7_a_failed_service_moves_if_the_peers_has_not_failed(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.services_failed = 1;
    pass(MS(20), true);
    step((struct arbiter_event){.kind = EVENT_SERVICES, .services_failed = 1});
    pass(MS(1000), true);
    assert_rules("");
    w.peer.services_failed = 0;
    pass(MS(20), true);
    assert_rules("R7-service ");
}

static void test_R7_a_service_of_which_nothing_was_heard_is_not_counted_on(void **state)
{
    struct role_message role;

    (void)state;
    passive_beside_beta();
    w.arbiter.services_unheard = 2; /* as after a restart of this arbiter, where two are guarded */
    pass(MS(20), true);
    assert_true(arbiter_role(&w.arbiter, &role));
    assert_int_equal(role.services_failed,
                     2); /* so that the peer hands nothing over for a service of its own */
    assert_false(role.ready);
    assert_false(arbiter_alarms(&w.arbiter) & ALARM_SERVICE_FAILED);
    step((struct arbiter_event){.kind = EVENT_SERVICES, .services_failed = 1});
    assert_true(arbiter_role(&w.arbiter, &role));
    assert_int_equal(role.services_failed, 1);
}

static void test_R7_an_active_node_hands_nothing_over_for_what_it_has_not_heard(void **state)
{
    struct role_message role;

    (void)state;
    active_beside_beta();
    w.arbiter.services_unheard = 2;
    pass(MS(1000), true);
    assert_rules("");
    assert_true(arbiter_role(&w.arbiter, &role));
    assert_int_equal(role.services_failed, 0);
}

static void test_R9_the_lower_epoch_yields_the_higher_one_stays(void **state)
{
    (void)state;
    active_beside_beta();
    peer_says(PHASE_ACTIVE, 0);
    pass(MS(100), true);
    assert_rules("");
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_DUAL_ACTIVE);
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(20), true);
    assert_rules("R9-yield R13-released ");
}

static void test_R10_unfit_until_the_fault_is_gone_for_settle_time_doubled_each_time(void **state)
{
    (void)state;
    int64_t settle = MS(5000);

    active_beside_beta();
    for (int i = 0; i < 3; i++, settle *= 2) {
        lose(0, false);
        pass(MS(20), true);
        beta_considers();
        pass(MS(50), true);
        peer_says(PHASE_ACTIVE, w.arbiter.epoch + 1);
        pass(MS(50), true);
        assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
        pass(MS(1500), true);
        w.links[0].usable = w.links[0].carrier = true;
        w.links[0].fault_ns = 0;
        tell_links();
        pass(settle - MS(100), true);
        assert_false(w.role.fit);
        pass(MS(200), true);
        assert_true(w.role.fit);
        beta_gives_it_back();
    }
}

static void test_R7_a_fault_that_being_passive_cures_each_time_is_no_longer_believed_cured(void **state)
{
    (void)state;
    active_beside_beta();
    for (int i = 0; i < 2; i++) {
        lose(0, false);
        pass(MS(20), true);
        beta_considers();
        pass(MS(50), true);
        peer_says(PHASE_ACTIVE, w.arbiter.epoch + 1);
        pass(MS(50), true);
        w.links[0].usable = w.links[0].carrier = true; /* at once: it shows only while active */
        w.links[0].fault_ns = 0;
        tell_links();
        pass(MS(6000), true);
        assert_int_equal(w.role.fit, i == 0);
        if (i == 0) {
            beta_gives_it_back();
        }
    }
    pass(MS(200000), true);
    assert_false(w.role.fit);
    step((struct arbiter_event){.kind = EVENT_CLEAR});
    assert_true(w.role.fit);
}

static void test_R6_a_peer_whose_takeoverd_does_not_answer_gets_nothing(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, false);
    pass(MS(20), true);
    beta_considers();
    w.peer.prefers = PREFERS_PEER; /* it knows that it could not */
    pass(MS(2500), true);
    assert_rules("R6-network ");
    assert_int_equal(w.role.role, ROLE_ACTIVE);
    pass(MS(4000), true);
    assert_rules("R6-network R13-withdrawn ");
    assert_int_equal(w.role.role, ROLE_ACTIVE);
}

static void test_R6_some_missing_addresses_are_no_lapse(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.unfit = true;
    w.takeoverd_dead = true; /* this test speaks for it */
    for (int i = 0; i < 300; i++) {
        w.address = (struct address_message){.state = HOLD_STATE_FAILED,
                                             .held = 5,
                                             .epoch = w.role.epoch,
                                             .lease_ns = w.role.lease_ns,
                                             .change = w.role.change,
                                             .changed_ns = MS(12000)};
        step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
        pass(MS(10), true);
    }
    assert_rules("");
    w.peer.unfit = false;
    pass(MS(20), true);
    assert_rules("R6-addresses ");
}

static void test_R6_who_takes_over_is_not_rebooted(void **state)
{
    (void)state;
    active_beside_beta();
    lose(0, false);
    pass(MS(20), true);
    beta_considers();
    pass(MS(50), true);
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(1100), true);
    assert_true(w.role.reboot);
    beta_falls_silent(); /* before the reboot command got anywhere */
    pass(MS(500), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    assert_false(w.role.reboot);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_R6_offers_when_only_this_node_lost_the_carrier),
        TEST(test_R6_stays_when_both_lost_it),
        TEST(test_R6_old_evidence_of_the_peer_does_not_count),
        TEST(test_R6_a_router_heard_by_the_peer_first_is_probed_once_more),
        TEST(test_R6_channels_not_looked_at_yet_are_no_fault),
        TEST(test_R6_an_unfit_or_held_pair_does_not_hand_over),
        TEST(test_R6_reboots_only_once_the_peer_has_served_for_a_second),
        TEST(test_R6_an_offer_that_nobody_takes_is_withdrawn),
        TEST(test_R7_a_failed_service_moves_if_the_peers_has_not_failed),
        TEST(test_R7_a_service_of_which_nothing_was_heard_is_not_counted_on),
        TEST(test_R7_an_active_node_hands_nothing_over_for_what_it_has_not_heard),
        TEST(test_R9_the_lower_epoch_yields_the_higher_one_stays),
        TEST(test_R10_unfit_until_the_fault_is_gone_for_settle_time_doubled_each_time),
        TEST(test_R7_a_fault_that_being_passive_cures_each_time_is_no_longer_believed_cured),
        TEST(test_R6_a_peer_whose_takeoverd_does_not_answer_gets_nothing),
        TEST(test_R6_some_missing_addresses_are_no_lapse),
        TEST(test_R6_who_takes_over_is_not_rebooted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
