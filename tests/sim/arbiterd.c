/* arbiterd: the real core, and a disk that is slow. */
#include "tests/sim/world.h"

void to_arbiter(int n, union payload *p)
{
    send_on_bus(n, ARBITERD, TO_ARBITER, p);
}

static void show_role(int n, const struct role_message *role)
{
    w.nodes[n].shown = *role;
    if (w.set->witness)
        show_role_again(n, WITNESSD);
    show_role_again(n, TAKEOVERD);
    show_role_again(n, HEARTBEATD);
}

void show_role_again(int n, enum process to)
{
    struct node *node = &w.nodes[n];
    union payload *p;

    if (!node->alive[ARBITERD] || node->shown.change == 0)
        return;
    p = payload_new();
    p->role = node->shown;
    p->role_sent = clock_of(n);
    send_on_bus(n, to,
                to == TAKEOVERD  ? ROLE_TO_TAKEOVERD
                : to == WITNESSD ? ROLE_TO_WITNESSD
                                 : ROLE_TO_HEARTBEATD,
                p);
}

static void judge_transition(int n, const struct arbiter_transition *t)
{
    const struct node *other = &w.nodes[!n];

    if (strcmp(t->rule, "R9-yield") == 0 && phase_serves(other->arbiter.phase) && other->alive[ARBITERD] &&
        other->arbiter.epoch < t->epoch)
        violation("R9: node %d gave way to a lower epoch", n);
    if (t->to == PHASE_CLAIMING && t->from != t->to)
        judge_data(n, t->rule);
    if (strcmp(t->rule, "claim-ordered") == 0)
        w.forced_at = w.now;
    if ((t->to == PHASE_CLAIMING && t->from != t->to) || strcmp(t->rule, "R11-raised") == 0)
        note_claim(n, t->epoch);
    if (phase_serves(t->from) != phase_serves(t->to)) {
        w.last_change = w.now;
        w.changes++;
    }
}

/* It has just said that it will take what the peer offers: the worst moment to stand still. What the peer
 * answers waits in the queue, and is long over when it is read. */
static void harm_agreement(int n, const struct role_message *role)
{
    struct node *node = &w.nodes[n];

    if (!w.healed && role->prefers == PREFERS_SELF && node->shown.prefers != PREFERS_SELF &&
        node->arbiter.peer.offer != OFFER_NONE && chance(10))
        push((struct event){.at = w.now + between(0, 2 * ms),
                            .what = FAULT,
                            .node = n,
                            .process = ARBITERD,
                            .incarnation = -5});
}

static void publish_role(int n, enum arbiter_event_kind after)
{
    struct node *node = &w.nodes[n];
    struct role_message role;

    if (!arbiter_role(&node->arbiter, &role))
        return;
    if (role.reboot && !node->shown.reboot)
        push((struct event){.at = w.now + between(10 * ms, 500 * ms),
                            .what = REBOOT,
                            .node = n,
                            .process = ARBITERD,
                            .incarnation = node->incarnation[ARBITERD]});
    harm_agreement(n, &role);
    if (after == EVENT_PEER || role.change != node->shown.change ||
        role.considered != node->shown.considered || role.released != node->shown.released ||
        role.quiet != node->shown.quiet || role.silent != node->shown.silent ||
        role.term != node->shown.term || role.ask != node->shown.ask ||
        role.ask_number != node->shown.ask_number || role.ask_epoch != node->shown.ask_epoch)
        show_role(n, &role);
}

void step(int n, struct arbiter_event *event)
{
    struct node *node = &w.nodes[n];
    struct arbiter_effects effects;

    event->now_ns = clock_of(n);
    arbiter_step(&node->arbiter, event, &effects);
    w.steps++;
    for (size_t i = 0; i < effects.transition_count; i++) {
        const struct arbiter_transition *t = &effects.transitions[i];
        tell("node %d: %s -> %s  %s (epoch %" PRId64 ")", n, phase_names[t->from], phase_names[t->to],
             t->rule, t->epoch);
        judge_transition(n, t);
    }
    if (effects.save) {
        union payload *p = payload_new();
        p->durable = effects.durable;
        schedule(n, ARBITERD, SAVED, between(1 * ms, chance(10) ? 80 * ms : 5 * ms), p);
    }
    publish_role(n, event->kind);
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

void start_arbiterd(int n)
{
    struct node *node = &w.nodes[n];
    struct arbiter_settings own = *w.set;
    static const struct arbiter_durable nothing;
    struct arbiter_event start = {.kind = EVENT_START,
                                  .durable = node->disk_torn ? &nothing : &node->disk,
                                  .lost = node->disk_torn || node->disk_lost};

    own.first_named = own.sorts_first = n == 0;
    own.services_guarded = 1;
    own.watchdog_required = watchdog_is_required();
    own.searched[0] = own.searched[1] = !w.search_off;
    arbiter_init(&node->arbiter, &own);
    node->shown = (struct role_message){0};
    start.change = w.now / 1000;
    step(n, &start);
    schedule(n, ARBITERD, ALARM_CLOCK, w.set->heartbeat_interval, NULL);
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
    services->bus.services_reboot = node->services_reboot;
    to_arbiter(n, services);
    if (node->alive[SYNCD])
        publish_data(n);
    if (node->alive[WITNESSD] && w.set->witness)
        publish_witness(n);
    tell_watchdog(n);
}

void on_bus(int n, union payload *p)
{
    struct arbiter_event e = {.kind = p->bus.kind,
                              .sent_ns = p->bus.sent,
                              .channel = p->bus.channel,
                              .force = p->bus.force,
                              .services_failed = p->bus.services_failed,
                              .services_reboot = p->bus.services_reboot,
                              .hold_until_ns = p->bus.hold_until > 0 ? clock_of(n) + p->bus.hold_until : 0,
                              .watchdog_armed = p->bus.watchdog_armed};

    if (e.kind == EVENT_PEER)
        e.peer = &p->bus.peer;
    else if (e.kind == EVENT_LINK)
        e.link = &p->bus.link;
    else if (e.kind == EVENT_SEARCH)
        e.search = &p->bus.search;
    else if (e.kind == EVENT_ADDRESS)
        e.address = &p->bus.address;
    else if (e.kind == EVENT_DATA)
        e.data = &p->bus.data;
    else if (e.kind == EVENT_WITNESS)
        e.witness = &p->bus.witness;
    step(n, &e);
}

void on_saved(int n, union payload *p)
{
    struct node *node = &w.nodes[n];
    struct arbiter_event e = {.kind = EVENT_SAVED, .durable = &p->durable};

    node->disk_before = node->disk;
    node->disk = p->durable;
    node->disk_torn = false;
    step(n, &e);
}
