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
    else if (process == SYNCD)
        start_syncd(n);
    else if (process == WITNESSD)
        start_witnessd(n);
    else
        start_arbiterd(n);
}

void kill_process(int n, enum process process, int64_t back_after)
{
    struct node *node = &w.nodes[n];

    tell("node %d: process %d killed for %" PRId64 " ms", n, process, back_after / ms);
    if (process != SYNCD && process != WITNESSD)
        w.stall_end = MAX(w.stall_end, w.now + back_after);
    w.quiet_since = MAX(w.quiet_since, w.now); /* it may stay away for good */
    node->alive[process] = false;
    node->incarnation[process]++;
    push((struct event){
        .at = w.now + back_after, .what = RESTART, .node = n, .process = process, .incarnation = -1});
}

void stop_process(int n, enum process process, int64_t duration)
{
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
    node->clock_stands = false;
}

void power_on(int n)
{
    if (!w.nodes[n].power)
        clock_set(n, during(2 * NS_PER_S, 9 * NS_PER_S)); /* of this boot */
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
    p->bus.hold_until = kind == EVENT_HOLD && chance(50) ? during(200 * ms, 6 * NS_PER_S) : 0;
    to_arbiter(n, p);
}

/* SIGSTOP, and SIGCONT: often just about when the peer takes over. Sometimes the peer's arbiter stands still
 * as well, and wakes up when the first one has just gone on: what it then reads first is true no more. */
static void stop_some_process(int n, enum process process)
{
    const int64_t about = w.set->address_lease + w.set->takeover_after;
    const int64_t duration =
        chance(60) ? between(about - about / 8, about + about / 8) : during(10 * ms, 1500 * ms);

    stop_process(n, process, duration);
    if (chance(30))
        stop_process(
            !n, ARBITERD,
            duration + between(w.set->heartbeat_interval, w.set->address_lease + w.set->heartbeat_interval));
}

static void set_services_failed(int n, int64_t failed)
{
    union payload *p = payload_new();

    w.nodes[n].services_failed = failed;
    p->bus.kind = EVENT_SERVICES;
    p->bus.services_failed = failed;
    p->bus.services_reboot = w.nodes[n].services_reboot;
    to_arbiter(n, p);
}

/* What it knows says that nobody serves: it may be about to claim. */
static bool finds_nobody(int n)
{
    const struct arbiter *a = &w.nodes[n].arbiter;

    return a->unserved_since > 0 || clock_of(n) - a->peer.backed_ns > w.set->heartbeat_interval * 3 / 2;
}

/* The whole machine. Its clock runs on (suspended), or stands as well (a paused virtual machine). */
static void freeze(int n, int64_t duration)
{
    struct node *node = &w.nodes[n];

    tell("node %d: the machine stands still for %" PRId64 " ms", n, duration / ms);
    if (node->frozen_until <= w.now && chance(40)) {
        node->clock_stands = true;
        clock_set(n, clock_of(n)); /* it goes on from here */
    }
    node->frozen_until = MAX(node->frozen_until, w.now + duration);
    node->gate_until += duration; /* the kernel counts by a clock that stands still, too */
    w.stall_end = MAX(w.stall_end, w.now + duration);
    w.quiet_since = MAX(w.quiet_since, w.now + duration);
    /* Where its clock stands, too, nothing tells it that what it knows is old. */
    if (node->plane || phase_serves(node->arbiter.phase) || (node->clock_stands && finds_nobody(n)))
        w.freeze_end = MAX(w.freeze_end, w.now + duration);
    push((struct event){.at = w.now + duration, .what = THAW, .node = n, .incarnation = -1});
}

void on_thaw(int n)
{
    struct node *node = &w.nodes[n];

    if (!node->clock_stands || node->frozen_until > w.now)
        return;
    node->clock_stands = false;
    node->clock_at = w.now;
    if (node->power && node->alive[TAKEOVERD] && node->plane) /* its timer ends so much later */
        schedule(n, TAKEOVERD, LEASE_END, MAX(node->state.lease_ns - clock_of(n), 0), NULL);
}

/* A clean stop: the daemons end once the node has let go, and come back some time later. */
void stop_node(int n)
{
    if (!w.nodes[n].power || !w.nodes[n].alive[ARBITERD])
        return;
    send_order(n, EVENT_STOP, false);
    push((struct event){.at = w.now + 50 * ms, .what = STOP_ENDS, .node = n, .incarnation = 0});
}

/* `polls`: how often it was asked. */
void stop_ends(int n, int64_t polls)
{
    struct node *node = &w.nodes[n];
    const bool too_long = polls * 50 * ms > w.set->handover_time + w.set->claim_time;
    const int64_t away = during(200 * ms, 4 * NS_PER_S);

    if (!node->power)
        return;
    if (node->arbiter.phase != PHASE_PASSIVE && node->arbiter.phase != PHASE_SEARCHING && !too_long) {
        push((struct event){.at = w.now + 50 * ms, .what = STOP_ENDS, .node = n, .incarnation = polls + 1});
        return;
    }
    tell("node %d: stopped", n);
    if (node->alive[TAKEOVERD] && node->paused_until[TAKEOVERD] <= w.now)
        takeover_release(n); /* at SIGTERM */
    for (int p = 0; p < PROCESSES; p++)
        kill_process(n, (enum process)p, away + between(0, 20 * ms));
    if (node->changes_version)
        exchange_version(n);
}

/* superviserd does as `role` says. */
void reboot(int n)
{
    struct node *node = &w.nodes[n];

    if (!node->shown.reboot || !node->arbiter.reboot)
        return;
    note_reboot(n);
    power_off(n);
    push((struct event){
        .at = w.now + during(NS_PER_S, 3 * NS_PER_S), .what = POWER_ON, .node = n, .incarnation = -1});
}

/* No data is whole anywhere: only the operator can choose what to serve with. Or it is where claims failed,
 * and that node waits longer than a story lasts (R10): he says that it is mended. */
void operator_claims(void)
{
    const struct node *a = &w.nodes[0], *b = &w.nodes[1];

    if (!a->data_whole && !b->data_whole && !a->plane && !b->plane)
        send_order(a->data_epoch >= b->data_epoch ? 0 : 1, EVENT_CLAIM, true);
    for (int n = 0; n < 2; n++)
        if (w.set->sync_sets > 0 && w.nodes[n].arbiter.no_claim_before > clock_of(n) &&
            !w.nodes[!n].data_whole)
            send_order(n, EVENT_CLEAR, false);
}

/* What a power cut may do to the disk: the state file cannot be read, or is the one before the last. */
static void harm_disk(int n)
{
    struct node *node = &w.nodes[n];

    if (chance(8)) {
        tell("node %d: its state file is torn", n);
        node->disk_torn = node->disk_lost = true;
    } else if (chance(8)) {
        tell("node %d: its state file is an old one", n);
        node->disk = node->disk_before;
        node->disk_lost = true;
    }
}

static void give_orders(int n)
{
    switch (between(0, 9)) {
    case 0:
    case 1:
    case 2:
        send_order(n, EVENT_SWITCH, chance(20));
        break;
    case 3:
    case 4:
        send_order(n, EVENT_HOLD, false);
        break;
    case 5:
        send_order(n, EVENT_RESUME, false);
        break;
    case 6:
        send_order(n, EVENT_CLEAR, false);
        break;
    case 7:
        send_order(n, EVENT_CLAIM, chance(80));
        break;
    default:
        stop_node(n);
        break;
    }
}

void inject(void)
{
    const int n = (int)between(0, 1), c = (int)between(0, CHANNELS - 1), kind = (int)between(0, 7);
    struct node *node = &w.nodes[n];

    w.quiet_since = MAX(w.quiet_since, w.now);
    switch (between(0, w.set->witness ? 16 : 13)) {
    case 0:
    case 1:
        kill_process(n, (enum process)between(0, PROCESSES - 1),
                     chance(30) ? NS_PER_S * 3600 : during(5 * ms, 900 * ms));
        break;
    case 2:
        stop_some_process(n, (enum process)between(0, PROCESSES - 1));
        break;
    case 3:
        freeze(n, during(20 * ms, 1500 * ms));
        break;
    case 4:
        if (!node->power) {
            power_on(n);
            break;
        }
        power_off(n);
        harm_disk(n);
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
        tell("%d %% loss", w.loss_percent);
        break;
    case 10:
        give_orders(n);
        break;
    case 11:
        give_orders(n);
        break;
    case 12:
        set_services_failed(n, chance(60));
        break;
    case 14:
    case 15:
        harm_witness();
        break;
    case 16: /* the split itself, which it is there for */
        change_network(0, n, c, false);
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
    heal_witness();
    push((struct event){
        .at = w.now + 8 * NS_PER_S * w.profile->scale, .what = OPERATOR_CLAIMS, .incarnation = -1});
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
    look_at_network();
}
