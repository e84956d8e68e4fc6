#include "superviserd/guard.h"

#include <stdio.h>
#include <string.h>

const char *const guard_state_names[GUARD_STATE_COUNT] = {"stopped",    "starting", "running", "waiting",
                                                          "restarting", "stopping", "failed"};
const char *const guard_event_names[GUARD_EVENT_COUNT] = {
    "wanted", "unwanted", "started",      "adopted", "start-failed",
    "ended",  "check-ok", "check-failed", "timer",   "clear"};

/* --------------------------------------------------------- small movements */

static void say(struct guard *guard, const char *text)
{
    snprintf(guard->view.text, sizeof guard->view.text, "%s", text ? text : "");
}

/* All that belongs to one run of the program is forgotten with the state that it belonged to. */
static void enter(struct guard *guard, enum guard_state state)
{
    guard->state = state;
    guard->killed = guard->steady = guard->check_passed = false;
    guard->failed_checks = 0;
    guard->steady_ns = guard->next_check_ns = guard->check_started_ns = guard->deadline_ns = 0;
}

static void note_trouble(struct guard *guard, int64_t now_ns)
{
    if (guard->view.first_sign_ns == 0)
        guard->view.first_sign_ns = now_ns;
}

static void forgive(struct guard *guard)
{
    guard->sticky = false;
    guard->retries = 0;
    guard->view.first_sign_ns = 0;
}

static void spawn(struct guard *guard, int64_t now_ns, struct guard_effects *effects)
{
    enter(guard, GUARD_STARTING);
    if (guard->settings.start_timeout_ns > 0)
        guard->deadline_ns = now_ns + guard->settings.start_timeout_ns;
    effects->spawn = true;
}

/* A start on purpose, not one after an end: it has all its retries before it. */
static void begin(struct guard *guard, int64_t now_ns, struct guard_effects *effects)
{
    guard->retries = 0;
    guard->view.restarts = 0;
    if (!guard->sticky) {
        guard->view.first_sign_ns = 0;
        say(guard, "");
    }
    spawn(guard, now_ns, effects);
}

static void tell_to_end(struct guard *guard, enum guard_state state, int64_t now_ns,
                        struct guard_effects *effects)
{
    effects->kill_check = effects->kill_check || guard->check_started_ns != 0;
    enter(guard, state);
    effects->signal = GUARD_TERM;
    guard->deadline_ns = now_ns + guard->settings.stop_timeout_ns;
}

static void look_later(struct guard *guard, int64_t now_ns)
{
    guard->deadline_ns =
        guard->wanted && guard->settings.look_interval_ns > 0 ? now_ns + guard->settings.look_interval_ns : 0;
}

static void retry_or_fail(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    note_trouble(guard, event->at_ns);
    if (guard->retries >= guard->settings.start_retries) {
        guard->sticky = true;
        enter(guard, GUARD_FAILED);
        look_later(guard, event->at_ns);
    } else if (guard->retries++ == 0) {
        guard->view.restarts++;
        spawn(guard, event->at_ns, effects);
    } else {
        enter(guard, GUARD_WAITING);
        guard->deadline_ns = event->at_ns + backoff_ns(guard->settings.retry_interval_ns, guard->retries - 1,
                                                       SERVICE_BACKOFF_MAX_NS);
    }
}

static void rest(struct guard *guard)
{
    guard->view.pid = 0;
    if (!guard->sticky)
        guard->view.first_sign_ns = 0;
    enter(guard, guard->sticky ? GUARD_FAILED : GUARD_STOPPED);
}

/* It is gone, and if it is wanted it should not be. */
static void lose(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    effects->kill_check = guard->check_started_ns != 0;
    guard->view.pid = 0;
    say(guard, event->text);
    if (guard->wanted)
        retry_or_fail(guard, event, effects);
    else
        rest(guard);
}

/* The start was a success, if it is steady and its check has nothing against it. */
static void consider_success(struct guard *guard)
{
    if (guard->failed_checks > 0)
        return;
    if (guard->steady && (guard->settings.check_interval_ns == 0 || guard->check_passed))
        forgive(guard);
    else if (guard->retries == 0 && !guard->sticky)
        guard->view.first_sign_ns = 0; /* of a failed check, which has passed since */
}

static void check_failed(struct guard *guard, int64_t now_ns, const char *how, struct guard_effects *effects)
{
    guard->failed_checks++;
    note_trouble(guard, now_ns);
    snprintf(guard->view.text, sizeof guard->view.text, "check failed, %d of %d: %s", guard->failed_checks,
             guard->settings.check_failures, how ? how : "");
    guard->next_check_ns = MAX(guard->check_started_ns + guard->settings.check_interval_ns, now_ns);
    guard->check_started_ns = 0;
    if (guard->failed_checks >= guard->settings.check_failures)
        tell_to_end(guard, GUARD_RESTARTING, now_ns, effects);
}

/* ------------------------------------------------------ cells of the table */

typedef void guard_cell(struct guard *guard, const struct guard_event *event, struct guard_effects *effects);

static void ignore(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    (void)guard;
    (void)event;
    (void)effects;
}

static void stopped_wanted(struct guard *guard, const struct guard_event *event,
                           struct guard_effects *effects)
{
    guard->wanted = true;
    begin(guard, event->at_ns, effects);
}

static void want(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    guard->wanted = true;
}

static void begin_to_run(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    (void)effects;
    enter(guard, GUARD_RUNNING);
    guard->view.pid = event->pid;
    guard->steady_ns = event->at_ns + GUARD_STEADY_NS;
    if (guard->settings.check_interval_ns > 0)
        guard->next_check_ns = event->at_ns + guard->settings.check_interval_ns;
}

static void adopt(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    begin_to_run(guard, event, effects);
    say(guard, "it ran already, and was adopted");
}

static void running_started(struct guard *guard, const struct guard_event *event,
                            struct guard_effects *effects)
{
    (void)effects;
    if (event->pid == guard->view.pid)
        return;
    guard->view.pid = event->pid;
    say(guard, "it goes on as another process");
}

static void up_unwanted(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    guard->wanted = false;
    say(guard, "told to stop");
    tell_to_end(guard, GUARD_STOPPING, event->at_ns, effects);
}

static void running_check_ok(struct guard *guard, const struct guard_event *event,
                             struct guard_effects *effects)
{
    (void)effects;
    if (guard->check_started_ns == 0)
        return;
    guard->next_check_ns = MAX(guard->check_started_ns + guard->settings.check_interval_ns, event->at_ns);
    guard->check_started_ns = 0;
    guard->failed_checks = 0;
    guard->check_passed = true;
    consider_success(guard);
}

static void running_check_failed(struct guard *guard, const struct guard_event *event,
                                 struct guard_effects *effects)
{
    if (guard->check_started_ns != 0)
        check_failed(guard, event->at_ns, event->text, effects);
}

static int64_t check_deadline(const struct guard *guard)
{
    return guard->check_started_ns == 0 ? 0 : guard->check_started_ns + guard->settings.check_timeout_ns;
}

static bool is_due(int64_t at_ns, int64_t now_ns)
{
    return at_ns != 0 && at_ns <= now_ns;
}

static void running_timer(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    if (is_due(check_deadline(guard), event->at_ns)) {
        effects->kill_check = true;
        check_failed(guard, event->at_ns, "it did not end within check-timeout", effects);
        if (guard->state != GUARD_RUNNING)
            return;
    }
    if (is_due(guard->steady_ns, event->at_ns)) {
        guard->steady_ns = 0;
        guard->steady = true;
        consider_success(guard);
    }
    if (is_due(guard->next_check_ns, event->at_ns)) {
        guard->next_check_ns = 0;
        guard->check_started_ns = event->at_ns;
        effects->run_check = true;
    }
}

static void up_clear(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    forgive(guard);
}

static void waiting_unwanted(struct guard *guard, const struct guard_event *event,
                             struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    guard->wanted = false;
    rest(guard);
}

static void waiting_timer(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    if (!is_due(guard->deadline_ns, event->at_ns))
        return;
    guard->view.restarts++;
    spawn(guard, event->at_ns, effects);
}

static void waiting_clear(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    forgive(guard);
    begin(guard, event->at_ns, effects);
}

static void restarting_unwanted(struct guard *guard, const struct guard_event *event,
                                struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    guard->wanted = false;
    guard->state = GUARD_STOPPING; /* it was told to end already: the patience is the same */
}

/* 0: nothing more to wait for. */
static void lose_patience(struct guard *guard, int64_t now_ns, struct guard_effects *effects)
{
    guard->deadline_ns = guard->killed ? 0 : now_ns + guard->settings.stop_timeout_ns;
    if (!guard->killed)
        effects->signal = GUARD_KILL;
    guard->killed = true;
}

static void restarting_timer(struct guard *guard, const struct guard_event *event,
                             struct guard_effects *effects)
{
    if (!is_due(guard->deadline_ns, event->at_ns))
        return;
    lose_patience(guard, event->at_ns, effects);
    if (guard->deadline_ns == 0) {
        guard->sticky = true;
        say(guard, "it does not end although it was killed: its process hangs in the kernel");
    }
}

static void stopping_unwanted(struct guard *guard, const struct guard_event *event,
                              struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    guard->wanted = false;
}

static void stopping_started(struct guard *guard, const struct guard_event *event,
                             struct guard_effects *effects)
{
    (void)effects;
    guard->view.pid = event->pid;
}

static void stopping_ended(struct guard *guard, const struct guard_event *event,
                           struct guard_effects *effects)
{
    say(guard, event->text);
    rest(guard);
    if (guard->wanted)
        begin(guard, event->at_ns, effects);
}

static void stopping_timer(struct guard *guard, const struct guard_event *event,
                           struct guard_effects *effects)
{
    if (!is_due(guard->deadline_ns, event->at_ns))
        return;
    lose_patience(guard, event->at_ns, effects);
    if (guard->deadline_ns == 0)
        say(guard, "told to stop; it does not end although it was killed: its process hangs in the kernel");
}

static void failed_wanted(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    if (guard->wanted)
        return;
    guard->wanted = true;
    begin(guard, event->at_ns, effects);
}

static void failed_unwanted(struct guard *guard, const struct guard_event *event,
                            struct guard_effects *effects)
{
    (void)event;
    (void)effects;
    guard->wanted = false;
    guard->deadline_ns = 0;
}

static void failed_timer(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    if (!is_due(guard->deadline_ns, event->at_ns))
        return;
    look_later(guard, event->at_ns);
    effects->look = true;
}

static void failed_clear(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    forgive(guard);
    rest(guard);
    if (guard->wanted)
        begin(guard, event->at_ns, effects);
}

/* clang-format off */
static guard_cell *const table[GUARD_STATE_COUNT][GUARD_EVENT_COUNT] = {
/*                   wanted          unwanted             started           adopted       start-failed    ended           check-ok          check-failed          timer             clear */
[GUARD_STOPPED]    = {stopped_wanted, ignore,              ignore,           adopt,        ignore,         ignore,         ignore,           ignore,               ignore,           ignore},
[GUARD_STARTING]   = {ignore,         up_unwanted,         begin_to_run,     adopt,        lose,           lose,           ignore,           ignore,               restarting_timer, up_clear},
[GUARD_RUNNING]    = {want,           up_unwanted,         running_started,  ignore,       lose,           lose,           running_check_ok, running_check_failed, running_timer,    up_clear},
[GUARD_WAITING]    = {ignore,         waiting_unwanted,    ignore,           adopt,        ignore,         ignore,         ignore,           ignore,               waiting_timer,    waiting_clear},
[GUARD_RESTARTING] = {want,           restarting_unwanted, ignore,           ignore,       lose,           lose,           ignore,           ignore,               restarting_timer, up_clear},
[GUARD_STOPPING]   = {want,           stopping_unwanted,   stopping_started, ignore,       stopping_ended, stopping_ended, ignore,           ignore,               stopping_timer,   up_clear},
[GUARD_FAILED]     = {failed_wanted,  failed_unwanted,     ignore,           adopt,        ignore,         ignore,         ignore,           ignore,               failed_timer,     failed_clear},
};
/* clang-format on */

/* ------------------------------------------------------------- the one step */

/* What others are told of each state, where no failure sticks. A service that ends on purpose still runs; one
 * that is about to be started again does not. */
static const enum service_state shown[GUARD_STATE_COUNT] = {
    [GUARD_STOPPED] = SERVICE_STATE_STOPPED,     [GUARD_STARTING] = SERVICE_STATE_STARTING,
    [GUARD_RUNNING] = SERVICE_STATE_RUNNING,     [GUARD_WAITING] = SERVICE_STATE_STARTING,
    [GUARD_RESTARTING] = SERVICE_STATE_STARTING, [GUARD_STOPPING] = SERVICE_STATE_RUNNING,
    [GUARD_FAILED] = SERVICE_STATE_FAILED,
};

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns == 0 ? b_ns : b_ns == 0 ? a_ns : MIN(a_ns, b_ns);
}

static int64_t next_timer(const struct guard *guard)
{
    if (guard->state != GUARD_RUNNING)
        return guard->deadline_ns;
    return earlier(guard->steady_ns, earlier(guard->next_check_ns, check_deadline(guard)));
}

static bool view_equal(const struct guard_view *a, const struct guard_view *b)
{
    return a->state == b->state && a->pid == b->pid && a->restarts == b->restarts &&
           a->since_ns == b->since_ns && a->first_sign_ns == b->first_sign_ns &&
           strcmp(a->text, b->text) == 0;
}

void guard_init(struct guard *guard, const struct guard_settings *settings, int64_t now_ns)
{
    *guard = (struct guard){.settings = *settings};
    guard->view.since_ns = now_ns;
}

void guard_restore_failure(struct guard *guard, const char *text, int64_t now_ns)
{
    guard->sticky = true;
    rest(guard);
    say(guard, text);
    guard->view.state = SERVICE_STATE_FAILED;
    guard->view.since_ns = guard->view.first_sign_ns = now_ns;
}

void guard_step(struct guard *guard, const struct guard_event *event, struct guard_effects *effects)
{
    const struct guard_view before = guard->view;

    *effects = (struct guard_effects){0};
    table[guard->state][event->kind](guard, event, effects);
    guard->view.state = guard->sticky ? SERVICE_STATE_FAILED : shown[guard->state];
    if (guard->view.state != before.state)
        guard->view.since_ns = event->at_ns;
    effects->publish = !view_equal(&guard->view, &before);
    effects->timer_ns = next_timer(guard);
}

bool guard_at_rest(const struct guard *guard)
{
    return guard->state == GUARD_STOPPED || (guard->state == GUARD_FAILED && !guard->wanted);
}
