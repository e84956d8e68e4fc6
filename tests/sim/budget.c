/* budget: at the end of its story the pair is whole and at rest. Then one thing breaks, and the peer must
 * take the traffic within the time that `duet check-config` prints for it: the sums are those of
 * cli/check_config.c. */
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

void judge_budget(void)
{
    const int active = w.nodes[1].arbiter.phase == PHASE_ACTIVE;
    const enum break_kind kind = (enum break_kind)between(0, KINDS - 1);

    if (!at_rest(active) || (kind == TAKEOVERD_STOPS && !w.gate))
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
