/* watchdog_times: what follows from the timeout of the hardware watchdog, in nanoseconds. superviserd goes by
 * it, and `duet check-config` tells it.
 *
 * A daemon of the lease chain that hangs has sent its last pulse at most when it began to; the watchdog is
 * fed for at most watchdog_silence_ns() longer, and the machine restarts a timeout after that. So the longest
 * from such a hang to the restart is watchdog_silence_ns() + timeout; from a hang of the kernel or of
 * superviserd, which stops the feeding by itself, it is the timeout. */
#pragma once
#include "common/base.h"

/* The pulse comes once a second, and a restarted daemon has to run for a second before it counts again. */
#define WATCHDOG_SILENCE_LEAST_NS (3 * NS_PER_S)
#define WATCHDOG_TIMEOUT_LEAST_NS (2 * NS_PER_S)

/* How long the pulse of a daemon may stay away before the watchdog is not fed any more. */
static inline int64_t watchdog_silence_ns(int64_t timeout_ns)
{
    return MAX(timeout_ns / 2, WATCHDOG_SILENCE_LEAST_NS);
}

/* Between two feeds. */
static inline int64_t watchdog_feed_interval_ns(int64_t timeout_ns)
{
    return MIN(timeout_ns / 4, NS_PER_S);
}
