/* The decision, row by row, as a conversation: alpha is the arbiter under test, and is told what its daemons
 * see. */
#include "tests/unit/decide_world.h"

/* ------------------------------------------------------------------- R1, R2 */

static void test_R1_says_nothing_before_it_knows_what_takeoverd_holds(void **state)
{
    (void)state;
    w.takeoverd_dead = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(2000), false);
    assert_false(w.speaks);
    assert_int_equal(w.arbiter.phase, PHASE_SEARCHING);
    w.takeoverd_dead = false;
    pass(MS(20), false);
    assert_true(w.speaks);
}

static void test_R1_resumes_under_its_own_lease(void **state)
{
    (void)state;
    w.address =
        (struct address_message){.state = HOLD_STATE_HOLDING, .epoch = 7, .lease_ns = w.now + MS(100)};
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_rules("R1-resume ");
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    assert_int_equal(w.role.epoch, 7);
    assert_true(w.role.lease_ns > w.now);
}

static void test_R1_does_not_resume_what_ran_out_or_is_the_peers(void **state)
{
    (void)state;
    w.address = (struct address_message){.state = HOLD_STATE_HOLDING, .epoch = 7, .lease_ns = w.now - 1};
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_int_equal(w.arbiter.phase, PHASE_SEARCHING);
    w.address =
        (struct address_message){.state = HOLD_STATE_HOLDING, .epoch = 8, .lease_ns = w.now + MS(100)};
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_int_equal(w.arbiter.phase, PHASE_SEARCHING);
}

static void test_R1_does_not_resume_what_it_was_giving_away(void **state)
{
    (void)state;
    w.address = (struct address_message){
        .state = HOLD_STATE_HOLDING, .epoch = 7, .lease_ns = w.now + MS(100), .silent = true};
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
    assert_int_equal(w.arbiter.phase, PHASE_SEARCHING);
    assert_int_equal(w.role.role, ROLE_PASSIVE);
}

static void test_R2_claims_alone_after_search_time(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    pass(MS(590), false);
    assert_rules("");
    pass(MS(60), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_int_equal(w.role.epoch, 1);
}

static void test_R2_search_time_needs_a_usable_channel(void **state)
{
    (void)state;
    w.links[0].usable = w.links[1].usable = false;
    search(SEARCH_STATE_SILENT);
    pass(MS(3000), false);
    assert_rules("");
    w.links[1].usable = true;
    tell_links();
    pass(MS(590), false);
    assert_rules("");
    pass(MS(60), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void test_R2_an_answered_search_bars_the_claim(void **state)
{
    (void)state;
    search(SEARCH_STATE_ANSWERED);
    pass(MS(5000), false);
    assert_rules("R1-found ");
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
}

static void test_R2_claims_only_when_the_peer_has_considered_it(void **state)
{
    (void)state;
    w.peer.phase_since_ns = w.now + MS(500); /* the younger one */
    search(SEARCH_STATE_SILENT);
    peer_says(PHASE_SEARCHING, 0);
    w.peer.prefers = PREFERS_PEER;
    w.peer.phase_since_ns = w.now + MS(500);
    pass(MS(200), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    assert_rules("");
    w.peer.considered = w.role.change;
    pass(MS(20), true);
    assert_rules("R2-vacancy R2-confirmed ");
}

static void test_R2_stands_back_for_the_older_one(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    peer_says(PHASE_SEARCHING, 0);
    w.peer.phase_since_ns = w.now - MS(500);
    w.peer.prefers = PREFERS_SELF;
    pass(MS(200), true);
    assert_int_equal(w.role.prefers, PREFERS_PEER);
    w.peer.considered = w.role.change;
    pass(MS(3000), true);
    assert_rules("");
    pass(MS(1000), true); /* handover-time later still nobody */
    assert_rules("R2-vacancy R2-confirmed ");
}

static void test_R2_a_claim_that_is_not_confirmed_is_given_up(void **state)
{
    (void)state;
    pass(MS(20), false);
    search(SEARCH_STATE_SILENT);
    pass(MS(500), false);
    w.takeoverd_dead = true;
    w.address.state = HOLD_STATE_FAILED;
    pass(MS(200), false);
    assert_int_equal(w.arbiter.phase, PHASE_CLAIMING);
    pass(MS(1000), false);
    assert_int_equal(w.arbiter.phase, PHASE_RELEASING);
    assert_false(w.role.fit);
    w.takeoverd_dead = false;
    pass(MS(100), false);
    assert_rules("R2-vacancy R2-unconfirmed R13-released ");
    pass(MS(4000), false);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE); /* not again before settle-time */
    pass(MS(2500), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

/* ---------------------------------------------------------------- R3, R4, R5 */

static void test_R3_takes_over_after_silence_on_every_path_and_search(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(290), false);
    assert_rules("");
    pass(MS(30), false);
    assert_rules("R3-takeover R2-confirmed ");
    assert_int_equal(w.role.epoch, 3);
}

static void test_R3_heartbeats_with_a_lease_bar_it(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(3000), true);
    assert_rules("");
}

static void test_R3_heartbeats_without_a_lease_do_not(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    const int64_t backed = w.peer.backed_ns;
    for (int i = 0; i < 40; i++) {
        w.now += MS(10);
        peer_says(PHASE_ACTIVE, 2);
        w.peer.lease_us = 0;
        w.peer.backed_ns = backed;
        report();
    }
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R4_addresses_that_answer_bar_it_and_alarm(void **state)
{
    (void)state;
    passive_beside_beta();
    for (int i = 0; i < 30; i++) {
        search(SEARCH_STATE_ANSWERED);
        pass(MS(100), false);
    }
    assert_rules("");
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_PEER_MUTE);
}

static void test_R3_one_answering_channel_is_enough_to_bar_it(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    w.searches[1].state = SEARCH_STATE_ANSWERED;
    w.searches[1].answered_ns = w.now;
    tell_links();
    pass(MS(3000), false);
    assert_rules("");
}

static void test_R3_an_isolated_node_does_not(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    w.links[0].usable = w.links[1].usable = false;
    tell_links();
    pass(MS(3000), false);
    assert_rules("");
}

static void test_R3_a_channel_that_was_not_asked_is_not_silent(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    w.searches[1].state = SEARCH_STATE_IDLE; /* its link has just come up */
    tell_links();
    pass(MS(1000), false);
    assert_rules("");
}

static void test_R5_the_listeners_own_stall_is_no_silence(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(250), false);
    w.peer.counting_since_ns = w.now;
    pass(MS(290), false);
    assert_rules("");
    pass(MS(30), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R5_silence_of_the_listener_is_no_silence_of_the_peer(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    w.deaf = true;
    pass(MS(3000), false);
    assert_rules("");
}

/* ------------------------------------------------------------------- R6, R7 */

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

/* -------------------------------------------------------------- R9, R10, R11 */

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

/* ------------------------------------------------------------ the watchdog (R10) */

static void watchdog(bool armed)
{
    step((struct arbiter_event){.kind = EVENT_WATCHDOG, .watchdog_armed = armed});
    w.speaks = arbiter_role(&w.arbiter, &w.role);
}

static void test_R10_a_required_watchdog_is_armed_before_the_role_is_taken(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(900), false);
    assert_rules("");
    watchdog(true);
    pass(MS(650), false); /* search-time begins when the bar falls */
    assert_rules("R2-vacancy R2-confirmed ");
    assert_true(w.role.fit);
}

static void test_R10_a_watchdog_that_was_armed_at_once_costs_no_time(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    watchdog(true);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
}

static void test_R10_nobody_waits_for_ever_for_word_of_the_watchdog(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(1580), false);
    assert_rules("");
    pass(MS(100), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_false(w.role.fit);
    assert_string_equal(w.role.unfit_reason, "the watchdog is not armed");
}

static void test_R10_without_its_watchdog_a_node_serves_when_nobody_else_can(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    search(SEARCH_STATE_SILENT);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_false(w.role.fit);
}

static void test_R10_without_its_watchdog_a_node_still_takes_over_from_a_dead_peer(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    passive_beside_beta();
    assert_false(w.role.fit);
    beta_falls_silent();
    pass(MS(400), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R10_the_watchdog_decides_a_contest(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    search(SEARCH_STATE_SILENT);
    w.peer.phase_since_ns = w.now + MS(500); /* the younger one: without that, alpha is the better one */
    peer_says(PHASE_SEARCHING, 0);
    pass(MS(50), true);
    assert_int_equal(w.role.prefers, PREFERS_PEER);
    watchdog(true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    watchdog(false);
    w.peer.unfit = true; /* it lacks its own, too */
    pass(MS(50), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
}

static void test_R10_a_watchdog_that_goes_moves_nothing(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(true);
    active_beside_beta();
    assert_true(w.role.fit);
    watchdog(false);
    beta_considers();
    pass(MS(10000), true);
    assert_rules("");
    assert_false(w.role.fit);
    assert_false(w.role.ready);
    assert_non_null(strstr(w.role.not_ready, "unfit: the watchdog is not armed"));
    watchdog(true);
    assert_true(w.role.fit); /* at once: nothing was given up */
    assert_string_equal(w.role.unfit_reason, "");
}

static void test_R10_a_watchdog_that_is_not_required_is_not_waited_for(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    watchdog(false);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_true(w.role.fit);
    assert_null(strstr(w.role.not_ready, "watchdog"));
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

static void test_R11_epochs_are_odd_and_reserved_before_they_are_used(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){.epoch = 6, .next_epoch = 9});
    assert_int_equal(w.saves, 1);
    assert_int_equal(w.arbiter.disk.next_epoch, 11); /* 9 may have been used before the restart */
    alone_and_active();
    assert_int_equal(w.role.epoch, 11);
    assert_int_equal(w.arbiter.disk.next_epoch, 13);
}

static void test_R11_no_claim_while_no_epoch_is_durable(void **state)
{
    (void)state;
    memset(&w.arbiter, 0, sizeof w.arbiter);
    arbiter_init(&w.arbiter, &lan);
    struct arbiter_durable none = {0};
    struct arbiter_event start = {.kind = EVENT_START, .durable = &none, .now_ns = w.now, .change = 1};
    arbiter_step(&w.arbiter, &start, &w.effects); /* and the disk never answers */
    assert_true(w.effects.save);
    w.speaks = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(3000), false);
    assert_int_equal(w.arbiter.phase, PHASE_SEARCHING);
}

static void test_R11_an_active_node_rises_above_a_passive_peer(void **state)
{
    (void)state;
    active_beside_beta();
    peer_says(PHASE_PASSIVE, 8);
    pass(MS(50), true);
    assert_int_equal(w.role.epoch, 9);
    assert_rules("R11-raised ");
}

/* ---------------------------------------------------------- R12, R13, R15 */

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

/* ---------------------------------------------------------------- the table */

static void test_the_table_names_each_row_once_and_gives_a_reason(void **state)
{
    (void)state;
    for (const struct arbiter_row *row = arbiter_rows; row->name; row++) {
        assert_true(strlen(row->reason) > 10 && strlen(row->reason) < 128);
        assert_true(strlen(row->name) < 32);
        for (const struct arbiter_row *other = row + 1; other->name; other++)
            assert_string_not_equal(row->name, other->name);
    }
}

/* ---- a changed configuration */

static void test_another_channel_moves_no_role(void **state)
{
    struct arbiter_settings more = lan;

    (void)state;
    active_beside_beta();
    const struct arbiter before = w.arbiter;
    more.channel_count = 3;
    text_copy(more.channels[0], sizeof more.channels[0], "dmz");
    text_copy(more.channels[1], sizeof more.channels[1], "outside");
    text_copy(more.channels[2], sizeof more.channels[2], "inside");
    more.searched[2] = true;
    arbiter_configure(&w.arbiter, &more);
    assert_memory_equal(&w.arbiter.links[1], &before.links[0], sizeof before.links[0]);
    assert_memory_equal(&w.arbiter.links[2], &before.links[1], sizeof before.links[1]);
    assert_false(w.arbiter.links[0].usable);
    assert_int_equal(w.arbiter.lease, before.lease);
    step((struct arbiter_event){.kind = EVENT_TIME});
    assert_rules("");
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void test_a_channel_that_is_taken_out_is_no_fault_any_more(void **state)
{
    struct arbiter_settings fewer = lan;

    (void)state;
    active_beside_beta();
    w.peer.channels[1].usable = false; /* at both: nobody moves */
    w.links[1].carrier = w.links[1].usable = false;
    w.links[1].fault_ns = w.now;
    tell_links();
    pass(MS(100), true);
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_NETWORK_FAULT);
    fewer.channel_count = 1;
    arbiter_configure(&w.arbiter, &fewer);
    step((struct arbiter_event){.kind = EVENT_TIME});
    assert_false(arbiter_alarms(&w.arbiter) & ALARM_NETWORK_FAULT);
    assert_rules("");
}

static void test_R3_goes_by_the_new_times(void **state)
{
    struct arbiter_settings slower = lan;

    (void)state;
    passive_beside_beta();
    slower.takeover_after = MS(900);
    arbiter_configure(&w.arbiter, &slower);
    beta_falls_silent();
    pass(MS(800), false);
    assert_rules("");
    pass(MS(200), false);
    assert_non_null(strstr(w.rules, "R3-takeover "));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_R1_says_nothing_before_it_knows_what_takeoverd_holds),
        TEST(test_R1_resumes_under_its_own_lease),
        TEST(test_R1_does_not_resume_what_ran_out_or_is_the_peers),
        TEST(test_R1_does_not_resume_what_it_was_giving_away),
        TEST(test_R2_claims_alone_after_search_time),
        TEST(test_R2_search_time_needs_a_usable_channel),
        TEST(test_R2_an_answered_search_bars_the_claim),
        TEST(test_R2_claims_only_when_the_peer_has_considered_it),
        TEST(test_R2_stands_back_for_the_older_one),
        TEST(test_R2_a_claim_that_is_not_confirmed_is_given_up),
        TEST(test_R3_takes_over_after_silence_on_every_path_and_search),
        TEST(test_R3_heartbeats_with_a_lease_bar_it),
        TEST(test_R3_heartbeats_without_a_lease_do_not),
        TEST(test_R4_addresses_that_answer_bar_it_and_alarm),
        TEST(test_R3_one_answering_channel_is_enough_to_bar_it),
        TEST(test_R3_an_isolated_node_does_not),
        TEST(test_R3_a_channel_that_was_not_asked_is_not_silent),
        TEST(test_R5_the_listeners_own_stall_is_no_silence),
        TEST(test_R5_silence_of_the_listener_is_no_silence_of_the_peer),
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
        TEST(test_R10_a_required_watchdog_is_armed_before_the_role_is_taken),
        TEST(test_R10_a_watchdog_that_was_armed_at_once_costs_no_time),
        TEST(test_R10_nobody_waits_for_ever_for_word_of_the_watchdog),
        TEST(test_R10_without_its_watchdog_a_node_serves_when_nobody_else_can),
        TEST(test_R10_without_its_watchdog_a_node_still_takes_over_from_a_dead_peer),
        TEST(test_R10_the_watchdog_decides_a_contest),
        TEST(test_R10_a_watchdog_that_goes_moves_nothing),
        TEST(test_R10_a_watchdog_that_is_not_required_is_not_waited_for),
        TEST(test_R6_some_missing_addresses_are_no_lapse),
        TEST(test_R6_who_takes_over_is_not_rebooted),
        TEST(test_R15_a_held_node_that_was_active_last_may_serve_again_after_a_lapse),
        TEST(test_R11_epochs_are_odd_and_reserved_before_they_are_used),
        TEST(test_R11_no_claim_while_no_epoch_is_durable),
        TEST(test_R11_an_active_node_rises_above_a_passive_peer),
        TEST(test_R12_the_lease_follows_the_listeners_reports),
        TEST(test_R12_a_lapsed_lease_waits_until_the_peer_has_considered_it),
        TEST(test_R12_alone_it_waits_for_a_quick_search),
        TEST(test_R12_what_answers_after_a_stall_has_replaced_it),
        TEST(test_R13_switch_is_refused_with_its_reason),
        TEST(test_R13_stop_hands_over_and_never_claims_again),
        TEST(test_R13_stop_alone_lets_go_at_once),
        TEST(test_R13_an_old_word_of_takeoverds_confirms_no_release),
        TEST(test_R15_hold_takes_effect_when_durable_and_bars_takeover),
        TEST(test_R15_a_limited_hold_ends),
        TEST(test_a_claim_by_hand_waits_for_a_report_that_is_not_old),
        TEST(test_a_claim_by_hand_is_forgotten_when_the_peer_serves_after_all),
        TEST(test_the_table_names_each_row_once_and_gives_a_reason),
        TEST(test_another_channel_moves_no_role),
        TEST(test_a_channel_that_is_taken_out_is_no_fault_any_more),
        TEST(test_R3_goes_by_the_new_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
