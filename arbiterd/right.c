#include "arbiterd/right.h"

#include "arbiterd/judge.h"

static bool granted_lately(const struct arbiter *a, int64_t epoch)
{
    const struct witness_message *w = &a->witness;

    return epoch > 0 && w->granted_epoch == epoch && w->granted_ns > 0 &&
           a->now - w->granted_ns < a->set.isolation_after;
}

/* The peer heard what this node sent a moment ago; that it did is told by its next heartbeat. */
static bool peer_hears(const struct arbiter *a)
{
    return a->observed - a->peer.acked_ns < a->set.heartbeat_interval * 5 / 2;
}

/* What it says counts (R5), and it said it just now. */
static bool peer_is_heard(const struct arbiter *a)
{
    return a->peer.linked_ns > 0 && a->observed - a->peer.linked_ns < a->set.heartbeat_interval * 3 / 2;
}

int64_t right_ends(const struct arbiter *a)
{
    const int64_t granted = a->witness.granted_epoch == a->epoch ? a->witness.granted_ns : 0;

    if (!a->set.witness || a->vouched)
        return INT64_MAX;
    return MAX(a->peer.acked_ns, granted) + a->set.isolation_after;
}

bool right_over(const struct arbiter *a)
{
    return a->now >= right_ends(a);
}

bool witness_denies(const struct arbiter *a)
{
    const struct witness_message *w = &a->witness;

    return a->set.witness && right_over(a) && w->asks == a->ask_number && w->state == WITNESS_STATE_DENIED &&
           w->epoch > a->epoch;
}

static bool peer_is_fenced(const struct arbiter *a)
{
    return a->fence_number > 0 && a->fence.number == a->fence_number && a->fence.state == FENCE_STATE_DONE;
}

/* … to the question that stands: between two questions this node may have agreed to the peer's claim. */
bool witness_granted(const struct arbiter *a)
{
    return a->set.witness && a->ask == QUESTION_CLAIM && a->witness.granted_ns >= a->asked_since &&
           granted_lately(a, a->disk.next_epoch);
}

bool third_party_agrees(const struct arbiter *a, int64_t wait)
{
    const bool none = !a->set.witness && !a->set.fence;
    const bool heard = peer_is_heard(a) && a->observed - a->heard_since >= wait;

    return none || heard || (!peer_is_heard(a) && witness_granted(a)) || peer_is_fenced(a);
}

bool fence_vouches(const struct arbiter *a)
{
    return peer_is_fenced(a) && !peer_is_heard(a) && !witness_granted(a);
}

static enum question wanted(const struct arbiter *a)
{
    if (!a->set.witness || !a->loaded || a->stopping)
        return QUESTION_NONE;
    if (phase_serves(a->phase))
        return peer_hears(a) || a->now < a->no_renewal_before ? QUESTION_NONE : QUESTION_KEEP;
    if (a->phase == PHASE_RELEASING || a->observed == 0 || (peer_is_heard(a) && !patience_is_out(a)))
        return QUESTION_NONE;
    return claim_is_ripe(a) ? QUESTION_CLAIM : QUESTION_WATCH;
}

void right_upkeep(struct arbiter *a)
{
    if (!peer_is_heard(a))
        a->heard_since = 0;
    else if (a->heard_since == 0)
        a->heard_since = a->observed;
    if (!phase_serves(a->phase) || peer_is_heard(a) || a->witness.granted_epoch == a->epoch)
        a->vouched = false;
}

bool witness_lost(const struct arbiter *a)
{
    const bool answers = a->witness_heard > 0 && a->now - a->witness_heard < 3 * NS_PER_S; /* once a second */

    return a->set.witness && (!answers || a->witness.state == WITNESS_STATE_UNREACHABLE);
}

/* Instead of the witness, where that is not reached. */
static bool fence_wanted(const struct arbiter *a)
{
    return a->set.fence && a->loaded && !phase_serves(a->phase) && !peer_is_heard(a) && claim_is_ripe(a) &&
           (!a->set.witness || witness_lost(a)) && a->now >= a->fence_failed;
}

static void ask_fence(struct arbiter *a)
{
    if (!fence_wanted(a))
        a->fence_number = 0;
    else if (a->fence_number == 0)
        a->fence_number = ++a->fence_last;
}

void right_take_fence(struct arbiter *a, const struct fence_message *message)
{
    a->fence = *message;
    if (message->number == a->fence_number && message->state == FENCE_STATE_FAILED)
        a->fence_failed = a->now + a->set.settle_time;
}

/* A grant that is not used at once is never used: its epoch counts as claimed. */
static void burn(struct arbiter *a)
{
    const int64_t next = a->disk.next_epoch;

    if (phase_serves(a->phase) || next == 0 || a->witness.granted_epoch != next)
        return;
    a->epoch = MAX(a->epoch, next);
    a->spent_epoch = MAX(a->spent_epoch, next);
    a->disk.next_epoch = 0;
}

/* From watching to claiming it is one question: what was seen counts. */
void right_ask(struct arbiter *a)
{
    const enum question ask = wanted(a);

    if (ask != QUESTION_CLAIM || !witness_granted(a))
        burn(a);
    const int64_t epoch = ask == QUESTION_KEEP ? a->epoch : ask == QUESTION_CLAIM ? a->disk.next_epoch : 0;
    const bool goes_on = (ask == QUESTION_WATCH || ask == QUESTION_CLAIM) &&
                         (a->ask == QUESTION_WATCH || a->ask == QUESTION_CLAIM);
    const bool same = ask == a->ask && (ask != QUESTION_KEEP || epoch == a->ask_epoch);

    if (!same && !goes_on) {
        a->ask_number++;
        a->asked_since = a->now;
    }
    a->ask = ask;
    a->ask_epoch = epoch;
    ask_fence(a);
}

void right_take_witness(struct arbiter *a, const struct witness_message *message)
{
    a->witness = *message;
    if (!phase_serves(a->phase) && message->epoch > a->epoch && message->granted_epoch != message->epoch)
        a->epoch = message->epoch;
}
