/* runner: how one service is found, started and ended. Its guard decides, its runner carries out.
 *
 *     command    a child of this daemon, in the foreground; it outlives this daemon and is adopted by the
 * next daemon     a start command that leaves a daemon behind, which a pidfile or its name tells (`start`)
 *     unit       a unit of systemd's, over D-Bus (`unit`)
 *
 * None of it blocks. The handlers may be called from within runner_look(), runner_start() and
 * runner_signal(). */
#pragma once
#include "superviserd/command.h"
#include "superviserd/guard.h"

struct runner_handlers {
    void (*started)(void *userdata, int pid); /* as it was told to; or it goes on as another process */
    void (*found)(void *userdata, int pid);   /* it runs, without having been told to from here */
    void (*failed)(void *userdata, const char *text); /* it could not be started; nothing is left of it */
    void (*ended)(void *userdata, const char *text);  /* nothing is left of it */
    void (*output)(void *userdata, const char *line);
    void *userdata;
};

/* What a runner needs to know of its service. All of it lives as long as the process. */
struct runner_context {
    struct daemon *daemon;
    const struct config_service *config;
    const struct command_user *user;
    const struct command_role *role; /* as it is when it is looked at */
    struct runner_handlers handlers;
};

struct runner;

struct runner_kind {
    int (*open)(const struct runner_context *context, struct runner **runner);
    void (*look)(struct runner *runner);
    void (*start)(struct runner *runner);
    void (*signal)(struct runner *runner, enum guard_signal signal);
};

/* Every runner begins with this. */
struct runner {
    const struct runner_kind *kind;
    struct runner_context context;
    bool outdated; /* what was found was started by another command than the configured one */
};

extern const struct runner_kind runner_command, runner_daemon, runner_unit;

/* The one that fits the configuration of the service. 0 or a negative errno. */
int runner_open(const struct runner_context *context, struct runner **runner);

/* Looks whether it runs already: then `found` is called. Once at the start, and now and then while it should
 * run and does not. */
void runner_look(struct runner *runner);

/* Starts it, unless it runs: `started`, `failed` or `ended` will follow. */
void runner_start(struct runner *runner);

/* Tells it to end (GUARD_TERM), or ends it and all that belongs to it (GUARD_KILL): `ended` or `failed` will
 * follow. */
void runner_signal(struct runner *runner, enum guard_signal signal);
