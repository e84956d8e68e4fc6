#include "arbiterd/faults.h"

#include "arbiterd/handover.h"
#include "arbiterd/judge.h"

static bool may_offer_at_all(const struct arbiter *a)
{
    return !a->lapsed && !a->held && a->now >= a->no_offer_before;
}

static bool may_offer(const struct arbiter *a)
{
    return may_offer_at_all(a) && peer_eligible(a);
}

/* Where the carrier is lost there is nothing to wait for. A silent router may just have come back, and the
 * peer heard it first: this node's own quick probes get their chance. */
bool peer_sees_more_network(const struct arbiter *a)
{
    const bool certain = carrier_lost_to_peer(a) || a->now - a->peer_ahead_since >= a->set.evidence_wait;

    return may_offer(a) && a->peer_ahead_since > 0 && certain;
}

/* No answer of the peer's to this fault can be here yet. Meanwhile this node may as well shut its answers,
 * which have to be shut before the peer claims; it tells nobody, so it may open them again as it likes. */
bool quiet_in_hope(const struct arbiter *a)
{
    return a->quiet == 0 && a->now >= a->no_quiet_before && !a->set.exclusive && may_offer(a) &&
           may_go_quiet(a) && carrier_lost_in_hope(a);
}

/* Long before the peer could take the quiet for an end (R3). */
bool quiet_in_vain(const struct arbiter *a)
{
    const int64_t most = MIN(a->set.evidence_wait, a->set.takeover_after / 2);

    return a->quiet > 0 && (!may_offer(a) || !carrier_lost_in_hope(a) || a->now - a->quiet >= most);
}

/* takeoverd confirms no lease, or holds nothing under it; it had its time. After a renewal that time is
 * short: the peer, which has just considered it, waits no longer than takeover-after for a lease that stands
 * (R3). */
bool lease_unconfirmed(const struct arbiter *a)
{
    const int64_t wait = MIN(a->set.address_lease, a->set.takeover_after - a->set.heartbeat_interval);
    const bool none_held = a->address.state == HOLD_STATE_FAILED && a->address.held == 0;
    const int64_t last_good = none_held ? a->address.changed_ns : a->address.lease_ns;

    return !a->lapsed && a->now > MAX(last_good + a->set.address_lease, a->renewed + wait);
}

/* The others still serve. */
static bool some_addresses_missing(const struct arbiter *a)
{
    return a->address.state == HOLD_STATE_FAILED && a->address.held > 0 &&
           a->now - a->address.changed_ns >= a->set.claim_time;
}

bool addresses_missing_and_peer_can(const struct arbiter *a)
{
    return some_addresses_missing(a) && may_offer(a) && peer_usable(a) >= own_sound(a);
}

bool lease_unconfirmed_and_peer_can(const struct arbiter *a)
{
    /* Even to an unfit one: here nothing is known to be served at all. */
    return lease_unconfirmed(a) && may_offer_at_all(a) && peer_able(a) && peer_usable(a) > 0;
}

bool peer_has_more_services(const struct arbiter *a)
{
    return a->services_failed > 0 && may_offer(a) && peer_usable(a) >= own_sound(a) &&
           a->peer.services_failed < a->services_failed;
}
