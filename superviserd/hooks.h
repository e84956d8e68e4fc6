/* hooks: the commands that are run because the role changes. The agenda (agenda.h) decides, and this shell
 * carries out: it turns the role, ends of processes and time into events, and the effects into processes, a
 * timer, the topics `hook` and `hook/NAME`, and the note of what the next run must know.
 *
 * A hook runs with its own user and group, and finds in its environment DUET_NODE, DUET_ROLE and DUET_EPOCH
 * as they are when it is started, and DUET_HOOK, the event. What it prints goes to the log, a line each, led
 * by its name. It dies with this daemon.
 *
 * The note lies in the run directory, whole or as it was before (another boot voids it, so it is not synced
 * to the disk, which could hold this daemon up). It is written right after what it tells of began: a daemon
 * that is killed just between runs a hook once more rather than not at all. */
#pragma once
#include "common/daemon.h"

struct hooks;

/* Takes up what an earlier run of this boot left. Keeps `daemon` by reference; the result lives as long as
 * the process. 0 or a negative errno. */
int hooks_new(struct daemon *daemon, struct hooks **hooks);

/* A new role, and the `cause` that it came with. */
void hooks_role(struct hooks *hooks, const struct role_message *role, const char *cause);

/* The operator says that what failed is mended. Returns how many hooks had failed. */
int hooks_clear(struct hooks *hooks);

/* Whether hooks can go on by `next`. False with the reason in `text`. */
bool hooks_check(const struct hooks *hooks, const struct config *next, char *text, size_t size);

/* daemon->config is another one by now. What the hooks of the earlier one did for the present role counts as
 * done: new ones run at the next change of role. */
void hooks_reload(struct hooks *hooks, const struct config *before);

/* Takes no role any more; calls `then`, once, when what is due came to its end, each within its time. */
void hooks_stop(struct hooks *hooks, void (*then)(void *userdata), void *userdata);
