/* A service with `command`: a child in the foreground, which outlives this daemon (kept.h). */
#include <errno.h>
#include <stdlib.h>

#include "superviserd/kept.h"
#include "superviserd/runner.h"

struct child {
    struct runner runner;
    struct kept kept;
    struct process *process; /* NULL: none */
};

static const struct runner_handlers *handlers_of(const struct child *child)
{
    return &child->runner.context.handlers;
}

static void on_started(void *userdata, int pid)
{
    const struct child *child = userdata;

    handlers_of(child)->started(handlers_of(child)->userdata, pid);
}

static void on_failed(void *userdata, const char *text)
{
    struct child *child = userdata;

    child->process = NULL;
    kept_forget(&child->kept);
    handlers_of(child)->failed(handlers_of(child)->userdata, text);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct child *child = userdata;

    child->process = NULL;
    kept_forget(&child->kept);
    handlers_of(child)->ended(handlers_of(child)->userdata, end->text);
}

static void on_output(void *userdata, const char *line)
{
    const struct child *child = userdata;

    handlers_of(child)->output(handlers_of(child)->userdata, line);
}

static struct process_handlers process_handlers_of(struct child *child)
{
    return (struct process_handlers){on_started, on_failed, on_ended, on_output, child};
}

static void look(struct runner *runner)
{
    struct child *child = (struct child *)runner;
    const struct process_handlers handlers = process_handlers_of(child);
    bool same;

    if (child->process ||
        kept_adopt(&child->kept, runner->context.daemon->loop, &handlers, &child->process, &same) < 0)
        return;
    runner->outdated = !same;
    handlers_of(child)->found(handlers_of(child)->userdata, process_pid(child->process));
}

static void start(struct runner *runner)
{
    struct child *child = (struct child *)runner;
    const struct runner_context *context = &runner->context;
    const struct process_handlers handlers = process_handlers_of(child);
    const struct process_keep keep = kept_keep(&child->kept);
    char error[PROCESS_TEXT_MAX];

    runner->outdated = false;
    if (command_start(context->daemon->loop, &context->config->command, context->user, context->role, &keep,
                      &handlers, &child->process, error) < 0)
        context->handlers.failed(context->handlers.userdata, error);
}

static void send_signal(struct runner *runner, enum guard_signal signal)
{
    const struct child *child = (struct child *)runner;

    if (child->process && signal == GUARD_TERM)
        process_terminate(child->process);
    else if (child->process && signal == GUARD_KILL)
        process_kill(child->process);
}

static int open_child(const struct runner_context *context, struct runner **runner)
{
    const struct config_service *config = context->config;
    struct child *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    const int r = kept_open(&made->kept, context->daemon, config->name, "record", config->command.items,
                            config->user, config->group);
    if (r < 0)
        free(made);
    else
        *runner = &made->runner;
    return r;
}

const struct runner_kind runner_command = {open_child, look, start, send_signal};
