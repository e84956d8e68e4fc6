/* A service with `start`: a command that leaves a daemon behind, which its pidfile or its name tells.
 *
 *     idle      nothing of it runs, as far as is known
 *     starting  the start command runs
 *     looking   it has ended; the daemon is looked for, since it may write its pidfile a moment later
 *     up        the daemon is watched
 *
 * Before a start it is looked for, so that nobody is started twice. When its process ends, another one that
 * is it by now (it executed itself anew, or was restarted by hand) is taken in its place. It is ended by the
 * stop command, or where that is missing or fails by SIGTERM; by SIGKILL with all that descends from it. The
 * start command outlives this daemon, as a service does (kept.h): the next one waits for its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "superviserd/kept.h"
#include "superviserd/runner.h"

static const int64_t look_again_ns = 20 * NS_PER_MS, look_pause_most_ns = NS_PER_S; /* it doubles */

enum stage { IDLE, STARTING, LOOKING, UP };

struct forker {
    struct runner runner;
    struct kept kept;  /* the start command */
    struct kept noted; /* the daemon, once it was seen: a pidfile's time says less when the clock was set */
    enum stage stage;
    bool asked;  /* the present start was asked for here, and not by an earlier daemon */
    bool ending; /* it was told to end */
    struct process *start, *stop, *daemon; /* NULL: does not run */
    struct loop_source *timer;             /* starting: the end of patience; looking: once more */
    int64_t pause_ns;                      /* looking: before the next time */
    int64_t deadline_ns;                   /* of the start */
    char error[PROCESS_TEXT_MAX];
};

static const struct runner_handlers *handlers_of(const struct forker *forker)
{
    return &forker->runner.context.handlers;
}

static const struct config_service *config_of(const struct forker *forker)
{
    return forker->runner.context.config;
}

static void on_output(void *userdata, const char *line)
{
    const struct forker *forker = userdata;

    handlers_of(forker)->output(handlers_of(forker)->userdata, line);
}

static void ignore_start(void *userdata, int pid)
{
    (void)userdata;
    (void)pid;
}

/* ----------------------------------------------------------- the daemon itself */

static void ask_to_end(struct forker *forker);

/* Nothing is left of it. */
static void come_to_rest(struct forker *forker, const char *text, bool was_up)
{
    const struct runner_handlers *handlers = handlers_of(forker);

    loop_stop_timer(forker->timer);
    forker->stage = IDLE;
    if (was_up)
        handlers->ended(handlers->userdata, text);
    else
        handlers->failed(handlers->userdata, text);
}

static int find(const struct forker *forker, struct memory_process *found)
{
    const struct config_service *config = config_of(forker);

    const struct command_user *user = forker->runner.context.user;

    if (config->pidfile[0] == '\0')
        return memory_find(config->process, user->user.change_user ? (int64_t)user->user.uid : MEMORY_ANYBODY,
                           found);
    int r = memory_read_pidfile(config->pidfile, true, found);
    if (r == -ESRCH && memory_read_pidfile(config->pidfile, false, found) == 0 &&
        kept_names(&forker->noted, found))
        r = 0;
    return r;
}

static bool take(struct forker *forker);

static void on_daemon_ended(void *userdata, const struct process_end *end)
{
    struct forker *forker = userdata;
    const int pid = process_pid(forker->daemon);
    char text[PROCESS_TEXT_MAX];

    (void)end;
    snprintf(text, sizeof text, "its process %d ended", pid);
    forker->daemon = NULL;
    if (take(forker)) {
        if (forker->ending)
            ask_to_end(forker);
        else
            handlers_of(forker)->started(handlers_of(forker)->userdata, process_pid(forker->daemon));
        return;
    }
    memory_kill_rest(pid); /* only now: the one that goes on may be of its group */
    if (!forker->stop)
        come_to_rest(forker, text, true);
}

static void on_daemon_failed(void *userdata, const char *text)
{
    (void)userdata;
    (void)text; /* never: it was found running */
}

/* Watches the daemon, if it is there. */
static bool take(struct forker *forker)
{
    const struct process_handlers handlers = {ignore_start, on_daemon_failed, on_daemon_ended, on_output,
                                              forker};
    struct memory_process found;
    int r = find(forker, &found);

    if (r == 0)
        r = process_adopt(forker->runner.context.daemon->loop, &found, forker->kept.output, true, true,
                          &handlers, &forker->daemon);
    if (r == 0) {
        forker->stage = UP;
        loop_stop_timer(forker->timer);
        kept_note(&forker->noted, &found);
    } else if (config_of(forker)->pidfile[0] != '\0') {
        snprintf(forker->error, sizeof forker->error, "%.90s: %s", config_of(forker)->pidfile,
                 r == -ENOENT    ? "there is no such file"
                 : r == -EBADMSG ? "it does not begin with the number of a process"
                 : r == -ESRCH   ? "it names no process that runs"
                 : r == -EPERM   ? "not to be trusted: see pidfile in duet.conf(5)"
                                 : strerror(-r));
    } else {
        const char *user = config_of(forker)->user;
        snprintf(forker->error, sizeof forker->error, "no process%s%.30s is called %.50s%s%s",
                 *user ? " of " : "", user, config_of(forker)->process, r == -ESRCH ? "" : ": ",
                 r == -ESRCH ? "" : strerror(-r));
    }
    return r == 0;
}

/* ------------------------------------------------------------------ starting */

/* It came up, or not yet, or it never will. */
static void look_after_start(struct forker *forker)
{
    char text[PROCESS_TEXT_MAX];
    const int64_t now_ns = clock_now_ns();

    if (take(forker)) {
        if (forker->ending)
            ask_to_end(forker);
        else if (forker->asked)
            handlers_of(forker)->started(handlers_of(forker)->userdata, process_pid(forker->daemon));
        else
            handlers_of(forker)->found(handlers_of(forker)->userdata, process_pid(forker->daemon));
        return;
    }
    if (now_ns >= forker->deadline_ns) {
        snprintf(text, sizeof text, "started, but %.130s", forker->error);
        come_to_rest(forker, text, false);
        return;
    }
    forker->stage = LOOKING;
    loop_set_timer(forker->timer, clock_now_ns() + forker->pause_ns);
    forker->pause_ns = MIN(2 * forker->pause_ns, look_pause_most_ns);
}

static void on_start_ended(void *userdata, const struct process_end *end)
{
    struct forker *forker = userdata;
    const bool adopted = process_is_adopted(forker->start);
    char text[PROCESS_TEXT_MAX];

    forker->start = NULL;
    kept_forget(&forker->kept);
    if (end->well || adopted || forker->ending) {
        look_after_start(forker);
        return;
    }
    snprintf(text, sizeof text, "the start command %.130s", end->text);
    come_to_rest(forker, text, false);
}

static void on_start_failed(void *userdata, const char *text)
{
    struct forker *forker = userdata;

    forker->start = NULL;
    kept_forget(&forker->kept);
    come_to_rest(forker, text, false);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct forker *forker = userdata;

    (void)now_ns;
    if (forker->stage == STARTING && forker->start)
        process_kill(forker->start); /* its end is told, and looked after */
    else if (forker->stage == LOOKING)
        look_after_start(forker);
}

static void begin_start(struct forker *forker)
{
    forker->stage = STARTING;
    forker->ending = false;
    forker->pause_ns = look_again_ns;
    forker->deadline_ns = clock_now_ns() + config_of(forker)->start_timeout;
    loop_set_timer(forker->timer, forker->deadline_ns);
}

static struct process_handlers start_handlers(struct forker *forker)
{
    return (struct process_handlers){ignore_start, on_start_failed, on_start_ended, on_output, forker};
}

static void start(struct runner *runner)
{
    struct forker *forker = (struct forker *)runner;
    const struct runner_context *context = &runner->context;
    const struct process_handlers handlers = start_handlers(forker);
    const struct process_keep keep = kept_keep(&forker->kept);
    char error[PROCESS_TEXT_MAX];

    forker->asked = true;
    if (forker->stage == STARTING || forker->stage == LOOKING)
        return; /* an earlier daemon's start is still under way: its end is told as this one's */
    if (take(forker)) {
        forker->ending = false;
        context->handlers.started(context->handlers.userdata, process_pid(forker->daemon));
        return;
    }
    begin_start(forker);
    if (command_start(context->daemon->loop, &context->config->start, context->user, context->role, &keep,
                      &handlers, &forker->start, error) < 0)
        come_to_rest(forker, error, false);
}

/* ------------------------------------------------------------------- looking */

static void look(struct runner *runner)
{
    struct forker *forker = (struct forker *)runner;
    const struct process_handlers handlers = start_handlers(forker);
    bool same;

    if (forker->stage != IDLE)
        return;
    if (kept_adopt(&forker->kept, runner->context.daemon->loop, &handlers, &forker->start, &same) == 0) {
        begin_start(forker); /* told of when the daemon is there */
        forker->asked = false;
    } else if (take(forker)) {
        forker->ending = false;
        runner->context.handlers.found(runner->context.handlers.userdata, process_pid(forker->daemon));
    }
}

/* -------------------------------------------------------------------- ending */

static void on_stop_over(struct forker *forker, bool well)
{
    char text[PROCESS_TEXT_MAX];

    forker->stop = NULL;
    if (forker->daemon && !well)
        process_terminate(forker->daemon);
    if (forker->daemon)
        return;
    snprintf(text, sizeof text, "stopped by its stop command");
    come_to_rest(forker, text, true);
}

static void on_stop_ended(void *userdata, const struct process_end *end)
{
    on_stop_over(userdata, end->well);
}

static void on_stop_failed(void *userdata, const char *text)
{
    on_output(userdata, text);
    on_stop_over(userdata, false);
}

static void ask_to_end(struct forker *forker)
{
    const struct runner_context *context = &forker->runner.context;
    const struct process_handlers handlers = {ignore_start, on_stop_failed, on_stop_ended, on_output, forker};
    char error[PROCESS_TEXT_MAX];

    if (forker->stop)
        return;
    if (config_of(forker)->stop.count == 0 ||
        command_start(context->daemon->loop, &config_of(forker)->stop, context->user, context->role, NULL,
                      &handlers, &forker->stop, error) < 0)
        process_terminate(forker->daemon);
}

static void send_signal(struct runner *runner, enum guard_signal signal)
{
    struct forker *forker = (struct forker *)runner;

    /* What a start under way leaves behind may appear a moment later: it is looked for, and ended. */
    forker->ending = true;
    forker->deadline_ns = MIN(forker->deadline_ns, clock_now_ns() + config_of(forker)->stop_timeout);
    if (signal == GUARD_KILL && forker->stage == LOOKING) {
        come_to_rest(forker, forker->error, false);
    } else if (signal == GUARD_KILL) {
        if (forker->start)
            process_kill(forker->start);
        if (forker->stop)
            process_kill(forker->stop);
        if (forker->daemon)
            process_kill(forker->daemon);
    } else if (forker->start) {
        process_terminate(forker->start);
    } else if (forker->stage == LOOKING) {
        look_after_start(forker);
    } else if (forker->daemon) {
        ask_to_end(forker);
    }
}

/* ------------------------------------------------------------------- opening */

static int open_forker(const struct runner_context *context, struct runner **runner)
{
    const struct config_service *config = context->config;
    struct forker *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    int r = kept_open(&made->kept, context->daemon, config->name, "start", config->start.items, config->user,
                      config->group);
    made->kept.leaves = true;
    if (r == 0)
        r = kept_open(&made->noted, context->daemon, config->name, "main", config->start.items, config->user,
                      config->group);
    if (r == 0)
        r = loop_add_timer(context->daemon->loop, on_timer, made, &made->timer);
    if (r < 0)
        free(made);
    else
        *runner = &made->runner;
    return r;
}

const struct runner_kind runner_daemon = {open_forker, look, start, send_signal};
