#include "arbiterd/handover.h"

#include "arbiterd/judge.h"

static bool offer_can_be_taken(const struct arbiter *a)
{
    const bool may_be_unfit = a->order_force || a->offering_for == TROUBLE_LEASE;

    return peer_able(a) && (may_be_unfit || !a->peer.unfit);
}

static bool peer_considered_offer(const struct arbiter *a)
{
    return peer_linked(a) && a->peer.considered == a->change && a->peer.prefers == PREFERS_SELF &&
           a->peer.released && offer_can_be_taken(a);
}

/* Services that may not run twice go first, and what they wrote last has to arrive. */
bool must_yield(const struct arbiter *a)
{
    return a->set.exclusive && a->yielding == 0 && peer_considered_offer(a);
}

static bool nothing_exclusive_left(const struct arbiter *a)
{
    return !a->set.exclusive || (a->exclusive_at_rest > 0 && data_drained(a, a->exclusive_at_rest));
}

/* The answers can be shut without the addresses: the gate stands, takeoverd keeps the lease, and the peer's
 * version claims although this node is still there. */
bool may_go_quiet(const struct arbiter *a)
{
    return a->address.gate == GATE_CONDITION_ON && a->address.state == HOLD_STATE_HOLDING &&
           a->address.lease_ns > a->now && !a->lapsed && a->peer.takes_silent;
}

bool offer_considered(const struct arbiter *a)
{
    return a->quiet == 0 && may_go_quiet(a) && nothing_exclusive_left(a) && peer_considered_offer(a);
}

/* Where that is not so, or takeoverd does not confirm it, the addresses go first. */
bool offer_considered_without_quiet(const struct arbiter *a)
{
    const bool waited = a->quiet > 0 && !a->silent && a->now - a->quiet >= a->set.address_lease;

    return (waited || (a->quiet == 0 && !may_go_quiet(a))) && nothing_exclusive_left(a) &&
           peer_considered_offer(a);
}

/* It serves under an epoch above, and has for so long that its neighbours know. */
bool offer_taken(const struct arbiter *a)
{
    return a->silent && peer_linked(a) && a->peer.phase == PHASE_ACTIVE && a->peer.epoch > a->epoch &&
           a->observed - a->peer.phase_since_ns >= a->set.linger;
}

static bool offer_is_being_taken(const struct arbiter *a)
{
    return a->silent && peer_linked(a) && phase_serves(a->peer.phase) && a->peer.epoch > a->epoch;
}

static bool offer_time_over(const struct arbiter *a)
{
    const int64_t stopping = a->yielding > 0 ? a->set.exclusive_stop : 0;

    return a->now - MAX(a->phase_since, a->quiet) >= a->set.handover_time + stopping;
}

bool offer_fails(const struct arbiter *a)
{
    return !offer_is_being_taken(a) && (!offer_can_be_taken(a) || offer_time_over(a));
}

/* The answers are shut: the peer may be claiming at this moment. */
bool offer_fails_in_quiet(const struct arbiter *a)
{
    return a->quiet > 0 && offer_fails(a);
}

bool offer_fails_and_stopping(const struct arbiter *a)
{
    return a->stopping && offer_fails(a);
}
