/* budget: at the end of its story the pair is whole and at rest. Then one thing breaks, and the peer must
 * take the traffic within the time that `duet check-config` prints for it: the sums are those of
 * cli/check_config.c. Or the operator switches: the peer must serve in the end, and where there are gates no
 * packet is lost. */
#include "tests/sim/world.h"

enum break_kind { POWER, ARBITERD_STOPS, HEARTBEATD_STOPS, TAKEOVERD_STOPS, KINDS };

static const char *const names[] = {"power off", "arbiterd hangs", "heartbeatd hangs", "takeoverd hangs"};

static int64_t takeover(void)
{
    const struct arbiter_settings *s = w.set;
    const int64_t witness = s->heartbeat_interval * 3 / 2 + s->isolation_after * 9 / 8;
    const int64_t silence =
        s->witness ? MAX(s->takeover_after, witness) + s->isolation_after : s->takeover_after;

    return silence + s->heartbeat_interval + w.profile->search_quick;
}

/* Who hangs in takeoverd offers the role, and cannot say that it let go. */
static int64_t vacancy(void)
{
    return w.search_off ? w.set->search_time + 2 * w.set->handover_time + w.set->heartbeat_interval
                        : takeover();
}

/* From the moment of the break: what hangs serves as long as its lease lasts. */
static int64_t longest(enum break_kind kind)
{
    const int64_t leases = kind == POWER ? 0 : kind == TAKEOVERD_STOPS ? 2 : 1;
    const int64_t allowance =
        10 * NS_PER_MS + 4 * w.profile->bus_late + 2 * (w.profile->wire_most + w.profile->path_delay_most);
    const int64_t sum =
        leases * w.set->address_lease + (kind == TAKEOVERD_STOPS ? vacancy() : takeover()) + allowance;

    return sum + sum / 50; /* the clocks of the two */
}

static bool at_rest(int active)
{
    const struct arbiter *a = &w.nodes[active].arbiter, *p = &w.nodes[!active].arbiter;

    return is_healthy(active) && is_healthy(!active) && a->phase == PHASE_ACTIVE &&
           p->phase == PHASE_PASSIVE && takes_traffic(active) && !takes_traffic(!active) && a->lapsed == 0 &&
           p->trouble == TROUBLE_NONE && p->services_failed == 0 && a->order == ORDER_NONE &&
           p->order == ORDER_NONE;
}

static void break_it(int n, enum break_kind kind)
{
    static const enum process stopped[KINDS] = {
        [ARBITERD_STOPS] = ARBITERD, [HEARTBEATD_STOPS] = HEARTBEATD, [TAKEOVERD_STOPS] = TAKEOVERD};

    w.quiet_since = w.now;
    w.one_fault = true;
    if (kind == POWER)
        power_off(n);
    else
        stop_process(n, stopped[kind], NS_PER_S * 3600);
}

static void judge_break(int active)
{
    const enum break_kind kind = (enum break_kind)between(0, KINDS - 1);

    if (kind == TAKEOVERD_STOPS && !has_gate(active))
        return;
    const int64_t began = w.now, end = began + longest(kind), peer_began = clock_of(!active);
    w.budgets++;
    break_it(active, kind);
    while (!w.ended_badly && !takes_traffic(!active) && w.now <= end && advance())
        continue;
    /* A peer that was late itself counts anew (R12): the printed figures are for machines that are not. */
    const bool late = w.nodes[!active].arbiter.peer.counting_since_ns > peer_began;
    if (!w.ended_badly && !takes_traffic(!active) && !late)
        violation("budget: %s, and the peer does not serve after %.0f ms", names[kind],
                  (double)(w.now - began) / 1e6);
}

static bool is_switched(int active)
{
    return w.nodes[!active].arbiter.phase == PHASE_ACTIVE && w.nodes[active].arbiter.phase == PHASE_PASSIVE &&
           !w.nodes[active].plane;
}

/* Between two versions it may take a gap, but it must come about. */
static void judge_switch(int active)
{
    const int64_t began = w.now, end = began + 2 * w.set->handover_time;
    const bool lossless = has_gate(0) && has_gate(1);

    w.switches++;
    w.one_fault = true;
    send_order(active, EVENT_SWITCH, false);
    while (!w.ended_badly && !is_switched(active) && w.now <= end && advance())
        if (lossless && !takes_traffic(0) && !takes_traffic(1))
            violation("R13: nobody takes the traffic in the midst of a switch");
    if (!w.ended_badly && !is_switched(active))
        violation("R13: ordered to switch, the pair has not after %.0f ms", (double)(w.now - began) / 1e6);
}

void judge_budget(void)
{
    const int active = w.nodes[1].arbiter.phase == PHASE_ACTIVE;

    if (!at_rest(active))
        return;
    if (chance(w.mixed ? 50 : 20) && !arbiter_refusal(&w.nodes[active].arbiter, EVENT_SWITCH, false))
        judge_switch(active);
    else
        judge_break(active);
}
