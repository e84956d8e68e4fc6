/* verdict: what must hold, judged on the plane: on what the kernels really have, not on what a node believes.
 */
#include "tests/sim/world.h"

static bool takeoverd_stopped(int n)
{
    return w.nodes[n].power && (!w.nodes[n].alive[TAKEOVERD] || w.nodes[n].paused_until[TAKEOVERD] > w.now);
}

/* Whether both may rightly be seen to answer at this moment (I1, I2). */
static bool dual_excused(void)
{
    const int64_t two_beats = 2 * w.set->heartbeat_interval + 30 * ms;

    if (w.set->witness)
        return w.now - MAX(w.forced_at, w.unguarded_end) <= two_beats + 2 * w.set->isolation_after ||
               (w.freeze_end > 0 && w.now - w.freeze_end <= w.set->address_lease + two_beats);
    if (w.now - w.partition_end <= two_beats)
        return true;
    if (w.freeze_end > 0 && w.now - w.freeze_end <= w.set->address_lease + two_beats)
        return true;
    if (w.now - w.forced_at <= two_beats)
        return true; /* by hand: the operator's word, until the two have heard each other */
    return w.trouble_end > 0 && w.now - w.trouble_end <= two_beats;
}

/* No heartbeat leaves a node whose heartbeatd is gone or stopped; its lease ends within its time. */
static bool newly_mute(int n)
{
    struct node *node = &w.nodes[n];
    const bool mute = node->power && (!node->alive[HEARTBEATD] || node->paused_until[HEARTBEATD] > w.now);

    if (!mute)
        node->mute_since = 0;
    else if (node->mute_since == 0)
        node->mute_since = w.now;
    return mute && w.now - node->mute_since <= w.set->address_lease + w.set->heartbeat_interval;
}

/* Two faults at once that this version does not promise to survive without a moment of two owners. Without a
 * gate nothing but takeoverd takes an address away: where it is stopped, the address outlives the lease, and
 * where nobody can ask either (no search, no ARP, a machine that stood still), nobody knows. And where no
 * heartbeat passes, an address that goes (a stall, a handover, an address that cannot be added) looks like
 * the node's end, and whoever claims is not heard; it stays so until a heartbeat passes again. */
static void note_trouble(void)
{
    const bool few_requests = w.set->takeover_after < 10 * w.profile->search_quick;
    const bool blind = arp_cut() || w.search_off || (few_requests && w.loss_percent > 0);
    const bool first_mute = newly_mute(0), second_mute = newly_mute(1); /* both are to be asked */
    const bool mute = first_mute || second_mute;
    const bool lease_outlasts = w.set->takeover_after < w.set->address_lease + w.set->heartbeat_interval;

    /* One lossy path may seem none for a while; so may the search, where a takeover takes few requests. */
    if (mute && ((answers(0) && answers(1) && dual_excused()) || (blind && lease_outlasts)))
        w.partition_end = w.now;
    if (partitioned() || (w.loss_percent > 0 && (arp_cut() || (heartbeats_cut() && few_requests))))
        w.partition_end = w.now;
    if (blind)
        w.blind_end = w.now;
    /* By hand, under an epoch that the witness does not grant: believed until the two hear each other. */
    if (w.set->witness && (w.nodes[0].arbiter.vouched || w.nodes[1].arbiter.vouched))
        w.forced_at = w.now;
    for (int n = 0; n < 2; n++)
        if (!has_gate(n) && takeoverd_stopped(n) && w.nodes[n].plane)
            w.unguarded_end = w.now; /* the address outlives the right to it */
    for (int n = 0; n < 2; n++) {
        const bool unseen = w.now - MAX(w.blind_end, w.freeze_end) < 2 * NS_PER_S;
        w.unsteered[n] = !has_gate(n) && takeoverd_stopped(n) && (w.unsteered[n] || unseen);
        if (w.unsteered[n])
            w.trouble_end = w.now;
    }
    if (heartbeats_cut() && (partitioned() || !(answers(0) || answers(1)) ||
                             w.now - MAX(w.stall_end, w.plane_lost) < 2 * NS_PER_S ||
                             w.nodes[0].claim_broken || w.nodes[1].claim_broken))
        w.in_the_dark = true;
    w.in_the_dark = w.in_the_dark && heartbeats_cut();
    if (w.in_the_dark)
        w.trouble_end = w.now;
}

/* Its data keeps it neither from serving nor waiting for the other one (R14). */
static bool is_data_fit(int n)
{
    const struct node *node = &w.nodes[n];
    int64_t epoch = MAX(w.nodes[0].disk.epoch, w.nodes[1].disk.epoch);

    for (size_t i = 0; i < w.claim_count; i++)
        epoch = MAX(epoch, w.claims[i]);
    return w.set->sync_sets == 0 || (node->data_whole && node->data_epoch >= epoch);
}

bool is_healthy(int n)
{
    const struct node *node = &w.nodes[n];

    for (int c = 0; c < CHANNELS; c++)
        if (!node->carrier[c] || !node->router[c])
            return false;
    for (int p = 0; p < PROCESSES; p++)
        if (!node->alive[p])
            return false;
    return node->power && !node->claim_broken && !node->arbiter.reboot && is_data_fit(n) &&
           !node->arbiter.held && !node->arbiter.stopping &&
           node->arbiter.no_claim_before < clock_of(n) - 9 * NS_PER_S * w.profile->scale;
}

/* It adds up, and better time takes it away: a node that serves now and then is found out, too. */
static void count_lack(int64_t *lack, int64_t passed, bool better)
{
    *lack = better ? MAX(*lack - passed, 0) : *lack + passed;
}

/* I3 for a world that is not healed: it has been left alone for long enough, and a node is without any fault.
 */
static void judge_service(void)
{
    const int64_t bound =
        w.set->claim_time + w.set->search_time + 3 * w.set->handover_time + NS_PER_S * w.profile->scale;

    const int64_t passed = w.now - w.judged_at;
    w.judged_at = w.now;
    const bool asked = w.set->witness && (heartbeats_cut() || !w.nodes[0].power || !w.nodes[1].power ||
                                          !w.nodes[0].alive[HEARTBEATD] || !w.nodes[1].alive[HEARTBEATD] ||
                                          !w.nodes[0].alive[ARBITERD] || !w.nodes[1].alive[ARBITERD] ||
                                          !w.nodes[0].alive[TAKEOVERD] || !w.nodes[1].alive[TAKEOVERD]);
    const bool answered =
        w.witness.reached[0] && w.witness.reached[1] && !w.witness.slow[0] && !w.witness.slow[1];

    if ((asked && !answered) || w.now <= w.quiet_since || w.loss_percent > 0 ||
        !(is_healthy(0) || is_healthy(1)))
        w.unserved = w.unanswered = 0;
    else {
        count_lack(&w.unserved, passed, takes_traffic(0) || takes_traffic(1));
        count_lack(&w.unanswered, passed, answers(0) || answers(1));
    }
    if (w.unserved > bound)
        violation("I3: nobody holds the addresses, though node %d has no fault", is_healthy(0) ? 0 : 1);
    if (w.unanswered > bound)
        violation("I3: nobody answers for the addresses, though node %d has no fault", is_healthy(0) ? 0 : 1);
}

void judge(void)
{
    note_trouble();
    for (int n = 0; n < 2; n++)
        if (answers(n))
            w.nodes[n].answered_at = w.now;
    if (answers(0) && answers(1) && !dual_excused())
        violation("I1: both nodes hold the active addresses");
    for (int n = 0; n < 2; n++) {
        const struct node *node = &w.nodes[n];
        if (!node->power || !node->plane)
            continue;
        if (node->said_released)
            violation("I7: node %d holds an address after its takeoverd said released", n);
        if (node->alive[ARBITERD] && node->arbiter.released && !phase_serves(node->arbiter.phase))
            violation("I7: node %d holds an address that its arbiter believes to be released", n);
    }
    judge_service();
}

void judge_data(int n, const char *rule)
{
    const struct node *node = &w.nodes[n];
    const bool knows = MAX(node->disk.epoch, node->peer.role.epoch) > 0; /* that somebody served before */
    const bool elsewhere = w.nodes[!n].data_whole;

    if (w.set->sync_sets == 0 || strcmp(rule, "claim-ordered") == 0 || node->disk_lost ||
        w.nodes[!n].disk_lost)
        return;
    if (!node->data_whole && knows && elsewhere)
        violation("R14: node %d claims by %s without whole data", n, rule);
}

void note_reboot(int n)
{
    const struct node *other = &w.nodes[!n];
    const int64_t fresh = w.set->takeover_after + w.set->address_lease + NS_PER_S;

    tell("node %d: restarts itself", n);
    w.reboots++;
    w.quiet_since = MAX(w.quiet_since, w.now);
    if (w.now - other->answered_at > fresh)
        violation("R6: node %d restarts itself although nobody serves in its place", n);
    if (w.healed && w.now - w.heal_at > w.profile->settled)
        violation("I5: node %d restarts itself long after the world healed", n);
}

void note_claim(int n, int64_t epoch)
{
    struct node *node = &w.nodes[n];

    for (size_t i = 0; i < w.claim_count && !node->disk_lost; i++)
        if (w.claims[i] == epoch)
            violation("I4: epoch %" PRId64 " was claimed twice", epoch);
    if (epoch <= node->last_claim && !node->disk_lost)
        violation("I4: node %d went back from epoch %" PRId64 " to %" PRId64, n, node->last_claim, epoch);
    node->last_claim = epoch;
    if (w.claim_count < ARRAY_LENGTH(w.claims))
        w.claims[w.claim_count++] = epoch;
    if (!w.healed && chance(6)) /* the worst moment */
        push((struct event){.at = w.now + between(100000, 3 * ms),
                            .what = FAULT,
                            .node = n,
                            .process = ARBITERD,
                            .incarnation = chance(50) ? -3 : -4});
}

void settle_and_judge(int64_t settled_at)
{
    const struct node *a = &w.nodes[0], *b = &w.nodes[1];

    if ((a->arbiter.phase == PHASE_ACTIVE) + (b->arbiter.phase == PHASE_ACTIVE) != 1)
        violation("I3: after healing, the phases are %s and %s", phase_names[a->arbiter.phase],
                  phase_names[b->arbiter.phase]);
    else if (a->plane + b->plane != 1 || a->plane != (a->arbiter.phase == PHASE_ACTIVE))
        violation("I3: after healing, the addresses are not where the role is");
    else if (w.last_change > settled_at)
        violation("I5: a role changed %.1f s after the world healed",
                  (double)(w.last_change - w.heal_at) / 1e9);
}
