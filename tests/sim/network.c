/* network: what passes between the two nodes. */
#include "tests/sim/world.h"

bool takes_traffic(int n)
{
    const struct node *node = &w.nodes[n];

    return node->power && node->plane && node->frozen_until <= w.now &&
           (!has_gate(n) || w.now < node->gate_until);
}

bool answers(int n)
{
    return takes_traffic(n) && !w.nodes[n].mute;
}

bool carriers(int c)
{
    return w.nodes[0].carrier[c] && w.nodes[1].carrier[c];
}

static bool find_heartbeats_cut(void)
{
    for (int from = 0; from < 2; from++) {
        bool passes = false;
        for (int p = 0; p < PATHS; p++)
            passes = passes || (w.path_up[from][p] && (p == CHANNELS || carriers(p)));
        if (!passes)
            return true;
    }
    return false;
}

static bool find_arp_cut(void)
{
    for (int c = 0; c < CHANNELS; c++)
        if (w.arp_up[c] && carriers(c))
            return false;
    return true;
}

bool heartbeats_cut(void)
{
    return w.heartbeats_cut;
}

bool arp_cut(void)
{
    return w.arp_cut;
}

bool partitioned(void)
{
    return w.heartbeats_cut && (w.arp_cut || w.search_off);
}

void look_at_network(void)
{
    w.heartbeats_cut = find_heartbeats_cut();
    w.arp_cut = find_arp_cut();
}

void change_network(int kind, int n, int c, bool up)
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
    look_at_network();
    tell("network %d (node %d, channel %d) %s", kind, n, c, up ? "mended" : "broken");
}
