/* version: a pair of which one node is of the version before this one, as it is while it is upgraded.
 *
 * That version knew of no silent node (R13): its heartbeats show neither `silent` nor `takes-silent`, and
 * what it hears of them it ignores. Of records of changes that go to the peer it knew nothing either. And it
 * had no gate: what its kernel has, answers until somebody takes it away. All else of it is the present core:
 * what was wrong with the old one cannot be mended here. */
#include "tests/sim/world.h"

/* A quarter of all pairs. Both may be of the same version when the story begins. */
void draw_versions(void)
{
    w.mixed = chance(25);
    for (int n = 0; n < 2; n++)
        w.nodes[n].older = w.mixed && chance(50);
}

const char *version_names(void)
{
    const bool first = w.nodes[0].older, second = w.nodes[1].older;

    return first && second ? "old and old" : first ? "old and new" : second ? "new and old" : "new and new";
}

bool has_gate(int n)
{
    return w.gate && w.nodes[n].gated;
}

void version_sends(int n, struct heartbeat *h)
{
    h->takes_silent = h->takes_records = !w.nodes[n].older;
    h->role.silent = h->role.silent && h->takes_silent;
}

void version_hears(int n, struct peer_message *peer)
{
    peer->silent = peer->silent && !w.nodes[n].older;
    peer->takes_silent = peer->takes_silent && !w.nodes[n].older;
    peer->takes_records = peer->takes_records && !w.nodes[n].older;
}

void exchange_version(int n)
{
    struct node *node = &w.nodes[n];

    node->changes_version = false;
    node->older = !node->older;
    tell("node %d: is of the %s version from now on", n, node->older ? "older" : "present");
}

void change_version(int n)
{
    struct node *node = &w.nodes[n];
    const int64_t away = during(50 * ms, 4 * NS_PER_S);

    if (!node->power)
        return;
    /* A shut gate that an older takeoverd finds would stay shut: back to it by a clean stop only. */
    if (!node->older || chance(60)) {
        node->changes_version = true;
        stop_node(n);
        return;
    }
    for (int p = 0; p < PROCESSES; p++)
        kill_process(n, (enum process)p, away + between(0, 20 * ms));
    exchange_version(n);
}
