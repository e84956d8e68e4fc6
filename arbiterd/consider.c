#include "arbiterd/consider.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "arbiterd/right.h"

PRINTF_LIKE(3, 4)
static void reject(struct considerations *list, const char *rule, const char *format, ...)
{
    va_list args;

    if (list->count == CONSIDERED_MAX)
        return;
    struct considered *item = &list->items[list->count++];
    item->rule = rule;
    va_start(args, format);
    vsnprintf(item->text, sizeof item->text, format, args);
    va_end(args);
}

enum { LASTING_MAX = 24 };

/* For people; returns `text`. */
static const char *lasting(int64_t span_ns, char text[static LASTING_MAX])
{
    if (span_ns < 10 * NS_PER_S)
        snprintf(text, LASTING_MAX, "%.1f ms", (double)MAX(span_ns, 0) / 1e6);
    else
        snprintf(text, LASTING_MAX, "%" PRId64 " s", span_ns / NS_PER_S);
    return text;
}

/* ------------------------------------------------------------------- a claim */

static int64_t last_answer(const struct arbiter *a)
{
    int64_t answered = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        answered = MAX(answered, a->searches[i].answered_ns);
    return answered;
}

static int channels_in(const struct arbiter *a, enum search_state state)
{
    int count = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        count += a->searches[i].state == state;
    return count;
}

static void reject_mute(const struct arbiter *a, struct considerations *list)
{
    const char *might = peer_alive(a) ? "might hold the addresses still" : "might serve unheard";
    const int asked = channels_in(a, SEARCH_STATE_SILENT) + channels_in(a, SEARCH_STATE_CONFLICT);
    const int64_t answered = last_answer(a);
    char span[LASTING_MAX];

    if (asked == 0)
        reject(list, "R4-mute", "%s %s; %s", a->peer.name, might,
               channels_in(a, SEARCH_STATE_ASKING) > 0 ? "the search has no verdict yet"
                                                       : "its addresses cannot be asked here");
    else if (answered == 0)
        reject(list, "R4-mute", "%s %s, but none of its addresses answers (channels asked: %d)", a->peer.name,
               might, asked);
    else
        reject(list, "R4-mute", "%s %s, but none of its addresses answered for %s (channels asked: %d)",
               a->peer.name, might, lasting(a->observed - answered, span), asked);
}

static void reject_own_stall(const struct arbiter *a, struct considerations *list)
{
    char span[LASTING_MAX];

    reject(list, "R5-stall",
           "this node itself might have stood still, but it listened without a break for %s, its timers late "
           "by at most %.1f ms",
           lasting(a->observed - a->peer.counting_since_ns, span), (double)a->peer.own_late_us / 1e3);
}

/* The channel of this node on which a router, or (where none is configured) anybody, was heard last, among
 * those that work; those with a router first: only they have proof of the present. `channel_count`: none
 * works. */
static size_t working_channel(const struct arbiter *a)
{
    size_t best = a->set.channel_count;

    for (size_t i = 0; i < a->set.channel_count; i++) {
        if (!a->links[i].usable)
            continue;
        const bool better =
            best == a->set.channel_count || a->set.routed[i] > a->set.routed[best] ||
            (a->set.routed[i] == a->set.routed[best] && a->links[i].evidence_ns > a->links[best].evidence_ns);
        best = better ? i : best;
    }
    return best;
}

static void reject_cut_off(const struct arbiter *a, struct considerations *list)
{
    const size_t i = working_channel(a);
    char span[LASTING_MAX];

    if (i == a->set.channel_count)
        return;
    if (a->set.routed[i])
        reject(list, "R8-isolated",
               "this node might be cut off itself, but channel %s works: its router was heard %s before",
               a->set.channels[i], lasting(a->now - a->links[i].evidence_ns, span));
    else
        reject(list, "R8-isolated",
               "this node might be cut off itself, but channel %s has its carrier; without a router nothing "
               "more "
               "can be told",
               a->set.channels[i]);
}

/* Of a claim while the peer is not heard. */
static void reject_partition(const struct arbiter *a, struct considerations *list)
{
    if (peer_alive(a))
        return;
    if (a->set.fence && a->vouched)
        reject(list, "R8-partition", "%s might serve behind a cut, but the fencing command has ended it",
               a->peer.name);
    else if (a->set.witness && !a->vouched)
        reject(list, "R8-partition", "%s might serve behind a cut, but the witness has granted this claim",
               a->peer.name);
    else if (!a->set.witness && !a->set.fence)
        reject(list, "R8-partition",
               "that %s serves behind a cut of all lines cannot be told from its end without a witness; when "
               "they hear each other, the higher epoch stays",
               a->peer.name);
}

static void reject_hold(const struct arbiter *a, struct considerations *list)
{
    if (a->held)
        reject(list, "R15-hold", "a hold stands, but it bars no order");
}

static void of_takeover(const struct arbiter *a, const struct arbiter_transition *t,
                        struct considerations *list)
{
    (void)t;
    reject_mute(a, list);
    reject_own_stall(a, list);
    reject_cut_off(a, list);
    reject_partition(a, list);
}

/* What spoke for this node in the contest with a peer that is heard. */
static void reject_peer(const struct arbiter *a, enum rank rank, struct considerations *list)
{
    const char *name = a->peer.name;

    switch (rank) {
    case RANK_HOLD:
        reject(list, "R2-peer", "%s might serve rather, but it is held", name);
        break;
    case RANK_WHOLE:
        reject(list, "R2-peer", "%s might serve rather, but its data is not whole", name);
        break;
    case RANK_DATA_EPOCH:
    case RANK_DATA_GENERATION:
        reject(list, "R2-peer",
               "%s might serve rather, but its data is older: generation %" PRId64 ".%" PRId64
               ", here %" PRId64 ".%" PRId64,
               name, a->peer.data_epoch, a->peer.data_generation, a->data_epoch, a->data_generation);
        break;
    case RANK_BARRED:
        reject(list, "R2-peer", "%s might serve rather, but it may not claim now", name);
        break;
    case RANK_FIT:
        reject(list, "R2-peer", "%s might serve rather, but it is unfit", name);
        break;
    case RANK_CHANNELS:
        reject(list, "R2-peer",
               "%s might serve rather, but it has fewer usable channels: %" PRId64 ", here %" PRId64, name,
               peer_usable(a), own_usable(a));
        break;
    case RANK_SERVICES:
        reject(list, "R2-peer",
               "%s might serve rather, but more services are down there: %" PRId64 ", here %" PRId64, name,
               a->peer.services_failed, a->services_failed);
        break;
    case RANK_AGE:
        reject(list, "R2-peer",
               "%s might serve rather; all else is equal, and this node is as it is for longer", name);
        break;
    case RANK_NAME:
        reject(list, "R2-peer", "%s might serve rather; all is equal, and this node's name sorts first",
               name);
        break;
    }
}

static void of_vacancy(const struct arbiter *a, const struct arbiter_transition *t,
                       struct considerations *list)
{
    if (!peer_linked(a)) {
        reject_mute(a, list);
        reject_cut_off(a, list);
        reject_partition(a, list);
    } else if (t->preferred) {
        reject_peer(a, (enum rank)t->rank, list);
    } else {
        reject(list, "R2-peer", "%s would be the better one, but it did not claim in time", a->peer.name);
    }
}

static void of_offered(const struct arbiter *a, const struct arbiter_transition *t,
                       struct considerations *list)
{
    (void)t;
    reject_hold(a, list);
}

static void of_order_to_claim(const struct arbiter *a, const struct arbiter_transition *t,
                              struct considerations *list)
{
    (void)t;
    reject_hold(a, list);
    reject_mute(a, list);
    if (a->set.witness)
        reject(list, "R8-partition",
               "the witness is not asked: the operator answers for it that %s does not serve", a->peer.name);
}

static void of_resume(const struct arbiter *a, const struct arbiter_transition *t,
                      struct considerations *list)
{
    char span[LASTING_MAX];

    (void)t;
    reject(
        list, "R1-search",
        "somebody else might serve by now, but the addresses are held here under a lease of this node's own "
        "that stands for another %s",
        lasting(a->lease - a->now, span));
}

/* ------------------------------------------------------------ giving the role up */

static void of_network(const struct arbiter *a, const struct arbiter_transition *t,
                       struct considerations *list)
{
    char span[LASTING_MAX];

    (void)t;
    reject(list, "R8-isolated", "this node might be cut off from all, but %s is heard: %s before",
           a->peer.name, lasting(a->now - a->peer.heard_ns, span));
    reject(list, "R7-common",
           "the fault might be common to both, but %s has more usable channels: %" PRId64 ", here %" PRId64,
           a->peer.name, peer_usable(a), own_sound(a));
    if (carrier_lost_to_peer(a))
        reject(list, "R6-wait",
               "the line might come back, but a lost carrier is certain: nothing to wait for");
    else
        reject(list, "R6-wait", "the router might answer again, but it was given %s more, and did not",
               lasting(a->now - a->peer_ahead_since, span));
}

static void of_service(const struct arbiter *a, const struct arbiter_transition *t,
                       struct considerations *list)
{
    (void)t;
    reject(list, "R7-common",
           "the service might fail there as well, but %s has fewer of them down: %" PRId64 ", here %" PRId64,
           a->peer.name, a->peer.services_failed, a->services_failed);
    reject(list, "R6-network",
           "the network of %s might be worse, but its usable channels are no fewer: %" PRId64
           ", here %" PRId64,
           a->peer.name, peer_usable(a), own_sound(a));
}

static void of_plane(const struct arbiter *a, const struct arbiter_transition *t, struct considerations *list)
{
    /* as lease_unconfirmed() has it */
    const bool none_held = a->address.state == HOLD_STATE_FAILED && a->address.held == 0;
    const bool some_missing = a->address.state == HOLD_STATE_FAILED && a->address.held > 0;
    const int64_t since = none_held || some_missing ? a->address.changed_ns : a->address.lease_ns;
    char span[LASTING_MAX];

    (void)t;
    reject(list, "R12-unconfirmed", "takeoverd might mend it, but it has not for %s, and %s can serve",
           lasting(a->now - MAX(a->renewed, since), span), a->peer.name);
}

static void of_order(const struct arbiter *a, const struct arbiter_transition *t, struct considerations *list)
{
    const char *because = peer_ineligible_because(a);

    (void)t;
    reject_hold(a, list);
    if (because)
        reject(list, "R13-refused", "%s; %s", because,
               a->order_force ? "but the order was forced" : "that came after the order was accepted");
    else
        reject(list, "R13-refused", "%s might be unable to serve, but it is heard, fit, and hears this node",
               a->peer.name);
}

static void of_stop(const struct arbiter *a, const struct arbiter_transition *t, struct considerations *list)
{
    const char *because = peer_ineligible_because(a);

    (void)t;
    if (because)
        reject(list, "R13-ordered", "the role might be handed over first, but %s", because);
}

static void of_isolation(const struct arbiter *a, const struct arbiter_transition *t,
                         struct considerations *list)
{
    int64_t heard = 0;
    char span[LASTING_MAX];

    (void)t;
    for (size_t i = 0; i < a->set.channel_count; i++)
        heard = MAX(heard, a->links[i].evidence_ns);
    reject(list, "R3-alone",
           "%s might be dead and this node well, but no channel works here either: the last sign on any came "
           "%s %s its last heartbeat",
           a->peer.name,
           lasting(heard > a->peer.heard_ns ? heard - a->peer.heard_ns : a->peer.heard_ns - heard, span),
           heard > a->peer.heard_ns ? "after" : "before");
}

static void of_denial(const struct arbiter *a, const struct arbiter_transition *t,
                      struct considerations *list)
{
    (void)t;
    reject(list, "R12-renewed", "this node might go on, but the witness has epoch %" PRId64 " of %s",
           a->witness.epoch, a->witness.holder);
}

static void of_higher_epoch(const struct arbiter *a, const struct arbiter_transition *t,
                            struct considerations *list)
{
    reject(list, "R12-renewed",
           "this node might go on, but it served under epoch %" PRId64 ", and %s serves under %" PRId64,
           t->epoch, a->peer.name, a->peer.epoch);
}

static void of_lapse(const struct arbiter *a, const struct arbiter_transition *t, struct considerations *list)
{
    (void)t;
    if (search_answered(a))
        reject(list, "R12-renewed",
               "the lease might be renewed, but an active address answers from elsewhere");
    else if (right_over(a))
        reject(list, "R12-renewed",
               "the lease might be renewed, but neither %s nor the witness has allowed it", a->peer.name);
    else
        reject(list, "R12-renewed",
               "the lease might be renewed, but nothing showed in time that %s has not begun to serve",
               a->peer.name);
}

static void of_failed_claim(const struct arbiter *a, const struct arbiter_transition *t,
                            struct considerations *list)
{
    char span[LASTING_MAX];

    (void)t;
    reject(list, "R2-confirmed", "takeoverd might need longer, but it was given %s",
           lasting(a->set.claim_time, span));
}

static const struct {
    const char *row;
    void (*fill)(const struct arbiter *a, const struct arbiter_transition *t, struct considerations *list);
} by_row[] = {
    {"R3-takeover", of_takeover},
    {"R2-vacancy", of_vacancy},
    {"R2-offered", of_offered},
    {"claim-ordered", of_order_to_claim},
    {"R1-resume", of_resume},
    {"R6-network", of_network},
    {"R7-service", of_service},
    {"R6-lease", of_plane},
    {"R6-addresses", of_plane},
    {"R13-ordered", of_order},
    {"R13-stop", of_stop},
    {"R8-isolated", of_isolation},
    {"R8-denied", of_denial},
    {"R9-yield", of_higher_epoch},
    {"R12-replaced", of_lapse},
    {"R12-lapsed", of_lapse},
    {"R2-unconfirmed", of_failed_claim},
};

void consider_rejected(const struct arbiter *a, const struct arbiter_transition *t,
                       struct considerations *rejected)
{
    rejected->count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(by_row); i++)
        if (strcmp(by_row[i].row, t->rule) == 0)
            by_row[i].fill(a, t, rejected);
}

bool consider_knows(const char *row)
{
    for (size_t i = 0; i < ARRAY_LENGTH(by_row); i++)
        if (strcmp(by_row[i].row, row) == 0)
            return true;
    return false;
}

/* ----------------------------------------------------- what presses, and is barred */

/* What keeps this node from a claim, whoever it is that does not serve; NULL: nothing that lasts. */
static const char *claim_bar(const struct arbiter *a, bool held)
{
    if (a->stopping)
        return "this node is being stopped";
    if (held)
        return "the operator's hold stands: `duet resume` ends it";
    if (search_answered(a))
        return peer_alive(a)
                   ? "an active address answers from the other node, which is heard, but without a lease"
                   : "an active address answers: the other node serves, and its heartbeats do not come";
    if (own_usable(a) == 0 && !peer_alive(a))
        return "no channel works here: the fault may be this node's own";
    if (!data_whole(a))
        return "the data of this node is not whole";
    if (a->now < a->no_claim_before)
        return "a claim failed here lately: the next one waits";
    if (!takeoverd_alive(a))
        return "takeoverd does not answer";
    if (a->disk.next_epoch <= highest_epoch(a))
        return "no epoch is durable for it: the disk takes none";
    return NULL;
}

/* … and as far as others have to do with it. */
static const char *third_party_bar(const struct arbiter *a, int64_t wait)
{
    if (!search_clear(a) || third_party_agrees(a, wait))
        return NULL;
    if (a->set.witness && witness_lost(a))
        return "the witness is not reached";
    return a->set.witness ? "the witness has not granted it" : "the fencing command has not succeeded";
}

static bool takeover_presses(const struct arbiter *a)
{
    const int64_t since = MAX(a->peer.backed_ns, a->peer.counting_since_ns);
    const bool claiming = peer_alive(a) && a->peer.phase == PHASE_CLAIMING;

    return a->phase == PHASE_PASSIVE && !(peer_linked(a) && !peer_serves(a)) && !claiming &&
           a->observed - since >= a->set.takeover_after;
}

static bool vacancy_presses(const struct arbiter *a)
{
    return a->unserved_since > 0 && a->now - a->unserved_since >= a->set.search_time + a->set.handover_time;
}

static const char *vacancy_bar(const struct arbiter *a)
{
    const char *bar = claim_bar(a, hold_bars_claim(a));

    if (bar)
        return bar;
    if (!peer_alive(a) && data_stale(a))
        return "the other node may have newer data: stale-start-wait is not over";
    return third_party_bar(a, 0);
}

static const char *takeover_bar(const struct arbiter *a)
{
    const char *bar = claim_bar(a, a->held);

    return bar ? bar : third_party_bar(a, a->set.takeover_after);
}

/* What keeps an active node from offering the role. */
static const char *offer_bar(const struct arbiter *a)
{
    if (a->held)
        return "the operator's hold stands: `duet resume` ends it";
    if (a->lapsed > 0)
        return "this node's lease has just lapsed";
    if (a->now < a->no_offer_before)
        return "the peer did not take an offer lately: the next one waits";
    return peer_ineligible_because(a);
}

static const char *network_bar(const struct arbiter *a)
{
    if (peer_usable(a) <= own_sound(a))
        return peer_alive(a) ? "the peer has no more usable channels" : "the peer is not heard";
    return offer_bar(a);
}

static const char *service_bar(const struct arbiter *a)
{
    const char *bar = offer_bar(a);

    if (bar)
        return bar;
    if (a->peer.services_failed >= a->services_failed)
        return "as many services are down on the peer";
    return peer_usable(a) < own_sound(a) ? "the peer has fewer usable channels" : NULL;
}

static const char *addresses_bar(const struct arbiter *a)
{
    const char *bar = offer_bar(a);

    return bar || peer_usable(a) >= own_sound(a) ? bar : "the peer has fewer usable channels";
}

void consider_barred(const struct arbiter *a, struct considerations *barred)
{
    const bool active = a->phase == PHASE_ACTIVE;
    const struct {
        const char *row;
        bool presses;
        const char *(*bar)(const struct arbiter *a);
    } occasions[] = {
        {"R6-network", active && network_fault(a), network_bar},
        {"R6-addresses", active && a->address.state == HOLD_STATE_FAILED && a->address.held > 0,
         addresses_bar},
        {"R7-service", active && a->services_failed > 0, service_bar},
        {"R3-takeover", takeover_presses(a), takeover_bar},
        {"R2-vacancy", vacancy_presses(a), vacancy_bar},
    };

    barred->count = 0;
    for (size_t i = 0; a->loaded && i < ARRAY_LENGTH(occasions); i++) {
        const char *bar = occasions[i].presses ? occasions[i].bar(a) : NULL;
        if (bar)
            reject(barred, occasions[i].row, "not now: %s", bar);
    }
}
