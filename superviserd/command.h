/* command: other people's commands, run with the rights that the configuration gives them, and with the role
 * in their environment.
 *
 * A command finds DUET_NODE, DUET_ROLE and DUET_EPOCH as they are when it is started (a hook also DUET_HOOK),
 * besides what this daemon found in its own environment; what speaks of this daemon to systemd is left out.
 */
#pragma once
#include "common/daemon.h"
#include "superviserd/process.h"

/* Whose rights, found once. */
struct command_user {
    struct process_user user;
    char problem[PROCESS_TEXT_MAX]; /* why they cannot be had; empty: they can */
};

/* Looks `user` and `group` up (empty: this daemon's own). May block: call at start. */
void command_find_user(const char *user, const char *group, struct command_user *found);

/* What the environment says. */
struct command_role {
    const char *node;
    enum role role;
    int64_t epoch;
    const char *hook; /* the event that a hook runs for, in DUET_HOOK; NULL: it is no hook */
};

/* Starts `command`; `keep` (NULL: it dies with this daemon) and the rest are as in process_start(). If it
 * cannot be, `error` says why. 0 or a negative errno. */
int command_start(struct loop *loop, const struct config_strings *command, const struct command_user *user,
                  const struct command_role *role, const struct process_keep *keep,
                  const struct process_handlers *handlers, struct process **process,
                  char error[static PROCESS_TEXT_MAX]);
