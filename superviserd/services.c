#include "superviserd/services_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "superviserd/kept.h"
#include "superviserd/order.h"

enum { OUTPUT_BURST = 200 }; /* lines in ten seconds, each service */

/* What a killed process may take to be gone, before this daemon ends without having seen it. */
#define STOP_SLACK_NS (2 * NS_PER_S)

static void feed(struct service *service, const struct guard_event *event);

static void feed_kind(struct service *service, enum guard_event_kind kind, const char *text)
{
    const struct guard_event event = {.kind = kind, .at_ns = clock_now_ns(), .text = text};

    feed(service, &event);
}

/* ------------------------------------------------------------------- runner */

static void feed_pid(struct service *service, enum guard_event_kind kind, int pid)
{
    const struct guard_event event = {.kind = kind, .at_ns = clock_now_ns(), .pid = pid};

    feed(service, &event);
}

static void on_started(void *userdata, int pid)
{
    feed_pid(userdata, GUARD_STARTED, pid);
}

static void on_found(void *userdata, int pid)
{
    struct service *service = userdata;

    feed_pid(service, GUARD_ADOPTED, pid);
    if (!service->runner->outdated)
        return;
    log_notice("service %s: its command in %s is another one by now: it is restarted", service->config->name,
               service->all->daemon->config->file);
    feed_kind(service, GUARD_UNWANTED, NULL); /* wanted again by services_order(), once it has ended */
}

static void on_start_failed(void *userdata, const char *text)
{
    feed_kind(userdata, GUARD_START_FAILED, text);
}

static void on_ended(void *userdata, const char *text)
{
    feed_kind(userdata, GUARD_ENDED, text);
}

static void on_output(void *userdata, const char *line)
{
    struct service *service = userdata;

    if (log_allowed(&service->output_log, OUTPUT_BURST))
        log_info("%s: %s", service->config->name, line);
}

/* -------------------------------------------------------------------- check */

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

static const struct process_handlers check_handlers = {on_check_started, on_check_start_failed,
                                                       on_check_ended, on_check_output, NULL};

static void run_check(struct service *service)
{
    struct process_handlers handlers = check_handlers;
    char error[PROCESS_TEXT_MAX];

    handlers.userdata = service;
    if (command_start(service->all->daemon->loop, &service->config->check, &service->user,
                      &service->all->role, NULL, &handlers, &service->check, error) < 0)
        feed_kind(service, GUARD_CHECK_FAILED, error);
}

static void kill_check(struct service *service)
{
    if (service->check)
        process_abandon(service->check);
    service->check = NULL;
}

/* ------------------------------------------------------------------ effects */

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

void services_publish(struct service *service)
{
    const struct guard_view *view = &service->guard.view;

    if (!service->leaving && services_is_in_the_way(service->all, service->config->name))
        return; /* the one before it is still told of under this name */
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

    if (service->gone)
        return;
    forget_cause(service, event->kind);
    guard_step(&service->guard, event, &effects);
    if (effects.timer_ns)
        loop_set_timer(service->timer, effects.timer_ns);
    else
        loop_stop_timer(service->timer);
    if (effects.publish)
        services_publish(service);
    if (effects.publish || service->guard.state != from)
        log_change(service, from, event);
    if (!service->leaving)
        failures_note(service->all->failures, service->config->name, service->guard.sticky);
    /* Last, since they may lead to the next event at once, whose effects must not be undone by these. */
    if (effects.kill_check)
        kill_check(service);
    if (effects.signal != GUARD_NO_SIGNAL)
        runner_signal(service->runner, effects.signal);
    if (effects.spawn)
        runner_start(service->runner);
    if (effects.look)
        runner_look(service->runner);
    if (effects.run_check)
        run_check(service);
    services_order(service->all);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    const struct guard_event event = {.kind = GUARD_TIMER, .at_ns = now_ns};

    feed(userdata, &event);
}

/* -------------------------------------------------------------------- order */

static void fill_item(const struct service *service, struct order_item *item)
{
    const struct services *all = service->all;
    const struct guard *guard = &service->guard;
    const bool failed = guard->state == GUARD_FAILED;

    *item = (struct order_item){
        .role_wants =
            !all->stopping && !service->leaving &&
            (service->config->when == WHEN_ALWAYS ||
             (all->role.role == ROLE_ACTIVE && !all->lapsed && !(all->yielding && service->yields))),
        .wanted = guard->wanted,
        .up = guard->state == GUARD_RUNNING,
        .over = failed && service->config->on_failure == FAULT_IGNORE,
        .at_rest = guard_at_rest(guard) || failed,
        .after = service->after,
        .after_count = service->after_count,
    };
}

static bool order_one(struct services *services)
{
    struct order_item items[SERVICES_SLOTS];

    for (size_t i = 0; i < services->count; i++)
        fill_item(services->items[i], &items[i]);
    for (size_t i = 0; i < services->count; i++) {
        struct service *service = services->items[i];
        const bool wants = order_wants(items, services->count, i);
        const bool undecided = !wants && service->guard.state == GUARD_RUNNING; /* adopted */
        bool known = service->config->when == WHEN_ALWAYS || services->role_known || services->lapsed ||
                     services->stopping;
        known = known && (services->stopping || !services_is_in_the_way(services, service->config->name));
        known = known || service->leaving;
        if (!known || (wants == items[i].wanted && !undecided))
            continue;
        feed_kind(service, wants ? GUARD_WANTED : GUARD_UNWANTED, NULL);
        return true;
    }
    return false;
}

static void end_when_all_rest(const struct services *services)
{
    for (size_t i = 0; i < services->count; i++)
        if (!guard_at_rest(&services->items[i]->guard))
            return;
    loop_exit(services->daemon->loop, 0);
}

/* Brings what is wanted to the guards, until nothing changes by that. Before the role is known only services
 * with `when = always` are told anything: what was adopted of the others stays. */
void services_order(struct services *services)
{
    if (services->ordering)
        return;
    services->ordering = true;
    do
        services_let_go(services);
    while (order_one(services));
    services->ordering = false;
    if (services->stopping)
        end_when_all_rest(services);
}

/* ------------------------------------------------------------------- tenure */

static void note_cause(struct services *services, const char *cause)
{
    for (size_t i = 0; i < services->count; i++)
        if (services->items[i]->config->when == WHEN_ACTIVE)
            text_copy(services->items[i]->cause, sizeof services->items[i]->cause, cause);
}

/* Judges anew. True if that changed what is wanted. */
static bool weigh_tenure(struct services *services, const char *cause)
{
    const int64_t over_ns = tenure_over_ns(&services->tenure);
    const bool over = tenure_is_over(&services->tenure, clock_now_ns());

    if (over_ns != 0 && !over)
        loop_set_timer(services->tenure_timer, over_ns);
    else
        loop_stop_timer(services->tenure_timer);
    if (over == services->lapsed || services->stopping)
        return false;
    services->lapsed = over;
    note_cause(services, cause);
    if (over)
        log_warning(
            "arbiterd is not heard, its lease is over and the addresses are gone: the services of the "
            "active role are told to end, until it is heard again");
    return true;
}

static void on_tenure_timer(void *userdata, int64_t now_ns)
{
    struct services *services = userdata;

    (void)now_ns;
    if (weigh_tenure(services, ""))
        services_order(services);
}

/* ----------------------------------------------------------------- all of them */

void services_settle_guard(const struct config_service *config, struct guard_settings *settings)
{
    *settings = (struct guard_settings){
        .check_interval_ns = config->check.count > 0 ? config->check_interval : 0,
        .check_timeout_ns = config->check_timeout,
        .retry_interval_ns = config->retry_interval,
        .stop_timeout_ns = config->stop_timeout,
        .start_timeout_ns = config->command.count > 0 ? config->start_timeout : 0, /* else the runner's */
        .check_failures = config->check_failures,
        .start_retries = config->start_retries,
        .look_interval_ns = config->check_interval,
    };
}

int services_add(struct services *services, const struct config_service *config)
{
    struct service *service = calloc(1, sizeof *service);
    struct guard_settings settings;

    if (!service)
        return -ENOMEM;
    const struct runner_context context = {
        .daemon = services->daemon,
        .config = config,
        .user = &service->user,
        .role = &services->role,
        .handlers = {on_started, on_found, on_start_failed, on_ended, on_output, service}};
    service->all = services;
    service->config = config;
    services_settle_guard(config, &settings);
    guard_init(&service->guard, &settings, clock_now_ns());
    if (failures_had(services->failures, config->name))
        guard_restore_failure(&service->guard, "it had failed before superviserd was restarted",
                              clock_now_ns());
    command_find_user(config->user, config->group, &service->user);
    services->items[services->count++] = service;
    const int r = runner_open(&context, &service->runner);
    return r < 0 ? r : loop_add_timer(services->daemon->loop, on_timer, service, &service->timer);
}

static void on_out_of_time(void *userdata, int64_t now_ns)
{
    const struct services *services = userdata;

    (void)now_ns;
    for (size_t i = 0; i < services->count; i++)
        if (!guard_at_rest(&services->items[i]->guard))
            log_error("service %s does not end, although it was killed", services->items[i]->config->name);
    loop_exit(services->daemon->loop, 0);
}

int services_new(struct daemon *daemon, struct services **services)
{
    struct services *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    made->role = (struct command_role){.node = daemon->node};
    *services = made;
    tenure_init(&made->tenure, clock_now_ns());
    int r = loop_add_timer(daemon->loop, on_out_of_time, made, &made->stop_timer);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_tenure_timer, made, &made->tenure_timer);
    if (r == 0)
        r = failures_open(daemon, &made->failures);
    for (size_t i = 0; i < daemon->config->service_count && r == 0; i++)
        r = services_add(made, &daemon->config->services[i]);
    services_index(made);
    return r;
}

void services_look(struct service *service)
{
    if (!service->leaving && !services_is_in_the_way(service->all, service->config->name))
        runner_look(service->runner);
}

/* What the earlier configuration had started under this name has ended. */
static void on_stranger_gone(void *userdata, const char *name)
{
    struct services *services = userdata;

    for (size_t i = 0; i < services->count; i++)
        if (strcmp(services->items[i]->config->name, name) == 0)
            services_look(services->items[i]);
    services_order(services);
}

void services_start(struct services *services)
{
    kept_end_strangers(services->daemon, on_stranger_gone, services); /* first: else they would be found */
    services->ordering = true; /* first all are looked for: one that runs may be waited for by another */
    for (size_t i = 0; i < services->count; i++) {
        services_publish(services->items[i]);
        services_look(services->items[i]);
    }
    services->ordering = false;
    services_order(services);
}

void services_role(struct services *services, const struct role_message *role, const char *cause)
{
    const bool news =
        !services->role_known || role->role != services->role.role || role->yielding != services->yielding;

    services->role.epoch = role->epoch;
    if (services->stopping)
        return;
    services->yielding = role->yielding;
    services->role.role = role->role;
    services->role_known = true;
    tenure_role(&services->tenure, role->role == ROLE_ACTIVE, role->lease_ns, clock_now_ns());
    if (news)
        note_cause(services, cause);
    if (weigh_tenure(services, cause) || news)
        services_order(services);
}

void services_address(struct services *services, const struct address_message *address, const char *cause)
{
    /* Behind a gate they are no more than the lease is, whatever becomes of takeoverd. */
    tenure_address(&services->tenure,
                   address->state == HOLD_STATE_RELEASED || address->gate == GATE_CONDITION_ON);
    if (weigh_tenure(services, cause))
        services_order(services);
}

int services_clear(struct services *services)
{
    int failed = 0;

    for (size_t i = 0; i < services->count; i++) {
        failed += services->items[i]->guard.view.state == SERVICE_STATE_FAILED;
        feed_kind(services->items[i], GUARD_CLEAR, NULL);
    }
    return failed;
}

void services_stop(struct services *services)
{
    int64_t patience_ns = STOP_SLACK_NS; /* those that wait for others may end one after the other */

    if (services->stopping)
        return;
    services->stopping = true;
    for (size_t i = 0; i < services->count; i++) {
        services->items[i]->cause[0] = '\0';
        patience_ns += services->items[i]->config->stop_timeout;
    }
    loop_set_timer(services->stop_timer, clock_now_ns() + patience_ns);
    services_order(services);
}

void services_close(struct services *services)
{
    if (services)
        failures_close(services->failures);
}
