/* The decision with a witness, and with a fence: who may serve while the two do not hear each other. */
#include "tests/unit/decide_world.h"

#include "arbiterd/right.h"

static struct witness_message witness;
static struct fence_message fence;

static int begin_with_witness(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){0});
    w.arbiter.set.witness = true;
    w.arbiter.set.isolation_after = MS(200);
    witness = (struct witness_message){.state = WITNESS_STATE_IDLE};
    return 0;
}

static int begin_with_fence(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){0});
    w.arbiter.set.fence = true;
    fence = (struct fence_message){0};
    return 0;
}

static void tell_witness(void)
{
    step((struct arbiter_event){.kind = EVENT_WITNESS, .witness = &witness});
    obey();
}

static void grant(void)
{
    witness.state = WITNESS_STATE_GRANTED;
    witness.asks = w.role.ask_number;
    witness.granted_epoch = witness.epoch = w.role.ask_epoch;
    witness.granted_ns = w.now;
    text_copy(witness.holder, sizeof witness.holder, "alpha");
    tell_witness();
}

/* The peer hears all that this node sends. */
static void pass_acknowledged(int64_t duration)
{
    for (const int64_t end = w.now + duration; w.now < end;) {
        w.now += MS(10);
        w.peer.acked_ns = w.now - MS(1);
        peer_says(w.peer.phase, w.peer.epoch);
        report();
    }
}

static void active_and_acknowledged(void)
{
    w.arbiter.set.witness = false;
    active_beside_beta();
    w.peer.acked_ns = w.now;
    report();
    w.arbiter.set.witness = true;
    pass_acknowledged(MS(100));
    assert_rules("");
}

static void test_nothing_is_asked_while_the_nodes_hear_each_other(void **state)
{
    (void)state;
    active_and_acknowledged();
    assert_int_equal(w.role.ask, QUESTION_NONE);
    pass_acknowledged(MS(500));
    assert_int_equal(w.role.ask, QUESTION_NONE);
    assert_rules("");
}

static void test_the_lease_ends_with_the_right(void **state)
{
    (void)state;
    active_and_acknowledged();
    const int64_t acked = w.peer.acked_ns;
    search(SEARCH_STATE_SILENT);
    pass(MS(150), false);
    assert_int_equal(w.role.ask, QUESTION_KEEP);
    assert_int_equal(w.role.ask_epoch, w.arbiter.epoch);
    pass(MS(200), false);
    assert_int_equal(w.arbiter.lease, acked + MS(200));
    assert_true(w.arbiter.lapsed > 0);
    assert_int_equal(w.address.state, HOLD_STATE_RELEASED);
}

static void test_a_grant_renews_it(void **state)
{
    (void)state;
    active_and_acknowledged();
    pass(MS(140), false);
    for (int i = 0; i < 40; i++) {
        grant();
        pass(MS(50), false);
    }
    assert_rules("");
    assert_int_equal(w.arbiter.lapsed, 0);
    assert_int_equal(w.address.state, HOLD_STATE_HOLDING);
}

static void test_R8_denied_by_a_higher_epoch_it_releases_at_once(void **state)
{
    (void)state;
    active_and_acknowledged();
    search(SEARCH_STATE_SILENT);
    pass(MS(300), false);
    witness.state = WITNESS_STATE_DENIED;
    witness.asks = w.role.ask_number;
    witness.epoch = w.arbiter.epoch + 1;
    text_copy(witness.holder, sizeof witness.holder, "beta");
    tell_witness();
    assert_non_null(strstr(w.rules, "R8-denied"));
    assert_int_equal(w.role.role, ROLE_PASSIVE);
}

static void test_what_was_answered_to_an_earlier_question_does_not_count(void **state)
{
    (void)state;
    active_and_acknowledged();
    search(SEARCH_STATE_SILENT);
    pass(MS(300), false);
    witness.state = WITNESS_STATE_DENIED;
    witness.asks = w.role.ask_number - 1;
    witness.epoch = w.arbiter.epoch + 1;
    tell_witness();
    assert_null(strstr(w.rules, "R8-denied"));
}

static void test_no_takeover_without_the_witness(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(100), false);
    assert_int_equal(w.role.ask, QUESTION_WATCH);
    pass(MS(5000), false);
    assert_rules("");
    assert_int_equal(w.role.ask, QUESTION_CLAIM);
    assert_int_equal(w.role.ask_epoch, w.arbiter.disk.next_epoch);
    grant();
    pass(MS(10), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_from_watching_to_claiming_it_is_one_question(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(100), false);
    const int64_t number = w.role.ask_number;
    pass(MS(400), false);
    assert_int_equal(w.role.ask, QUESTION_CLAIM);
    assert_int_equal(w.role.ask_number, number);
    /* Heard in between, it begins anew. */
    peer_says(PHASE_ACTIVE, 2);
    report();
    assert_int_equal(w.role.ask, QUESTION_NONE);
    pass(MS(100), false);
    assert_int_equal(w.role.ask, QUESTION_WATCH);
    assert_true(w.role.ask_number > number);
}

static void test_a_grant_that_is_not_used_is_burnt(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(400), false);
    const int64_t epoch = w.role.ask_epoch;
    search(SEARCH_STATE_ANSWERED); /* after all */
    w.role.ask_epoch = epoch;
    grant();
    assert_true(w.arbiter.disk.next_epoch > epoch);
    assert_true(w.role.epoch >= epoch);
    assert_null(strstr(w.rules, "R3-takeover"));
}

/* Beta is there, and does not serve; it agrees to nothing, and does not claim. */
static void beta_only_looks_on(void)
{
    passive_beside_beta();
    search(SEARCH_STATE_SILENT);
    w.peer.prefers = PREFERS_SELF;
    peer_says(PHASE_PASSIVE, w.peer.epoch);
    pass(MS(100), true);
}

static void pass_with_witness(int64_t duration)
{
    for (const int64_t end = w.now + duration; w.now < end; pass(MS(1000), true))
        tell_witness();
}

static void test_with_its_patience_out_it_asks_and_agrees_to_nothing_meanwhile(void **state)
{
    (void)state;
    beta_only_looks_on();
    assert_int_equal(w.role.ask, QUESTION_NONE);
    pass_with_witness(MS(8000));
    assert_int_equal(w.role.ask, QUESTION_CLAIM);
    assert_int_equal(w.role.prefers, PREFERS_NONE);
    assert_null(strstr(w.rules, "R2-vacancy"));
    grant();
    pass(MS(20), true);
    assert_non_null(strstr(w.rules, "R2-vacancy"));
}

static void test_with_its_patience_out_and_the_witness_lost_it_agrees(void **state)
{
    (void)state;
    beta_only_looks_on();
    witness.state = WITNESS_STATE_UNREACHABLE;
    pass_with_witness(MS(8000));
    assert_int_equal(w.role.ask, QUESTION_NONE);
    assert_int_not_equal(w.role.prefers, PREFERS_NONE);
    assert_null(strstr(w.rules, "R2-vacancy"));
}

static void test_a_grant_to_an_earlier_question_is_burnt(void **state)
{
    (void)state;
    beta_only_looks_on();
    pass_with_witness(MS(8000));
    const struct role_message asked = w.role;
    const int64_t sent = w.now;
    search(SEARCH_STATE_ANSWERED);
    assert_int_not_equal(w.role.ask, QUESTION_CLAIM);
    search(SEARCH_STATE_SILENT);
    pass_with_witness(MS(8000));
    assert_int_equal(w.role.ask, QUESTION_CLAIM);
    witness.state = WITNESS_STATE_GRANTED;
    witness.asks = w.role.ask_number;
    witness.granted_epoch = witness.epoch = asked.ask_epoch;
    witness.granted_ns = sent;
    w.arbiter.set.isolation_after = MS(60000); /* by its age alone it would count */
    tell_witness();
    assert_true(w.arbiter.disk.next_epoch == 0 || w.arbiter.disk.next_epoch > asked.ask_epoch);
    assert_null(strstr(w.rules, "R2-vacancy"));
}

static void test_old_silence_does_not_count_when_the_peer_is_heard_again(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(5000), false); /* the witness does not answer */
    w.peer.lease_us = 0;
    w.peer.heard_ns = w.peer.linked_ns = w.now; /* its lease has lapsed */
    report();
    assert_rules("");
    for (int i = 0; i < 20; i++) { /* heard like that for takeover-after: as without a witness */
        w.now += MS(20);
        w.peer.heard_ns = w.peer.linked_ns = w.now;
        report();
    }
    assert_non_null(strstr(w.rules, "R3-takeover"));
}

static void test_the_record_knows_a_higher_epoch(void **state)
{
    (void)state;
    passive_beside_beta();
    witness.epoch = 40;
    tell_witness();
    pass(MS(50), true);
    assert_int_equal(w.arbiter.disk.next_epoch, 41);
}

static void test_claim_by_hand_needs_nobody(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(1000), false);
    step((struct arbiter_event){.kind = EVENT_CLAIM, .force = true});
    pass(MS(3000), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    assert_int_equal(w.address.state, HOLD_STATE_HOLDING);
    assert_int_equal(w.role.ask, QUESTION_KEEP);
}

static void test_a_witness_that_says_nothing_is_told(void **state)
{
    (void)state;
    active_and_acknowledged();
    pass_acknowledged(MS(3000));
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_WITNESS_LOST);
    tell_witness();
    assert_false(arbiter_alarms(&w.arbiter) & ALARM_WITNESS_LOST);
    witness.state = WITNESS_STATE_UNREACHABLE;
    tell_witness();
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_WITNESS_LOST);
    assert_non_null(strstr(w.role.not_ready, "witness"));
}

/* ---- the fence */

static void tell_fence(enum fence_state state)
{
    fence.state = state;
    fence.number = w.role.fence;
    step((struct arbiter_event){.kind = EVENT_FENCE, .fence = &fence});
    obey();
}

static void test_a_takeover_waits_for_the_fence(void **state)
{
    (void)state;
    passive_beside_beta();
    pass(MS(500), true);
    assert_int_equal(w.role.fence, 0);
    beta_falls_silent();
    pass(MS(1000), false);
    assert_rules("");
    assert_true(w.role.fence > 0);
    tell_fence(FENCE_STATE_RUNNING);
    pass(MS(2000), false);
    assert_rules("");
    tell_fence(FENCE_STATE_DONE);
    pass(MS(10), false);
    assert_non_null(strstr(w.rules, "R3-takeover"));
}

static void test_a_fence_that_fails_bars_the_claim_and_is_tried_again(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    pass(MS(1000), false);
    const int64_t first = w.role.fence;
    tell_fence(FENCE_STATE_FAILED);
    pass(MS(1000), false);
    assert_rules("");
    assert_true(arbiter_alarms(&w.arbiter) & ALARM_FENCE_FAILED);
    assert_int_equal(w.role.fence, 0);
    pass(MS(5000), false);
    assert_true(w.role.fence > first);
}

static void test_no_fence_for_a_peer_that_is_heard(void **state)
{
    (void)state;
    passive_beside_beta();
    w.peer.offer = OFFER_OFFERED;
    peer_says(PHASE_PASSIVE, w.peer.epoch);
    w.peer.prefers = PREFERS_PEER;
    search(SEARCH_STATE_SILENT);
    pass(MS(20), true);
    w.peer.considered = w.role.change;
    pass(MS(50), true);
    assert_rules("R2-offered R2-confirmed ");
    assert_int_equal(w.role.fence, 0);
}

static void test_the_fence_instead_of_a_witness_that_is_not_reached(void **state)
{
    (void)begin_with_witness(state);
    w.arbiter.set.fence = true;
    fence = (struct fence_message){0};
    passive_beside_beta();
    tell_witness();
    beta_falls_silent();
    pass(MS(1000), false);
    assert_int_equal(w.role.fence, 0);
    witness.state = WITNESS_STATE_UNREACHABLE;
    tell_witness();
    pass(MS(20), false);
    assert_true(w.role.fence > 0);
    tell_fence(FENCE_STATE_DONE);
    pass(MS(50), false);
    assert_non_null(strstr(w.rules, "R3-takeover"));
    pass(MS(2000), false); /* its word holds until the peer is heard */
    assert_int_equal(w.address.state, HOLD_STATE_HOLDING);
}

/* ---- isolation without a witness (R8) */

static int begin_with_routers(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){0});
    w.arbiter.set.routers = true;
    w.arbiter.set.isolation_after = MS(200);
    w.arbiter.set.router_interval = MS(200);
    return 0;
}

static void network_fails(int64_t evidence)
{
    for (size_t i = 0; i < 2; i++)
        w.links[i] = (struct link_message){
            .present = true, .carrier = true, .fault_ns = w.now, .evidence_ns = evidence};
    tell_links();
}

static void test_R8_all_fall_silent_together(void **state)
{
    (void)state;
    active_beside_beta();
    network_fails(w.now - MS(100));
    pass(MS(250), false);
    assert_rules("");
    pass(MS(100), false);
    assert_non_null(strstr(w.rules, "R8-isolated"));
    assert_int_equal(w.role.role, ROLE_PASSIVE);
}

static void test_R8_the_peer_was_gone_already(void **state)
{
    (void)state;
    active_beside_beta();
    pass(MS(5000), false);
    network_fails(w.now - MS(100));
    pass(MS(5000), false);
    assert_rules("");
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void test_R8_one_channel_still_works(void **state)
{
    (void)state;
    active_beside_beta();
    w.links[0] = (struct link_message){.present = true, .fault_ns = w.now, .evidence_ns = w.now};
    tell_links();
    pass(MS(5000), false);
    assert_null(strstr(w.rules, "R8"));
}

int main(void)
{
#define WITNESS(name) cmocka_unit_test_setup(name, begin_with_witness)
#define FENCE(name) cmocka_unit_test_setup(name, begin_with_fence)
#define ROUTERS(name) cmocka_unit_test_setup(name, begin_with_routers)
    const struct CMUnitTest tests[] = {
        WITNESS(test_nothing_is_asked_while_the_nodes_hear_each_other),
        WITNESS(test_the_lease_ends_with_the_right),
        WITNESS(test_a_grant_renews_it),
        WITNESS(test_R8_denied_by_a_higher_epoch_it_releases_at_once),
        WITNESS(test_what_was_answered_to_an_earlier_question_does_not_count),
        WITNESS(test_no_takeover_without_the_witness),
        WITNESS(test_from_watching_to_claiming_it_is_one_question),
        WITNESS(test_a_grant_that_is_not_used_is_burnt),
        WITNESS(test_with_its_patience_out_it_asks_and_agrees_to_nothing_meanwhile),
        WITNESS(test_with_its_patience_out_and_the_witness_lost_it_agrees),
        WITNESS(test_a_grant_to_an_earlier_question_is_burnt),
        WITNESS(test_old_silence_does_not_count_when_the_peer_is_heard_again),
        WITNESS(test_the_record_knows_a_higher_epoch),
        WITNESS(test_claim_by_hand_needs_nobody),
        WITNESS(test_a_witness_that_says_nothing_is_told),
        FENCE(test_a_takeover_waits_for_the_fence),
        FENCE(test_a_fence_that_fails_bars_the_claim_and_is_tried_again),
        FENCE(test_no_fence_for_a_peer_that_is_heard),
        cmocka_unit_test(test_the_fence_instead_of_a_witness_that_is_not_reached),
        ROUTERS(test_R8_all_fall_silent_together),
        ROUTERS(test_R8_the_peer_was_gone_already),
        ROUTERS(test_R8_one_channel_still_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
