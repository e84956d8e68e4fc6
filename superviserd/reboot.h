/* reboot: carries out the restart of this node, when the arbiter says so (`role`, field reboot). The one way
 * in which duet restarts a machine:
 *
 *     none       nothing is wished
 *     delayed    it was restarted not long ago, or this restart cannot be counted: it waits (restarts.h)
 *     preparing  takeoverd confirms that no active address is left, the traps have their moment, the black
 *                box, the count of restarts and the file systems go to the disk; each within its limit
 *     running    reboot-command was started, in a session of its own: it goes on when it stops this daemon
 *     failed     it could not be started, did not end well, or did not restart the machine
 *
 * If the machine still runs reboot-grace after the command, however that ended, it is restarted by the kernel
 * (reboot-force), after the file systems had a last moment to be written. Only the whole machine is: a node
 * in a network namespace of its own is not (sys_is_whole_machine()). If even the kernel does not, the
 * watchdog is not fed any more. Since the command usually stops this daemon first, an heir (heir.h) and the
 * watchdog, which then is left armed for as long, end a shutdown that hangs after that.
 *
 * That the command was started is noted in the run directory before: a superviserd that is restarted
 * meanwhile, and hears the same wish again, does not start it a second time. When the wish is taken back
 * before that, nothing happened; after it, nothing can be called back, but the kernel is not asked any more,
 * and the watchdog is fed again.
 */
#pragma once
#include "superviserd/recorder.h"
#include "superviserd/watchdog.h"

struct reboot;

/* Publishes that none is under way. Keeps `daemon`, `watchdog` and `recorder` (NULL: there is none) by
 * reference; the result lives as long as the process. 0 or a negative errno. */
int reboot_new(struct daemon *daemon, struct watchdog *watchdog, struct recorder *recorder,
               struct reboot **reboot);

/* A new role, and the `cause` that it came with. */
void reboot_role(struct reboot *reboot, const struct role_message *role, const char *cause);

/* What trapd has told. */
void reboot_traps(struct reboot *reboot, const struct trap_message *traps);

/* What takeoverd holds. */
void reboot_address(struct reboot *reboot, const struct address_message *address);

/* How long from now on the machine may still take to go down, with reboot-force: what a watchdog that is left
 * behind has to wait. 0: no restart is under way, or it is not to be forced. */
int64_t reboot_left_ns(const struct reboot *reboot);

/* The operator says that the fault is mended: earlier restarts do not count any more. */
void reboot_clear(struct reboot *reboot);
