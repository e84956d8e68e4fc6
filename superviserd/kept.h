/* kept: a process of one service that outlives this daemon, and how the next daemon finds it.
 *
 * A note in RUNDIR/superviserd/service names it (service_record.h), written before its program begins. What
 * it is of the service tells the note's suffix, so that another kind of service never takes it for its own:
 *
 *     NAME.record   the child of a service with `command`
 *     NAME.start    the start command of one with `start`
 *     NAME.main     the daemon that this left behind, noted when it was found
 *
 * NAME.output beside them is the FIFO that it prints into. A note that the configuration has no use for names
 * a stranger: its service, or that kind of it, is not configured any more. */
#pragma once
#include "superviserd/command.h"
#include "superviserd/service_record.h"

struct kept {
    const char *name;                        /* of the service */
    char record[PATH_MAX], output[PATH_MAX]; /* files */
    char boot_id[SYS_BOOT_ID_MAX];
    uint64_t hash; /* of the command */
    bool alone;    /* it leads no group of duet's: set after kept_open() */
    bool leaves;   /* what it leaves behind when it ends is meant to stay: set after kept_open() */
};

/* Makes the directory. `name` is kept by reference; `suffix` is that of the note;
 * `words`, `user` and `group` tell commands apart. 0 or a negative errno. */
int kept_open(struct kept *kept, const struct daemon *daemon, const char *name, const char *suffix,
              char *const *words, const char *user, const char *group);

/* What process_start() needs; `kept` is used by reference. */
struct process_keep kept_keep(struct kept *kept);

/* Goes on with the process that an earlier daemon noted, if it lives. `same`: it was started by this command.
 * 0; -ESRCH (there is none); or another negative errno (logged). */
int kept_adopt(const struct kept *kept, struct loop *loop, const struct process_handlers *handlers,
               struct process **process, bool *same);

/* Notes a process that was not started by process_start(). 0 or a negative errno (logged). */
int kept_note(const struct kept *kept, const struct memory_process *process);

/* The note, of this boot, names this very process. */
bool kept_names(const struct kept *kept, const struct memory_process *process);

/* It is gone: the note is removed. */
void kept_forget(const struct kept *kept);

/* Ends the strangers, each by SIGTERM and, if it does not end, by SIGKILL after its patience is over. `gone`
 * is called, later, for each one that has ended. Once. */
void kept_end_strangers(const struct daemon *daemon, void (*gone)(void *userdata, const char *service),
                        void *userdata);

/* A stranger that bears this service's name still runs: nothing new of it may be looked for, or started. */
bool kept_is_in_the_way(const char *service);
