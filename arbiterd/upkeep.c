#include "arbiterd/upkeep.h"

#include "arbiterd/judge.h"
#include "arbiterd/right.h"

/* Just started: its own daemons will tell in a moment how fit it is. A word before that would decide the
 * contest without them. An offer is taken as it comes. */
static bool is_awaiting(const struct arbiter *a)
{
    return a->peer.offer == OFFER_NONE && (watchdog_awaited(a) || data_awaited(a));
}

static void update_preference(struct arbiter *a)
{
    if (phase_serves(a->phase) && a->phase != PHASE_OFFERING)
        a->prefers = PREFERS_SELF;
    else if (a->offer != OFFER_NONE)
        a->prefers = PREFERS_PEER;
    else if (!peer_linked(a) || !channels_known(a) || is_awaiting(a) || patience_is_out(a))
        a->prefers = PREFERS_NONE;
    else
        a->prefers = self_preferred(a) ? PREFERS_SELF : PREFERS_PEER;
}

/* Since when nobody serves, counted only while that can be known, and while this node could do something
 * about it: the waits of R2 keep the two nodes apart, so both must begin when the bar falls. */
static void update_vacancy(struct arbiter *a)
{
    const bool known = peer_alive(a) || own_usable(a) > 0;
    const bool own = phase_serves(a->phase) || a->phase == PHASE_RELEASING;

    if (own || !role_vacant(a))
        a->unserved_since = 0;
    else if (a->unserved_since == 0)
        a->unserved_since = a->now;

    if (own || !known || !role_vacant(a) || !can_claim(a) || hold_bars_claim(a))
        a->vacant_since = 0;
    else if (a->vacant_since == 0)
        a->vacant_since = a->observed;
    if (a->vacant_since > 0)
        a->vacant_since = MAX(a->vacant_since, a->peer.counting_since_ns);
}

static void update_offer(struct arbiter *a)
{
    const bool over = peer_serves(a) || a->now - a->phase_since >= a->set.handover_time;

    if (a->phase == PHASE_PASSIVE && a->offer != OFFER_NONE && over) {
        a->offer = OFFER_NONE;
        a->order_force = false;
        if (!peer_serves(a)) /* nobody took it: not at once again, should this node serve anew */
            a->no_offer_before = a->now + a->set.handover_time + a->set.settle_time;
    }
    if (a->order != ORDER_NONE && a->order != ORDER_STOP && a->now - a->ordered >= a->set.handover_time)
        a->order = ORDER_NONE; /* an order is meant now, not later */
}

static void update_network(struct arbiter *a)
{
    if (!network_fault(a) || peer_usable(a) <= own_sound(a))
        a->peer_ahead_since = 0;
    else if (a->peer_ahead_since == 0)
        a->peer_ahead_since = a->now;
}

static void update_trouble(struct arbiter *a)
{
    const bool there = (a->trouble == TROUBLE_NETWORK && network_fault(a)) ||
                       (a->trouble == TROUBLE_SERVICE && a->services_failed > 0);

    /* Gone by being passive, and not for the first time: that is no cure. Without this, a router that hears
     * only the active address would send the role to and fro for ever. */
    if (a->trouble == TROUBLE_NETWORK && !there && a->phase == PHASE_PASSIVE && a->trouble_gone == 0 &&
        a->gave_up_repeats > 0 && a->now - a->gave_up < 2 * a->set.search_time && peer_serves(a))
        a->trouble_sticky = true;
    if (a->trouble == TROUBLE_NONE || there)
        a->trouble_gone = 0;
    else if (a->trouble_gone == 0)
        a->trouble_gone = a->now;
}

static void update_release(struct arbiter *a)
{
    if (!phase_serves(a->phase))
        a->released = a->address_heard > 0 && a->address.state == HOLD_STATE_RELEASED &&
                      a->address.change >= MAX(a->release_change, a->change);
    if (a->released || phase_serves(a->phase) || a->address_heard == 0)
        a->unreleased_since = 0;
    else if (a->unreleased_since == 0)
        a->unreleased_since = a->now;
}

/* Offering: what superviserd and takeoverd have brought about of it. */
static void update_giving(struct arbiter *a)
{
    if (a->phase != PHASE_OFFERING) {
        /* After a recall the peer may serve: until that is known, what may not run twice stays down. */
        if (a->phase != PHASE_ACTIVE || a->lapsed == 0)
            a->yielding = 0;
        if (a->phase != PHASE_ACTIVE)
            a->quiet = 0;
        a->exclusive_at_rest = 0;
        a->silent = false;
        return;
    }
    if (a->yielding == 0 || a->exclusive_up)
        a->exclusive_at_rest = 0;
    else if (a->exclusive_at_rest == 0)
        a->exclusive_at_rest = a->now;
    a->silent = a->quiet > 0 && a->address.silent && a->address.change >= a->quiet_change &&
                a->address.lease_ns > a->now;
}

static void update_hold(struct arbiter *a)
{
    const struct peer_message *p = &a->peer;
    const bool newer = p->hold_version > a->hold_version_wanted ||
                       (p->hold_version == a->hold_version_wanted && p->held && !a->hold_wanted);

    if (p->linked_ns > 0 && newer) {
        a->hold_wanted = p->held;
        a->hold_version_wanted = p->hold_version;
        a->hold_until_wanted = p->held && p->hold_left_ms > 0 ? a->now + p->hold_left_ms * NS_PER_MS : 0;
    }
    if (a->hold_wanted && a->hold_until_wanted > 0 && a->now >= a->hold_until_wanted) {
        a->hold_wanted = false;
        a->hold_version_wanted++;
        a->hold_until_wanted = 0;
    }
}

void upkeep_all(struct arbiter *a)
{
    right_upkeep(a);
    update_release(a);
    update_giving(a);
    update_offer(a);
    update_network(a);
    update_trouble(a);
    update_hold(a);
    update_vacancy(a);
    update_preference(a);
}

/* An own lease that ended before anything renewed it: from here on it is not renewed unless somebody vouches
 * that nobody else serves (R12). */
void upkeep_notice_lapse(struct arbiter *a)
{
    if (phase_serves(a->phase) && a->lapsed == 0 && a->lease > 0 && a->now >= a->lease)
        a->lapsed = a->now;
}

void upkeep_lease(struct arbiter *a)
{
    const int64_t ends = MIN(a->observed + a->set.address_lease, right_ends(a));

    if (phase_serves(a->phase) && a->lapsed == 0 && ends > a->now)
        a->lease = MAX(a->lease, ends);
}

int64_t epoch_above(bool first_named, int64_t epoch)
{
    const int64_t next = epoch + 1;

    return (next % 2 == 1) == first_named ? next : next + 1;
}

/* What ought to be on the disk now (R11, R15). */
static struct arbiter_durable durable_wanted(const struct arbiter *a)
{
    const int64_t known = highest_epoch(a);
    struct arbiter_durable wanted = {
        .epoch = MAX(known, a->disk.epoch),
        .next_epoch = a->disk.next_epoch,
        .was_active =
            phase_serves(a->phase) || (a->disk.was_active && !(peer_serves(a) && a->peer.epoch >= a->epoch)),
        .held = a->hold_wanted,
        .hold_version = a->hold_version_wanted,
        .hold_left_ns = a->hold_until_wanted > 0 ? MAX(a->hold_until_wanted - a->now, 1) : 0,
        .data_whole = a->data_whole,
        .data_epoch = a->data_epoch,
    };

    if (wanted.next_epoch <= known)
        wanted.next_epoch = epoch_above(a->set.first_named, MAX(known, a->spent_epoch));
    return wanted;
}

static bool durable_differs(const struct arbiter_durable *a, const struct arbiter_durable *b)
{
    return a->epoch != b->epoch || a->next_epoch != b->next_epoch || a->was_active != b->was_active ||
           a->held != b->held || a->hold_version != b->hold_version || a->data_whole != b->data_whole ||
           a->data_epoch != b->data_epoch;
}

void upkeep_save(struct arbiter *a, struct arbiter_effects *effects)
{
    if (!a->loaded || a->save_pending)
        return;
    const struct arbiter_durable wanted = durable_wanted(a);
    if (!durable_differs(&wanted, &a->disk))
        return;
    a->saving = wanted;
    a->save_pending = true;
    effects->save = true;
    effects->durable = wanted;
}
