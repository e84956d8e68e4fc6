/* reload: how a daemon takes a changed configuration (`duet reload`).
 *
 * The command `reload` comes twice. With `check` the daemon reads the file, checks it as at its start, and
 * asks itself whether it can go there without a restart; it keeps what it read. Without `check` it applies
 * exactly that. `hash` names the text that is meant, so that all daemons of a node take the same one, however
 * often the file is written meanwhile; a daemon that was not asked before reads and checks first. So nothing
 * is changed anywhere before every daemon has agreed.
 *
 * daemon->config is then the new one. Those before live as long as the process, since runners, hooks and the
 * like may point into them: a few kilobytes for each reload. */
#pragma once
#include "common/daemon.h"

/* Before the loop turns: takes the command on daemon->bus. Without a configuration of the pair it does
 * nothing. */
void reload_open(struct daemon *daemon);

/* After the loop. */
void reload_close(struct daemon *daemon);
