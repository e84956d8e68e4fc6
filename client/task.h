/* task: a command that is run to its end, or kept running, without blocking the loop.
 *
 * It is run without a shell, in a process group of its own, with stdin from /dev/null, and dies with this
 * daemon. What it prints goes to the log, line by line; one line is kept as the reason, should the command
 * fail: mostly the last one, but nmcli and systemctl say first why, and then where to read more. When its
 * time is over it is killed, group and all; what it leaves behind when it ends by itself stays, since `up`
 * may well start a daemon. Implemented in linux_task.c. */
#pragma once
#include "common/loop.h"

enum { TASK_TEXT_MAX = 192 };

struct task;

struct task_end {
    bool good; /* status 0 */
    int64_t took_ns;
    char text[TASK_TEXT_MAX]; /* why not, for people: "openvpn: ended with status 1: …" */
};

/* Called once, from the loop, as the last one; the task is freed after it. */
typedef void task_end_handler(void *userdata, const struct task_end *end);
typedef void task_line_handler(void *userdata, const char *line);

struct task_request {
    char *const *words;         /* ended by NULL; used during the call only */
    int64_t timeout_ns;         /* 0: no limit */
    const char *name;           /* leads its lines in the log, kept by reference; NULL: they are not logged */
    bool reason_first;          /* the first line that is no warning says why it failed, not the last line */
    task_line_handler *on_line; /* may be NULL */
    task_end_handler *on_end;
    void *userdata;
};

/* 0 or a negative errno (-ENOENT: there is no such program); on error no handler is called. */
int task_start(struct loop *loop, const struct task_request *request, struct task **task);

/* Asks the group to end (SIGTERM); it is killed after `patience_ns`. */
void task_end(struct task *task, int64_t patience_ns);

/* Kills the group and frees the task, without telling anybody: for the end of the daemon, when its loop is
 * gone already. NULL is ignored. */
void task_abandon(struct task *task);
