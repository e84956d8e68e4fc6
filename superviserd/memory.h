/* memory: what runs on this machine, whoever started it ("looks for the daemon in the memory", L11).
 *
 * Only processes of this daemon's own network namespace count: the same daemon in a container, or on the
 * other node of a pair in a laboratory, is not this node's. A process is named by its number and the time of
 * its start, so that a number that was given to another one since is not mistaken for it.
 *
 * Implemented in linux_memory.c. */
#pragma once
#include "common/base.h"

struct memory_process {
    int pid;
    int64_t started_ticks;
};

/* Who has this number now. 0; -ESRCH (nobody, or only one that has ended). */
int memory_look(int pid, struct memory_process *found);

/* Whose processes count. */
enum { MEMORY_ANYBODY = -1 };

/* The process called `name` (procfs_is_called()) that runs as the user `uid` (or MEMORY_ANYBODY); of several
 * the one that started first, which is the one that started the others. Not one of duet's own, nor what this
 * daemon runs itself. 0; -ESRCH; or another negative errno. */
int memory_find(const char *name, int64_t uid, struct memory_process *found);

/* The process that a pidfile names. 0; -ENOENT (no such file); -EBADMSG (it begins with no number); -ESRCH
 * (no such process; or, if `old`, one that started after the file was written, and so has the number by
 * chance); -EPERM (the file may name processes of others to this daemon, which is root: it is a symbolic
 * link, or more than its owner can write it, or its owner is not root and the process not his; or it names
 * one of duet's own processes, or the parent of this daemon); or another negative errno. */
int memory_read_pidfile(const char *path, bool old, struct memory_process *found);

/* A descriptor that becomes readable when that very process ends. -ESRCH if it is gone; or another negative
 * errno. The caller closes it. */
int memory_open(const struct memory_process *process);

/* SIGKILL to it, to all that descend from it, and to the group and the session that it leads. */
void memory_kill_family(const struct memory_process *process);

/* SIGKILL to what is left of the group and the session that `pid`, which has ended, was the leader of. */
void memory_kill_rest(int pid);
