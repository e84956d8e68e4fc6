/* heartbeatd, as the arbiter meets it: ticks, heartbeats on every path, the search, the router test, its own
 * stalls. */
#include "tests/sim/world.h"

static bool own_lease(const struct node *node)
{
    return node->address.held > 0 && node->address.lease_ns > w.now;
}

void send_heartbeats(int n)
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
            text_copy(h->channels[c].name, sizeof h->channels[c].name, w.set->channels[c]);
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
    if (node->last_tick > 0 && w.now - node->last_tick > w.set->heartbeat_interval + 5 * ms)
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
        .alive = node->heard > 0 && w.now - node->heard < w.set->takeover_after,
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

void on_heartbeat(int n, const struct heartbeat *h, int64_t stamp)
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
    if (phase_serves(h->role.phase) && h->lease_left > 0 && h->arbiter_age < w.set->address_lease)
        node->backed = stamp;
    if (new_session)
        send_heartbeats(n);
    if (before.change != h->role.change || before.considered != h->role.considered ||
        before.released != h->role.released || before.fit != h->role.fit ||
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

void on_tick(int n)
{
    struct node *node = &w.nodes[n];
    const int64_t silent_for = w.now - node->heard;
    const bool missed =
        node->ever_heard && silent_for > w.set->heartbeat_interval * 3 / 2 && silent_for < 5 * NS_PER_S;
    bool mute = false; /* R4: the search quickens, as long as something answered lately and no lease stands
                          behind it */
    for (int c = 0; c < CHANNELS; c++)
        mute = mute ||
               (w.now - node->backed > w.set->heartbeat_interval * 3 / 2 &&
                node->searches[c].answered_ns > 0 && w.now - node->searches[c].answered_ns < 5 * NS_PER_S);
    const bool quick = missed || mute || node->role.suspicious || node->role.searching;
    const int64_t interval = quick ? w.set->heartbeat_interval / 5 : w.set->heartbeat_interval;

    notice_stall(node);
    if (node->last_tick == 0 || w.now - node->last_tick >= interval - 1000)
        send_heartbeats(n);
    node->last_tick = w.now;
    test_network(n);
    search(n, quick);
    publish_peer(n);
    schedule(n, HEARTBEATD, TICK, interval + between(0, 200000), NULL);
}

void start_heartbeatd(int n)
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
