/* procfs: what the kernel's /proc/PID/stat and a daemon's pidfile say. Pure: text in, numbers out. */
#pragma once
#include "common/base.h"

enum { PROCFS_NAME_MAX = 64, PROCFS_PID_MAX = 4 * 1024 * 1024 /* the kernel's own limit */ };

/* One process as /proc/PID/stat shows it (proc(5)). */
struct procfs_stat {
    int pid, parent, group, session;
    char name[PROCFS_NAME_MAX];
    char state;            /* R, S, D, T, Z … */
    int64_t started_ticks; /* since boot: with the pid it names a process that is never there again */
};

/* `text` need not end in NUL. 0 or -EBADMSG. */
int procfs_parse_stat(const char *text, size_t size, struct procfs_stat *stat);

/* It has ended, and only waits to be asked for its status. */
bool procfs_is_dead(const struct procfs_stat *stat);

/* The number at the head of a pidfile: alone on the first line, with blanks around it if there are any;
 * further lines are the daemon's own. Never below 2: nobody's pidfile names init. `text` need not end in NUL.
 * 0 or -EBADMSG. */
int procfs_parse_pidfile(const char *text, size_t size, int *pid);

/* `name` is what a process is called: its own name, or the file name of its program, whose path is `program`
 * (empty: not known). Of its own name the kernel keeps 15 bytes, which may be those of another one: a `name`
 * of that length or longer must be the file name of the program, or of one of the first two words of its
 * command line (a script's is the second), too. `words`: that command line as /proc has it, with a NUL after
 * each word. */
bool procfs_is_called(const struct procfs_stat *stat, const char *program, const char *words, size_t size,
                      const char *name);
