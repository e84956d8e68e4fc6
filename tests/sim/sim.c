/* sim: two arbiters in a world that goes wrong, drawn from a seed.
 *
 * The decision core is the real one (arbiterd.c). Around it stand small models of what it meets:
 * heartbeatd.c, takeoverd.c, syncd.c, the network between the nodes (network.c), and the bus, the clocks and
 * the dice (world.c). Faults come first (faults.c), and safety is judged on the plane after every event
 * (verdict.c): on what the kernels really have. Then the world heals, and the pair must settle on one active
 * node and change no more. Here are the profiles, what the seed draws, and the loop.
 *
 * usage: sim [--seeds N] [--first SEED] [--verbose] [--stop (at the first violation)]      exit 0: no
 * violation; 1: the first one is told with its seed */
#include <stdio.h>

#include "tests/sim/world.h"

/* The times of common/config_timers.c. `stale_start_wait` is the seed's. */
static const struct profile profiles[] = {
    {.name = "lan",
     .scale = 1,
     .search_calm = 200 * NS_PER_MS,
     .search_quick = 10 * NS_PER_MS,
     .router_calm = 200 * NS_PER_MS,
     .router_quick = 10 * NS_PER_MS,
     .router_silent = 800 * NS_PER_MS,
     .settled = 20 * NS_PER_S,
     .bus_late = 8 * NS_PER_MS,
     .wire_least = 30000,
     .wire_most = 300000,
     .path_delay_most = 10 * NS_PER_MS,
     .set = {.evidence_wait = 40 * NS_PER_MS,
             .heartbeat_interval = 50 * NS_PER_MS,
             .takeover_after = 300 * NS_PER_MS,
             .address_lease = 200 * NS_PER_MS,
             .isolation_after = 200 * NS_PER_MS,
             .router_interval = 200 * NS_PER_MS,
             .search_time = 600 * NS_PER_MS,
             .claim_time = NS_PER_S,
             .handover_time = 3 * NS_PER_S,
             .settle_time = 5 * NS_PER_S,
             .linger = 50 * NS_PER_MS}},
    {.name = "fast",
     .scale = 1,
     .search_calm = 50 * NS_PER_MS,
     .search_quick = 10 * NS_PER_MS,
     .router_calm = 100 * NS_PER_MS,
     .router_quick = 10 * NS_PER_MS,
     .router_silent = 500 * NS_PER_MS,
     .settled = 20 * NS_PER_S,
     .bus_late = 2 * NS_PER_MS,
     .wire_least = 30000,
     .wire_most = 300000,
     .path_delay_most = NS_PER_MS,
     .set = {.evidence_wait = 40 * NS_PER_MS,
             .heartbeat_interval = 10 * NS_PER_MS,
             .takeover_after = 25 * NS_PER_MS,
             .address_lease = 60 * NS_PER_MS,
             .isolation_after = 20 * NS_PER_MS,
             .router_interval = 100 * NS_PER_MS,
             .search_time = 100 * NS_PER_MS,
             .claim_time = 500 * NS_PER_MS,
             .handover_time = 3 * NS_PER_S,
             .settle_time = 5 * NS_PER_S,
             .linger = 10 * NS_PER_MS}},
    {.name = "wan",
     .scale = 5,
     .search_calm = NS_PER_S,
     .search_quick = 50 * NS_PER_MS,
     .router_calm = 2 * NS_PER_S,
     .router_quick = 50 * NS_PER_MS,
     .router_silent = 7 * NS_PER_S,
     .settled = 100 * NS_PER_S,
     .bus_late = 8 * NS_PER_MS,
     .wire_least = 5 * NS_PER_MS,
     .wire_most = 40 * NS_PER_MS,
     .path_delay_most = 100 * NS_PER_MS,
     .set = {.evidence_wait = 200 * NS_PER_MS,
             .heartbeat_interval = 500 * NS_PER_MS,
             .takeover_after = 3 * NS_PER_S,
             .address_lease = 2 * NS_PER_S,
             .isolation_after = 2 * NS_PER_S,
             .router_interval = 2 * NS_PER_S,
             .search_time = 6 * NS_PER_S,
             .claim_time = 5 * NS_PER_S,
             .handover_time = 15 * NS_PER_S,
             .settle_time = 30 * NS_PER_S,
             .linger = 500 * NS_PER_MS}},
};

/* No process of a node's has to be there for it. */
static bool is_of_the_world(enum what what)
{
    return what == FAULT || what == HEAL || what == OPERATOR_RESUMES || what == OPERATOR_CLAIMS ||
           what == RESTART || what == STOP_ENDS || what == POWER_ON || what == THAW || what == WITNESS_ASKED;
}

/* Puts the event off, or drops it, if who should see it cannot now; true if so. */
static bool kept_from(struct event *e)
{
    struct node *node = &w.nodes[e->node];
    int64_t until = MAX(node->frozen_until, node->paused_until[e->process]);

    if (is_of_the_world(e->what))
        return false;
    if (!node->power || !node->alive[e->process] ||
        (e->incarnation >= 0 && e->incarnation != node->incarnation[e->process]))
        return true;
    if (e->what == HEARTBEAT && node->frozen_until > w.now)
        return true; /* the adapter had nowhere to put it */
    if (until <= w.now)
        return false;
    if (e->what == HEARTBEAT && e->stamp == 0)
        e->stamp = clock_of(e->node);
    e->at = until;
    union payload *payload = e->payload;
    e->payload = NULL;
    push((struct event){e->at, 0, e->what, e->node, e->process, e->incarnation, e->stamp, payload});
    return true;
}

static void hear_role(int n, const struct role_message *role)
{
    struct node *node = &w.nodes[n];
    const bool news = node->role.change != role->change || node->role.considered != role->considered ||
                      node->role.released != role->released || node->role.silent != role->silent ||
                      node->role_at == 0;

    node->role = *role;
    node->role_at = clock_of(n);
    if (news)
        send_heartbeats(n);
}

static void fault(struct event *e)
{
    if (e->incarnation == -3)
        kill_process(e->node, ARBITERD, during(5 * ms, 900 * ms));
    else if (e->incarnation == -4 && w.nodes[e->node].power)
        power_off(e->node);
    else if (e->incarnation == -6)
        change_version(e->node);
    else if (e->incarnation == -5) /* until the offer was taken back, or about */
        stop_process(e->node, ARBITERD, between(w.set->handover_time / 2, w.set->handover_time * 3 / 2));
    else
        inject();
}

/* What comes to the world as a whole. */
static void dispatch_to_world(struct event *e)
{
    switch (e->what) {
    case FAULT:
        fault(e);
        break;
    case HEAL:
        heal();
        break;
    case OPERATOR_RESUMES:
        send_order(e->node, EVENT_RESUME, false);
        break;
    case OPERATOR_CLAIMS:
        operator_claims();
        break;
    case STOP_ENDS:
        stop_ends(e->node, e->incarnation);
        break;
    case POWER_ON:
        power_on(e->node);
        break;
    case THAW:
        on_thaw(e->node);
        break;
    case WITNESS_ASKED:
        on_witness_asked(e->node, e->incarnation, e->payload);
        break;
    default: /* RESTART */
        w.quiet_since = MAX(w.quiet_since, w.now);
        start_process(e->node, e->process);
        break;
    }
}

/* What comes to a process of a node's. */
static void dispatch(struct event *e)
{
    struct node *node = &w.nodes[e->node];

    switch (e->what) {
    case TICK:
        on_tick(e->node, e->stamp);
        break;
    case HEARTBEAT:
        on_heartbeat(e->node, &e->payload->heartbeat, e->stamp > 0 ? e->stamp : clock_of(e->node));
        break;
    case TO_ARBITER:
        on_bus(e->node, e->payload);
        break;
    case ROLE_TO_TAKEOVERD:
        node->order = e->payload->role;
        node->order_sent = e->payload->role_sent;
        takeover_obey(e->node);
        break;
    case ROLE_TO_HEARTBEATD:
        hear_role(e->node, &e->payload->role);
        break;
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
    case SYNC:
        on_sync(e->node);
        break;
    case ROLE_TO_WITNESSD:
        witness_hears_role(e->node, &e->payload->role);
        break;
    case WITNESS_TIMER:
        on_witness_timer(e->node, e->stamp);
        break;
    case WITNESS_PULSE:
        publish_witness(e->node);
        schedule(e->node, WITNESSD, WITNESS_PULSE, NS_PER_S, NULL);
        break;
    case WITNESS_ANSWERED:
        on_witness_answered(e->node, e->payload);
        break;
    case REBOOT:
        reboot(e->node);
        break;
    default:
        dispatch_to_world(e);
        break;
    }
}

/* What the seed says of the pair: the profile, the configuration, the clocks, what was there before. */
static void draw_pair(void)
{
    const int profile = (int)between(1, 100);

    w.profile = &profiles[profile <= 70 ? 0 : profile <= 80 ? 1 : 2];
    w.settings = w.profile->set;
    w.set = &w.settings;
    w.settings.channel_count = CHANNELS;
    text_copy(w.settings.channels[0], sizeof w.settings.channels[0], "outside");
    text_copy(w.settings.channels[1], sizeof w.settings.channels[1], "inside");
    w.settings.reboot_on_network_fault = chance(50);
    w.settings.sync_sets = chance(30);
    w.settings.stale_start_wait = (chance(50) ? 4 : 120) * NS_PER_S;
    w.search_off = chance(15);
    w.gate = chance(80);
    draw_versions();
    w.settings.witness = chance(30);
    if (w.settings.witness) { /* what common/config_timers.c demands then */
        w.settings.isolation_after = MAX(w.settings.isolation_after, 4 * w.settings.heartbeat_interval);
        w.settings.takeover_after = MAX(w.settings.takeover_after, w.settings.isolation_after * 9 / 8);
    }
    w.settings.routers = chance(70);
    heal_witness();
    if (w.search_off) /* what common/config_timers.c demands then */
        w.settings.address_lease =
            MAX(2 * w.settings.heartbeat_interval,
                MIN(w.settings.address_lease,
                    w.settings.takeover_after - w.settings.heartbeat_interval - 3 * ms));
    w.settings.takeover_after =
        MAX(w.settings.takeover_after,
            w.search_off ? w.settings.address_lease + w.settings.heartbeat_interval + 3 * ms : 0);
    for (int p = 0; p < PATHS && chance(25); p++)
        w.path_delay[p] = between(0, w.profile->path_delay_most);
    const int drift = (int)between(0, 2); /* none, what NTP may steer, far more than any quartz */
    for (int n = 0; n < 2; n++) {
        struct node *node = &w.nodes[n];
        const int64_t most = drift == 0 ? 0 : drift == 1 ? 500 : 10000;
        node->clock_ppm = between(-most, most);
        clock_set(n, between(2, chance(50) ? 60 : 100 * 86400) * NS_PER_S);
        node->services_reboot = chance(50);
    }
    if (w.set->sync_sets > 0 && chance(50)) /* a pair with a past */
        for (int n = 0; n < 2; n++) {
            struct node *node = &w.nodes[n];
            node->data_whole = chance(80);
            node->data_epoch = node->data_whole ? between(3, 4) : 0;
            node->data_generation = between(1, 9);
            node->disk = (struct arbiter_durable){
                .epoch = 4, .data_whole = node->data_whole, .data_epoch = node->data_epoch};
            node->disk_before = node->disk;
        }
}

static void draw_start(void)
{
    int64_t first_start = 0;

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
            push((struct event){
                .at = MAX(start, w.now), .what = RESTART, .node = n, .process = p, .incarnation = -1});
        }
    }
}

static void begin(uint64_t seed)
{
    const struct world before = w;

    for (size_t i = 0; i < w.count; i++)
        payload_free(w.heap[i].payload);
    memset(&w, 0, sizeof w);
    w.verbose = before.verbose;
    w.events = before.events;
    w.steps = before.steps;
    w.changes = before.changes;
    w.reboots = before.reboots;
    w.budgets = before.budgets;
    w.switches = before.switches;
    w.seed = w.random = seed;
    w.now = NS_PER_S; /* 0 means never */
    w.partition_end = w.trouble_end = w.stall_end = w.blind_end = w.plane_lost = w.forced_at =
        w.unguarded_end = -NS_PER_S * 3600;
    draw_pair();
    tell("profile %s, data %d, search %s, gate %s, witness %s, versions %s, clocks %+d and %+d ppm",
         w.profile->name, (int)w.set->sync_sets, w.search_off ? "off" : "on", w.gate ? "on" : "off",
         w.set->witness ? "on" : "off", version_names(), (int)w.nodes[0].clock_ppm,
         (int)w.nodes[1].clock_ppm);
    change_network(0, 0, 0, true);
    draw_start();
}

/* Claims that failed bar the next one for a time that doubles each time: a pair that had many of them serves
 * again only then. */
static int64_t bars_end(void)
{
    int64_t end = 0;

    for (int n = 0; n < 2; n++)
        end = MAX(end, w.now + w.nodes[n].arbiter.no_claim_before - clock_of(n));
    return end + 5 * NS_PER_S * w.profile->scale;
}

bool advance(void)
{
    if (w.count == 0)
        return false;
    struct event e = pop();
    w.now = e.at;
    w.events++;
    if (!kept_from(&e))
        dispatch(&e);
    payload_free(e.payload);
    judge();
    return true;
}

static void run_seed(uint64_t seed)
{
    begin(seed);
    const int64_t end_of_faults = (chance(60) ? 12 : 26) * NS_PER_S * w.profile->scale;
    int64_t settled = end_of_faults + w.profile->settled;
    const int64_t latest = settled + 16 * w.set->settle_time;

    for (int64_t i = between(0, 8); i > 0; i--)
        push(
            (struct event){.at = w.now + (chance(25) ? between(0, 700 * ms) : during(100 * ms, 9 * NS_PER_S)),
                           .what = FAULT});
    if (w.mixed) /* one node after the other, or the second one never */
        for (int i = (int)between(1, 2); i > 0; i--)
            push((struct event){.at = w.now + during(100 * ms, 9 * NS_PER_S),
                                .what = FAULT,
                                .node = (int)between(0, 1),
                                .incarnation = -6});
    push((struct event){.at = end_of_faults, .what = HEAL});
    while (!w.ended_badly && w.now < settled + 5 * NS_PER_S * w.profile->scale && advance())
        if (w.healed)
            settled = MAX(settled, MIN(bars_end(), latest));
    if (!w.ended_badly)
        settle_and_judge(settled);
    if (!w.ended_badly)
        judge_budget();
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
    printf("%" PRIu64 " seeds, %" PRId64 " events, %" PRId64 " arbiter steps, %" PRId64
           " role changes, %" PRId64 " reboots, %" PRId64 " budgets, %" PRId64 " switches, %" PRIu64
           " violations\n",
           seeds, w.events, w.steps, w.changes, w.reboots, w.budgets, w.switches, bad);
    return bad > 0;
}
