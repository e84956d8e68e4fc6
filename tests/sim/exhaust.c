/* exhaust: two real cores, and every sequence of a few things that may happen to them.
 *
 * A letter is something that happens and then lasts for some heartbeat intervals: silence, a stall, a
 * restart, a power cut, an order. All words of DEPTH letters are tried, from a cold start and from a pair
 * that serves; what must hold is judged after every interval, and shorter words are left alone afterwards,
 * and must settle on one active node.
 *
 * The world is smaller than the simulator's: two rounds of heartbeats in an interval, none late, disks that
 * write at once, channels that work. It is there for order and coincidence, not for timing. Times are those
 * of profile lan.
 *
 * usage: exhaust [--depth N]      exit 0: no violation; 1: the first one, with its word */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"

#define BEAT (50 * NS_PER_MS)
enum { CHANNELS = 2, DEPTH_MAX = 12, SETTLE_BEATS = 200, CLAIMS_MAX = 64 };

struct node {
    bool power;
    struct arbiter arbiter;
    struct role_message role;
    bool speaks;
    struct peer_message peer;
    int64_t session, knows; /* own run of heartbeatd; the peer's that was heard last */
    enum search_state search;
    int64_t silent_since, answered, looked;
    bool plane;
    struct address_message address;
    struct arbiter_durable disk;
};

struct world {
    int64_t now;
    struct node nodes[2];
    bool cut[2], arp_cut, stalled[2];
    int64_t excused_until; /* two owners, after a partition */
    bool unheard;          /* heartbeats are cut, and were while nobody served, or in a partition */
    int64_t claims[CLAIMS_MAX];
    size_t claim_count;
    int64_t changed; /* when a role did last */
};

static struct world w;
static char word[DEPTH_MAX + 2];
static int depth = 5;
static int64_t words, beats, steps;

static const struct arbiter_settings lan = {
    .channel_count = CHANNELS,
    .channels = {"outside", "inside"},
    .searched = {true, true},
    .evidence_wait = 40 * NS_PER_MS,
    .heartbeat_interval = BEAT,
    .takeover_after = 300 * NS_PER_MS,
    .address_lease = 200 * NS_PER_MS,
    .search_time = 600 * NS_PER_MS,
    .claim_time = NS_PER_S,
    .handover_time = 3 * NS_PER_S,
    .settle_time = 5 * NS_PER_S,
};

static void violation(const char *what)
{
    printf("word \"%s\" at %.3f s: %s; phases %s and %s\n", word, (double)w.now / 1e9, what,
           phase_names[w.nodes[0].arbiter.phase], phase_names[w.nodes[1].arbiter.phase]);
    exit(1);
}

/* ------------------------------------------------------------------- a node */

static void note_claim(int64_t epoch)
{
    for (size_t i = 0; i < w.claim_count; i++)
        if (w.claims[i] == epoch)
            violation("I4: an epoch was claimed twice");
    if (w.claim_count < CLAIMS_MAX)
        w.claims[w.claim_count++] = epoch;
}

static void step(int n, struct arbiter_event event)
{
    struct node *node = &w.nodes[n];
    struct arbiter_effects effects;

    event.now_ns = w.now;
    arbiter_step(&node->arbiter, &event, &effects);
    steps++;
    for (size_t i = 0; i < effects.transition_count; i++) {
        const struct arbiter_transition *t = &effects.transitions[i];
        if ((t->to == PHASE_CLAIMING && t->from != t->to) || strcmp(t->rule, "R11-raised") == 0)
            note_claim(t->epoch);
        if (phase_serves(t->from) != phase_serves(t->to))
            w.changed = w.now;
    }
    node->speaks = arbiter_role(&node->arbiter, &node->role);
    if (effects.save) {
        node->disk = effects.durable;
        step(n, (struct arbiter_event){.kind = EVENT_SAVED, .durable = &node->disk});
    }
}

static void tell_address(int n)
{
    step(n, (struct arbiter_event){.kind = EVENT_ADDRESS, .address = &w.nodes[n].address});
}

static void release(struct node *node)
{
    node->plane = false;
    if (node->address.state != HOLD_STATE_RELEASED)
        node->address.changed_ns = w.now;
    node->address.state = HOLD_STATE_RELEASED;
    node->address.held = node->address.lease_ns = 0;
}

static void obey(int n)
{
    struct node *node = &w.nodes[n];
    const struct role_message *role = &node->role;

    if (!node->speaks)
        return;
    if (role->role == ROLE_ACTIVE && !role->searching && role->lease_ns > w.now) {
        if (node->disk.next_epoch < role->epoch && node->disk.epoch < role->epoch)
            violation("I6: an address goes up under an epoch that is not on the disk");
        if (node->address.state != HOLD_STATE_HOLDING)
            node->address.changed_ns = w.now;
        node->plane = true;
        node->address.state = HOLD_STATE_HOLDING;
        node->address.held = 1;
        node->address.epoch = role->epoch;
        node->address.lease_ns = role->lease_ns;
    } else if (role->role != ROLE_ACTIVE || role->searching) {
        release(node);
    }
    node->address.change = role->change;
    tell_address(n);
}

static void start_arbiter(int n)
{
    struct node *node = &w.nodes[n];
    struct arbiter_settings settings = lan;
    const struct link_message link = {.carrier = true, .usable = true, .evidence_ns = w.now};

    settings.first_named = settings.sorts_first = n == 0;
    arbiter_init(&node->arbiter, &settings);
    step(n, (struct arbiter_event){.kind = EVENT_START, .durable = &node->disk, .change = w.now / 1000});
    for (size_t c = 0; c < CHANNELS; c++)
        step(n, (struct arbiter_event){.kind = EVENT_LINK, .channel = c, .link = &link});
    tell_address(n);
}

static void power_on(int n)
{
    struct node *node = &w.nodes[n];
    const struct arbiter_durable disk = node->disk;

    *node = (struct node){.power = true, .disk = disk, .session = w.now};
    node->address.state = HOLD_STATE_RELEASED;
    node->peer.counting_since_ns = w.now;
    start_arbiter(n);
}

static void power_off(int n)
{
    w.nodes[n].power = w.nodes[n].plane = false;
    w.nodes[n].role = (struct role_message){0};
    w.nodes[n].arbiter.phase = PHASE_SEARCHING;
}

/* --------------------------------------------------------------- between them */

static void hear(int n)
{
    const struct node *from = &w.nodes[!n];
    struct node *node = &w.nodes[n];
    const struct role_message *role = &from->role;
    struct peer_message *p = &node->peer;

    node->knows = from->session;
    p->alive = true;
    p->heard_ns = w.now;
    p->linked = from->knows == node->session;
    if (p->linked)
        p->linked_ns = w.now;
    p->phase = role->phase;
    p->role = role->role;
    p->epoch = role->epoch;
    p->next_epoch = role->next_epoch;
    p->lease_us = from->address.lease_ns > w.now ? (from->address.lease_ns - w.now) / NS_PER_US : 0;
    p->released = role->released;
    p->unfit = !role->fit;
    p->whole = true;
    p->phase_since_ns = role->since_ns;
    p->offer = role->offer;
    p->prefers = role->prefers;
    p->change = role->change;
    p->considered = role->considered;
    if (phase_serves(role->phase) && p->lease_us > 0)
        p->backed_ns = w.now;
    p->channels_count = CHANNELS;
    for (size_t c = 0; c < CHANNELS; c++)
        p->channels[c] = (struct channel_fitness){.usable = true, .evidence_ns = w.now};
    text_copy(p->channels[0].name, sizeof p->channels[0].name, "outside");
    text_copy(p->channels[1].name, sizeof p->channels[1].name, "inside");
}

static void search(int n)
{
    struct node *node = &w.nodes[n];
    const bool holds = node->plane && !node->role.searching, reach = !w.arp_cut && w.nodes[!n].plane;
    const enum search_state before = node->search;

    node->search = holds ? SEARCH_STATE_IDLE : reach ? SEARCH_STATE_ANSWERED : SEARCH_STATE_SILENT;
    if (reach && !holds)
        node->answered = w.now;
    if (node->search == SEARCH_STATE_SILENT && before != SEARCH_STATE_SILENT)
        node->silent_since = MAX(w.now, node->peer.counting_since_ns);
    const struct search_message message = {.state = node->search,
                                           .unanswered_ns = node->search == SEARCH_STATE_SILENT ? w.now : 0,
                                           .silent_since_ns = node->silent_since,
                                           .answered_ns = node->answered};
    for (size_t c = 0; c < CHANNELS; c++)
        step(n, (struct arbiter_event){.kind = EVENT_SEARCH, .channel = c, .search = &message});
}

static bool is_awake(int n)
{
    return w.nodes[n].power && !w.stalled[n];
}

static void judge(void)
{
    const struct node *a = &w.nodes[0], *b = &w.nodes[1];
    const bool cut = w.cut[0] || w.cut[1];

    w.unheard = cut && (w.unheard || w.arp_cut || (!a->plane && !b->plane));
    if (w.unheard || (cut && w.arp_cut))
        w.excused_until = w.now + 2 * BEAT + 30 * NS_PER_MS;
    /* Who stands still can neither tell nor yield: its lease ends it. */
    if (a->plane && b->plane && w.now <= w.excused_until && (w.stalled[0] || w.stalled[1]))
        w.excused_until = w.now + 2 * BEAT + 30 * NS_PER_MS;
    if (a->plane && b->plane && w.now > w.excused_until)
        violation("I1: both hold the active addresses");
    for (int n = 0; n < 2; n++) {
        const struct node *node = &w.nodes[n];
        if (node->power && node->plane && node->arbiter.released && !phase_serves(node->arbiter.phase))
            violation("I7: an address is held that the arbiter believes to be released");
    }
}

static void round_of_heartbeats(bool all)
{
    for (int n = 0; n < 2; n++) {
        if (!is_awake(n))
            continue;
        if (is_awake(!n) && !w.cut[!n])
            hear(n);
        if (all)
            search(n);
        step(n, (struct arbiter_event){.kind = EVENT_PEER, .sent_ns = w.now, .peer = &w.nodes[n].peer});
        obey(n);
        judge();
    }
}

static void beat(void)
{
    for (int n = 0; n < 2; n++) {
        struct node *node = &w.nodes[n];
        if (node->power && node->plane && node->address.lease_ns <= w.now + BEAT) { /* its own timer */
            w.now = MAX(w.now, node->address.lease_ns);
            release(node);
            if (is_awake(n))
                tell_address(n);
        }
    }
    w.now = (w.now / BEAT + 1) * BEAT;
    for (int i = 0; i < 3; i++, w.now += NS_PER_MS)
        round_of_heartbeats(i == 0);
    beats++;
}

static void pass(int count)
{
    for (int i = 0; i < count; i++)
        beat();
}

/* --------------------------------------------------------------------- letters */

static void stall(int n, int count)
{
    w.stalled[n] = true;
    pass(count);
    w.stalled[n] = false;
    w.nodes[n].peer.counting_since_ns = w.now; /* R5 */
}

static void cut(bool from_first, bool from_second, bool arp, int count)
{
    w.cut[0] = from_first;
    w.cut[1] = from_second;
    w.arp_cut = arp;
    pass(count);
    w.cut[0] = w.cut[1] = w.arp_cut = false;
}

static void restart_arbiter(int n)
{
    start_arbiter(n);
    pass(1);
}

static void power_cut(int n, int count)
{
    power_off(n);
    pass(count);
    power_on(n);
}

static void order_switch(void)
{
    for (int n = 0; n < 2; n++)
        if (w.nodes[n].arbiter.phase == PHASE_ACTIVE)
            step(n, (struct arbiter_event){.kind = EVENT_SWITCH});
    pass(1);
}

static const char letters[] = "nNPHaAsStTrRfFw";

static void happen(char letter)
{
    switch (letter) {
    case 'n': /* nothing, for one interval */
        pass(1);
        break;
    case 'N': /* … for longer than a search takes */
        pass(14);
        break;
    case 'P': /* a partition */
        cut(true, true, true, 8);
        break;
    case 'H': /* no heartbeats; the search answers */
        cut(true, true, false, 8);
        break;
    case 'a': /* one direction alone */
        cut(true, false, false, 8);
        break;
    case 'A':
        cut(false, true, true, 8);
        break;
    case 's': /* the lease chain stands still: for a moment, longer than a lease, longer than a takeover takes
               */
        stall(0, 3);
        break;
    case 'S':
        stall(1, 3);
        break;
    case 't':
        stall(0, 12);
        break;
    case 'T':
        stall(1, 12);
        break;
    case 'r':
        restart_arbiter(0);
        break;
    case 'R':
        restart_arbiter(1);
        break;
    case 'f':
        power_cut(0, 9);
        break;
    case 'F':
        power_cut(1, 9);
        break;
    default: /* w */
        order_switch();
        break;
    }
}

static void settle(void)
{
    const struct node *a = &w.nodes[0], *b = &w.nodes[1];

    pass(SETTLE_BEATS);
    const int64_t settled = w.now;
    pass(20);
    if (a->plane + b->plane != 1 || (a->arbiter.phase == PHASE_ACTIVE) != a->plane ||
        (b->arbiter.phase == PHASE_ACTIVE) != b->plane)
        violation("I3: left alone, not one of them serves");
    if (w.changed > settled)
        violation("I5: left alone, a role still changes");
}

static void try_all(int length)
{
    const struct world before = w;

    words++;
    if (length <= depth - 2) {
        settle();
        w = before;
    }
    if (length == depth)
        return;
    for (const char *letter = letters; *letter; letter++) {
        word[length + 1] = *letter;
        word[length + 2] = '\0';
        happen(*letter);
        try_all(length + 1);
        w = before;
    }
    word[length + 1] = '\0';
}

static void begin(bool cold)
{
    memset(&w, 0, sizeof w);
    w.now = 100 * BEAT;
    w.excused_until = 0;
    word[0] = cold ? '-' : '+';
    word[1] = '\0';
    power_on(0);
    power_on(1);
    if (!cold)
        pass(20);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--depth") == 0)
        depth = atoi(argv[2]);
    if ((argc != 1 && argc != 3) || depth < 1 || depth > DEPTH_MAX) {
        fprintf(stderr, "usage: exhaust [--depth 1 … %d]\n", DEPTH_MAX);
        return 2;
    }
    for (int cold = 0; cold < 2; cold++) {
        begin(cold);
        try_all(0);
    }
    printf("%" PRId64 " words of at most %d of %zu letters, %" PRId64 " intervals, %" PRId64
           " arbiter steps\n",
           words, depth, sizeof letters - 1, beats, steps);
    return 0;
}
