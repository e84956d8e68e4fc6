/* handover: how far an offer has come (R13). The conditions of the rows that are asked in phase offering.
 *
 * A handover makes before it breaks. The peer considers the offer; services that may not run twice end, and
 * what they wrote arrives; then this node goes quiet: its gate answers for no active address any more, and
 * still takes traffic for them. The peer claims, announces, and shows itself active; linger later this node
 * lets all go. Where the answers cannot be shut by themselves, the addresses go before the peer claims.
 *
 * Who lost a carrier is quiet before it offers: while the peer's newer evidence is on its way, there is time
 * for that. */
#pragma once
#include "arbiterd/decide.h"

bool may_go_quiet(const struct arbiter *a);     /* the answers can be shut by themselves */
bool must_yield(const struct arbiter *a);       /* exclusive services are still to be told to end */
bool offer_considered(const struct arbiter *a); /* … by the peer, and this node may go quiet */
bool offer_considered_without_quiet(const struct arbiter *a); /* … and it may not, or that did not work */
bool offer_taken(const struct arbiter *a);                    /* the peer has served for linger */
bool offer_fails(const struct arbiter *a);                    /* the peer cannot, or did not in time */
bool offer_fails_in_quiet(const struct arbiter *a); /* … and it may just be claiming: it has to be asked */
bool offer_fails_and_stopping(const struct arbiter *a);
