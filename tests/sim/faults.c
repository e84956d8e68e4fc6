/* faults: what goes wrong, and who mends it. */
#include "tests/sim/world.h"

void start_process(int n, enum process process)
{
    struct node *node = &w.nodes[n];

    if (!node->power || node->alive[process])
        return;
    node->alive[process] = true;
    node->paused_until[process] = 0;
    if (process == HEARTBEATD)
        start_heartbeatd(n);
    else if (process == TAKEOVERD)
        start_takeoverd(n);
    else
        start_arbiterd(n);
}

void kill_process(int n, enum process process, int64_t back_after)
{
    struct node *node = &w.nodes[n];

    tell("node %d: process %d killed for %" PRId64 " ms", n, process, back_after / ms);
    w.stall_end = MAX(w.stall_end, w.now + back_after);
    w.quiet_since = MAX(w.quiet_since, w.now); /* it may stay away for good */
    node->alive[process] = false;
    node->incarnation[process]++;
    push((struct event){
        .at = w.now + back_after, .what = RESTART, .node = n, .process = process, .incarnation = -1});
}

/* SIGSTOP, and SIGCONT: often just about when the peer takes over. */
static void stop_process(int n, enum process process)
{
    const int64_t about = w.set->address_lease + w.set->takeover_after;
    const int64_t duration =
        chance(60) ? between(about - 60 * ms, about + 60 * ms) : between(10 * ms, 1500 * ms);

    tell("node %d: process %d stands still for %" PRId64 " ms", n, process, duration / ms);
    /* Never shorter than a stop that lasts already: what waits in the queue must stay in order. */
    w.nodes[n].paused_until[process] = MAX(w.nodes[n].paused_until[process], w.now + duration);
    w.stall_end = MAX(w.stall_end, w.now + duration);
    w.quiet_since = MAX(w.quiet_since, w.now + duration);
}

void power_off(int n)
{
    struct node *node = &w.nodes[n];

    tell("node %d: power off", n);
    for (int p = 0; p < PROCESSES; p++) {
        node->alive[p] = false;
        node->incarnation[p]++;
        node->paused_until[p] = 0;
    }
    node->power = node->plane = false;
    node->said_released = true;
    node->lease_record = 0;
    node->frozen_until = 0;
    node->services_failed = 0;
}

static void power_on(int n)
{
    w.nodes[n].power = true;
    for (int p = 0; p < PROCESSES; p++)
        push((struct event){
            .at = w.now + between(0, 30 * ms), .what = RESTART, .node = n, .process = p, .incarnation = -1});
}

void send_order(int n, enum arbiter_event_kind kind, bool force)
{
    union payload *p = payload_new();

    tell("node %d: order %d", n, kind);
    p->bus.kind = kind;
    p->bus.force = force;
    to_arbiter(n, p);
}

static void set_services_failed(int n, int64_t failed)
{
    union payload *p = payload_new();

    w.nodes[n].services_failed = failed;
    p->bus.kind = EVENT_SERVICES;
    p->bus.services_failed = failed;
    to_arbiter(n, p);
}

static void freeze(int n, int64_t duration)
{
    tell("node %d: the machine stands still for %" PRId64 " ms", n, duration / ms);
    w.nodes[n].frozen_until = MAX(w.nodes[n].frozen_until, w.now + duration);
    w.stall_end = MAX(w.stall_end, w.now + duration);
    w.quiet_since = MAX(w.quiet_since, w.now + duration);
    if (w.nodes[n].plane || phase_serves(w.nodes[n].arbiter.phase))
        w.freeze_end = MAX(w.freeze_end, w.now + duration);
}

void inject(void)
{
    const int n = (int)between(0, 1), c = (int)between(0, CHANNELS - 1), kind = (int)between(0, 7);
    struct node *node = &w.nodes[n];

    w.quiet_since = MAX(w.quiet_since, w.now);
    switch (between(0, 12)) {
    case 0:
    case 1:
        kill_process(n, (enum process)between(0, PROCESSES - 1),
                     chance(30) ? NS_PER_S * 3600 : between(5 * ms, 900 * ms));
        break;
    case 2:
        stop_process(n, (enum process)between(0, PROCESSES - 1));
        break;
    case 3:
        freeze(n, between(20 * ms, 1500 * ms));
        break;
    case 4:
        if (node->power)
            power_off(n);
        else
            power_on(n);
        break;
    case 5:
    case 6:
    case 7:
        change_network(kind, n, c, false);
        break;
    case 8:
        change_network(kind, n, c, true);
        break;
    case 9:
        w.loss_percent = (int)between(0, 30);
        break;
    case 10:
        send_order(n, chance(50) ? EVENT_SWITCH : chance(50) ? EVENT_HOLD : EVENT_RESUME, chance(20));
        break;
    case 11:
        set_services_failed(n, chance(60));
        break;
    default:
        node->claim_broken = chance(50);
        node->claim_partial = chance(50);
        if (!node->power && chance(20)) {
            node->disk = node->disk_before = (struct arbiter_durable){0};
            node->disk_lost = true;
        }
        break;
    }
}

void heal(void)
{
    tell("the world heals");
    w.healed = true;
    w.quiet_since = w.now;
    w.heal_at = w.now;
    w.loss_percent = 0;
    change_network(0, 0, 0, true);
    for (int n = 0; n < 2; n++) {
        struct node *node = &w.nodes[n];
        for (int c = 0; c < CHANNELS; c++)
            node->carrier[c] = node->router[c] = true;
        node->claim_broken = false;
        power_on(n); /* and whatever process is dead */
        push((struct event){.at = w.now + NS_PER_S, .what = OPERATOR_RESUMES, .node = n, .incarnation = -1});
        if (node->services_failed > 0)
            set_services_failed(n, 0);
    }
}
