/* What was considered beside a decision, and what keeps one from being taken, in words (DESIGN §3). */
#include <stdio.h>
#include <stdlib.h>

#include "arbiterd/consider.h"
#include "decide_world.h"

static struct considerations list;

static bool has(const char *rule, const char *text)
{
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i].rule, rule) == 0 && strstr(list.items[i].text, text))
            return true;
    for (size_t i = 0; i < list.count; i++)
        print_message("%s: %s\n", list.items[i].rule, list.items[i].text);
    return false;
}

/* Passes until a row begins a change of role, and asks at that step. */
static void pass_until(const char *row, bool repeat)
{
    for (int i = 0; i < 1000; i++) {
        w.now += MS(10);
        if (repeat)
            peer_says(w.peer.phase, w.peer.epoch);
        w.effects.transition_count = 0;
        w.rules[0] = '\0';
        struct arbiter_event event = {.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.peer, .now_ns = w.now};
        const bool vouched = w.arbiter.vouched;
        arbiter_step(&w.arbiter, &event, &w.effects);
        const struct arbiter_effects effects = w.effects;
        struct arbiter then = w.arbiter;
        then.vouched = then.vouched || vouched;
        for (size_t k = 0; k < effects.transition_count; k++)
            if (strcmp(effects.transitions[k].rule, row) == 0) {
                consider_rejected(&then, &effects.transitions[k], &list);
                return;
            }
        note_effects();
        obey();
    }
    fail_msg("%s did not apply", row);
}

static void barred(void)
{
    consider_barred(&w.arbiter, &list);
}

/* ------------------------------------------------------------ rejected */

static bool begins_a_change(const struct arbiter_row *row)
{
    if (strcmp(row->name, "R2-confirmed") == 0 || strncmp(row->name, "R13-", 4) == 0)
        return strcmp(row->name, "R13-ordered") == 0 || strcmp(row->name, "R13-stop") == 0;
    return row->to == PHASE_CLAIMING || row->to == PHASE_OFFERING || row->to == PHASE_RELEASING ||
           row->to == PHASE_ACTIVE;
}

static void test_each_row_that_begins_a_change_has_words(void **state)
{
    int known = 0;

    (void)state;
    for (const struct arbiter_row *row = arbiter_rows; row->name; row++) {
        if (begins_a_change(row) != consider_knows(row->name))
            fail_msg("%s", row->name);
        known += consider_knows(row->name);
    }
    assert_int_equal(known, 17);
}

static void test_takeover(void **state)
{
    (void)state;
    passive_beside_beta();
    beta_falls_silent();
    w.links[1].evidence_ns = w.now + MS(5); /* but no router answers there */
    tell_links();
    w.peer.own_late_us = 400;
    pass_until("R3-takeover", false);
    assert_int_equal(list.count, 4);
    assert_true(has("R4-mute", "beta might serve unheard, but none of its addresses answered for 1"));
    assert_true(has("R4-mute", "(channels asked: 2)"));
    assert_true(has("R5-stall", "its timers late by at most 0.4 ms"));
    assert_true(has("R8-isolated", "channel outside works: its router was heard"));
    assert_true(has("R8-partition", "cannot be told from its end without a witness"));
    w.links[0].usable = false;
    tell_links();
    const struct arbiter_transition t = {.rule = "R3-takeover"};
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(
        has("R8-isolated", "channel inside has its carrier; without a router nothing more can be told"));
    w.links[0].usable = true;
    w.links[0].evidence_ns = w.now + MS(9);
    tell_links();
    w.arbiter.set.routed[0] = false;
    w.arbiter.set.routed[1] = true;
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R8-isolated", "channel inside works: its router was heard"));
}

/* A peer that is heard, a third host that answers, and a search that has asked in vain so far. */
static void test_takeover_from_one_that_is_heard(void **state)
{
    const struct arbiter_transition t = {.rule = "R3-takeover"};

    (void)state;
    passive_beside_beta();
    search(SEARCH_STATE_CONFLICT);
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R4-mute", "beta might hold the addresses still"));
    assert_true(has("R4-mute", "(channels asked: 2)"));
    assert_int_equal(list.count, 3); /* a partition is out of the question */
    search(SEARCH_STATE_ASKING);
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R4-mute", "the search has no verdict yet"));
    search(SEARCH_STATE_IDLE);
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R4-mute", "its addresses cannot be asked here"));
}

static void test_third_parties(void **state)
{
    const struct arbiter_transition t = {.rule = "R3-takeover"};

    (void)state;
    passive_beside_beta();
    search(SEARCH_STATE_SILENT);
    pass(MS(400), false);
    w.arbiter.set.witness = true;
    w.arbiter.vouched = false;
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R8-partition", "the witness has granted this claim"));
    w.arbiter.set.fence = w.arbiter.vouched = true;
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R8-partition", "the fencing command has ended it"));
}

/* takeoverd held all for two hours, and hangs. */
static void test_lease_that_is_not_confirmed(void **state)
{
    const struct arbiter_transition t = {.rule = "R6-lease"}, addresses = {.rule = "R6-addresses"};

    (void)state;
    active_beside_beta();
    pass(MS(20000), true);
    w.takeoverd_dead = true;
    pass(MS(400), true);
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R12-unconfirmed", "it has not for 2") || has("R12-unconfirmed", "it has not for 1"));
    assert_false(strstr(list.items[0].text, " s, and") != NULL);
    w.arbiter.address.state = HOLD_STATE_FAILED;
    w.arbiter.address.held = 1;
    w.arbiter.address.changed_ns = w.now - MS(1500);
    consider_rejected(&w.arbiter, &addresses, &list);
    assert_true(has("R12-unconfirmed", "it has not for 1500.0 ms"));
}

static void test_orders(void **state)
{
    const struct arbiter_transition ordered = {.rule = "R13-ordered"}, stop = {.rule = "R13-stop"},
                                    by_hand = {.rule = "claim-ordered"}, offered = {.rule = "R2-offered"};

    (void)state;
    active_beside_beta();
    w.peer.unfit = true;
    pass(MS(20), true);
    consider_rejected(&w.arbiter, &ordered, &list);
    assert_true(has("R13-refused", "the peer is unfit; that came after the order was accepted"));
    w.arbiter.order_force = true;
    consider_rejected(&w.arbiter, &ordered, &list);
    assert_true(has("R13-refused", "the peer is unfit; but the order was forced"));
    consider_rejected(&w.arbiter, &stop, &list);
    assert_true(has("R13-ordered", "handed over first, but the peer is unfit"));
    w.arbiter.held = true;
    consider_rejected(&w.arbiter, &offered, &list);
    assert_true(has("R15-hold", "it bars no order"));
    w.arbiter.set.witness = true;
    consider_rejected(&w.arbiter, &by_hand, &list);
    assert_true(has("R8-partition", "the witness is not asked"));
}

static void test_lapses_and_isolation(void **state)
{
    const struct arbiter_transition lapsed = {.rule = "R12-lapsed"}, isolated = {.rule = "R8-isolated"};

    (void)state;
    active_beside_beta();
    consider_rejected(&w.arbiter, &lapsed, &list);
    assert_true(has("R12-renewed", "nothing showed in time that beta has not begun to serve"));
    search(SEARCH_STATE_ANSWERED);
    consider_rejected(&w.arbiter, &lapsed, &list);
    assert_true(has("R12-renewed", "an active address answers from elsewhere"));
    w.arbiter.links[0].evidence_ns = w.arbiter.peer.heard_ns + MS(12);
    consider_rejected(&w.arbiter, &isolated, &list);
    assert_true(has("R3-alone", "the last sign on any came 12.0 ms after its last heartbeat"));
}

/* With a witness, which was not asked when an operator claimed: it is none of its doing. */
static void test_a_lapse_after_a_claim_by_hand(void **state)
{
    (void)state;
    w.arbiter.set.witness = true;
    w.arbiter.set.isolation_after = MS(200);
    search(SEARCH_STATE_SILENT);
    pass(MS(100), false);
    step((struct arbiter_event){.kind = EVENT_CLAIM, .force = true});
    pass(MS(1000), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    search(SEARCH_STATE_ASKING);
    w.now += MS(500); /* a stall */
    pass_until("R12-lapsed", false);
    assert_true(has("R12-renewed", "nothing showed in time that beta has not begun to serve"));
    pass(MS(2000), false);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    assert_false(w.arbiter.vouched); /* that was for this claim */
}

static void test_a_lapse_with_a_witness(void **state)
{
    (void)state;
    active_beside_beta();
    w.arbiter.set.witness = true;
    w.arbiter.set.isolation_after = MS(200);
    search(SEARCH_STATE_ASKING);
    w.now += MS(500);
    pass_until("R12-lapsed", false);
    assert_true(has("R12-renewed", "neither beta nor the witness has allowed it"));
}

static void test_vacancy_beside_a_peer(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    peer_says(PHASE_PASSIVE, 2);
    w.peer.phase_since_ns = w.now;
    w.peer.services_failed = 2;
    pass(MS(20), true);
    w.peer.considered = w.role.change;
    w.peer.prefers = PREFERS_PEER;
    pass_until("R2-vacancy", true);
    assert_true(has("R2-peer", "more services are down there: 2, here 0"));
}

static void test_vacancy_alone(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    pass_until("R2-vacancy", false);
    assert_true(has("R8-partition", "without a witness"));
    assert_true(has("R8-isolated", "channel outside works"));
}

static void lose_outside(bool carrier)
{
    w.links[0] = (struct link_message){.present = true, .carrier = carrier, .fault_ns = w.now};
    tell_links();
}

static void test_network(void **state)
{
    (void)state;
    active_beside_beta();
    lose_outside(false);
    pass_until("R6-network", true);
    assert_true(has("R7-common", "beta has more usable channels: 2, here 1"));
    assert_true(has("R8-isolated", "beta is heard"));
    assert_true(has("R6-wait", "a lost carrier is certain"));
}

static void test_router(void **state)
{
    (void)state;
    active_beside_beta();
    lose_outside(true);
    pass_until("R6-network", true);
    assert_true(has("R6-wait", "it was given 40.0 ms more"));
}

static void test_service_and_order(void **state)
{
    (void)state;
    active_beside_beta();
    step((struct arbiter_event){.kind = EVENT_SERVICES, .services_failed = 1});
    /* the event itself is the step in which it applies */
    assert_string_equal(w.rules, "R7-service ");
    const struct arbiter_transition t = {.rule = "R7-service"};
    consider_rejected(&w.arbiter, &t, &list);
    assert_true(has("R7-common", "beta has fewer of them down: 0, here 1"));
    const struct arbiter_transition ordered = {.rule = "R13-ordered"};
    consider_rejected(&w.arbiter, &ordered, &list);
    assert_true(has("R13-refused", "it is heard, fit"));
}

static void test_higher_epoch(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.phase = PHASE_ACTIVE;
    w.peer.epoch = 8;
    pass_until("R9-yield", true);
    assert_true(has("R12-renewed", "beta serves under 8"));
}

/* -------------------------------------------------------------- barred */

static void test_nothing_is_barred_where_nothing_presses(void **state)
{
    (void)state;
    active_beside_beta();
    barred();
    assert_int_equal(list.count, 0);
    begin(NULL);
    passive_beside_beta();
    pass(MS(2000), true);
    barred();
    assert_int_equal(list.count, 0);
}

static void test_a_fault_that_is_common(void **state)
{
    (void)state;
    active_beside_beta();
    lose_outside(false);
    w.peer.channels[0].usable = false;
    pass(MS(500), true);
    barred();
    assert_int_equal(list.count, 1);
    assert_true(has("R6-network", "not now: the peer has no more usable channels"));
}

static void test_a_peer_that_is_unfit(void **state)
{
    (void)state;
    active_beside_beta();
    w.peer.unfit = true;
    pass(MS(100), true);
    lose_outside(false);
    step((struct arbiter_event){.kind = EVENT_SERVICES, .services_failed = 1});
    pass(MS(100), true);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    barred();
    assert_int_equal(list.count, 2);
    assert_true(has("R6-network", "not now: the peer is unfit"));
    assert_true(has("R7-service", "not now: the peer is unfit"));
    w.peer.unfit = false;
    w.peer.services_failed = 1;
    w.links[0] = w.links[1];
    tell_links();
    pass(MS(100), true);
    barred();
    assert_int_equal(list.count, 1);
    assert_true(has("R7-service", "as many services are down on the peer"));
}

static void test_takeover_that_is_barred(void **state)
{
    (void)state;
    passive_beside_beta();
    step((struct arbiter_event){.kind = EVENT_HOLD});
    search(SEARCH_STATE_ANSWERED);
    pass(MS(1000), false);
    barred();
    assert_true(has("R3-takeover", "the operator's hold stands"));
    step((struct arbiter_event){.kind = EVENT_RESUME});
    pass(MS(100), false);
    barred();
    assert_true(has("R3-takeover", "an active address answers"));
    search(SEARCH_STATE_SILENT);
    w.links[0].usable = w.links[1].usable = false;
    tell_links();
    pass(MS(1000), false);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    barred();
    assert_true(has("R3-takeover", "no channel works here"));
}

static void test_vacancy_that_is_barred(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){.epoch = 3, .held = true, .hold_version = 1});
    search(SEARCH_STATE_SILENT);
    pass(MS(5000), false);
    assert_false(phase_serves(w.arbiter.phase));
    barred();
    assert_true(has("R2-vacancy", "the operator's hold stands"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_each_row_that_begins_a_change_has_words),
        TEST(test_takeover),
        TEST(test_takeover_from_one_that_is_heard),
        TEST(test_third_parties),
        TEST(test_lease_that_is_not_confirmed),
        TEST(test_orders),
        TEST(test_lapses_and_isolation),
        TEST(test_a_lapse_after_a_claim_by_hand),
        TEST(test_a_lapse_with_a_witness),
        TEST(test_vacancy_beside_a_peer),
        TEST(test_vacancy_alone),
        TEST(test_network),
        TEST(test_router),
        TEST(test_service_and_order),
        TEST(test_higher_epoch),
        TEST(test_nothing_is_barred_where_nothing_presses),
        TEST(test_a_fault_that_is_common),
        TEST(test_a_peer_that_is_unfit),
        TEST(test_takeover_that_is_barred),
        TEST(test_vacancy_that_is_barred),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
