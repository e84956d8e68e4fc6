/* heartbeatd, as the arbiter meets it: ticks, heartbeats on every path, the search, the router test, its own
 * stalls. */
#include "tests/sim/world.h"

static bool own_lease(int n)
{
    const struct node *node = &w.nodes[n];

    return node->address.held > 0 && node->address.lease_ns > clock_of(n);
}

/* All of it but what belongs to its path. */
static void fill_heartbeat(int n, struct heartbeat *h)
{
    const struct node *node = &w.nodes[n];
    const int64_t now = clock_of(n);

    *h = (struct heartbeat){
        .session = node->session,
        .echo = node->ever_heard ? node->peer.session : 0,
        .stamp = now,
        .role = node->role,
        .suspicious = node->role.suspicious || node->role.searching || node->doubting,
        .arbiter_age = node->role_at > 0 ? now - node->role_at : NS_PER_S * 3600,
        .lease_left = own_lease(n) ? node->address.lease_ns - now : 0,
        .phase_age = node->role_at > 0 ? now - node->role.since_ns : 0,
        .hold_left = node->role_at > 0 && node->role.hold_until_ns > 0
                         ? MAX(node->role.hold_until_ns - now, ms) / ms
                         : 0,
    };
    version_sends(n, h);
    for (int c = 0; c < CHANNELS; c++) {
        memcpy(h->channels[c].name, w.set->channels[c], sizeof h->channels[c].name);
        h->channels[c].usable = node->links[c].usable;
        h->channels[c].evidence_ns = now - node->links[c].evidence_ns; /* its age, on the wire */
    }
}

static void put_on_wire(int n, const struct heartbeat *h, int64_t delay)
{
    union payload *payload = payload_new();

    payload->heartbeat = *h;
    push((struct event){.at = w.now + delay,
                        .what = HEARTBEAT,
                        .node = !n,
                        .process = HEARTBEATD,
                        .incarnation = -1,
                        .payload = payload});
}

void send_heartbeats(int n)
{
    struct node *node = &w.nodes[n];
    struct heartbeat h;

    if (!node->power)
        return;
    fill_heartbeat(n, &h);
    for (int p = 0; p < PATHS; p++) {
        if (!w.path_up[n][p] || (p != CHANNELS && !carriers(p)) || chance(w.loss_percent))
            continue;
        h.sequence = ++node->said;
        h.path = (size_t)p;
        h.echo_stamp = node->path_stamp[p];
        put_on_wire(n, &h, between(w.profile->wire_least, w.profile->wire_most) + w.path_delay[p]);
        if (chance(1)) /* the network doubles a datagram, and delays the copy */
            put_on_wire(n, &h, between(1 * ms, 20 * ms));
    }
}

/* R5: an own stall is no silence of the peer's. Asked before anything is published, not only at the tick. */
static void notice_stall(int n)
{
    struct node *node = &w.nodes[n];

    if (clock_of(n) - MAX(node->last_tick, node->began) > w.set->heartbeat_interval + 5 * ms)
        node->counting_since = clock_of(n);
}

static void publish_peer(int n)
{
    struct node *node = &w.nodes[n];

    notice_stall(n);
    const struct heartbeat *h = &node->peer;
    union payload *payload = payload_new();
    struct peer_message *p = &payload->bus.peer;

    payload->bus.kind = EVENT_PEER;
    payload->bus.sent = clock_of(n);
    *p = (struct peer_message){
        .alive = node->heard > 0 && clock_of(n) - node->heard < w.set->takeover_after,
        .linked = h->echo == node->session,
        .heard_ns = node->heard,
        .linked_ns = node->linked,
        .backed_ns = node->backed,
        .acked_ns = node->acked,
        .counting_since_ns = node->counting_since,
        .role = h->role.role,
        .phase = h->role.phase,
        .epoch = h->role.epoch,
        .next_epoch = h->role.next_epoch,
        .arbiter_age_us = h->arbiter_age / 1000,
        .lease_us = h->lease_left / 1000,
        .released = h->role.released,
        .silent = h->role.silent,
        .takes_silent = h->takes_silent,
        .takes_records = h->takes_records,
        .held = h->role.held,
        .hold_left_ms = h->hold_left,
        .hold_version = h->role.hold_version,
        .unfit = !h->role.fit,
        .whole = h->role.whole,
        .data_epoch = h->role.data_epoch,
        .data_generation = h->role.data_generation,
        .services_failed = h->role.services_failed,
        .phase_since_ns = node->phase_since,
        .offer = h->role.offer,
        .prefers = h->role.prefers,
        .change = h->role.change,
        .considered = h->role.considered,
        .channels_count = CHANNELS,
    };
    memcpy(p->channels, h->channels, sizeof h->channels);
    version_hears(n, p);
    to_arbiter(n, payload);
}

static void tick_after(int n, int64_t delay)
{
    struct node *node = &w.nodes[n];

    push((struct event){.at = w.now + delay,
                        .what = TICK,
                        .node = n,
                        .process = HEARTBEATD,
                        .incarnation = node->incarnation[HEARTBEATD],
                        .stamp = ++node->tick});
}

static void quicken(int n)
{
    if (!w.nodes[n].quick && w.nodes[n].last_tick > 0)
        tick_after(n, 0);
}

/* A new session, or newer on this path than what came before. */
static bool is_fresh(struct node *node, const struct heartbeat *h)
{
    if (node->ever_heard && h->session < node->peer.session)
        return false; /* an ended session */
    if (!node->ever_heard || h->session != node->peer.session) {
        memset(node->path_sequence, 0, sizeof node->path_sequence);
        memset(node->path_stamp, 0, sizeof node->path_stamp);
        node->peer.sequence = 0;
    }
    if (h->sequence <= node->path_sequence[h->path])
        return false; /* a replay */
    node->path_sequence[h->path] = h->sequence;
    node->path_stamp[h->path] = h->stamp;
    return true;
}

static void take_heartbeat(int n, const struct heartbeat *h, int64_t stamp)
{
    struct node *node = &w.nodes[n];

    node->peer = *h;
    for (int c = 0; c < CHANNELS; c++)
        node->peer.channels[c].evidence_ns = stamp - h->channels[c].evidence_ns;
    node->phase_since = stamp - h->phase_age;
    if (phase_serves(h->role.phase) && h->lease_left > 0 && h->arbiter_age < w.set->address_lease)
        node->backed = stamp;
}

static bool is_news(const struct heartbeat *before, const struct heartbeat *h)
{
    const struct role_message *x = &before->role, *y = &h->role;

    return before->session != h->session || before->echo != h->echo || x->change != y->change ||
           x->considered != y->considered || x->released != y->released || x->silent != y->silent ||
           before->takes_silent != h->takes_silent || x->fit != y->fit ||
           x->hold_version != y->hold_version || x->epoch != y->epoch || x->next_epoch != y->next_epoch ||
           x->whole != y->whole || before->suspicious || h->suspicious;
}

void on_heartbeat(int n, const struct heartbeat *h, int64_t stamp)
{
    struct node *node = &w.nodes[n];
    const struct heartbeat before = node->peer;

    if (!is_fresh(node, h))
        return;
    const bool new_session = !node->ever_heard || h->session != before.session;
    node->ever_heard = true;
    node->heard = MAX(node->heard, stamp);
    if (h->echo == node->session) {
        node->linked = MAX(node->linked, stamp);
        node->acked = MAX(node->acked, h->echo_stamp);
    }
    if (h->sequence <= node->peer.sequence)
        return; /* a slower path tells what is known already */
    take_heartbeat(n, h, stamp);
    if (new_session)
        send_heartbeats(n);
    if (new_session || is_news(&before, h) || node->role.suspicious)
        publish_peer(n);
    if (h->suspicious)
        quicken(n);
}

static void test_network(int n)
{
    struct node *node = &w.nodes[n];
    const bool quick = node->role.suspicious || (node->ever_heard && node->peer.suspicious);

    if (clock_of(n) - node->router_asked < (quick ? w.profile->router_quick : w.profile->router_calm))
        return;
    node->router_asked = clock_of(n);
    for (int c = 0; c < CHANNELS; c++) {
        struct link_message *link = &node->links[c];
        const struct link_message before = *link;
        const bool answered = node->carrier[c] && node->router[c] && w.now >= node->router_from[c];
        if (answered) {
            link->evidence_ns = clock_of(n);
            link->usable = true;
            link->fault_ns = node->silent_from[c] = 0;
        } else if (node->silent_from[c] == 0) {
            node->silent_from[c] = clock_of(n);
        }
        link->carrier = node->carrier[c];
        if (!answered &&
            (!node->carrier[c] || clock_of(n) - node->silent_from[c] >= w.profile->router_silent) &&
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
    const bool holds =
        node->role.role == ROLE_ACTIVE && node->role.lease_ns > clock_of(n) && !node->role.searching;
    const int64_t interval = quick ? w.profile->search_quick : w.profile->search_calm;

    for (int c = 0; c < CHANNELS; c++) {
        struct search_message *s = &node->searches[c];
        const struct search_message before = *s;
        if (holds || !node->carrier[c] || w.search_off) {
            *s = (struct search_message){.state = SEARCH_STATE_IDLE, .answered_ns = s->answered_ns};
        } else if (clock_of(n) - s->asked_ns >= interval || s->state == SEARCH_STATE_IDLE) {
            if (s->state == SEARCH_STATE_IDLE) {
                s->state = SEARCH_STATE_ASKING;
                s->silent_since_ns = clock_of(n);
            }
            const bool reach = w.arp_up[c] && w.nodes[!n].carrier[c] && answers(!n) &&
                               !chance(w.loss_percent) && !chance(w.loss_percent);
            s->asked_ns = clock_of(n);
            if (reach) {
                *s = (struct search_message){
                    .state = SEARCH_STATE_ANSWERED, .asked_ns = clock_of(n), .answered_ns = clock_of(n)};
            } else if (++s->unanswered >= 2) {
                s->unanswered_ns = s->asked_ns;
                s->silent_since_ns = MAX(MAX(s->silent_since_ns, s->answered_ns), node->counting_since);
                s->state = SEARCH_STATE_SILENT;
            }
        }
        if (memcmp(&before, s, sizeof before) != 0 &&
            (quick || before.state != s->state || s->state == SEARCH_STATE_SILENT)) {
            union payload *p = payload_new();
            p->bus.kind = EVENT_SEARCH;
            p->bus.channel = (size_t)c;
            p->bus.search = *s;
            to_arbiter(n, p);
        }
    }
}

/* R4: the search quickens, as long as something answered lately and no lease stands behind it. */
static bool is_mute(int n)
{
    const struct node *node = &w.nodes[n];
    const int64_t now = clock_of(n);
    bool answered = false;

    for (int c = 0; c < CHANNELS; c++)
        answered = answered ||
                   (node->searches[c].answered_ns > 0 && now - node->searches[c].answered_ns < 5 * NS_PER_S);
    return answered && now - node->backed > w.set->heartbeat_interval * 3 / 2;
}

static int64_t doubt_at(const struct node *node)
{
    return MAX(node->heard, node->counting_since) + w.set->heartbeat_interval * 3 / 2;
}

/* `tick` numbers it; one that was replaced by a sooner one does nothing. */
void on_tick(int n, int64_t tick)
{
    struct node *node = &w.nodes[n];
    const int64_t now = clock_of(n), beat = w.set->heartbeat_interval;

    if (tick != node->tick)
        return;
    notice_stall(n);
    node->doubting = node->ever_heard && now >= doubt_at(node) && now - node->heard < 5 * NS_PER_S;
    node->quick = node->doubting || is_mute(n) || node->role.suspicious || node->role.searching ||
                  (node->ever_heard && node->peer.suspicious && now - node->heard < 5 * NS_PER_S);
    const int64_t interval = node->quick ? MAX(beat / 5, 2 * ms) : beat;
    if (node->last_said == 0 || now - node->last_said >= interval - 1000) {
        send_heartbeats(n);
        node->last_said = now;
    }
    node->last_tick = now;
    test_network(n);
    search(n, node->quick);
    publish_peer(n);
    int64_t next = node->last_said + interval - now;
    if (node->ever_heard && !node->doubting && doubt_at(node) > now)
        next = MIN(next, doubt_at(node) - now);
    tick_after(n, MAX(next, ms / 5) + between(0, 200000));
}

void start_heartbeatd(int n)
{
    struct node *node = &w.nodes[n];

    node->said = 0;
    memset(node->path_sequence, 0, sizeof node->path_sequence);
    memset(node->path_stamp, 0, sizeof node->path_stamp);
    node->acked = 0;
    node->session = w.now + 1; /* grows with each start, as the start counter on disk does */
    node->ever_heard = false;
    node->heard = node->linked = node->backed = node->last_tick = node->last_said = node->role_at = 0;
    node->doubting = node->quick = false;
    node->peer = (struct heartbeat){0};
    node->role = (struct role_message){0};
    node->address = (struct address_message){0};
    node->counting_since = node->began = clock_of(n);
    node->router_asked = 0;
    memset(node->links, 0, sizeof node->links);
    memset(node->searches, 0, sizeof node->searches);
    memset(node->silent_from, 0, sizeof node->silent_from);
    tick_after(n, 0);
    show_role_again(n, HEARTBEATD);
    if (node->alive[TAKEOVERD])
        publish_address(n);
}
