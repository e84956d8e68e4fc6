/* reboot: carries out the restart of this node, when the arbiter says so (`role`, field reboot).
 *
 * The configured reboot-command is started once for each time that the wish appears, in a session of its own,
 * so that it goes on when this daemon is stopped by what it started. That it was started is noted in the run
 * directory before: a superviserd that is restarted meanwhile, and hears the same wish again, does not start
 * it a second time. The run directory does not survive the reboot, and the note bears the id of the boot for
 * the case that it does.
 *
 * The topic `reboot` tells how it stands. When the wish is taken back after a command that was started,
 * nothing can be called back; only the topic is reset once the command ended. */
#pragma once
#include "common/daemon.h"

struct reboot;

/* Publishes that none is under way. Keeps `daemon` by reference; the result lives as long as the process. 0
 * or a negative errno. */
int reboot_new(struct daemon *daemon, struct reboot **reboot);

/* A new role, and the `cause` that it came with. */
void reboot_role(struct reboot *reboot, const struct role_message *role, const char *cause);
