/* decide_world: a conversation with the arbiter: alpha is under test, and is told what its daemons see.
 * Included by the tests of the decision, each of which has a world of its own. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"

/* Not every test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct {
    struct arbiter arbiter;
    struct arbiter_effects effects;
    struct role_message role;
    bool speaks;
    int64_t now;
    struct peer_message peer;
    struct link_message links[2];
    struct search_message searches[2];
    struct address_message address;
    bool deaf;           /* heartbeatd reports nothing */
    bool takeoverd_dead; /* takeoverd obeys nothing, says nothing */
    bool gate;           /* it can shut the answers alone */
    char rules[4096];    /* every row that applied, in order */
    int saves;
} w;

#define MS(n) ((n)*NS_PER_MS)

static const struct arbiter_settings lan = {
    .first_named = true,
    .sorts_first = true,
    .reboot_on_network_fault = true,
    .channel_count = 2,
    .channels = {"outside", "inside"},
    .searched = {true, true},
    .routed = {true, false},
    .evidence_wait = MS(40),
    .heartbeat_interval = MS(50),
    .takeover_after = MS(300),
    .address_lease = MS(200),
    .search_time = MS(600),
    .claim_time = MS(1000),
    .handover_time = MS(3000),
    .settle_time = MS(5000),
    .linger = MS(50),
};

static void step(struct arbiter_event event);

static void note_effects(void)
{
    for (size_t i = 0; i < w.effects.transition_count; i++) {
        strcat(w.rules, w.effects.transitions[i].rule);
        strcat(w.rules, " ");
    }
    w.speaks = arbiter_role(&w.arbiter, &w.role);
    if (w.effects.save) {
        const struct arbiter_durable written = w.effects.durable;
        w.saves++;
        step((struct arbiter_event){.kind = EVENT_SAVED, .durable = &written});
    }
}

static void step(struct arbiter_event event)
{
    event.now_ns = w.now;
    arbiter_step(&w.arbiter, &event, &w.effects);
    note_effects();
}

/* takeoverd does as it is told, and says so. */
static void obey(void)
{
    const bool active =
        w.speaks && w.role.role == ROLE_ACTIVE && w.role.lease_ns > w.now && !w.role.searching;

    if (w.takeoverd_dead)
        return;
    w.address.state = active ? HOLD_STATE_HOLDING : HOLD_STATE_RELEASED;
    w.address.lease_ns = active ? w.role.lease_ns : 0;
    w.address.epoch = active ? w.role.epoch : w.address.epoch;
    w.address.change = w.role.change;
    w.address.gate = w.gate ? GATE_CONDITION_ON : GATE_CONDITION_OFF;
    w.address.silent = active && w.gate && w.role.quiet;
    step((struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.address});
}

static void tell_links(void)
{
    for (size_t i = 0; i < 2; i++) {
        step((struct arbiter_event){.kind = EVENT_LINK, .channel = i, .link = &w.links[i]});
        step((struct arbiter_event){.kind = EVENT_SEARCH, .channel = i, .search = &w.searches[i]});
    }
}

static void search(enum search_state state)
{
    for (size_t i = 0; i < 2; i++) {
        w.searches[i].state = state;
        w.searches[i].silent_since_ns = state == SEARCH_STATE_SILENT ? w.now : 0;
        if (state == SEARCH_STATE_ANSWERED)
            w.searches[i].answered_ns = w.now;
    }
    tell_links();
}

/* The peer's heartbeat: heard now, echoing, with these words. */
static void peer_says(enum phase phase, int64_t epoch)
{
    w.peer.alive = w.peer.linked = true;
    w.peer.heard_ns = w.peer.linked_ns = w.now;
    if (w.peer.phase != phase)
        w.peer.change++, w.peer.phase_since_ns = w.now;
    w.peer.phase = phase;
    w.peer.role = phase_serves(phase) ? ROLE_ACTIVE : ROLE_PASSIVE;
    w.peer.epoch = epoch;
    w.peer.next_epoch = epoch_above(false, epoch);
    w.peer.released = !phase_serves(phase);
    w.peer.lease_us = phase_serves(phase) ? 200000 : 0;
    if (phase_serves(phase))
        w.peer.backed_ns = w.now;
    for (size_t i = 0; i < 2; i++)
        if (w.peer.channels[i].usable)
            w.peer.channels[i].evidence_ns = w.now;
}

static void report(void)
{
    if (!w.deaf)
        step((struct arbiter_event){.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.peer});
    else
        step((struct arbiter_event){.kind = EVENT_TIME});
    obey();
}

/* Beta's arbiter has taken this node's latest change into account, and is ready to serve. */
static void beta_considers(void)
{
    w.peer.considered = w.role.change;
    w.peer.prefers = PREFERS_SELF;
}

/* Time passes in heartbeat intervals; what was said last is not said again unless `repeat`. */
static void pass(int64_t duration, bool repeat)
{
    for (const int64_t end = w.now + duration; w.now < end;) {
        w.now += MS(10);
        if (repeat)
            peer_says(w.peer.phase, w.peer.epoch);
        report();
    }
}

static void begin_with(struct arbiter_durable durable)
{
    memset(&w, 0, sizeof w);
    w.now = MS(10000);
    w.peer = (struct peer_message){.name = "beta",
                                   .whole = true,
                                   .takes_silent = true,
                                   .takes_records = true,
                                   .channels_count = 2,
                                   .change = 1};
    for (size_t i = 0; i < 2; i++) {
        text_copy(w.peer.channels[i].name, sizeof w.peer.channels[i].name, lan.channels[i]);
        w.peer.channels[i].usable = true;
        w.links[i] =
            (struct link_message){.present = true, .carrier = true, .usable = true, .evidence_ns = w.now};
    }
    w.address.state = HOLD_STATE_RELEASED;
    arbiter_init(&w.arbiter, &lan);
    step((struct arbiter_event){.kind = EVENT_START, .durable = &durable, .change = 1000});
}

static int begin(void **state)
{
    (void)state;
    begin_with((struct arbiter_durable){0});
    return 0;
}

static void alone_and_active(void)
{
    search(SEARCH_STATE_SILENT);
    pass(MS(700), false);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
}

static void active_beside_beta(void)
{
    alone_and_active();
    search(SEARCH_STATE_IDLE);
    peer_says(PHASE_PASSIVE, w.arbiter.epoch);
    pass(MS(1100), true);
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    w.rules[0] = '\0';
}

static void passive_beside_beta(void)
{
    search(SEARCH_STATE_ANSWERED);
    peer_says(PHASE_ACTIVE, 2);
    pass(MS(700), true);
    assert_int_equal(w.arbiter.phase, PHASE_PASSIVE);
    w.rules[0] = '\0';
}

/* By its operator's order. */
static void beta_gives_it_back(void)
{
    w.peer.offer = OFFER_OFFERED;
    peer_says(PHASE_PASSIVE, w.peer.epoch);
    w.peer.prefers = PREFERS_PEER;
    pass(MS(20), true);
    w.peer.considered = w.role.change;
    pass(MS(50), true);
    w.peer.offer = OFFER_NONE;
    assert_int_equal(w.arbiter.phase, PHASE_ACTIVE);
    pass(MS(500), true);
}

static void beta_falls_silent(void)
{
    search(SEARCH_STATE_SILENT);
}

#define assert_rules(expected) assert_string_equal(w.rules, expected)
