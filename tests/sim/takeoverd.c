/* takeoverd, as the arbiter and the network meet it: the plane outlives a stopped or killed process; where
 * there is a gate, it is of no use beyond the lease. */
#include "tests/sim/world.h"

void set_plane(int n, bool up, int64_t epoch)
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
    const int64_t rung = w.set->address_lease / 16;

    if (node->mute != (mute && has_gate(n)))
        tell("node %d: %s", n, mute ? "takes traffic, and answers nothing" : "answers");
    node->mute = mute && has_gate(n);
    node->gate_until = w.now + lease_ns - clock_of(n) + between(-rung, 4 * ms);
    node->state.silent = node->mute;
}

void publish_address(int n)
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

void takeover_release(int n)
{
    struct node *node = &w.nodes[n];

    set_plane(n, false, node->state.epoch);
    if (node->state.state != HOLD_STATE_RELEASED)
        node->state.changed_ns = clock_of(n);
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
    const bool stale = clock_of(n) - node->order_sent > w.set->takeover_after / 2;

    if (node->order.term != node->state.term)
        return true;
    if (stale) {
        begin_term(n);
        publish_address(n);
    }
    return stale;
}

void takeover_obey(int n)
{
    struct node *node = &w.nodes[n];
    const struct role_message *order = &node->order;
    const bool active = order->role == ROLE_ACTIVE && order->lease_ns > clock_of(n) && !order->searching;
    const enum hold_state before = node->state.state;

    if (order->role == ROLE_ACTIVE && !order->searching && !active)
        return; /* read too late: it gives no right, and ends none */
    if (active && !node->plane && node->state.state != HOLD_STATE_FAILED && is_void(n))
        return;
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
        schedule(n, TAKEOVERD, LEASE_END, order->lease_ns - clock_of(n), NULL);
    } else {
        set_plane(n, true, order->epoch);
        set_gate(n, order->quiet, order->lease_ns);
        node->state.state = HOLD_STATE_HOLDING;
        node->state.epoch = order->epoch;
        node->state.lease_ns = order->lease_ns;
        node->lease_record = node->mute ? 0 : order->lease_ns;
        schedule(n, TAKEOVERD, LEASE_END, order->lease_ns - clock_of(n), NULL);
    }
    node->state.change = order->change;
    node->state.held = node->plane ? 1 : 0;
    if (node->state.state != before)
        node->state.changed_ns = clock_of(n);
    publish_address(n);
}

void on_lease_end(int n)
{
    struct node *node = &w.nodes[n];

    if (node->plane && node->state.lease_ns > 0 && clock_of(n) >= node->state.lease_ns) {
        tell("node %d: the lease ended", n);
        begin_term(n);
        takeover_release(n);
        publish_address(n);
    }
}

void start_takeoverd(int n)
{
    struct node *node = &w.nodes[n];

    node->gated = !node->older;
    node->order = (struct role_message){0};
    node->state = (struct address_message){.state = HOLD_STATE_RELEASED,
                                           .epoch = node->plane_epoch,
                                           .gate = has_gate(n) ? GATE_CONDITION_ON : GATE_CONDITION_OFF};
    begin_term(n);
    if (node->plane && node->lease_record > clock_of(n)) { /* R1: it keeps what rightly stands */
        node->state.state = HOLD_STATE_HOLDING;
        node->state.held = 1;
        node->state.lease_ns = node->lease_record;
        schedule(n, TAKEOVERD, LEASE_END, node->lease_record - clock_of(n), NULL);
    } else {
        takeover_release(n);
    }
    publish_address(n);
    schedule(n, TAKEOVERD, PULSE, NS_PER_S, NULL);
    show_role_again(n, TAKEOVERD);
}
