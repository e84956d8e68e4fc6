#include "superviserd/services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "superviserd/command.h"
#include "superviserd/guard.h"

enum { OUTPUT_BURST = 200 }; /* lines in ten seconds, each service */

/* What a killed process may take to be gone, before this daemon ends without having seen it. */
#define STOP_SLACK_NS (2 * NS_PER_S)

struct service {
    struct services *all;
    const struct config_service *config;
    struct guard guard;
    struct command_user user;
    struct process *process, *check;
    struct loop_source *timer;
    struct log_limit output_log, check_log;
    char cause[CAUSE_MAX]; /* the message about the role that the present state goes back to; empty: none */
};

struct services {
    struct daemon *daemon;
    size_t count;
    struct service *items;
    enum role role;
    int64_t epoch;
    bool stopping;
    struct loop_source *stop_timer;
};

static void feed(struct service *service, const struct guard_event *event);
static void end_when_all_rest(struct services *services);

static void feed_kind(struct service *service, enum guard_event_kind kind, const char *text)
{
    const struct guard_event event = {.kind = kind, .at_ns = clock_now_ns(), .text = text};

    feed(service, &event);
}

/* ---------------------------------------------------------------- processes */

static void on_started(void *userdata, int pid)
{
    const struct guard_event event = {.kind = GUARD_STARTED, .at_ns = clock_now_ns(), .pid = pid};

    feed(userdata, &event);
}

static void on_start_failed(void *userdata, const char *text)
{
    struct service *service = userdata;

    service->process = NULL;
    feed_kind(service, GUARD_START_FAILED, text);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct service *service = userdata;

    service->process = NULL;
    feed_kind(service, GUARD_ENDED, end->text);
}

static void on_output(void *userdata, const char *line)
{
    struct service *service = userdata;

    if (log_allowed(&service->output_log, OUTPUT_BURST))
        log_info("%s: %s", service->config->name, line);
}

static void on_check_started(void *userdata, int pid)
{
    (void)userdata;
    (void)pid;
}

static void on_check_start_failed(void *userdata, const char *text)
{
    struct service *service = userdata;

    service->check = NULL;
    feed_kind(service, GUARD_CHECK_FAILED, text);
}

static void on_check_ended(void *userdata, const struct process_end *end)
{
    struct service *service = userdata;

    service->check = NULL;
    feed_kind(service, end->well ? GUARD_CHECK_OK : GUARD_CHECK_FAILED, end->text);
}

static void on_check_output(void *userdata, const char *line)
{
    struct service *service = userdata;

    if (log_allowed(&service->check_log, OUTPUT_BURST))
        log_info("%s check: %s", service->config->name, line);
}

static const struct process_handlers service_handlers = {on_started, on_start_failed, on_ended, on_output,
                                                         NULL};
static const struct process_handlers check_handlers = {on_check_started, on_check_start_failed,
                                                       on_check_ended, on_check_output, NULL};

/* Starts a command with the service's user and environment. If that cannot be, `error` says why. */
static int start_command(struct service *service, const struct config_strings *command,
                         const struct process_handlers *handlers, struct process **process,
                         char error[static PROCESS_TEXT_MAX])
{
    const struct services *all = service->all;
    const struct command_role role = {all->daemon->node, all->role, all->epoch, NULL};
    struct process_handlers own = *handlers;

    own.userdata = service;
    return command_start(all->daemon->loop, command, &service->user, &role, &own, process, error);
}

/* ------------------------------------------------------------------ effects */

static void spawn(struct service *service)
{
    char error[PROCESS_TEXT_MAX];

    if (start_command(service, &service->config->command, &service_handlers, &service->process, error) < 0)
        feed_kind(service, GUARD_START_FAILED, error);
}

static void run_check(struct service *service)
{
    char error[PROCESS_TEXT_MAX];

    if (start_command(service, &service->config->check, &check_handlers, &service->check, error) < 0)
        feed_kind(service, GUARD_CHECK_FAILED, error);
}

static void kill_check(struct service *service)
{
    if (service->check)
        process_abandon(service->check);
    service->check = NULL;
}

static void send_signal(const struct service *service, enum guard_signal signal)
{
    if (!service->process)
        return;
    if (signal == GUARD_TERM)
        process_terminate(service->process);
    else if (signal == GUARD_KILL)
        process_kill(service->process);
}

static const char *on_failure_text(enum config_fault_action action)
{
    return action == FAULT_REBOOT ? "reboot" : action == FAULT_DEMOTE ? "demote" : "ignore";
}

/* The codec takes UTF-8 only, and a program's name may be any bytes, or have been cut. */
static void copy_ascii(char *to, size_t size, const char *text)
{
    text_copy(to, size, text);
    for (; *to; to++)
        if ((unsigned char)*to >= 0x7f || (unsigned char)*to < ' ')
            *to = '?';
}

static void publish(struct service *service)
{
    const struct guard_view *view = &service->guard.view;
    struct service_message message = {.state = view->state,
                                      .pid = view->pid,
                                      .restarts = view->restarts,
                                      .since_ns = view->since_ns,
                                      .first_sign_ns = view->first_sign_ns};

    text_copy(message.on_failure, sizeof message.on_failure, on_failure_text(service->config->on_failure));
    copy_ascii(message.text, sizeof message.text, view->text);
    int r = bus_publish(service->all->daemon->bus, &service_type, service->config->name, &message,
                        service->cause[0] ? service->cause : NULL);
    if (r < 0)
        log_error("cannot publish service/%s: %s", service->config->name, strerror(-r));
}

/* One line for each change of state, and for each new word about it. */
static void log_change(const struct service *service, enum guard_state from, const struct guard_event *event)
{
    const struct guard *guard = &service->guard;
    char name[64], to[64], cause[64];
    const int priority = guard->state == GUARD_FAILED                                   ? LOG_ERR
                         : guard->view.first_sign_ns == 0 || event->kind == GUARD_CLEAR ? LOG_INFO
                                                                                        : LOG_WARNING;

    snprintf(name, sizeof name, "DUET_SERVICE=%s", service->config->name);
    snprintf(to, sizeof to, "DUET_STATE=%s", guard_state_names[guard->state]);
    snprintf(cause, sizeof cause, "DUET_CAUSE=%s", service->cause);
    const char *const fields[] = {name, to, cause, NULL};
    log_fields(priority, fields, "service %s: %s from %s by %s, pid %lld, restarts %lld%s%s",
               service->config->name, guard_state_names[guard->state], guard_state_names[from],
               guard_event_names[event->kind], (long long)guard->view.pid, (long long)guard->view.restarts,
               guard->view.text[0] ? ": " : "", guard->view.text);
}

/* Trouble has its own reason: the role did not lead to it. */
static void forget_cause(struct service *service, enum guard_event_kind kind)
{
    const bool trouble = kind == GUARD_ENDED || kind == GUARD_START_FAILED || kind == GUARD_CHECK_FAILED;

    if (kind == GUARD_CLEAR || (trouble && service->guard.state != GUARD_STOPPING))
        service->cause[0] = '\0';
}

static void feed(struct service *service, const struct guard_event *event)
{
    struct guard_effects effects;
    const enum guard_state from = service->guard.state;

    forget_cause(service, event->kind);
    guard_step(&service->guard, event, &effects);
    if (effects.timer_ns)
        loop_set_timer(service->timer, effects.timer_ns);
    else
        loop_stop_timer(service->timer);
    if (effects.publish)
        publish(service);
    if (effects.publish || service->guard.state != from)
        log_change(service, from, event);
    /* Last, since they may lead to the next event at once, whose effects must not be undone by these. */
    if (effects.kill_check)
        kill_check(service);
    send_signal(service, effects.signal);
    if (effects.spawn)
        spawn(service);
    if (effects.run_check)
        run_check(service);
    if (service->all->stopping)
        end_when_all_rest(service->all);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    const struct guard_event event = {.kind = GUARD_TIMER, .at_ns = now_ns};

    feed(userdata, &event);
}

/* ----------------------------------------------------------------- all of them */

static bool can_run(const struct config_service *config)
{
    if (config->command.count > 0 && config->unit[0] == '\0' && config->start.count == 0 &&
        config->process[0] == '\0' && config->pidfile[0] == '\0')
        return true;
    log_warning(
        "service %s is not guarded: only services with a command are, so far; give it a command instead of "
        "unit, start, stop, pidfile or process",
        config->name);
    return false;
}

static int add_service(struct services *services, const struct config_service *config)
{
    struct service *service = &services->items[services->count];
    const struct guard_settings settings = {
        .check_interval_ns = config->check.count > 0 ? config->check_interval : 0,
        .check_timeout_ns = config->check_timeout,
        .retry_interval_ns = config->retry_interval,
        .stop_timeout_ns = config->stop_timeout,
        .check_failures = config->check_failures,
        .start_retries = config->start_retries,
    };

    if (config->after.count > 0)
        log_warning("service %s: `after` is not obeyed so far; all services are started at once",
                    config->name);
    service->all = services;
    service->config = config;
    guard_init(&service->guard, &settings, clock_now_ns());
    command_find_user(config->user, config->group, &service->user);
    services->count++;
    return loop_add_timer(services->daemon->loop, on_timer, service, &service->timer);
}

static void on_out_of_time(void *userdata, int64_t now_ns)
{
    const struct services *services = userdata;

    (void)now_ns;
    for (size_t i = 0; i < services->count; i++)
        if (!guard_at_rest(&services->items[i].guard))
            log_error("service %s does not end, although it was killed", services->items[i].config->name);
    loop_exit(services->daemon->loop, 0);
}

int services_new(struct daemon *daemon, struct services **services)
{
    struct services *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    made->items = calloc(MAX(daemon->config->service_count, 1), sizeof *made->items);
    if (!made->items) {
        free(made);
        return -ENOMEM;
    }
    *services = made;
    int r = loop_add_timer(daemon->loop, on_out_of_time, made, &made->stop_timer);
    for (size_t i = 0; i < daemon->config->service_count && r == 0; i++)
        if (can_run(&daemon->config->services[i]))
            r = add_service(made, &daemon->config->services[i]);
    return r;
}

static void end_when_all_rest(struct services *services)
{
    for (size_t i = 0; i < services->count; i++)
        if (!guard_at_rest(&services->items[i].guard))
            return;
    loop_exit(services->daemon->loop, 0);
}

void services_start(struct services *services)
{
    for (size_t i = 0; i < services->count; i++) {
        publish(&services->items[i]);
        if (services->items[i].config->when == WHEN_ALWAYS)
            feed_kind(&services->items[i], GUARD_WANTED, NULL);
    }
}

void services_role(struct services *services, const struct role_message *role, const char *cause)
{
    services->epoch = role->epoch;
    if (services->stopping || role->role == services->role)
        return;
    services->role = role->role;
    for (size_t i = 0; i < services->count; i++) {
        struct service *service = &services->items[i];
        if (service->config->when != WHEN_ACTIVE)
            continue;
        text_copy(service->cause, sizeof service->cause, cause);
        feed_kind(service, role->role == ROLE_ACTIVE ? GUARD_WANTED : GUARD_UNWANTED, NULL);
    }
}

int services_clear(struct services *services)
{
    int failed = 0;

    for (size_t i = 0; i < services->count; i++) {
        failed += services->items[i].guard.view.state == SERVICE_STATE_FAILED;
        feed_kind(&services->items[i], GUARD_CLEAR, NULL);
    }
    return failed;
}

void services_stop(struct services *services)
{
    int64_t longest_ns = 0;

    if (services->stopping)
        return;
    services->stopping = true;
    for (size_t i = 0; i < services->count; i++) {
        services->items[i].cause[0] = '\0';
        longest_ns = MAX(longest_ns, services->items[i].config->stop_timeout);
        feed_kind(&services->items[i], GUARD_UNWANTED, NULL);
    }
    loop_set_timer(services->stop_timer, clock_now_ns() + longest_ns + STOP_SLACK_NS);
    end_when_all_rest(services);
}
