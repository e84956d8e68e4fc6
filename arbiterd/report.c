/* report: what the arbiter's state looks like from outside. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"
#include "arbiterd/right.h"

const char *trouble_text(enum trouble trouble)
{
    switch (trouble) {
    case TROUBLE_NONE:
        return "";
    case TROUBLE_NETWORK:
        return "a channel of this node did not work while the peer's did";
    case TROUBLE_SERVICE:
        return "a service stayed down here";
    case TROUBLE_CLAIM:
        return "the active addresses could not be brought up here";
    case TROUBLE_LEASE:
        return "takeoverd did not confirm the lease";
    case TROUBLE_ADDRESSES:
        return "some active addresses could not be held here";
    }
    return "";
}

/* A fault is fresh: both sides should look again, quickly. The same before a claim in the dark. */
static bool is_suspicious(const struct arbiter *a)
{
    const int64_t fresh = 2 * NS_PER_S;

    if (a->vacant_since > 0 && !peer_alive(a) && a->observed - a->vacant_since < 2 * a->set.search_time)
        return true;

    if (a->peer_ahead_since > 0 && a->now - a->peer_ahead_since < fresh)
        return true;
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (a->links[i].fault_ns > 0 && a->now - a->links[i].fault_ns < fresh)
            return true;
    return a->lapsed > 0;
}

PRINTF_LIKE(3, 4) static void add_reason(char *list, size_t size, const char *format, ...)
{
    const size_t used = strlen(list);
    va_list args;

    if (used + 3 >= size)
        return;
    if (used > 0)
        snprintf(list + used, size - used, "; ");
    va_start(args, format);
    vsnprintf(list + strlen(list), size - strlen(list), format, args);
    va_end(args);
}

/* What would keep the passive node from serving without surprises, as far as this node can tell. */
static void list_not_ready(const struct arbiter *a, struct role_message *role)
{
    char *list = role->not_ready;
    const size_t size = sizeof role->not_ready;

    if (!peer_linked(a))
        add_reason(list, size, "%s", peer_ineligible_because(a));
    if (unfit_because(a))
        add_reason(list, size, "unfit: %s", unfit_because(a));
    if (a->held)
        add_reason(list, size, "held by the operator");
    if (!data_whole(a))
        add_reason(list, size, "the data of this node is not whole");
    else if (a->data_lagging)
        add_reason(list, size, "the passive node's data is behind");
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (!a->links[i].usable)
            add_reason(list, size, "channel %s does not work", a->set.channels[i]);
    if (a->services_failed > 0)
        add_reason(list, size, "%d services failed", (int)a->services_failed);
    if (a->services_unheard > 0)
        add_reason(list, size, "superviserd has not told of %d services", (int)a->services_unheard);
    if (a->address_heard > 0 && !takeoverd_alive(a))
        add_reason(list, size, "takeoverd does not answer");
    if (a->trouble_sticky)
        add_reason(list, size, "that fault shows only while active: `duet clear` when it is mended");
    if (witness_lost(a))
        add_reason(list, size, "the witness is not reached");
    if (!phase_serves(a->phase) && a->disk.next_epoch <= highest_epoch(a))
        add_reason(list, size, "no epoch is durable for the next claim");
    if (phase_serves(a->phase) && peer_linked(a) && !peer_eligible(a))
        add_reason(list, size, "%s", peer_ineligible_because(a));
    if (phase_serves(a->phase) && peer_linked(a) && peer_usable(a) < own_usable(a))
        add_reason(list, size, "the peer has fewer usable channels");
    role->ready = list[0] == '\0';
}

bool arbiter_role(const struct arbiter *a, struct role_message *role)
{
    *role = (struct role_message){
        .role = phase_serves(a->phase) ? ROLE_ACTIVE : ROLE_PASSIVE,
        .phase = a->phase,
        .epoch = phase_serves(a->phase) ? a->epoch : highest_epoch(a),
        .next_epoch = claim_barred(a) ? 0 : a->disk.next_epoch,
        .since_ns = a->phase_since,
        .lease_ns = phase_serves(a->phase) ? a->lease : 0,
        .change = a->change,
        .considered = peer_linked(a) ? a->peer.change : 0,
        .searching = a->lapsed > 0,
        .suspicious = is_suspicious(a),
        .fit = unfit_because(a) == NULL,
        .held = a->held,
        .hold_version = a->hold_version,
        .hold_until_ns = a->hold_until,
        .offer = a->offer,
        .prefers = a->prefers,
        .released = a->released,
        .whole = data_whole(a),
        .data_epoch = a->data_epoch,
        .data_generation = a->data_generation,
        .draining = (a->phase == PHASE_ACTIVE && (a->order == ORDER_SWITCH || a->order == ORDER_STOP)) ||
                    a->exclusive_at_rest > 0,
        .yielding = a->yielding > 0,
        .quiet = a->quiet > 0,
        .silent = a->silent,
        .term = a->address.term,
        .services_failed = services_doubtful(a),
        .ask = a->ask,
        .ask_number = a->ask_number,
        .ask_epoch = a->ask_epoch,
        .fence = a->fence_number,
        .reboot = a->reboot && a->phase == PHASE_PASSIVE && !a->held,
    };
    text_copy(role->rule, sizeof role->rule, a->rule);
    text_copy(role->reason, sizeof role->reason, a->reason);
    if (!role->fit)
        text_copy(role->unfit_reason, sizeof role->unfit_reason, unfit_because(a));
    if (a->reboot)
        text_copy(role->reboot_reason, sizeof role->reboot_reason, trouble_text(a->trouble));
    list_not_ready(a, role);
    return a->loaded && a->address_heard > 0;
}

static bool search_conflicts(const struct arbiter *a)
{
    for (size_t i = 0; i < a->set.channel_count; i++)
        if (a->searches[i].state == SEARCH_STATE_CONFLICT)
            return true;
    return false;
}

unsigned arbiter_alarms(const struct arbiter *a)
{
    const bool warmed_up = a->now - a->started >= 2 * a->set.search_time;
    const bool serves = phase_serves(a->phase);
    const struct {
        unsigned alarm;
        bool on;
    } alarms[] = {
        {ALARM_STATE_LOST, a->state_lost},
        {ALARM_PEER_LOST, warmed_up && !peer_alive(a)},
        {ALARM_PEER_MUTE, warmed_up && !serves && !peer_alive(a) && search_answered(a)},
        {ALARM_DUAL_ACTIVE,
         serves && peer_alive(a) && phase_serves(a->peer.phase) && !peer_gives(a) && !a->silent},
        {ALARM_ADDRESS_CONFLICT, search_conflicts(a)},
        {ALARM_NETWORK_FAULT, warmed_up && network_fault(a)},
        {ALARM_SERVICE_FAILED, a->services_failed > 0},
        {ALARM_UNFIT, a->trouble != TROUBLE_NONE},
        {ALARM_LEASE_UNCONFIRMED,
         a->phase == PHASE_ACTIVE && a->now - a->renewed >= a->set.claim_time &&
             (a->now > a->address.lease_ns || a->address.state == HOLD_STATE_FAILED)},
        {ALARM_OFFER_NOT_TAKEN, a->phase == PHASE_ACTIVE && a->now < a->no_offer_before},
        {ALARM_NOT_RELEASED, a->unreleased_since > 0 && a->now - a->unreleased_since >= a->set.claim_time},
        {ALARM_DATA_NOT_WHOLE, warmed_up && !data_whole(a)},
        {ALARM_DATA_STALE, a->unserved_since > 0 && warmed_up && data_stale(a)},
        {ALARM_FENCE_FAILED, a->fence.state == FENCE_STATE_FAILED && !serves && !peer_alive(a)},
        {ALARM_WITNESS_LOST, warmed_up && witness_lost(a)},
        {ALARM_NOBODY_ACTIVE,
         a->unserved_since > 0 && a->now - a->unserved_since >= a->set.search_time + a->set.handover_time},
    };
    unsigned set = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(alarms); i++)
        if (alarms[i].on)
            set |= alarms[i].alarm;
    return set;
}

static const char *switch_refusal(const struct arbiter *a, bool force)
{
    if (a->phase != PHASE_ACTIVE)
        return "this node is not active: run `duet switch` on the active one";
    if (force && !peer_linked(a))
        return "the peer is not heard: nobody could take the role";
    if (!force && a->set.sync_sets > 0 && !a->data_connected)
        return "the peer's syncd is not reached: what was changed here last would stay behind";
    if (!force && peer_linked(a) && peer_usable(a) < own_usable(a))
        return "the peer has fewer usable channels: it would give the role back at once";
    return force ? NULL : peer_ineligible_because(a);
}

static const char *claim_refusal(const struct arbiter *a, bool force)
{
    if (phase_serves(a->phase))
        return "this node is active already";
    if (search_answered(a) || (peer_serves(a) && a->observed - a->peer.backed_ns < a->set.takeover_after))
        return "the peer serves: run `duet switch` there";
    if (a->stopping)
        return "this node is being stopped";
    return force ? NULL : "a claim by hand overrides the rules: use `duet claim --force` if that is meant";
}

const char *arbiter_refusal(const struct arbiter *a, enum arbiter_event_kind order, bool force)
{
    if (order == EVENT_SWITCH)
        return switch_refusal(a, force);
    if (order == EVENT_CLAIM)
        return claim_refusal(a, force);
    return NULL;
}
