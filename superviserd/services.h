/* services: the guarded daemons of this node. Each has a guard (guard.h) that decides, and a runner
 * (runner.h) that finds, starts and ends it; this shell stands between: it turns the role, ends, checks,
 * timers and commands into events, and the effects into doing, timers and the topic `service/NAME`.
 *
 * A service `when = active` runs while the role is active, `when = always` from the start on; order.h says
 * which wait for others. Its program, and its check, run with the user and group of the service, and find
 * DUET_NODE, DUET_ROLE and DUET_EPOCH as they were at their start. What they print goes to the log, a line
 * each, led by the service's name.
 *
 * What runs already when this daemon starts is adopted. It is left alone until the role is heard; then it
 * goes on, or is told to end. */
#pragma once
#include "common/daemon.h"

struct services;

/* One for each service of the configuration. Keeps `daemon` by reference; the result lives as long as the
 * process. 0 or a negative errno. */
int services_new(struct daemon *daemon, struct services **services);

/* Looks for those that run already, and starts those with `when = always`. */
void services_start(struct services *services);

/* A new role, and the `cause` that it came with. */
void services_role(struct services *services, const struct role_message *role, const char *cause);

/* What takeoverd holds, and the message's own name: the services of the active role end with the addresses
 * when arbiterd cannot say so any more (tenure.h). */
void services_address(struct services *services, const struct address_message *address, const char *cause);

/* The operator says that faults are mended. Returns how many services had failed. */
int services_clear(struct services *services);

/* Whether services can go on by `next`. False with the reason in `text`. */
bool services_check(const struct services *services, const struct config *next, char *text, size_t size);

/* daemon->config is another one by now: what is not in it ends, what is new begins. 0 with what was done in
 * `text`, or a negative errno. */
int services_reload(struct services *services, char *text, size_t size);

/* Stops all of them in their order, each within its stop-timeout, and then ends the loop with 0. */
void services_stop(struct services *services);

/* After the loop: what is still to be written is. NULL is ignored. */
void services_close(struct services *services);
