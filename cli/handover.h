/* handover: before all of duet ends, the role goes to the peer (DESIGN §6: SIGTERM is a clean shutdown, which
 * hands over).
 *
 * It waits for answers, so it runs in a process of its own while `duet run` keeps the daemons alive. Where
 * systemd starts them, it runs `duet handover` before it stops them. */
#pragma once
#include "cli/command.h"
#include "common/daemon.h"

/* Orders arbiterd to stop serving and waits until it has, at most `limit_ns`. Says on stdout how it went. 0,
 * or a negative errno when the role was not given away. */
int handover_run(const struct options *options, int64_t limit_ns);

int handover_command(struct invocation *invocation);
