#include "superviserd/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "common/log.h"
#include "common/statefile.h"
#include "common/sys.h"
#include "superviserd/agenda.h"
#include "superviserd/command.h"

enum { OUTPUT_BURST = 200 }; /* lines in ten seconds, each hook */

/* The order to end may be read before the role that was given up just before it. */
static const int64_t last_role_ns = 100 * NS_PER_MS;

struct run {
    struct hooks *all;
    size_t index;
    const struct config_hook *config;
    struct command_user user;
    struct process *process;
    struct log_limit output_log;
};

struct hooks {
    struct daemon *daemon;
    struct agenda agenda;
    struct run runs[AGENDA_HOOKS_MAX];
    struct loop_source *timer;
    struct loop_source *last_role; /* stopping: the end of the wait for a role */
    bool waiting;                  /* for that */
    bool stopped;                  /* nothing is begun any more */
    enum role role;
    int64_t epoch;
    char cause[CAUSE_MAX]; /* the message about the role that led to what is done now */
    char note[PATH_MAX];   /* file */
    char boot_id[SYS_BOOT_ID_MAX];
    void (*then)(void *userdata); /* stopping: what comes after */
    void *then_userdata;
};

_Static_assert((int)CONFIG_HOOKS_MAX <= (int)AGENDA_HOOKS_MAX, "the agenda has room for every hook");

static void feed(struct hooks *hooks, const struct agenda_event *event);

static void feed_end(struct run *run, bool well, const char *text)
{
    const struct agenda_event event = {
        .kind = AGENDA_ENDED, .at_ns = clock_now_ns(), .hook = run->index, .well = well, .text = text};

    feed(run->all, &event);
}

/* ---------------------------------------------------------------- processes */

static void on_started(void *userdata, int pid)
{
    const struct run *run = userdata;

    log_debug("hook %s is process %d", run->config->name, pid);
}

static void on_start_failed(void *userdata, const char *text)
{
    struct run *run = userdata;

    run->process = NULL;
    feed_end(run, false, text);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct run *run = userdata;

    run->process = NULL;
    feed_end(run, end->well, end->text);
}

static void on_output(void *userdata, const char *line)
{
    struct run *run = userdata;

    if (log_allowed(&run->output_log, OUTPUT_BURST))
        log_info("%s: %s", run->config->name, line);
}

static void start(struct run *run)
{
    const struct hooks *all = run->all;
    const struct command_role role = {all->daemon->node, all->role, all->epoch,
                                      hook_event_names[run->config->event]};
    const struct process_handlers handlers = {on_started, on_start_failed, on_ended, on_output, run};
    char error[PROCESS_TEXT_MAX];

    if (command_start(all->daemon->loop, &run->config->command, &run->user, &role, NULL, &handlers,
                      &run->process, error) < 0)
        feed_end(run, false, error);
}

/* --------------------------------------------------------------------- note */

static void keep(const struct hooks *hooks)
{
    char text[AGENDA_PAST_MAX];

    agenda_print_past(&hooks->agenda, hooks->boot_id, hooks->daemon->config->hash, text);
    int r = statefile_write_quick(hooks->note, text);
    if (r < 0)
        log_warning("cannot write %s: %s; should superviserd be started anew, hooks would run twice",
                    hooks->note, strerror(-r));
}

static void recall(struct hooks *hooks)
{
    char text[STATEFILE_MAX];
    int r = statefile_read(hooks->note, text);

    if (r == 0)
        r = agenda_take_past(&hooks->agenda, hooks->boot_id, hooks->daemon->config->hash, text);
    if (r == -EBADMSG || r == -EUCLEAN)
        log_warning("%s is damaged, and not believed; hooks that ran may run again", hooks->note);
    else if (r < 0 && r != -ENOENT && r != -ESTALE)
        log_warning("cannot read %s: %s; hooks that ran may run again", hooks->note, strerror(-r));
}

/* ------------------------------------------------------------------ telling */

static void publish_hook(struct hooks *hooks, size_t i)
{
    const char *name = hooks->runs[i].config->name;
    int r = bus_publish(hooks->daemon->bus, &hook_command_type, name, &hooks->agenda.hooks[i].view,
                        hooks->cause[0] ? hooks->cause : NULL);

    if (r < 0)
        log_error("cannot publish hook/%s: %s", name, strerror(-r));
}

static void publish(struct hooks *hooks)
{
    int r = bus_publish(hooks->daemon->bus, &hook_type, NULL, &hooks->agenda.view,
                        hooks->cause[0] ? hooks->cause : NULL);

    if (r < 0)
        log_error("cannot publish hook: %s", strerror(-r));
}

/* One line for each start, each end, and what is not run. */
static void log_hook(const struct hooks *hooks, size_t i, const struct agenda_effects *effects)
{
    const struct hook_command_message *view = &hooks->agenda.hooks[i].view;
    const char *event = hook_event_names[view->event];
    char name[64], state[64], epoch[48], text[320];

    snprintf(name, sizeof name, "DUET_HOOK=%s", hooks->runs[i].config->name);
    snprintf(state, sizeof state, "DUET_STATE=%s", hook_state_names[view->state]);
    snprintf(epoch, sizeof epoch, "DUET_EPOCH=%" PRId64, view->epoch);
    const char *const fields[] = {name, state, epoch, NULL};
    snprintf(text, sizeof text, "hook %s (%s)", hooks->runs[i].config->name, event);
    if (effects->dropped & (UINT64_C(1) << i))
        log_fields(LOG_NOTICE, fields, "%s: not run: the role changed first", text);
    else if (view->state == HOOK_STATE_RUNNING)
        log_fields(LOG_INFO, fields, "%s: starts, epoch %" PRId64, text, view->epoch);
    else if (view->state == HOOK_STATE_DONE || view->state == HOOK_STATE_FAILED)
        log_fields(view->state == HOOK_STATE_DONE ? LOG_INFO : LOG_WARNING, fields,
                   "%s: %s after %" PRId64 " ms: %s", text, hook_state_names[view->state], view->took_ms,
                   view->text);
}

/* ------------------------------------------------------------------ effects */

static void abandon(struct run *run)
{
    if (run->process)
        process_abandon(run->process);
    run->process = NULL;
}

static void tell(struct hooks *hooks, const struct agenda_effects *effects)
{
    const uint64_t changed = effects->publish_hooks | effects->dropped;

    if (effects->publish && hooks->agenda.count > 0) /* first: takeoverd may wait for it */
        publish(hooks);
    for (size_t i = 0; i < hooks->agenda.count; i++)
        if (changed & (UINT64_C(1) << i)) {
            publish_hook(hooks, i);
            log_hook(hooks, i, effects);
        }
}

static void end_if_at_rest(struct hooks *hooks)
{
    void (*then)(void *userdata) = hooks->then;

    if (!then || hooks->waiting || !agenda_at_rest(&hooks->agenda))
        return;
    hooks->then = NULL;
    hooks->stopped = true;
    then(hooks->then_userdata);
}

static void feed(struct hooks *hooks, const struct agenda_event *event)
{
    struct agenda_effects effects;

    agenda_step(&hooks->agenda, event, &effects);
    for (size_t i = 0; i < hooks->agenda.count; i++)
        if (effects.abandon & (UINT64_C(1) << i))
            abandon(&hooks->runs[i]);
    if (effects.timer_ns)
        loop_set_timer(hooks->timer, effects.timer_ns);
    else
        loop_stop_timer(hooks->timer);
    if (effects.keep &&
        hooks->agenda.count > 0) /* first: what was told to have ended is not to run again after a kill */
        keep(hooks);
    tell(hooks, &effects);
    if (effects.start >= 0) /* it may fail at once, and what follows must not be undone by the above */
        start(&hooks->runs[effects.start]);
    end_if_at_rest(hooks);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    const struct agenda_event event = {.kind = AGENDA_TIME, .at_ns = now_ns};

    feed(userdata, &event);
}

static void on_last_role_over(void *userdata, int64_t now_ns)
{
    struct hooks *hooks = userdata;

    (void)now_ns;
    hooks->waiting = false;
    end_if_at_rest(hooks);
}

/* -------------------------------------------------------------- from outside */

static void set_up(struct hooks *hooks)
{
    const struct config *config = hooks->daemon->config;

    memset(&hooks->agenda, 0, sizeof hooks->agenda);
    for (size_t i = 0; i < config->hook_count; i++) {
        hooks->runs[i] = (struct run){.all = hooks, .index = i, .config = &config->hooks[i]};
        command_find_user(config->hooks[i].user, config->hooks[i].group, &hooks->runs[i].user);
        hooks->agenda.hooks[i].event = config->hooks[i].event;
        hooks->agenda.hooks[i].timeout_ns = config->hooks[i].timeout;
    }
    hooks->agenda.count = config->hook_count;
    agenda_init(&hooks->agenda);
}

static void publish_all(struct hooks *hooks)
{
    if (hooks->agenda.count == 0)
        return;
    publish(hooks);
    for (size_t i = 0; i < hooks->agenda.count; i++)
        publish_hook(hooks, i);
}

int hooks_new(struct daemon *daemon, struct hooks **hooks)
{
    char directory[PATH_MAX];
    struct hooks *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *hooks = made;
    made->daemon = daemon;
    set_up(made);
    snprintf(directory, sizeof directory, "%s/%s", daemon->run_dir, daemon->name);
    snprintf(made->note, sizeof made->note, "%s/%s/hooks", daemon->run_dir, daemon->name);
    int r = make_directories(directory, 0750);
    if (r == 0)
        r = sys_boot_id(made->boot_id);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_timer, made, &made->timer);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_last_role_over, made, &made->last_role);
    if (r < 0)
        return r;
    recall(made);
    publish_all(made);
    return 0;
}

bool hooks_check(const struct hooks *hooks, const struct config *next, char *text, size_t size)
{
    if (config_hooks_equal(hooks->daemon->config, next) || agenda_at_rest(&hooks->agenda))
        return true;
    snprintf(text, size, "hooks are running; try again when they have ended");
    return false;
}

static bool names_hook(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->hook_count; i++)
        if (strcmp(config->hooks[i].name, name) == 0)
            return true;
    return false;
}

void hooks_reload(struct hooks *hooks, const struct config *before)
{
    char past[AGENDA_PAST_MAX];

    if (config_hooks_equal(before, hooks->daemon->config))
        return;
    agenda_print_past(&hooks->agenda, hooks->boot_id, before->hash, past);
    for (size_t i = 0; i < before->hook_count; i++) {
        abandon(&hooks->runs[i]);
        if (!names_hook(hooks->daemon->config, before->hooks[i].name))
            bus_retire(hooks->daemon->bus, &hook_command_type, before->hooks[i].name);
    }
    set_up(hooks);
    agenda_take_past(&hooks->agenda, hooks->boot_id, hooks->daemon->config->hash, past);
    keep(hooks);
    publish_all(hooks);
}

static void wait_for_role(struct hooks *hooks)
{
    hooks->waiting = true;
    loop_set_timer(hooks->last_role, clock_now_ns() + last_role_ns);
}

void hooks_role(struct hooks *hooks, const struct role_message *role, const char *cause)
{
    const struct agenda_event event = {.kind = AGENDA_ROLE, .at_ns = clock_now_ns(), .role = role};

    if (hooks->stopped || (hooks->then && role->role == ROLE_ACTIVE))
        return;
    if (role->role != hooks->role || role->epoch != hooks->epoch || hooks->cause[0] == '\0')
        text_copy(hooks->cause, sizeof hooks->cause, cause);
    hooks->role = role->role;
    if (hooks->then && role->phase == PHASE_RELEASING)
        wait_for_role(hooks); /* that the addresses are gone, for which hooks wait */
    hooks->epoch = role->epoch;
    feed(hooks, &event);
}

int hooks_clear(struct hooks *hooks)
{
    const struct agenda_event event = {.kind = AGENDA_CLEAR, .at_ns = clock_now_ns()};
    int failed = 0;

    if (hooks->agenda.count == 0)
        return 0;
    for (size_t i = 0; i < hooks->agenda.count; i++)
        failed += hooks->agenda.hooks[i].view.state == HOOK_STATE_FAILED;
    feed(hooks, &event);
    return failed;
}

void hooks_stop(struct hooks *hooks, void (*then)(void *userdata), void *userdata)
{
    hooks->then = then;
    hooks->then_userdata = userdata;
    if (hooks->agenda.count > 0 && hooks->role == ROLE_ACTIVE)
        wait_for_role(hooks);
    end_if_at_rest(hooks);
}
