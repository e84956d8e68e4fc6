/* run: `duet run`: all daemons of a node in the foreground, where there is no systemd.
 *
 * Starts the daemons, shows what they say, and starts again what ends, told by a pidfd and thus at once.
 * SIGTERM or SIGINT ends it cleanly: hand the role over, then stop the daemons in the order in which they
 * rest on each other. A second signal skips the handover, a third one the daemons' own clean end. Killed
 * outright, it takes the daemons with it (they get SIGTERM). One run directory belongs to one `duet run`: it
 * holds a lock on RUNDIR/duet.lock. */
#pragma once
#include "cli/command.h"

int run_command(struct invocation *invocation);
