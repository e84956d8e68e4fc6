/* faults: why an active node offers the role without an order, or makes ready to (R6, R7): the conditions of
 * those rows. */
#pragma once
#include "arbiterd/decide.h"

bool quiet_in_hope(
    const struct arbiter *a); /* a carrier is lost, and the peer may hear better: the answers can be shut */
bool quiet_in_vain(const struct arbiter *a); /* … were, and nothing better was heard of the peer */
bool peer_sees_more_network(const struct arbiter *a);
bool lease_unconfirmed(const struct arbiter *a);
bool lease_unconfirmed_and_peer_can(const struct arbiter *a);
bool addresses_missing_and_peer_can(const struct arbiter *a);
bool peer_has_more_services(const struct arbiter *a);
