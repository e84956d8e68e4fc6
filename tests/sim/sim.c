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
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"

enum { CHANNELS = 2, PATHS = CHANNELS + 1, EVENTS_MAX = 8192 };
enum process { HEARTBEATD, ARBITERD, TAKEOVERD, PROCESSES };

static const int64_t ms = NS_PER_MS;

enum what {
    TICK,       /* heartbeatd's */
    HEARTBEAT,  /* arrives at a node */
    TO_ARBITER, /* a bus message */
    ROLE_TO_TAKEOVERD,
    ROLE_TO_HEARTBEATD,
    ADDRESS_TO_HEARTBEATD,
    SAVED,
    ALARM_CLOCK, /* the arbiter's EVENT_TIME */
    LEASE_END,
    PULSE, /* takeoverd speaks once a second */
    FAULT,
    HEAL,
    OPERATOR_RESUMES,
    RESTART, /* a process comes up (again) */
};

struct heartbeat {
    int64_t session, echo;
    struct role_message role;
    int64_t arbiter_age, lease_left, phase_age;
    struct channel_fitness channels[CHANNELS];
};

union payload {
    struct heartbeat heartbeat;
    struct {
        enum arbiter_event_kind kind;
        size_t channel;
        int64_t sent;
        union {
            struct peer_message peer;
            struct link_message link;
            struct search_message search;
            struct address_message address;
        };
        int64_t services_failed;
        bool watchdog_armed;
        bool force;
    } bus;
    struct {
        struct role_message role;
        int64_t role_sent;
    };
    struct address_message address;
    struct arbiter_durable durable;
    int fault;
};

struct event {
    int64_t at, order;
    enum what what;
    int node;
    enum process process;
    int64_t incarnation; /* of the process that it is for; -1: whichever */
    int64_t stamp;       /* when the kernel received it */
    union payload *payload;
};

struct node {
    bool power;
    int64_t frozen_until; /* the whole machine */
    bool alive[PROCESSES];
    int64_t paused_until[PROCESSES], incarnation[PROCESSES];
    int64_t bus_last[PROCESSES]; /* when the last message on its way to it arrives */

    /* the kernel */
    bool plane, mute;   /* addresses; the gate takes their traffic, and answers nothing */
    int64_t gate_until; /* the gate shuts then */
    int64_t plane_epoch, plane_since;
    bool carrier[CHANNELS], router[CHANNELS], claim_broken, claim_partial;
    int64_t router_from[CHANNELS]; /* it answers from then on, after a boot */

    /* heartbeatd */
    int64_t session, started, last_tick, counting_since, phase_seen;
    struct role_message role;
    int64_t role_at;
    struct address_message address;
    struct heartbeat peer;
    int64_t heard, linked, backed, phase_since;
    bool ever_heard;
    struct link_message links[CHANNELS];
    int64_t router_asked, silent_from[CHANNELS];
    struct search_message searches[CHANNELS];
    int64_t asked[CHANNELS];

    /* takeoverd */
    struct role_message order;
    int64_t order_sent;
    struct address_message state;
    int64_t lease_record; /* in the run directory: survives the process, not a reboot */
    bool said_released;

    /* arbiterd */
    struct arbiter arbiter;
    struct role_message shown;
    int64_t services_failed;

    /* the disk */
    struct arbiter_durable disk, disk_before;
    bool disk_lost;
    int64_t last_claim;
};

static struct world {
    int64_t now, order;
    uint64_t random;
    uint64_t seed;
    struct event heap[EVENTS_MAX];
    size_t count;
    struct node nodes[2];
    bool path_up[2][PATHS]; /* from this node */
    int loss_percent;
    bool arp_up[CHANNELS];
    bool healed;
    int64_t unserved, judged_at, plane_lost;
    bool in_the_dark;  /* an address went while no heartbeat passed, and none has passed since */
    bool unsteered[2]; /* what its kernel has is neither steered nor seen */
    bool search_off;   /* `search = off` on every channel */
    bool gate;         /* active addresses are a lease in the kernel */
    int64_t partition_end, freeze_end, trouble_end, stall_end, blind_end, quiet_since, heal_at, last_change;
    int64_t claims[1024];
    size_t claim_count;
    bool ended_badly, verbose;
    int64_t events, changes;
} w;

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
    .linger = 50 * NS_PER_MS,
};

/* ----------------------------------------------------------------- the dice */

static uint64_t roll(void) /* splitmix64 */
{
    uint64_t z = (w.random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t between(int64_t least, int64_t most)
{
    return least + (int64_t)(roll() % (uint64_t)(most - least + 1));
}

static bool chance(int percent)
{
    return between(1, 100) <= percent;
}

/* ---------------------------------------------------------------- telling */

PRINTF_LIKE(1, 2) static void tell(const char *format, ...)
{
    va_list args;

    if (!w.verbose)
        return;
    printf("%10.3f ms  ", (double)w.now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

PRINTF_LIKE(1, 2) static void violation(const char *format, ...)
{
    va_list args;

    if (w.ended_badly)
        return;
    w.ended_badly = true;
    printf("seed %" PRIu64 " at %.3f ms: ", w.seed, (double)w.now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* ------------------------------------------------------------- the event heap */

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void push(struct event event)
{
    size_t i = w.count++;

    if (w.count >= EVENTS_MAX) {
        violation("the simulator's queue is full");
        w.count--;
        free(event.payload);
        return;
    }
    event.order = ++w.order;
    while (i > 0 && sooner(&event, &w.heap[(i - 1) / 2])) {
        w.heap[i] = w.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w.heap[i] = event;
}

static struct event pop(void)
{
    const struct event top = w.heap[0], last = w.heap[--w.count];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < w.count) {
        if (child + 1 < w.count && sooner(&w.heap[child + 1], &w.heap[child]))
            child++;
        if (!sooner(&w.heap[child], &last))
            break;
        w.heap[i] = w.heap[child];
        i = child;
    }
    w.heap[i] = last;
    return top;
}

static union payload *payload_new(void)
{
    union payload *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    return p;
}

static void schedule(int node, enum process process, enum what what, int64_t delay, union payload *payload)
{
    push((struct event){.at = w.now + delay,
                        .what = what,
                        .node = node,
                        .process = process,
                        .incarnation = w.nodes[node].incarnation[process],
                        .payload = payload});
}

/* What goes over the bus arrives late, but in order. */
static void send_on_bus(int node, enum process process, enum what what, union payload *payload)
{
    const int64_t delay = chance(2) ? between(1 * ms, 8 * ms) : between(40000, 400000);
    int64_t *last = &w.nodes[node].bus_last[process];

    *last = MAX(*last + 1, w.now + delay);
    schedule(node, process, what, *last - w.now, payload);
}

/* ---------------------------------------------------------------- the plane */

static bool takes_traffic(int n)
{
    const struct node *node = &w.nodes[n];

    return node->power && node->plane && node->frozen_until <= w.now && (!w.gate || w.now < node->gate_until);
}

static bool answers(int n)
{
    return takes_traffic(n) && !w.nodes[n].mute;
}

/* In some direction nothing passes on any path, and the search is not answered. */
static bool partitioned(void)
{
    for (int from = 0; from < 2; from++) {
        bool passes = false;
        for (int p = 0; p < PATHS; p++) {
            const bool carriers = p == CHANNELS || (w.nodes[0].carrier[p] && w.nodes[1].carrier[p]);
            passes = passes || (w.path_up[from][p] && carriers);
        }
        bool arp = false;
        for (int c = 0; c < CHANNELS; c++)
            arp = arp || (w.arp_up[c] && w.nodes[0].carrier[c] && w.nodes[1].carrier[c] && !w.search_off);
        if (!passes && !arp)
            return true;
    }
    return false;
}

static bool heartbeats_cut(void)
{
    for (int from = 0; from < 2; from++) {
        bool passes = false;
        for (int p = 0; p < PATHS; p++)
            passes = passes || (w.path_up[from][p] &&
                                (p == CHANNELS || (w.nodes[0].carrier[p] && w.nodes[1].carrier[p])));
        if (!passes)
            return true;
    }
    return false;
}

static bool arp_cut(void)
{
    for (int c = 0; c < CHANNELS; c++)
        if (w.arp_up[c] && w.nodes[0].carrier[c] && w.nodes[1].carrier[c])
            return false;
    return true;
}

static bool takeoverd_stopped(int n)
{
    return w.nodes[n].power && (!w.nodes[n].alive[TAKEOVERD] || w.nodes[n].paused_until[TAKEOVERD] > w.now);
}

/* Whether both may rightly be seen to answer at this moment (I1, I2). */
static bool dual_excused(void)
{
    const int64_t two_beats = 2 * settings.heartbeat_interval + 30 * ms;

    if (w.now - w.partition_end <= two_beats)
        return true;
    if (w.freeze_end > 0 && w.now - w.freeze_end <= settings.address_lease + two_beats)
        return true;
    return w.trouble_end > 0 && w.now - w.trouble_end <= two_beats;
}

/* Two faults at once that this version does not promise to survive without a moment of two owners. Nothing
 * but takeoverd takes an address away yet: where it is stopped, the address outlives the lease, and where
 * nobody can ask either (no search, no ARP, a machine that stood still), nobody knows. And where no heartbeat
 * passes, an address that goes (a stall, a handover, an address that cannot be added) looks like the node's
 * end, and whoever claims is not heard; it stays so until a heartbeat passes again. */
static void note_trouble(void)
{
    const bool blind = arp_cut() || w.search_off;

    if (partitioned() || (arp_cut() && w.loss_percent > 0)) /* one lossy path may seem none for a while */
        w.partition_end = w.now;
    if (blind)
        w.blind_end = w.now;
    for (int n = 0; n < 2; n++) {
        const bool unseen = w.now - MAX(w.blind_end, w.freeze_end) < 2 * NS_PER_S;
        w.unsteered[n] = !w.gate && takeoverd_stopped(n) && (w.unsteered[n] || unseen);
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

static bool healthy(int n)
{
    const struct node *node = &w.nodes[n];

    for (int c = 0; c < CHANNELS; c++)
        if (!node->carrier[c] || !node->router[c])
            return false;
    for (int p = 0; p < PROCESSES; p++)
        if (!node->alive[p])
            return false;
    return node->power && !node->claim_broken && !node->arbiter.held && !node->arbiter.stopping &&
           node->arbiter.no_claim_before < w.now - 9 * NS_PER_S;
}

/* I3 for a world that is not healed: it has been left alone for long enough, and a node is without any fault.
 */
static void judge_service(void)
{
    const int64_t bound = settings.claim_time + settings.search_time + 2 * settings.handover_time + NS_PER_S;

    /* Unserved time adds up, served time takes it away: a node that serves now and then is found out, too. */
    const int64_t passed = w.now - w.judged_at;
    w.judged_at = w.now;
    if (w.now <= w.quiet_since || w.loss_percent > 0 || !(healthy(0) || healthy(1)))
        w.unserved = 0;
    else
        w.unserved = takes_traffic(0) || takes_traffic(1) ? MAX(w.unserved - passed, 0) : w.unserved + passed;
    if (w.unserved > bound)
        violation("I3: nobody holds the addresses, though node %d has no fault", healthy(0) ? 0 : 1);
}

static void judge(void)
{
    note_trouble();
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

static void set_plane(int n, bool up, int64_t epoch)
{
    struct node *node = &w.nodes[n];

    if (up) {
        if (node->disk.next_epoch < epoch && node->disk_before.next_epoch < epoch && !node->disk_lost)
            violation("I6: node %d has an address up under epoch %" PRId64 ", which is not durable", n,
                      epoch);
        node->said_released = false;
    }
    if (node->plane != up)
        tell("node %d: plane %s (epoch %" PRId64 ")", n, up ? "UP" : "down", epoch);
    if (node->plane && !up)
        w.plane_lost = w.now;
    node->plane = up;
    node->mute = node->mute && up;
    node->plane_epoch = epoch;
}

/* Rounded down to a rung, and up to a tick of the kernel. */
static void set_gate(int n, bool mute, int64_t lease_ns)
{
    struct node *node = &w.nodes[n];

    if (node->mute != (mute && w.gate))
        tell("node %d: %s", n, mute ? "takes traffic, and answers nothing" : "answers");
    node->mute = mute && w.gate;
    node->gate_until = lease_ns + between(-12 * ms, 4 * ms);
    node->state.silent = node->mute;
}

/* ----------------------------------------------------------------- takeoverd */

static void to_arbiter(int n, union payload *p)
{
    send_on_bus(n, ARBITERD, TO_ARBITER, p);
}

static void publish_address(int n)
{
    struct node *node = &w.nodes[n];
    union payload *a = payload_new(), *h = payload_new();

    if (node->state.state == HOLD_STATE_RELEASED)
        node->said_released = true;
    a->bus.kind = EVENT_ADDRESS;
    a->bus.address = h->address = node->state;
    to_arbiter(n, a);
    send_on_bus(n, HEARTBEATD, ADDRESS_TO_HEARTBEATD, h);
}

static void takeover_release(int n)
{
    struct node *node = &w.nodes[n];

    set_plane(n, false, node->state.epoch);
    if (node->state.state != HOLD_STATE_RELEASED)
        node->state.changed_ns = w.now;
    node->state.state = HOLD_STATE_RELEASED;
    node->state.lease_ns = node->state.held = 0;
    node->state.silent = false;
    node->lease_record = 0;
}

static void begin_term(int n)
{
    w.nodes[n].state.term = MAX(w.now, w.nodes[n].state.term + 1);
}

/* An order to serve that was given before this term, or is read late: the arbiter is asked. */
static bool is_void(int n)
{
    struct node *node = &w.nodes[n];
    const bool stale = w.now - node->order_sent > settings.takeover_after / 2;

    if (node->order.term != node->state.term)
        return true;
    if (stale) {
        begin_term(n);
        publish_address(n);
    }
    return stale;
}

static void takeover_obey(int n)
{
    struct node *node = &w.nodes[n];
    const struct role_message *order = &node->order;
    const bool active = order->role == ROLE_ACTIVE && order->lease_ns > w.now && !order->searching;
    const enum hold_state before = node->state.state;

    if (active && !node->plane && node->state.state != HOLD_STATE_FAILED && is_void(n))
        return;
    if (order->role == ROLE_ACTIVE && !order->searching && !active)
        return; /* read too late: it gives no right, and ends none */
    if (!active) {
        if (node->plane || node->state.state != HOLD_STATE_RELEASED)
            takeover_release(n);
    } else if (node->claim_broken) {
        /* Some of several, or none: what still answers was put up before. */
        set_plane(n, node->claim_partial && node->plane, order->epoch);
        set_gate(n, order->quiet, order->lease_ns);
        node->state.state = HOLD_STATE_FAILED;
        node->state.lease_ns = node->lease_record = order->lease_ns;
        node->state.epoch = order->epoch;
        schedule(n, TAKEOVERD, LEASE_END, order->lease_ns - w.now, NULL);
    } else {
        set_plane(n, true, order->epoch);
        set_gate(n, order->quiet, order->lease_ns);
        node->state.state = HOLD_STATE_HOLDING;
        node->state.epoch = order->epoch;
        node->state.lease_ns = order->lease_ns;
        node->lease_record = node->mute ? 0 : order->lease_ns;
        schedule(n, TAKEOVERD, LEASE_END, order->lease_ns - w.now, NULL);
    }
    node->state.change = order->change;
    node->state.held = node->plane ? 1 : 0;
    if (node->state.state != before)
        node->state.changed_ns = w.now;
    publish_address(n);
}

static void on_lease_end(int n)
{
    struct node *node = &w.nodes[n];

    if (node->plane && node->state.lease_ns > 0 && w.now >= node->state.lease_ns) {
        tell("node %d: the lease ended", n);
        begin_term(n);
        takeover_release(n);
        publish_address(n);
    }
}

static void show_role_again(int n, enum process to);

static void start_takeoverd(int n)
{
    struct node *node = &w.nodes[n];

    node->order = (struct role_message){0};
    node->state = (struct address_message){.state = HOLD_STATE_RELEASED,
                                           .epoch = node->plane_epoch,
                                           .gate = w.gate ? GATE_CONDITION_ON : GATE_CONDITION_OFF};
    begin_term(n);
    if (node->plane && node->lease_record > w.now) { /* R1: it keeps what rightly stands */
        node->state.state = HOLD_STATE_HOLDING;
        node->state.held = 1;
        node->state.lease_ns = node->lease_record;
        schedule(n, TAKEOVERD, LEASE_END, node->lease_record - w.now, NULL);
    } else {
        takeover_release(n);
    }
    publish_address(n);
    schedule(n, TAKEOVERD, PULSE, NS_PER_S, NULL);
    show_role_again(n, TAKEOVERD);
}

/* ------------------------------------------------------------------ heartbeatd */

static bool own_lease(const struct node *node)
{
    return node->address.held > 0 && node->address.lease_ns > w.now;
}

static void send_heartbeats(int n)
{
    struct node *node = &w.nodes[n];
    const bool wire_dead = !node->power;

    for (int p = 0; p < PATHS && !wire_dead; p++) {
        const bool carriers = p == CHANNELS || (w.nodes[0].carrier[p] && w.nodes[1].carrier[p]);
        if (!w.path_up[n][p] || !carriers || chance(w.loss_percent))
            continue;
        union payload *payload = payload_new();
        struct heartbeat *h = &payload->heartbeat;
        h->session = node->session;
        h->echo = node->ever_heard ? node->peer.session : 0;
        h->role = node->role;
        h->arbiter_age = node->role_at > 0 ? w.now - node->role_at : NS_PER_S * 3600;
        h->lease_left = own_lease(node) ? node->address.lease_ns - w.now : 0;
        h->phase_age = node->role_at > 0 ? w.now - node->role.since_ns : 0;
        for (int c = 0; c < CHANNELS; c++) {
            text_copy(h->channels[c].name, sizeof h->channels[c].name, settings.channels[c]);
            h->channels[c].usable = node->links[c].usable;
            h->channels[c].evidence_ns = w.now - node->links[c].evidence_ns; /* its age, on the wire */
        }
        push((struct event){.at = w.now + between(30000, 300000),
                            .what = HEARTBEAT,
                            .node = !n,
                            .process = HEARTBEATD,
                            .incarnation = -1,
                            .payload = payload});
        if (chance(1)) { /* the network doubles a datagram, and delays the copy */
            union payload *copy = payload_new();
            *copy = *payload;
            push((struct event){.at = w.now + between(1 * ms, 20 * ms),
                                .what = HEARTBEAT,
                                .node = !n,
                                .process = HEARTBEATD,
                                .incarnation = -2, /* a replay: the sequence number tells */
                                .payload = copy});
        }
    }
}

/* R5: an own stall is no silence of the peer's. Asked before anything is published, not only at the tick. */
static void notice_stall(struct node *node)
{
    const int64_t since = MAX(node->last_tick, node->session - 1); /* it began then */

    if (w.now - since > settings.heartbeat_interval + 5 * ms)
        node->counting_since = w.now;
}

static void publish_peer(int n)
{
    struct node *node = &w.nodes[n];

    notice_stall(node);
    const struct heartbeat *h = &node->peer;
    union payload *payload = payload_new();
    struct peer_message *p = &payload->bus.peer;

    payload->bus.kind = EVENT_PEER;
    payload->bus.sent = w.now;
    *p = (struct peer_message){
        .alive = node->heard > 0 && w.now - node->heard < settings.takeover_after,
        .linked = h->echo == node->session,
        .heard_ns = node->heard,
        .linked_ns = node->linked,
        .backed_ns = node->backed,
        .counting_since_ns = node->counting_since,
        .role = h->role.role,
        .phase = h->role.phase,
        .epoch = h->role.epoch,
        .next_epoch = h->role.next_epoch,
        .arbiter_age_us = h->arbiter_age / 1000,
        .lease_us = h->lease_left / 1000,
        .released = h->role.released,
        .silent = h->role.silent,
        .held = h->role.held,
        .hold_version = h->role.hold_version,
        .unfit = !h->role.fit,
        .whole = true,
        .services_failed = h->role.services_failed,
        .phase_since_ns = node->phase_since,
        .offer = h->role.offer,
        .prefers = h->role.prefers,
        .change = h->role.change,
        .considered = h->role.considered,
        .channels_count = CHANNELS,
    };
    memcpy(p->channels, h->channels, sizeof h->channels);
    to_arbiter(n, payload);
}

static void on_heartbeat(int n, const struct heartbeat *h, int64_t stamp)
{
    struct node *node = &w.nodes[n];
    const bool was_linked = node->ever_heard && node->peer.echo == node->session;
    const struct role_message before = node->peer.role;

    if (node->ever_heard && h->session < node->peer.session)
        return; /* an ended session */
    const bool new_session = !node->ever_heard || h->session != node->peer.session;
    node->peer = *h;
    for (int c = 0; c < CHANNELS; c++)
        node->peer.channels[c].evidence_ns = stamp - h->channels[c].evidence_ns;
    node->phase_since = stamp - h->phase_age;
    node->ever_heard = true;
    node->heard = stamp;
    if (h->echo == node->session)
        node->linked = stamp;
    if (phase_serves(h->role.phase) && h->lease_left > 0 && h->arbiter_age < settings.address_lease)
        node->backed = stamp;
    if (new_session)
        send_heartbeats(n);
    if (before.change != h->role.change || before.considered != h->role.considered ||
        before.released != h->role.released || before.silent != h->role.silent || before.fit != h->role.fit ||
        before.hold_version != h->role.hold_version || before.epoch != h->role.epoch ||
        before.next_epoch != h->role.next_epoch || new_session || was_linked != (h->echo == node->session) ||
        node->role.suspicious || h->role.suspicious)
        publish_peer(n);
}

static void test_network(int n)
{
    struct node *node = &w.nodes[n];
    const bool quick = node->role.suspicious || (node->ever_heard && node->peer.role.suspicious);

    if (!quick && w.now - node->router_asked < 200 * ms)
        return;
    node->router_asked = w.now;
    for (int c = 0; c < CHANNELS; c++) {
        struct link_message *link = &node->links[c];
        const struct link_message before = *link;
        const bool answered = node->carrier[c] && node->router[c] && w.now >= node->router_from[c];
        if (answered) {
            link->evidence_ns = w.now;
            link->usable = true;
            link->fault_ns = node->silent_from[c] = 0;
        } else if (node->silent_from[c] == 0) {
            node->silent_from[c] = w.now;
        }
        link->carrier = node->carrier[c];
        if (!answered && (!node->carrier[c] || w.now - node->silent_from[c] >= 800 * ms) &&
            link->fault_ns == 0) {
            link->usable = false;
            link->fault_ns = node->silent_from[c];
        }
        if (before.usable != link->usable || before.fault_ns != link->fault_ns ||
            before.carrier != link->carrier) {
            union payload *p = payload_new();
            p->bus.kind = EVENT_LINK;
            p->bus.channel = (size_t)c;
            p->bus.link = *link;
            to_arbiter(n, p);
            send_heartbeats(n);
        }
    }
}

static void search(int n, bool quick)
{
    struct node *node = &w.nodes[n];
    const bool holds = node->role.role == ROLE_ACTIVE && node->role.lease_ns > w.now && !node->role.searching;
    const int64_t interval = quick ? 10 * ms : 200 * ms;

    for (int c = 0; c < CHANNELS; c++) {
        struct search_message *s = &node->searches[c];
        const struct search_message before = *s;
        if (holds || !node->carrier[c] || w.search_off) {
            *s = (struct search_message){.state = SEARCH_STATE_IDLE, .answered_ns = s->answered_ns};
        } else if (w.now - s->asked_ns >= interval || s->state == SEARCH_STATE_IDLE) {
            if (s->state == SEARCH_STATE_IDLE) {
                s->state = SEARCH_STATE_ASKING;
                s->silent_since_ns = w.now;
            }
            const bool reach = w.arp_up[c] && w.nodes[!n].carrier[c] && answers(!n) &&
                               !chance(w.loss_percent) && !chance(w.loss_percent);
            s->asked_ns = w.now;
            if (reach) {
                *s = (struct search_message){
                    .state = SEARCH_STATE_ANSWERED, .asked_ns = w.now, .answered_ns = w.now};
            } else if (++s->unanswered >= 2) {
                s->silent_since_ns = MAX(MAX(s->silent_since_ns, s->answered_ns), node->counting_since);
                s->state = SEARCH_STATE_SILENT;
            }
        }
        if (memcmp(&before, s, sizeof before) != 0 && (quick || before.state != s->state)) {
            union payload *p = payload_new();
            p->bus.kind = EVENT_SEARCH;
            p->bus.channel = (size_t)c;
            p->bus.search = *s;
            to_arbiter(n, p);
        }
    }
}

static void on_tick(int n)
{
    struct node *node = &w.nodes[n];
    const int64_t silent_for = w.now - node->heard;
    const bool missed =
        node->ever_heard && silent_for > settings.heartbeat_interval * 3 / 2 && silent_for < 5 * NS_PER_S;
    bool mute = false; /* R4: the search quickens, as long as something answered lately and no lease stands
                          behind it */
    for (int c = 0; c < CHANNELS; c++)
        mute = mute ||
               (w.now - node->backed > settings.heartbeat_interval * 3 / 2 &&
                node->searches[c].answered_ns > 0 && w.now - node->searches[c].answered_ns < 5 * NS_PER_S);
    const bool quick = missed || mute || node->role.suspicious || node->role.searching;
    const int64_t interval = quick ? settings.heartbeat_interval / 5 : settings.heartbeat_interval;

    notice_stall(node);
    if (node->last_tick == 0 || w.now - node->last_tick >= interval - 1000)
        send_heartbeats(n);
    node->last_tick = w.now;
    test_network(n);
    search(n, quick);
    publish_peer(n);
    schedule(n, HEARTBEATD, TICK, interval + between(0, 200000), NULL);
}

static void start_heartbeatd(int n)
{
    struct node *node = &w.nodes[n];

    node->session = w.now + 1; /* grows with each start, as the start counter on disk does */
    node->ever_heard = false;
    node->heard = node->linked = node->backed = node->last_tick = node->role_at = 0;
    node->peer = (struct heartbeat){0};
    node->role = (struct role_message){0};
    node->address = (struct address_message){0};
    node->counting_since = w.now;
    node->router_asked = 0;
    memset(node->links, 0, sizeof node->links);
    memset(node->searches, 0, sizeof node->searches);
    memset(node->silent_from, 0, sizeof node->silent_from);
    schedule(n, HEARTBEATD, TICK, 0, NULL);
    show_role_again(n, HEARTBEATD);
    if (node->alive[TAKEOVERD])
        publish_address(n);
}

/* -------------------------------------------------------------------- arbiterd */

static void note_claim(int n, int64_t epoch)
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

static void show_role(int n, const struct role_message *role)
{
    union payload *t = payload_new(), *h = payload_new();

    t->role = h->role = w.nodes[n].shown = *role;
    t->role_sent = h->role_sent = w.now;
    send_on_bus(n, TAKEOVERD, ROLE_TO_TAKEOVERD, t);
    send_on_bus(n, HEARTBEATD, ROLE_TO_HEARTBEATD, h);
}

static void show_role_again(int n, enum process to)
{
    struct node *node = &w.nodes[n];
    union payload *p;

    if (!node->alive[ARBITERD] || node->shown.change == 0)
        return;
    p = payload_new();
    p->role = node->shown;
    p->role_sent = w.now;
    send_on_bus(n, to, to == TAKEOVERD ? ROLE_TO_TAKEOVERD : ROLE_TO_HEARTBEATD, p);
}

static void step(int n, struct arbiter_event *event)
{
    struct node *node = &w.nodes[n];
    struct arbiter_effects effects;

    event->now_ns = w.now;
    arbiter_step(&node->arbiter, event, &effects);
    w.events++;
    for (size_t i = 0; i < effects.transition_count; i++) {
        const struct arbiter_transition *t = &effects.transitions[i];
        tell("node %d: %s -> %s  %s (epoch %" PRId64 ")", n, phase_names[t->from], phase_names[t->to],
             t->rule, t->epoch);
        if (strcmp(t->rule, "R9-yield") == 0 && phase_serves(w.nodes[!n].arbiter.phase) &&
            w.nodes[!n].alive[ARBITERD] && w.nodes[!n].arbiter.epoch < t->epoch)
            violation("R9: node %d gave way to a lower epoch", n);
        if ((t->to == PHASE_CLAIMING && t->from != t->to) || strcmp(t->rule, "R11-raised") == 0)
            note_claim(n, t->epoch);
        if (phase_serves(t->from) != phase_serves(t->to)) {
            w.last_change = w.now;
            w.changes++;
        }
    }
    if (effects.save) {
        union payload *p = payload_new();
        p->durable = effects.durable;
        schedule(n, ARBITERD, SAVED, between(1 * ms, chance(10) ? 80 * ms : 5 * ms), p);
    }
    struct role_message role;
    if (arbiter_role(&node->arbiter, &role) &&
        (event->kind == EVENT_PEER || role.change != node->shown.change ||
         role.considered != node->shown.considered || role.released != node->shown.released ||
         role.quiet != node->shown.quiet || role.silent != node->shown.silent ||
         role.term != node->shown.term))
        show_role(n, &role);
}

/* In every fourth seed the pair requires watchdogs. Whether a node has one, and whether its superviserd says
 * so, is the seed's, too, and does not change: what it bars must never keep both nodes from serving. */
static bool watchdog_is_required(void)
{
    return w.seed % 4 == 3;
}

static void tell_watchdog(int n)
{
    const bool has_one = w.seed >> (2 + n) & 1, is_silent = (w.seed >> (4 + n) & 3) == 3;
    union payload *p = payload_new();

    p->bus.kind = is_silent ? EVENT_TIME : EVENT_WATCHDOG;
    p->bus.watchdog_armed = has_one;
    to_arbiter(n, p);
}

static void start_arbiterd(int n)
{
    struct node *node = &w.nodes[n];
    struct arbiter_settings own = settings;
    struct arbiter_event start = {.kind = EVENT_START, .durable = &node->disk, .lost = node->disk_lost};

    own.first_named = own.sorts_first = n == 0;
    own.services_guarded = 1;
    own.watchdog_required = watchdog_is_required();
    own.searched[0] = own.searched[1] = !w.search_off;
    arbiter_init(&node->arbiter, &own);
    node->shown = (struct role_message){0};
    start.change = w.now / 1000;
    step(n, &start);
    schedule(n, ARBITERD, ALARM_CLOCK, settings.heartbeat_interval, NULL);
    if (node->alive[TAKEOVERD])
        publish_address(n);
    for (int c = 0; c < CHANNELS && node->alive[HEARTBEATD]; c++) {
        union payload *l = payload_new(), *s = payload_new();
        l->bus.kind = EVENT_LINK;
        s->bus.kind = EVENT_SEARCH;
        l->bus.channel = s->bus.channel = (size_t)c;
        l->bus.link = node->links[c];
        s->bus.search = node->searches[c];
        to_arbiter(n, l);
        to_arbiter(n, s);
    }
    union payload *services = payload_new();
    services->bus.kind = EVENT_SERVICES;
    services->bus.services_failed = node->services_failed;
    to_arbiter(n, services);
    tell_watchdog(n);
}

static void on_bus(int n, union payload *p)
{
    struct arbiter_event e = {.kind = p->bus.kind,
                              .sent_ns = p->bus.sent,
                              .channel = p->bus.channel,
                              .force = p->bus.force,
                              .services_failed = p->bus.services_failed,
                              .watchdog_armed = p->bus.watchdog_armed};

    if (e.kind == EVENT_PEER)
        e.peer = &p->bus.peer;
    else if (e.kind == EVENT_LINK)
        e.link = &p->bus.link;
    else if (e.kind == EVENT_SEARCH)
        e.search = &p->bus.search;
    else if (e.kind == EVENT_ADDRESS)
        e.address = &p->bus.address;
    step(n, &e);
}

static void on_saved(int n, union payload *p)
{
    struct node *node = &w.nodes[n];
    struct arbiter_event e = {.kind = EVENT_SAVED, .durable = &p->durable};

    node->disk_before = node->disk;
    node->disk = p->durable;
    step(n, &e);
}

/* ---------------------------------------------------------------------- faults */

static void start_process(int n, enum process process)
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

static void kill_process(int n, enum process process, int64_t back_after)
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
    const int64_t about = settings.address_lease + settings.takeover_after;
    const int64_t duration =
        chance(60) ? between(about - 60 * ms, about + 60 * ms) : between(10 * ms, 1500 * ms);

    tell("node %d: process %d stands still for %" PRId64 " ms", n, process, duration / ms);
    /* Never shorter than a stop that lasts already: what waits in the queue must stay in order. */
    w.nodes[n].paused_until[process] = MAX(w.nodes[n].paused_until[process], w.now + duration);
    w.stall_end = MAX(w.stall_end, w.now + duration);
    w.quiet_since = MAX(w.quiet_since, w.now + duration);
}

static void power_off(int n)
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

static void send_order(int n, enum arbiter_event_kind kind, bool force)
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
    w.nodes[n].gate_until += duration; /* the kernel's clock stands still, too */
    w.stall_end = MAX(w.stall_end, w.now + duration);
    w.quiet_since = MAX(w.quiet_since, w.now + duration);
    if (w.nodes[n].plane || phase_serves(w.nodes[n].arbiter.phase))
        w.freeze_end = MAX(w.freeze_end, w.now + duration);
}

static void change_network(int kind, int n, int c, bool up)
{
    switch (kind) {
    case 0: /* everything */
        for (int p = 0; p < PATHS; p++)
            w.path_up[0][p] = w.path_up[1][p] = up;
        for (int i = 0; i < CHANNELS; i++)
            w.arp_up[i] = up;
        break;
    case 1: /* one direction of all paths */
        for (int p = 0; p < PATHS; p++)
            w.path_up[n][p] = up;
        break;
    case 2: /* all heartbeats; the search still answers */
        for (int p = 0; p < PATHS; p++)
            w.path_up[0][p] = w.path_up[1][p] = up;
        break;
    case 3: /* the reserved line */
        w.path_up[0][CHANNELS] = w.path_up[1][CHANNELS] = up;
        break;
    case 4: /* a cable */
        w.nodes[n].carrier[c] = up;
        break;
    case 5: /* a router, for one node */
        w.nodes[n].router[c] = up;
        break;
    case 6: /* a router, for both */
        w.nodes[0].router[c] = w.nodes[1].router[c] = up;
        break;
    default: /* all cables of a node */
        for (int i = 0; i < CHANNELS; i++)
            w.nodes[n].carrier[i] = up;
        break;
    }
    tell("network %d (node %d, channel %d) %s", kind, n, c, up ? "mended" : "broken");
}

static void inject(void)
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

static void heal(void)
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

/* ------------------------------------------------------------------- the world */

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
        node->order_sent = e->payload->role_sent;
        takeover_obey(e->node);
        break;
    case ROLE_TO_HEARTBEATD: {
        const bool news = node->role.change != e->payload->role.change ||
                          node->role.considered != e->payload->role.considered ||
                          node->role.released != e->payload->role.released ||
                          node->role.silent != e->payload->role.silent || node->role_at == 0;
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
        schedule(e->node, ARBITERD, ALARM_CLOCK, settings.heartbeat_interval, NULL);
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

static void settle_and_judge(int64_t settled_at)
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
    w.seed = w.random = seed;
    w.now = NS_PER_S; /* 0 means never */
    const int64_t end_of_faults = chance(60) ? 12 * NS_PER_S : 26 * NS_PER_S;
    const int64_t settled = end_of_faults + 20 * NS_PER_S;
    int64_t first_start = 0;
    w.search_off = chance(15);
    w.gate = chance(80);
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
                start = first_start + (chance(50) ? 1 : -1) * settings.heartbeat_interval +
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
