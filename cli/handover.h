/* handover: before `duet run` ends, the role goes to the peer (DESIGN §6: SIGTERM is a clean shutdown, which
 * hands over).
 *
 * It waits for answers, so it runs in a process of its own while `duet run` keeps the daemons alive. */
#pragma once
#include "common/daemon.h"

/* Orders arbiterd to stop serving and waits until it has, at most `limit_ns`. Says on stdout how it went. 0,
 * or a negative errno when the role was not given away. */
int handover_run(const struct options *options, int64_t limit_ns);
