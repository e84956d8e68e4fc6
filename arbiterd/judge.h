/* judge: the words in which the rows of decide.c are written. Each is a plain question about the arbiter's
 * state. */
#pragma once
#include "arbiterd/decide.h"

bool phase_serves(enum phase phase); /* claiming, active, offering: the role is active */

/* The peer. */
bool peer_alive(const struct arbiter *a); /* a heartbeat within takeover-after of the last look */
bool peer_linked(
    const struct arbiter *a); /* alive, and it echoes this node's session: it may be believed (R5) */
/* It offered the role and answers for the addresses no longer: it takes traffic until this node serves. */
bool peer_gives(const struct arbiter *a);

bool peer_serves(
    const struct arbiter *a); /* alive and claiming, active or offering, or not yet off the addresses */
bool peer_arbiter_alive(const struct arbiter *a);
bool peer_able(const struct arbiter *a); /* it could take the role, fit or not */
bool peer_eligible(
    const struct arbiter *a); /* it may be offered the role: able, fit, and free of active addresses */
const char *peer_ineligible_because(const struct arbiter *a); /* NULL: it is eligible */

bool takeoverd_alive(const struct arbiter *a);

/* Services that cannot be counted on here, as the peer is to see it. One that had failed before this node was
 * restarted is known to superviserd alone: until that has spoken, a node that does not serve counts them as
 * failed, or the role would be handed to it for a service that fails there as well (R7). */
int64_t services_doubtful(const struct arbiter *a);

/* The data (R14). */
bool data_whole(const struct arbiter *arbiter);
bool data_stale(const struct arbiter *arbiter);
bool data_awaited(const struct arbiter *arbiter);
/* Whether what had changed by `since` is at the peer; or it cannot be brought there, or took too long. */
bool data_drained(const struct arbiter *arbiter, int64_t since);

/* The watchdog, where the configuration requires one. */
bool watchdog_missing(const struct arbiter *a); /* it is not armed, as far as superviserd has said */
bool watchdog_awaited(const struct arbiter *a); /* superviserd has its time to say so first */

/* This node gave up for a fault, or lacks its watchdog: bars offers, and counts in a contest (R10). NULL: it
 * is fit. */
const char *unfit_because(const struct arbiter *a);

/* The network. */
int64_t own_usable(const struct arbiter *a); /* channels */
int64_t own_sound(const struct arbiter *a);  /* channels without a known fault */
bool channels_known(
    const struct arbiter *a); /* each is usable or faulty, or it had search-time to become so */
bool carrier_lost_to_peer(const struct arbiter *a); /* on a channel that works for the peer */
bool carrier_lost_in_hope(
    const struct arbiter *a); /* … or did, by the peer's last word: newer evidence may come */
int64_t peer_usable(const struct arbiter *a); /* by evidence newer than this node's own fault there (R6) */
bool network_fault(const struct arbiter *a);  /* a channel of this node's does not work */
bool search_answered(
    const struct arbiter *a); /* the active addresses answer from the peer, on some channel */
bool search_unanswered_since(const struct arbiter *a,
                             int64_t since);         /* asked somewhere after that, and all is clear */
bool search_clear(const struct arbiter *a);          /* wherever can be asked, requests went unanswered */
int64_t search_clear_since(const struct arbiter *a); /* valid while clear; 0 if nowhere could be asked */

/* Vacancy (R2). */
int64_t highest_epoch(const struct arbiter *a); /* that this node knows of */
bool role_vacant(const struct arbiter *a);
/* What tells the two apart where neither serves and none offers, in this order. */
enum rank {
    RANK_HOLD,
    RANK_WHOLE,
    RANK_DATA_EPOCH,
    RANK_DATA_GENERATION,
    RANK_BARRED,
    RANK_FIT,
    RANK_CHANNELS,
    RANK_SERVICES,
    RANK_AGE,
    RANK_NAME,
};
/* The first of these in which the two differ, and whether it speaks for this node. */
enum rank deciding_rank(const struct arbiter *a, bool *self);
bool self_preferred(const struct arbiter *a);
bool claim_barred(const struct arbiter *a); /* a failed claim bars the next one for a while; so does a
                                               takeoverd that is not there */
bool can_claim(const struct arbiter *a);    /* nothing of this node's own bars it */
bool reports_are_fresh(const struct arbiter *a);
bool hold_bars_claim(
    const struct arbiter *a); /* the operator's hold; an offer is an order and overrides it (R15) */
bool vacancy_due(const struct arbiter *a);
/* With a witness: the peer is there, and nobody served for so long that it would have, if it could or wanted.
 */
bool patience_is_out(const struct arbiter *a);
/* Nothing but the word of a third party is missing for a claim. */
bool claim_is_ripe(const struct arbiter *a);

/* Takeover (R3). */
bool takeover_due(const struct arbiter *a);

/* The peer and all of the network fell silent together: the fault is here (R8). */
bool is_cut_off(const struct arbiter *a);
