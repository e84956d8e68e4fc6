/* respawn: how soon a daemon that ended is started again. Pure.
 *
 * At once, since every moment without it costs; but one that keeps ending within a second of its start gets a
 * pause that doubles up to a second, so that a broken one does not eat the machine. */
#pragma once
#include "common/base.h"

struct respawn {
    int64_t pause_ns; /* before the next start, should it end as soon again */
};

/* It was started and ended at these times; how long to wait before it is started again. */
int64_t respawn_pause(struct respawn *respawn, int64_t started_ns, int64_t ended_ns);
