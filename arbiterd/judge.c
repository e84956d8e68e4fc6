#include "arbiterd/judge.h"

#include <string.h>

#include "arbiterd/right.h"

bool phase_serves(enum phase phase)
{
    return phase == PHASE_CLAIMING || phase == PHASE_ACTIVE || phase == PHASE_OFFERING;
}

/* ---------------------------------------------------------------- the peer */

static bool heard_lately(const struct arbiter *a, int64_t at)
{
    return at > 0 && a->observed - at < a->set.takeover_after;
}

bool peer_alive(const struct arbiter *a)
{
    return heard_lately(a, a->peer.heard_ns);
}

bool peer_linked(const struct arbiter *a)
{
    return heard_lately(a, a->peer.linked_ns);
}

bool peer_gives(const struct arbiter *a)
{
    return peer_linked(a) && a->peer.phase == PHASE_OFFERING && a->peer.silent;
}

bool peer_serves(const struct arbiter *a)
{
    const bool still_holds = a->peer.phase == PHASE_RELEASING && !a->peer.released && a->peer.lease_us > 0;

    return peer_alive(a) && !peer_gives(a) && (phase_serves(a->peer.phase) || still_holds);
}

bool peer_arbiter_alive(const struct arbiter *a)
{
    return peer_alive(a) && a->peer.arbiter_age_us * NS_PER_US < a->set.address_lease;
}

static const char *peer_unable_because(const struct arbiter *a)
{
    if (!peer_alive(a))
        return "the peer is not heard";
    if (!peer_linked(a))
        return "the peer does not hear this node";
    if (!peer_arbiter_alive(a))
        return "the peer's arbiterd does not answer";
    if (!a->peer.whole)
        return "the peer's data is not whole";
    if (a->peer.next_epoch <= a->epoch)
        return "the peer has no epoch ready, or may not claim now";
    return NULL;
}

const char *peer_ineligible_because(const struct arbiter *a)
{
    const char *because = peer_unable_because(a);

    if (!because && a->peer.unfit)
        because = "the peer is unfit";
    if (!because && !a->peer.released)
        because = "the peer's takeoverd has not confirmed that it holds no address";
    return because;
}

bool peer_able(const struct arbiter *a)
{
    return peer_unable_because(a) == NULL;
}

bool peer_eligible(const struct arbiter *a)
{
    return peer_ineligible_because(a) == NULL;
}

bool takeoverd_alive(const struct arbiter *a)
{
    return a->address_heard > 0 && a->now - a->address_heard < 3 * NS_PER_S; /* it speaks once a second */
}

/* ------------------------------------------------- services and the watchdog */

int64_t services_doubtful(const struct arbiter *a)
{
    return a->services_failed + (phase_serves(a->phase) ? 0 : a->services_unheard);
}

bool watchdog_missing(const struct arbiter *a)
{
    return a->set.watchdog_required && !a->watchdog_armed;
}

bool watchdog_awaited(const struct arbiter *a)
{
    return watchdog_missing(a) && !a->watchdog_heard && a->now - a->started < a->set.claim_time;
}

const char *unfit_because(const struct arbiter *a)
{
    if (a->trouble != TROUBLE_NONE)
        return trouble_text(a->trouble);
    return watchdog_missing(a) ? "the watchdog is not armed" : NULL;
}

/* ------------------------------------------------------------- the data (R14) */

/* What serves is the data. A pair that never had an active node has nothing that could be missing; nor have
 * two nodes of which neither ever held any data of the sets. */
bool data_whole(const struct arbiter *a)
{
    /* By the word of its arbiter, which has heard of its syncd: before, nobody there knows of the data, and
     * that arbiter prefers nobody. */
    const bool peer_knows = peer_linked(a) && peer_arbiter_alive(a) && a->peer.prefers != PREFERS_NONE;
    const bool none_anywhere = peer_knows && !a->peer.whole && a->data_epoch == 0 && a->peer.data_epoch == 0;

    return a->set.sync_sets == 0 || a->data_whole || phase_serves(a->phase) ||
           MAX(highest_epoch(a), a->disk.epoch) == 0 || none_anywhere;
}

/* It has not seen all that was changed under the last epoch that it knows of. */
bool data_stale(const struct arbiter *a)
{
    return a->set.sync_sets > 0 && a->data_epoch < MAX(highest_epoch(a), a->disk.epoch);
}

/* Just started: syncd will tell in a moment. */
bool data_awaited(const struct arbiter *a)
{
    return a->set.sync_sets > 0 && !a->data_heard && a->now - a->started < a->set.claim_time;
}

/* What this node had changed when it was ordered is at the peer: syncd has looked for it since then, and what
 * still waits is younger. A service that never stops writing must not hold the handover up. */
static bool data_arrived(const struct arbiter *a, int64_t since)
{
    return a->data_looked >= since && a->data_connected && (a->data_current || a->data_behind_since > since);
}

/* … or it cannot be brought there, and the order was forced. */
bool data_drained(const struct arbiter *a, int64_t since)
{
    return a->set.sync_sets == 0 || data_arrived(a, since) || (a->order_force && !a->data_connected) ||
           a->now - since >= a->set.handover_time / 2;
}

/* -------------------------------------------------------------- the network */

int64_t own_usable(const struct arbiter *a)
{
    int64_t count = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        count += a->links[i].usable;
    return count;
}

/* By the peer's last word, however old its evidence is. NULL: it has no such channel, or not usable. */
static const struct channel_fitness *peer_channel(const struct arbiter *a, size_t channel)
{
    for (size_t i = 0; i < a->peer.channels_count; i++)
        if (strcmp(a->peer.channels[i].name, a->set.channels[channel]) == 0)
            return a->peer.channels[i].usable ? &a->peer.channels[i] : NULL;
    return NULL;
}

static bool peer_channel_usable(const struct arbiter *a, size_t channel)
{
    const struct link_message *own = &a->links[channel];
    const struct channel_fitness *theirs = peer_channel(a, channel);

    return theirs && (own->usable || theirs->evidence_ns > own->fault_ns);
}

int64_t peer_usable(const struct arbiter *a)
{
    int64_t count = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        count += peer_channel_usable(a, i);
    return count;
}

/* Not usable, and looked at: a listener that has just started knows no faults. */
static bool channel_faulty(const struct arbiter *a, size_t channel)
{
    return !a->links[channel].usable && a->links[channel].fault_ns > 0;
}

int64_t own_sound(const struct arbiter *a)
{
    int64_t count = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        count += !channel_faulty(a, i);
    return count;
}

bool network_fault(const struct arbiter *a)
{
    return own_sound(a) < (int64_t)a->set.channel_count;
}

bool carrier_lost_to_peer(const struct arbiter *a)
{
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (channel_faulty(a, i) && !a->links[i].carrier && peer_channel_usable(a, i))
            return true;
    return false;
}

bool carrier_lost_in_hope(const struct arbiter *a)
{
    int64_t hoped = 0;
    bool lost = false;

    for (size_t i = 0; i < a->set.channel_count; i++) {
        const bool theirs = peer_channel(a, i) != NULL;
        hoped += theirs;
        lost = lost || (theirs && channel_faulty(a, i) && !a->links[i].carrier);
    }
    return lost && hoped > own_sound(a);
}

bool channels_known(const struct arbiter *a)
{
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (!a->links[i].usable && a->links[i].fault_ns == 0 && a->observed - a->started < a->set.search_time)
            return false;
    return true;
}

bool search_answered(const struct arbiter *a)
{
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (a->searches[i].state == SEARCH_STATE_ANSWERED)
            return true;
    return false;
}

/* A channel that works and can be searched must have a verdict: "not asked yet" is not "silent". */
bool search_clear(const struct arbiter *a)
{
    for (size_t i = 0; i < a->set.channel_count; i++) {
        const enum search_state state = a->searches[i].state;
        const bool not_asked = state == SEARCH_STATE_IDLE && a->set.searched[i] && a->links[i].usable;
        if (not_asked || state == SEARCH_STATE_ANSWERED || state == SEARCH_STATE_ASKING)
            return false;
    }
    return true;
}

bool search_unanswered_since(const struct arbiter *a, int64_t since)
{
    bool asked = false;

    for (size_t i = 0; i < a->set.channel_count; i++)
        asked =
            asked || (a->searches[i].state == SEARCH_STATE_SILENT && a->searches[i].unanswered_ns > since);
    return asked && search_clear(a);
}

int64_t search_clear_since(const struct arbiter *a)
{
    int64_t since = 0;

    for (size_t i = 0; i < a->set.channel_count; i++) {
        const struct search_message *s = &a->searches[i];
        if (s->state == SEARCH_STATE_SILENT)
            since = MAX(since, s->silent_since_ns);
        since = MAX(since, s->answered_ns);
    }
    return since;
}

/* ------------------------------------------------------------- claims (R2) */

int64_t highest_epoch(const struct arbiter *a)
{
    return MAX(a->epoch, a->peer.epoch);
}

bool role_vacant(const struct arbiter *a)
{
    return !peer_serves(a) && !search_answered(a);
}

/* The longer one in its state; less than a heartbeat apart counts as equal, since ages travel with that
 * error. */
static int order_of_age(const struct arbiter *a)
{
    const int64_t older_by = a->peer.phase_since_ns - a->phase_since;

    if (older_by > -a->set.heartbeat_interval && older_by < a->set.heartbeat_interval)
        return 0;
    return older_by > 0 ? 1 : -1;
}

/* > 0 if `own` is greater, < 0 if `theirs` is. */
static int order_of(int64_t own, int64_t theirs)
{
    return (own > theirs) - (own < theirs);
}

/* Shown to the peer by a next epoch of 0. That an epoch is just being written is no bar: it takes
 * milliseconds. */
bool claim_barred(const struct arbiter *a)
{
    return a->now < a->no_claim_before || !takeoverd_alive(a);
}

/* Better is, in this order: not held, data whole, newer data, not barred from claiming, fitter, longer in
 * this state, the name (R2). */
enum rank deciding_rank(const struct arbiter *a, bool *self)
{
    const struct peer_message *p = &a->peer;
    const int orders[] = {
        [RANK_HOLD] = order_of(p->held, a->held),
        [RANK_WHOLE] = order_of(data_whole(a), p->whole),
        [RANK_DATA_EPOCH] = a->set.sync_sets > 0 ? order_of(a->data_epoch, p->data_epoch) : 0,
        [RANK_DATA_GENERATION] = a->set.sync_sets > 0 ? order_of(a->data_generation, p->data_generation) : 0,
        [RANK_BARRED] = order_of(!claim_barred(a), p->next_epoch > 0),
        [RANK_FIT] = order_of(p->unfit, unfit_because(a) != NULL),
        [RANK_CHANNELS] = order_of(own_usable(a), peer_usable(a)),
        [RANK_SERVICES] = order_of(p->services_failed, services_doubtful(a)),
        [RANK_AGE] = order_of_age(a),
        [RANK_NAME] = a->set.sorts_first ? 1 : -1,
    };
    enum rank rank = RANK_HOLD;

    while (orders[rank] == 0)
        rank++;
    *self = orders[rank] > 0;
    return rank;
}

bool self_preferred(const struct arbiter *a)
{
    bool self;

    if (a->stopping || a->offer != OFFER_NONE || !takeoverd_alive(a))
        return false;
    if (a->peer.offer != OFFER_NONE)
        return true;
    deciding_rank(a, &self);
    return self;
}

bool can_claim(const struct arbiter *a)
{
    return !a->stopping && !claim_barred(a) && !watchdog_awaited(a) && !data_awaited(a) &&
           a->disk.next_epoch > highest_epoch(a);
}

/* Not on an old report: after a stall of this arbiter, newer ones wait to be read, and may say that somebody
 * serves. */
bool reports_are_fresh(const struct arbiter *a)
{
    return a->observed >= a->woke && a->now - a->observed < a->set.heartbeat_interval / 2;
}

bool hold_bars_claim(const struct arbiter *a)
{
    /* Who was active last, and nobody after it, may serve again: after a power cut of both, or a lapse (R15).
     */
    return a->held && !a->disk.was_active && a->peer.offer == OFFER_NONE;
}

/* The peer's arbiter has seen that this node prefers itself, and stands back. */
static bool peer_agrees(const struct arbiter *a)
{
    if (a->prefers != PREFERS_SELF)
        return false;
    if (peer_gives(a)) /* it serves again only when this node has considered that (R13-recalled) */
        return true;
    if (a->peer.considered != a->change)
        return false;
    return a->peer.prefers == PREFERS_PEER || (a->peer.prefers == PREFERS_SELF && a->set.sorts_first);
}

/* Nobody claimed although somebody should have: the wait that breaks the deadlock, not the same on both
 * sides. A peer that says that it cannot claim is not waited for. */
static int64_t patience(const struct arbiter *a)
{
    if (a->peer.next_epoch == 0 || !peer_arbiter_alive(a))
        return a->set.search_time;
    return a->set.search_time + a->set.handover_time * (a->set.sorts_first ? 1 : 2);
}

/* Its takeoverd confirmed that; or its lease ran out, and since then the search went unanswered for as long
 * as a takeover takes (R2). */
static bool peer_holds_nothing(const struct arbiter *a)
{
    const int64_t since = MAX(MAX(a->peer_changed, search_clear_since(a)), a->peer.counting_since_ns);

    return a->peer.released || peer_gives(a) ||
           (a->peer.lease_us == 0 && search_unanswered_since(a, since) &&
            a->observed - since >= a->set.takeover_after);
}

static bool vacancy_bars_claim(const struct arbiter *a)
{
    return !data_whole(a) || !can_claim(a) || hold_bars_claim(a) || peer_serves(a);
}

/* The two agree: no wait is needed. */
static bool vacancy_agreed(const struct arbiter *a)
{
    return !vacancy_bars_claim(a) && peer_linked(a) && peer_holds_nothing(a) && peer_agrees(a);
}

/* Nobody served for so long that the other one would have. */
static bool vacancy_lasts(const struct arbiter *a)
{
    const int64_t vacant_for = a->vacant_since > 0 ? a->observed - a->vacant_since : 0;

    if (vacancy_bars_claim(a) || !role_vacant(a) || !search_clear(a))
        return false;
    if (peer_alive(a))
        return vacant_for >= patience(a);
    /* Two that start at once, and do not hear each other, must not claim at once: the later one's search
     * finds the first one. */
    const int64_t apart = a->set.sorts_first ? 0 : a->set.heartbeat_interval;
    if (data_stale(a) && vacant_for < a->set.stale_start_wait)
        return false;
    return own_usable(a) > 0 && vacant_for >= a->set.search_time + apart;
}

bool patience_is_out(const struct arbiter *a)
{
    return a->set.witness && !witness_lost(a) && peer_alive(a) && vacancy_lasts(a);
}

/* Where the two do not agree. The peer may claim in the very moment in which it is heard no more, and what
 * was heard of it just before says nothing of that: with a witness, only the witness tells (R8). */
static bool vacancy_decided(const struct arbiter *a)
{
    if (!vacancy_lasts(a))
        return false;
    return a->set.witness && peer_alive(a) ? witness_granted(a) : third_party_agrees(a, patience(a));
}

bool vacancy_due(const struct arbiter *a)
{
    return reports_are_fresh(a) && ((vacancy_agreed(a) && third_party_agrees(a, 0)) || vacancy_decided(a));
}

/* ------------------------------------------------------------ takeover (R3) */

/* All of takeover_due() but fresh reports, and the word of a third party. */
static bool takeover_ripe(const struct arbiter *a)
{
    const bool peer_is_claiming = peer_alive(a) && a->peer.phase == PHASE_CLAIMING &&
                                  a->observed - a->peer.phase_since_ns < a->set.claim_time;
    const bool peer_has_none = peer_linked(a) && !peer_serves(a); /* that is a vacancy: R2 */
    int64_t since = MAX(a->peer.backed_ns, a->peer.counting_since_ns);

    since = MAX(since, search_clear_since(a));
    since = MAX(since, a->phase_since);
    since = MAX(since, a->peer_changed); /* it counts on that when it renews a lapsed lease (R12) */
    if (!data_whole(a))
        return false;
    return can_claim(a) && !a->held && !peer_is_claiming && !peer_has_none && search_clear(a) &&
           own_usable(a) > 0 && a->observed - since >= a->set.takeover_after;
}

bool takeover_due(const struct arbiter *a)
{
    return reports_are_fresh(a) && takeover_ripe(a) && third_party_agrees(a, a->set.takeover_after);
}

bool claim_is_ripe(const struct arbiter *a)
{
    return vacancy_agreed(a) || vacancy_lasts(a) || (a->phase == PHASE_PASSIVE && takeover_ripe(a));
}

/* ----------------------------------------------------------- isolation (R8) */

/* When something besides the peer was last heard on a channel. */
static int64_t network_heard(const struct arbiter *a)
{
    int64_t heard = 0;

    for (size_t i = 0; i < a->set.channel_count; i++)
        heard = MAX(heard, a->links[i].evidence_ns);
    return heard;
}

bool is_cut_off(const struct arbiter *a)
{
    const int64_t apart = network_heard(a) - a->peer.heard_ns;
    const int64_t most = a->set.isolation_after + a->set.router_interval; /* a router speaks when asked */

    /* Where there is a witness, it tells who is cut off. */
    if (a->set.witness || !a->set.routers || a->peer.heard_ns == 0 || peer_alive(a) || own_sound(a) > 0)
        return false;
    return apart <= most && apart >= -most;
}
