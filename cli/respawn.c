#include "cli/respawn.h"

static const int64_t settled_ns = NS_PER_S, first_pause_ns = 100 * NS_PER_MS, longest_pause_ns = NS_PER_S;

int64_t respawn_pause(struct respawn *respawn, int64_t started_ns, int64_t ended_ns)
{
    if (ended_ns - started_ns >= settled_ns)
        respawn->pause_ns = 0;
    const int64_t pause_ns = respawn->pause_ns;
    respawn->pause_ns = pause_ns == 0 ? first_pause_ns : MIN(2 * pause_ns, longest_pause_ns);
    return pause_ns;
}
