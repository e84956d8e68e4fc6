/* services: the guarded daemons of this node. Each has a guard (guard.h) that decides, and this shell carries
 * out: it turns the role, ends of processes, checks, timers and commands into events, and the effects into
 * processes, timers and the topic `service/NAME`.
 *
 * A service `when = active` runs while the role is active, `when = always` from the start on. Its program,
 * and its check, run with the user and group of the service, and find in their environment DUET_NODE,
 * DUET_ROLE and DUET_EPOCH as they were at their start. What they print goes to the log, a line each, led by
 * the service's name. */
#pragma once
#include "common/daemon.h"

struct services;

/* One for each service of the configuration that this daemon can run; of the others one line of warning each.
 * Keeps `daemon` by reference; the result lives as long as the process. 0 or a negative errno. */
int services_new(struct daemon *daemon, struct services **services);

/* Starts those with `when = always`. */
void services_start(struct services *services);

/* A new role, and the `cause` that it came with. */
void services_role(struct services *services, const struct role_message *role, const char *cause);

/* The operator says that faults are mended. Returns how many services had failed. */
int services_clear(struct services *services);

/* Stops all of them, each within its stop-timeout, and then ends the loop with 0. */
void services_stop(struct services *services);
