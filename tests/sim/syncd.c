/* syncd, as the arbiter meets it: the active node's data grows, the passive one copies it over the reserved
 * line, some time later. Its first copy takes a while, and until it is done the data is not whole (R14). */
#include "tests/sim/world.h"

void publish_data(int n)
{
    struct node *node = &w.nodes[n];
    union payload *p = payload_new();

    if (w.set->sync_sets == 0) {
        payload_free(p);
        return;
    }
    p->bus.kind = EVENT_DATA;
    p->bus.data = (struct data_message){
        .state = node->data_current ? SYNC_STATE_CURRENT : SYNC_STATE_BEHIND,
        .whole = node->data_whole,
        .data_epoch = node->data_epoch,
        .data_generation = node->data_generation,
        .connected = node->data_connected,
        .looked_ns = clock_of(n),
        .behind_since_ns = node->data_behind_since,
    };
    to_arbiter(n, p);
}

static bool reaches(int n)
{
    const struct node *other = &w.nodes[!n];

    return w.path_up[0][CHANNELS] && w.path_up[1][CHANNELS] && other->power && other->alive[SYNCD] &&
           other->frozen_until <= w.now && other->paused_until[SYNCD] <= w.now;
}

static void write_data(int n)
{
    struct node *node = &w.nodes[n];

    node->data_whole = node->ever_served = true; /* what serves is the data */
    if (node->data_epoch < node->shown.epoch || chance(20))
        node->data_generation++;
    node->data_epoch = MAX(node->data_epoch, node->shown.epoch);
}

static void copy_data(int n)
{
    struct node *node = &w.nodes[n];
    const struct node *from = &w.nodes[!n];
    const bool newer = from->data_epoch > node->data_epoch || (from->data_epoch == node->data_epoch &&
                                                               from->data_generation > node->data_generation);

    if (!node->data_connected || !from->data_whole || !phase_serves(from->shown.phase))
        return;
    if (!node->data_whole && node->copying-- > 0)
        return;
    if (node->data_whole && (!newer || chance(20)))
        return;
    node->data_whole = true;
    node->data_epoch = from->data_epoch;
    node->data_generation = from->data_generation;
}

void on_sync(int n)
{
    struct node *node = &w.nodes[n];
    const struct node *other = &w.nodes[!n];

    node->data_connected = reaches(n);
    if (phase_serves(node->shown.phase) && node->plane)
        write_data(n);
    else
        copy_data(n);
    node->data_current = node->data_connected && node->data_epoch == other->data_epoch &&
                         node->data_generation == other->data_generation;
    if (node->data_current)
        node->data_behind_since = 0;
    else if (node->data_behind_since == 0)
        node->data_behind_since = clock_of(n);
    publish_data(n);
    schedule(n, SYNCD, SYNC, w.set->heartbeat_interval * 2, NULL);
}

void start_syncd(int n)
{
    w.nodes[n].copying = between(2, 20);
    w.nodes[n].data_behind_since = 0;
    if (w.set->sync_sets > 0)
        schedule(n, SYNCD, SYNC, between(1 * ms, 300 * ms), NULL);
}
