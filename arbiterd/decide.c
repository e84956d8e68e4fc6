#include "arbiterd/decide.h"

#include <string.h>

#include "arbiterd/faults.h"
#include "arbiterd/handover.h"
#include "arbiterd/judge.h"
#include "arbiterd/right.h"
#include "arbiterd/upkeep.h"

/* ------------------------------------------------- conditions of single rows */

/* Who was giving the role away, and answers nothing any more, has told the peer to take it. */
static bool own_lease_still_stands(const struct arbiter *a)
{
    return !a->address.silent && a->address_heard > 0 && a->address.state == HOLD_STATE_HOLDING &&
           a->address.lease_ns > a->now &&
           a->address.epoch == epoch_above(a->set.first_named, a->address.epoch - 1);
}

/* After an offer, with nothing answering from here any more, the peer is meant to have one. */
static bool peer_has_higher_epoch(const struct arbiter *a)
{
    if (a->silent)
        return false;
    return peer_linked(a) && phase_serves(a->peer.phase) && a->peer.epoch > a->epoch;
}

static bool lapsed_and_answered(const struct arbiter *a)
{
    return a->lapsed > 0 && search_answered(a);
}

static bool lapsed_for_good(const struct arbiter *a)
{
    return a->lapsed > 0 && (a->phase != PHASE_ACTIVE || a->now - a->lapsed >= a->set.handover_time);
}

static bool lapsed_but_alone(const struct arbiter *a)
{
    if (a->lapsed == 0 || a->observed <= a->lapsed || a->now < a->no_renewal_before || peer_serves(a) ||
        right_over(a) || !reports_are_fresh(a))
        return false;
    const int64_t listened = a->observed - MAX(a->lapsed, a->peer.counting_since_ns);
    /* A peer that knows that the lease ran out waits all of takeover-after again from then on. One that never
     * says so does not hear this node any more (a path that works in one direction), and did not take over.
     */
    if (peer_linked(a) && peer_arbiter_alive(a))
        return a->peer.considered == a->change ||
               (search_unanswered_since(a, a->lapsed) && listened >= 2 * a->set.search_time);
    return (search_unanswered_since(a, a->lapsed) && listened >= 2 * a->set.heartbeat_interval) ||
           (search_clear(a) && listened >= a->set.search_time);
}

static bool claim_confirmed(const struct arbiter *a)
{
    return a->address.state == HOLD_STATE_HOLDING && a->address.epoch == a->epoch &&
           a->address.lease_ns > a->now;
}

static bool claim_time_over(const struct arbiter *a)
{
    return a->now - a->phase_since >= a->set.claim_time;
}

static bool stop_ordered_alone(const struct arbiter *a)
{
    return a->order == ORDER_STOP && !peer_eligible(a);
}

static bool handover_ordered(const struct arbiter *a)
{
    if (!data_drained(a, a->ordered))
        return false;
    return (a->order == ORDER_SWITCH || a->order == ORDER_STOP) && !a->lapsed;
}

static bool release_confirmed(const struct arbiter *a)
{
    return a->released;
}

static bool somebody_serves(const struct arbiter *a)
{
    return peer_serves(a) || search_answered(a);
}

static bool offer_due(const struct arbiter *a)
{
    return a->peer.offer != OFFER_NONE && vacancy_due(a);
}

static bool claim_ordered(const struct arbiter *a)
{
    /* What the order was accepted for must still hold, by a report that is not an old one. */
    return a->order == ORDER_CLAIM && reports_are_fresh(a) && a->disk.next_epoch > highest_epoch(a) &&
           !arbiter_refusal(a, EVENT_CLAIM, a->order_force);
}

static bool reboot_due(const struct arbiter *a)
{
    const bool peer_is_up = peer_linked(a) && a->peer.phase == PHASE_ACTIVE && a->peer.lease_us > 0 &&
                            a->observed - a->peer.phase_since_ns >= NS_PER_S;

    return a->reboot_wanted && !a->reboot && !a->held && peer_is_up &&
           (a->trouble != TROUBLE_NETWORK || peer_usable(a) > own_sound(a));
}

static bool settled(const struct arbiter *a)
{
    const int64_t wait = a->set.settle_time << MIN(a->gave_up_repeats, 4);

    return a->trouble != TROUBLE_NONE && !a->trouble_sticky && a->trouble_gone > 0 &&
           a->now - a->trouble_gone >= wait;
}

static bool passive_peer_has_higher_epoch(const struct arbiter *a)
{
    return peer_linked(a) && !peer_serves(a) && a->peer.epoch > a->epoch &&
           a->disk.next_epoch > a->peer.epoch;
}

/* --------------------------------------------------------- what rows do besides */

static void use_next_epoch(struct arbiter *a)
{
    a->epoch = a->disk.next_epoch;
    a->spent_epoch = a->epoch;
    a->disk.next_epoch = 0; /* the disk still has it; nothing may be claimed under it again */
}

static void begin_claim(struct arbiter *a)
{
    a->vouched = fence_vouches(a);
    use_next_epoch(a);
    a->order = ORDER_NONE;
    a->offer = OFFER_NONE;
    a->lapsed = 0;
    a->renewed = a->now;
    a->released = false;
    a->reboot = a->reboot_wanted = false; /* who serves now is needed */
}

static void claim_by_hand(struct arbiter *a)
{
    begin_claim(a);
    a->vouched = true;
}

static void resume(struct arbiter *a)
{
    a->epoch = a->address.epoch;
    a->lease = a->address.lease_ns;
    a->spent_epoch = MAX(a->spent_epoch, a->epoch);
    a->renewed = a->now;
}

static void renew(struct arbiter *a)
{
    a->lapsed = 0;
    a->renewed = a->now;
}

static void confirm_claim(struct arbiter *a)
{
    if (a->trouble == TROUBLE_CLAIM)
        a->trouble = TROUBLE_NONE;
    a->no_claim_before = 0;
}

static void lapse(struct arbiter *a)
{
    a->lapsed = a->now;
    a->lease = a->now;
    a->no_renewal_before = a->now + a->set.claim_time;
}

/* This node steps back for a fault of its own: unfit, and longer so if it happens again within the hour
 * (R10). */
static void give_up(struct arbiter *a, enum trouble trouble)
{
    const bool again = a->gave_up > 0 && a->now - a->gave_up < 3600 * NS_PER_S;

    a->gave_up_repeats = again ? a->gave_up_repeats + 1 : 0;
    a->gave_up = a->now;
    a->trouble = trouble;
    a->trouble_sticky = false;
    a->trouble_gone = 0;
    a->reboot_wanted = trouble == TROUBLE_SERVICE ? a->services_reboot : a->set.reboot_on_network_fault;
}

static void give_up_claim(struct arbiter *a)
{
    give_up(a, TROUBLE_CLAIM);
    a->reboot_wanted = false;
    a->no_claim_before = a->now + (a->set.settle_time << MIN(a->gave_up_repeats, 4));
}

static void offer(struct arbiter *a, enum trouble trouble)
{
    a->offer = a->order_force ? OFFER_FORCED : OFFER_OFFERED;
    a->offering_for = trouble;
}

static void offer_by_order(struct arbiter *a)
{
    offer(a, TROUBLE_NONE);
}

static void offer_for_network(struct arbiter *a)
{
    offer(a, TROUBLE_NETWORK);
}

static void offer_for_lease(struct arbiter *a)
{
    offer(a, TROUBLE_LEASE);
}

static void offer_for_addresses(struct arbiter *a)
{
    offer(a, TROUBLE_ADDRESSES);
}

static void offer_for_service(struct arbiter *a)
{
    offer(a, TROUBLE_SERVICE);
}

static void hand_over(struct arbiter *a)
{
    if (a->offering_for != TROUBLE_NONE)
        give_up(a, a->offering_for);
    a->order = ORDER_NONE;
}

static void yield_exclusive(struct arbiter *a)
{
    a->yielding = a->now;
    a->exclusive_at_rest = 0;
}

static void go_quiet(struct arbiter *a)
{
    a->quiet = a->now;
    a->quiet_change = a->change + 1; /* it is numbered when the step ends */
    a->silent = false;
}

/* A line that comes and goes must not silence this node. */
static void go_aloud(struct arbiter *a)
{
    a->quiet = 0;
    a->no_quiet_before = a->now + a->set.settle_time;
}

static void withdraw_offer(struct arbiter *a)
{
    a->offer = OFFER_NONE;
    a->order = ORDER_NONE;
    a->order_force = false;
    a->no_offer_before = a->now + a->set.settle_time;
}

/* As after a stall: it goes on as before when the peer has considered that, and does not serve. */
static void recall_offer(struct arbiter *a)
{
    withdraw_offer(a);
    a->quiet = 0;
    a->lapsed = a->now;
    a->lease = a->now;
}

static void forget_order(struct arbiter *a)
{
    a->order = ORDER_NONE;
}

static void yield(struct arbiter *a)
{
    a->offer = OFFER_NONE;
    a->order = ORDER_NONE;
}

static void order_reboot(struct arbiter *a)
{
    a->reboot = true;
    a->reboot_wanted = false;
}

static void become_fit(struct arbiter *a)
{
    a->trouble = TROUBLE_NONE;
    a->trouble_sticky = false;
    a->reboot_wanted = false;
    a->reboot = false;
}

/* ------------------------------------------------------------------ the table */

#define IN(phase) (1u << PHASE_##phase)
#define ANY_PHASE (IN(SEARCHING) | IN(PASSIVE) | IN(CLAIMING) | IN(ACTIVE) | IN(OFFERING) | IN(RELEASING))
#define SERVING (IN(CLAIMING) | IN(ACTIVE) | IN(OFFERING))
#define SAME PHASE_COUNT /* the phase stays */

/* clang-format off */
const struct arbiter_row arbiter_rows[] = {
    /* row, phases in which it is asked, condition, next phase, what it does besides, reason */

    /* out of service */
    {"R9-yield",             SERVING, peer_has_higher_epoch, PHASE_RELEASING, yield,
     "the peer serves under a higher epoch"},
    {"R12-replaced",         SERVING, lapsed_and_answered, PHASE_RELEASING, yield,
     "after a stall, the addresses answer from elsewhere"},
    {"R12-lapsed",           SERVING, lapsed_for_good, PHASE_RELEASING, yield,
     "the lease ran out and could not be renewed"},
    {"R8-denied",            SERVING, witness_denies, PHASE_RELEASING, yield,
     "the peer is not heard, and the witness gave it the role"},
    {"R8-isolated",          IN(ACTIVE) | IN(OFFERING), is_cut_off, PHASE_RELEASING, yield,
     "the peer and every channel fell silent together: this node is cut off"},
    {"R2-unconfirmed",       IN(CLAIMING), claim_time_over, PHASE_RELEASING, give_up_claim,
     "takeoverd could not bring up the addresses in time"},
    {"R13-stop",             IN(CLAIMING) | IN(ACTIVE), stop_ordered_alone, PHASE_RELEASING, forget_order,
     "this node is being stopped, and the peer cannot take over"},
    {"R13-taken",            IN(OFFERING), offer_taken, PHASE_RELEASING, hand_over,
     "the peer serves"},
    {"R13-exclusive",        IN(OFFERING), must_yield, SAME, yield_exclusive,
     "the peer is ready: services that may not run twice end first"},
    {"R13-quiet",            IN(OFFERING), offer_considered, SAME, go_quiet,
     "the peer is ready: from here nothing is answered any more, and traffic is taken until it serves"},
    {"R13-considered",       IN(OFFERING), offer_considered_without_quiet, PHASE_RELEASING, hand_over,
     "the peer is ready to take the role"},
    {"R13-unanswered-stop",  IN(OFFERING), offer_fails_and_stopping, PHASE_RELEASING, hand_over,
     "the peer did not react to the offer, and this node is being stopped"},
    {"R13-recalled",         IN(OFFERING), offer_fails_in_quiet, PHASE_ACTIVE, recall_offer,
     "the peer did not take the role after all: once it has considered that, this node goes on"},
    {"R13-withdrawn",        IN(OFFERING), offer_fails, PHASE_ACTIVE, withdraw_offer,
     "the peer cannot take the role after all"},
    {"R13-ordered",          IN(ACTIVE), handover_ordered, PHASE_OFFERING, offer_by_order,
     "the operator ordered a handover"},
    {"R6-quiet",             IN(ACTIVE), quiet_in_hope, SAME, go_quiet,
     "a carrier is lost here, and the peer may hear better: nothing is answered until it tells"},
    {"R6-network",           IN(ACTIVE), peer_sees_more_network, PHASE_OFFERING, offer_for_network,
     "the peer has more usable channels"},
    {"R6-aloud",             IN(ACTIVE), quiet_in_vain, SAME, go_aloud,
     "the peer does not hear better: the addresses are answered again"},
    {"R6-lease",             IN(ACTIVE), lease_unconfirmed_and_peer_can, PHASE_OFFERING, offer_for_lease,
     "takeoverd does not confirm the lease"},
    {"R12-unconfirmed",      IN(ACTIVE), lease_unconfirmed, SAME, lapse,
     "takeoverd holds nothing and the peer cannot help: once more, when nobody else serves"},
    {"R6-addresses",         IN(ACTIVE), addresses_missing_and_peer_can, PHASE_OFFERING, offer_for_addresses,
     "some active addresses cannot be held here"},
    {"R7-service",           IN(ACTIVE), peer_has_more_services, PHASE_OFFERING, offer_for_service,
     "a service stays down here, and is not known to fail on the peer"},
    {"R13-released",         IN(RELEASING), release_confirmed, PHASE_PASSIVE, NULL,
     "takeoverd confirmed that no active address is left"},
    {"R13-unreleased",       IN(RELEASING), claim_time_over, PHASE_PASSIVE, NULL,
     "takeoverd did not confirm the release in time"},

    /* where we are */
    {"R1-resume",            IN(SEARCHING), own_lease_still_stands, PHASE_ACTIVE, resume,
     "this arbiterd was restarted while its own lease still stands"},
    {"R1-found",             IN(SEARCHING), somebody_serves, PHASE_PASSIVE, NULL,
     "somebody serves already"},
    {"R2-confirmed",         IN(CLAIMING), claim_confirmed, PHASE_ACTIVE, confirm_claim,
     "takeoverd confirmed the addresses"},
    {"R12-renewed",          IN(ACTIVE), lapsed_but_alone, SAME, renew,
     "after a stall, nobody else is found to serve"},
    {"R11-raised",           IN(ACTIVE), passive_peer_has_higher_epoch, SAME, use_next_epoch,
     "the passive peer knows a higher epoch"},
    {"R10-fit",              ANY_PHASE, settled, SAME, become_fit,
     "the fault has been gone for settle-time"},
    {"R6-reboot",            IN(PASSIVE), reboot_due, SAME, order_reboot,
     "the peer serves, so this node restarts to cure its fault"},

    /* into service */
    {"claim-ordered",        IN(SEARCHING) | IN(PASSIVE), claim_ordered, PHASE_CLAIMING, claim_by_hand,
     "the operator ordered the claim"},
    {"R2-offered",           IN(SEARCHING) | IN(PASSIVE), offer_due, PHASE_CLAIMING, begin_claim,
     "the peer gave the role to this node"},
    {"R3-takeover",          IN(PASSIVE), takeover_due, PHASE_CLAIMING, begin_claim,
     "the active node fell silent on every path, and its addresses do not answer"},
    {"R2-vacancy",           IN(SEARCHING) | IN(PASSIVE), vacancy_due, PHASE_CLAIMING, begin_claim,
     "nobody serves, and this node is the better one"},
    {0},
};
/* clang-format on */

/* The one place where the phase changes. */
static void enter_phase(struct arbiter *a, enum phase to)
{
    a->phase = to;
    a->phase_since = a->now;
    if (to == PHASE_RELEASING) {
        a->released = false;
        a->lease = 0;
        a->lapsed = 0;
        a->release_change = a->change + 1; /* this very change: it is numbered when the step ends */
    }
}

/* A row's reason, but where the same rule has two that a person tells apart. */
static const char *reason_of(const struct arbiter *a, const struct arbiter_row *row)
{
    return row->applies == takeover_due && peer_alive(a)
               ? "the active node is heard, but its lease ran out, and its addresses do not answer"
               : row->reason;
}

static void apply_row(struct arbiter *a, const struct arbiter_row *row, struct arbiter_effects *effects)
{
    const enum phase from = a->phase;
    const char *reason = reason_of(a, row);
    bool preferred;
    const int rank = (int)deciding_rank(a, &preferred);

    if (row->act)
        row->act(a);
    if (row->to != SAME)
        enter_phase(a, row->to);
    a->rule = row->name;
    a->reason = reason;
    if (effects->transition_count < ARRAY_LENGTH(effects->transitions))
        effects->transitions[effects->transition_count++] =
            (struct arbiter_transition){row->name, reason, from, a->phase, a->epoch, rank, preferred};
}

static const struct arbiter_row *first_row(const struct arbiter *a)
{
    for (const struct arbiter_row *row = arbiter_rows; row->name; row++)
        if ((row->phases & (1u << a->phase)) && row->applies(a))
            return row;
    return NULL;
}

/* ---------------------------------------------------------------------- events */

static void take_data(struct arbiter *a, const struct arbiter_event *e)
{
    a->data_heard = true;
    a->data_whole = e->data->whole;
    a->data_epoch = e->data->data_epoch;
    a->data_generation = e->data->data_generation;
    a->data_current = e->data->state == SYNC_STATE_CURRENT;
    a->data_looked = e->data->looked_ns;
    a->data_behind_since = e->data->behind_since_ns;
    a->data_connected = e->data->connected;
    a->data_lagging = e->data_lagging;
}

static void take_start(struct arbiter *a, const struct arbiter_event *e)
{
    const struct arbiter_durable *d = e->durable;

    a->started = a->phase_since = e->now_ns;
    a->change = a->ask_number = e->change;
    a->disk = *d;
    a->disk.next_epoch = 0;
    a->spent_epoch = d->next_epoch;
    a->epoch = d->epoch;
    a->held = a->hold_wanted = d->held;
    a->hold_version = a->hold_version_wanted = d->hold_version;
    a->hold_until = a->hold_until_wanted = d->hold_left_ns > 0 ? e->now_ns + d->hold_left_ns : 0;
    a->data_whole = d->data_whole;
    a->data_epoch = d->data_epoch;
    a->state_lost = e->lost;
    a->loaded = true;
}

static void take_saved(struct arbiter *a, const struct arbiter_event *e)
{
    const int64_t next = e->durable->next_epoch;

    a->save_pending = false;
    a->disk = *e->durable;
    if (next <= a->spent_epoch)
        a->disk.next_epoch = 0; /* used while this was being written */
    if (a->disk.hold_version == a->hold_version_wanted) {
        a->held = a->disk.held;
        a->hold_version = a->disk.hold_version;
        a->hold_until = a->hold_until_wanted;
    }
}

static void take_peer(struct arbiter *a, const struct arbiter_event *e)
{
    if (e->sent_ns < a->observed)
        return; /* an older report than the one we go by */
    if (e->peer->change != a->peer.change)
        a->peer_changed = e->now_ns; /* when it was considered, not when it was heard: see R12 */
    a->peer = *e->peer;
    a->observed = e->sent_ns;
    if (!phase_serves(a->phase) && a->peer.epoch > a->epoch)
        a->epoch = a->peer.epoch;
}

/* A new term and no lease: the addresses went without an order (takeoverd stood still, or was started anew).
 * The peer may have found that, so this node's own lease has lapsed, too (R12). */
static void take_address(struct arbiter *a, const struct arbiter_event *e)
{
    const bool lost =
        a->address_heard > 0 && e->address->term != a->address.term && e->address->lease_ns == 0;

    a->address = *e->address;
    a->address_heard = e->now_ns;
    if (lost && a->lapsed == 0 && (a->phase == PHASE_ACTIVE || a->phase == PHASE_OFFERING))
        a->lapsed = a->lease = a->now;
}

static void take_hold(struct arbiter *a, bool held, int64_t until_ns)
{
    a->hold_wanted = held;
    a->hold_version_wanted++;
    a->hold_until_wanted = until_ns;
}

static void take_clear(struct arbiter *a)
{
    become_fit(a);
    a->gave_up = 0;
    a->gave_up_repeats = 0;
    a->no_offer_before = a->no_claim_before = 0;
    a->state_lost = false;
}

static void take_order(struct arbiter *a, const struct arbiter_event *e)
{
    const enum order order = e->kind == EVENT_SWITCH  ? ORDER_SWITCH
                             : e->kind == EVENT_CLAIM ? ORDER_CLAIM
                                                      : ORDER_STOP;

    if (arbiter_refusal(a, e->kind, e->force))
        return;
    a->order = order;
    a->ordered = a->now;
    a->order_force = e->force;
    if (order == ORDER_STOP)
        a->stopping = true;
}

static void take_event(struct arbiter *a, const struct arbiter_event *e)
{
    switch (e->kind) {
    case EVENT_TIME:
        break;
    case EVENT_START:
        take_start(a, e);
        break;
    case EVENT_SAVED:
        take_saved(a, e);
        break;
    case EVENT_PEER:
        take_peer(a, e);
        break;
    case EVENT_LINK:
        a->links[e->channel] = *e->link;
        break;
    case EVENT_SEARCH:
        a->searches[e->channel] = *e->search;
        break;
    case EVENT_ADDRESS:
        take_address(a, e);
        break;
    case EVENT_SERVICES:
        a->services_failed = e->services_failed;
        a->services_unheard = e->services_unheard;
        a->services_reboot = e->services_reboot;
        a->exclusive_up = e->exclusive_up;
        break;
    case EVENT_WATCHDOG:
        a->watchdog_heard = true;
        a->watchdog_armed = e->watchdog_armed;
        break;
    case EVENT_DATA:
        take_data(a, e);
        break;
    case EVENT_WITNESS:
        right_take_witness(a, e->witness);
        a->witness_heard = e->now_ns;
        break;
    case EVENT_FENCE:
        right_take_fence(a, e->fence);
        break;
    case EVENT_SWITCH:
    case EVENT_CLAIM:
    case EVENT_STOP:
        take_order(a, e);
        break;
    case EVENT_HOLD:
        take_hold(a, true, e->hold_until_ns);
        break;
    case EVENT_RESUME:
        take_hold(a, false, 0);
        break;
    case EVENT_CLEAR:
        take_clear(a);
        break;
    }
}

void arbiter_init(struct arbiter *a, const struct arbiter_settings *settings)
{
    memset(a, 0, sizeof *a);
    a->set = *settings;
    a->services_unheard = settings->services_guarded;
    a->exclusive_up = settings->exclusive;
    a->phase = PHASE_SEARCHING;
    a->rule = "R1-start";
    a->reason = "everything starts passive";
}

/* What the peer agrees to has changed: a new number, so that an agreement to what was before does not count.
 */
static void number_change(struct arbiter *a)
{
    /* A lapse is shown when the renewal is wanted, not before: what the peer considers must be fresh by then.
     */
    const bool asking = a->lapsed > 0 && a->now >= a->no_renewal_before;
    const struct arbiter_shown now = {a->phase, a->offer, a->prefers, asking, a->quiet > 0};

    if (now.phase == a->shown.phase && now.offer == a->shown.offer && now.prefers == a->shown.prefers &&
        now.asking == a->shown.asking && now.quiet == a->shown.quiet)
        return;
    a->shown = now;
    a->change++;
}

/* It is asked more often than that, whatever happens. What waits to be read was sent before it woke up. */
static void notice_stall(struct arbiter *a, int64_t now)
{
    if (a->loaded && now - a->now > 2 * a->set.heartbeat_interval)
        a->woke = now;
}

void arbiter_step(struct arbiter *a, const struct arbiter_event *event, struct arbiter_effects *effects)
{
    const struct arbiter_row *row;

    memset(effects, 0, sizeof *effects);
    notice_stall(a, event->now_ns);
    a->now = MAX(a->now, event->now_ns);
    upkeep_notice_lapse(a);
    take_event(a, event);
    upkeep_all(a);
    number_change(a); /* before any row asks whether the peer has considered it */
    for (int i = 0; a->loaded && i < 8 && (row = first_row(a)); i++) {
        apply_row(a, row, effects);
        upkeep_all(a);
        number_change(a);
    }
    upkeep_lease(a);
    right_ask(a);
    upkeep_save(a, effects);
}
