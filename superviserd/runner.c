#include "superviserd/runner.h"

int runner_open(const struct runner_context *context, struct runner **runner)
{
    const struct config_service *config = context->config;
    const struct runner_kind *kind = config->unit[0] != '\0'   ? &runner_unit
                                     : config->start.count > 0 ? &runner_daemon
                                                               : &runner_command;
    const int r = kind->open(context, runner);

    if (r == 0) {
        (*runner)->kind = kind;
        (*runner)->context = *context;
    }
    return r;
}

void runner_look(struct runner *runner)
{
    runner->kind->look(runner);
}

void runner_start(struct runner *runner)
{
    runner->kind->start(runner);
}

void runner_signal(struct runner *runner, enum guard_signal signal)
{
    runner->kind->signal(runner, signal);
}
