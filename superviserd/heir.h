/* heir: what is left of a restart that is under way when superviserd is gone.
 *
 * A reboot-command asks init to end everything, superviserd among the first; and what hangs after that, hangs
 * without it. So before the command a process is made that needs nothing and nobody: a copy of this one
 * without another program's file, without descriptors, deaf to signals, in a session of its own and, where it
 * may, in the root cgroup, since systemd kills what is left in a unit's own (KillMode). It sleeps until the
 * grace is over, and then writes the file systems and asks the kernel; superviserd, if it still lives, is let
 * go first. It does nothing when the note of the restart was made void meanwhile, which whoever takes the
 * restart back does, and each superviserd can; that the note is only gone means nothing, since systemd
 * removes a RuntimeDirectory. Implemented in linux_heir.c. */
#pragma once
#include "common/base.h"

/* What the last sync(2) may take, of superviserd and of its heir. */
#define HEIR_SYNC_NS (5 * NS_PER_S)

/* Writes `text` into `note` after all that was noted there before became void. 0 or a negative errno. */
int heir_note(const char *note, const char *text);

/* Makes it void, and removes it. 0 (also if there is none) or a negative errno. */
int heir_void_note(const char *note);

/* The machine is to be restarted at `until_ns`, unless what `note` holds now was made void. 0, or a negative
 * errno: there is no heir. */
int heir_start(const char *note, int64_t until_ns);
