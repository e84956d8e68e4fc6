/* sim: two arbiters in a world that goes wrong, drawn from a seed.
 *
 * The decision core is the real one. Around it stand small models of what it meets: heartbeatd (ticks,
 * heartbeats, search, router test, its own stalls), takeoverd (the plane: what the kernel really has, which
 * outlives a stopped or killed process), the disk (slow; lost or stale at worst), the bus between the
 * processes, and the network between the nodes. Faults come first, and safety (I1, I4, I6, I7) is judged on
 * the plane after every event; then the world heals, and the pair must settle on one active node and change
 * no more (I2, I3, I5).
 *
 * usage: sim [--seeds N] [--first SEED] [--verbose] [--stop (at the first violation)]      exit 0: no
 * violation; 1: the first one is told with its seed */
#include <stdio.h>

#include "tests/sim/world.h"

static const struct arbiter_settings settings = {
    .reboot_on_network_fault = false,
    .channel_count = CHANNELS,
    .channels = {"outside", "inside"},
    .evidence_wait = 40 * NS_PER_MS,
    .heartbeat_interval = 50 * NS_PER_MS,
    .takeover_after = 300 * NS_PER_MS,
    .address_lease = 200 * NS_PER_MS,
    .search_time = 600 * NS_PER_MS,
    .claim_time = NS_PER_S,
    .handover_time = 3 * NS_PER_S,
    .settle_time = 5 * NS_PER_S,
};

/* Puts the event off, or drops it, if who should see it cannot now; true if so. */
static bool kept_from(struct event *e)
{
    struct node *node = &w.nodes[e->node];
    int64_t until = MAX(node->frozen_until, node->paused_until[e->process]);

    if (e->what == FAULT || e->what == HEAL || e->what == OPERATOR_RESUMES || e->what == RESTART)
        return false;
    if (!node->power || !node->alive[e->process] ||
        (e->incarnation >= 0 && e->incarnation != node->incarnation[e->process]) || e->incarnation == -2)
        return true;
    if (e->what == HEARTBEAT && node->frozen_until > w.now)
        return true; /* the adapter had nowhere to put it */
    if (until <= w.now)
        return false;
    if (e->what == HEARTBEAT && e->stamp == 0)
        e->stamp = w.now;
    e->at = until;
    union payload *payload = e->payload;
    e->payload = NULL;
    push((struct event){e->at, 0, e->what, e->node, e->process, e->incarnation, e->stamp, payload});
    return true;
}

static void dispatch(struct event *e)
{
    struct node *node = &w.nodes[e->node];

    switch (e->what) {
    case TICK:
        on_tick(e->node);
        break;
    case HEARTBEAT:
        on_heartbeat(e->node, &e->payload->heartbeat, e->stamp > 0 ? e->stamp : w.now);
        break;
    case TO_ARBITER:
        on_bus(e->node, e->payload);
        break;
    case ROLE_TO_TAKEOVERD:
        node->order = e->payload->role;
        takeover_obey(e->node);
        break;
    case ROLE_TO_HEARTBEATD: {
        const bool news = node->role.change != e->payload->role.change ||
                          node->role.considered != e->payload->role.considered ||
                          node->role.released != e->payload->role.released || node->role_at == 0;
        node->role = e->payload->role;
        node->role_at = w.now;
        if (news)
            send_heartbeats(e->node);
        break;
    }
    case ADDRESS_TO_HEARTBEATD:
        node->address = e->payload->address;
        break;
    case SAVED:
        on_saved(e->node, e->payload);
        break;
    case ALARM_CLOCK:
        step(e->node, &(struct arbiter_event){.kind = EVENT_TIME});
        schedule(e->node, ARBITERD, ALARM_CLOCK, w.set->heartbeat_interval, NULL);
        break;
    case LEASE_END:
        on_lease_end(e->node);
        break;
    case PULSE:
        publish_address(e->node);
        schedule(e->node, TAKEOVERD, PULSE, NS_PER_S, NULL);
        break;
    case FAULT:
        if (e->incarnation == -3)
            kill_process(e->node, ARBITERD, between(5 * ms, 900 * ms));
        else if (e->incarnation == -4 && node->power)
            power_off(e->node);
        else
            inject();
        break;
    case HEAL:
        heal();
        break;
    case OPERATOR_RESUMES:
        send_order(e->node, EVENT_RESUME, false);
        break;
    case RESTART:
        w.quiet_since = MAX(w.quiet_since, w.now);
        start_process(e->node, e->process);
        break;
    }
}

static void run_seed(uint64_t seed)
{
    const bool verbose = w.verbose;
    const int64_t events = w.events, changes = w.changes;
    for (size_t i = 0; i < w.count; i++)
        free(w.heap[i].payload);
    memset(&w, 0, sizeof w);
    w.verbose = verbose;
    w.events = events;
    w.changes = changes;
    w.set = &settings;
    w.seed = w.random = seed;
    w.now = NS_PER_S; /* 0 means never */
    const int64_t end_of_faults = chance(60) ? 12 * NS_PER_S : 26 * NS_PER_S;
    const int64_t settled = end_of_faults + 20 * NS_PER_S;
    int64_t first_start = 0;
    w.search_off = chance(15);
    w.partition_end = w.trouble_end = w.stall_end = w.blind_end = w.plane_lost = -NS_PER_S * 3600;
    change_network(0, 0, 0, true);
    for (int n = 0; n < 2; n++) {
        struct node *node = &w.nodes[n];
        for (int c = 0; c < CHANNELS; c++) {
            node->carrier[c] = true;
            node->router_from[c] = w.now + (chance(50) ? between(0, 900 * ms) : 0);
            node->router[c] = true;
        }
        node->power = true;
        /* Some start so that each may think of itself as the older one. */
        const bool tie = n == 1 && chance(20);
        const int64_t at = between(0, chance(50) ? 50 * ms : 2000 * ms);
        for (int p = 0; p < PROCESSES; p++) {
            int64_t start = w.now + at + between(0, 20 * ms);
            if (tie && p == ARBITERD)
                start = first_start + (chance(50) ? 1 : -1) * w.set->heartbeat_interval +
                        between(-ms / 2, ms / 2);
            if (n == 0 && p == ARBITERD)
                first_start = start;
            push((struct event){.at = start, .what = RESTART, .node = n, .process = p, .incarnation = -1});
        }
    }
    for (int64_t i = between(0, 8); i > 0; i--)
        push((struct event){.at =
                                w.now + (chance(25) ? between(0, 700 * ms) : between(100 * ms, 9 * NS_PER_S)),
                            .what = FAULT});
    push((struct event){.at = end_of_faults, .what = HEAL});
    while (w.count > 0 && !w.ended_badly && w.now < settled + 5 * NS_PER_S) {
        struct event e = pop();
        w.now = e.at;
        if (!kept_from(&e))
            dispatch(&e);
        free(e.payload);
        judge();
    }
    if (!w.ended_badly)
        settle_and_judge(settled);
}

int main(int argc, char **argv)
{
    uint64_t seeds = 2000, first = 1, bad = 0, most_bad = 10;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--stop") == 0)
            most_bad = 1;
        else if (strcmp(argv[i], "--verbose") == 0)
            w.verbose = true;
        else {
            fprintf(stderr, "usage: sim [--seeds N] [--first SEED] [--verbose] [--stop]\n");
            return 2;
        }
    }
    for (uint64_t seed = first; seed < first + seeds && bad < most_bad; seed++) {
        run_seed(seed);
        bad += w.ended_badly;
    }
    printf("%" PRIu64 " seeds, %" PRId64 " arbiter steps, %" PRId64 " role changes, %" PRIu64 " violations\n",
           seeds, w.events, w.changes, bad);
    return bad > 0;
}
