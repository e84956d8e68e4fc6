/* The decision, row by row, as a conversation: alpha is the arbiter under test, and is told what its daemons
 * see. Here: start, vacancy, takeover, epochs, a changed configuration. */
#include "tests/unit/decide_world.h"

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
        TEST(test_R11_epochs_are_odd_and_reserved_before_they_are_used),
        TEST(test_R11_no_claim_while_no_epoch_is_durable),
        TEST(test_R11_an_active_node_rises_above_a_passive_peer),
        TEST(test_the_table_names_each_row_once_and_gives_a_reason),
        TEST(test_another_channel_moves_no_role),
        TEST(test_a_channel_that_is_taken_out_is_no_fault_any_more),
        TEST(test_R3_goes_by_the_new_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
