/* process: other people's programs, started, watched and ended without ever blocking the loop.
 *
 * A program is run without a shell, in a session and a process group of its own, with default signals,
 * ordinary scheduling and limits, stdin from /dev/null and no inherited descriptors. That it could not
 * be started is told as that, with the step that failed, and not as the end of a program that never ran. Its
 * end is seen at once, through a descriptor of the process; whatever is left of its group then is killed, so
 * that a new start meets nothing of the old one. It must stay in the foreground: its end is the end of its
 * first process.
 *
 * Unless detached or kept it dies with this daemon (SIGKILL to its first process, by the kernel). Processes
 * that it started itself are not reached by that, nor is a program that is set-uid or has file capabilities,
 * for which Linux forgets the wish.
 *
 * A kept program outlives this daemon, so that the one that is started next adopts it (process_adopt()) and
 * the service has no gap. It begins only after `keep` noted it, so that there is none that nobody knows of.
 * It prints into a FIFO that it holds open for reading, too: what it says while nobody listens waits there,
 * and it is not killed by SIGPIPE.
 *
 * Implemented in linux_process.c. */
#pragma once
#include "common/loop.h"
#include "superviserd/memory.h"

enum { PROCESS_GROUPS_MAX = 64, PROCESS_TEXT_MAX = 160 };

/* Whose rights it gets. Zeroed: this daemon's own. */
struct process_user {
    bool change_user, change_group;
    unsigned uid, gid;
    unsigned groups[PROCESS_GROUPS_MAX]; /* supplementary */
    int group_count;
};

struct process_request {
    char *const *command;     /* words, and NULL; the first one is looked for in PATH if it has no '/' */
    char *const *environment; /* "NAME=value", and NULL */
    const struct process_user *user; /* NULL: this daemon's own */
    bool detached;                   /* outlives this daemon, and prints where this daemon does */
    const struct process_keep *keep; /* NULL: it dies with this daemon */
};

/* For a program that is to outlive this daemon. */
struct process_keep {
    const char *output; /* its FIFO, made anew, in a directory of this daemon's */
    bool leaves;        /* what it leaves behind when it ends is meant to stay */
    /* Notes the process where the next daemon finds it. Called from within process_start(). 0 or a negative
     * errno: then it dies with this daemon after all. */
    int (*note)(void *userdata, const struct memory_process *process);
    void *userdata;
};

struct process_end {
    bool well;                   /* status 0 */
    char text[PROCESS_TEXT_MAX]; /* "killed by signal 9 after 1.2 s", "ended with status 3 after 1.2 s" */
};

/* Exactly one of `failed` and `ended` is called, as the last one; the process is freed after it. `started`
 * comes before `ended`. None is called from within process_start(), nor after process_abandon(). */
struct process_handlers {
    void (*started)(void *userdata, int pid);
    void (*failed)(void *userdata, const char *text);
    void (*ended)(void *userdata, const struct process_end *end);
    void (*output)(void *userdata, const char *line); /* not if detached */
    void *userdata;
};

struct process;

/* All of `request` is used during the call only; `handlers` is copied. 0 or a negative errno; on error no
 * process was made. The caller keeps `*process` until `failed` or `ended` was called. */
int process_start(struct loop *loop, const struct process_request *request,
                  const struct process_handlers *handlers, struct process **process);

/* Goes on with a process that this daemon did not start: with the output from `output` on (a FIFO; NULL, or
 * one that is gone: none), and with `leaves` as when it was started. `alone`: it leads no group of duet's, so
 * that signals go to it alone. `started` is not called, nor `failed`. 0; -ESRCH (it is gone); or another
 * negative errno. */
int process_adopt(struct loop *loop, const struct memory_process *found, const char *output, bool alone,
                  bool leaves, const struct process_handlers *handlers, struct process **process);

int process_pid(const struct process *process);
bool process_is_adopted(const struct process *process);

/* Asks the whole group to end (SIGTERM, and SIGCONT so that a stopped one can). */
void process_terminate(const struct process *process);

/* Kills the whole group; of another daemon the process and all that descends from it. */
void process_kill(const struct process *process);

/* The same; from now on nobody is told anything, and it is freed when it has ended. */
void process_abandon(struct process *process);

/* Whose rights `user` and `group` name (empty: not to be changed; the group of `user` where only that is
 * given). Asks the system's user database, which may block: call at start. 0; -ENOENT with what is not known
 * in `unknown`, one of the two; or another negative errno. */
int process_user_find(const char *user, const char *group, struct process_user *found, const char **unknown);
