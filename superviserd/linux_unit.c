/* A service with `unit`: one of systemd's, over D-Bus.
 *
 * Its state is told by signals (PropertiesChanged of the unit, JobRemoved of the manager), and asked for only
 * when the connection is made and when a job of ours is over; nothing is polled. Interface:
 * org.freedesktop.systemd1(5).
 *
 *     down     inactive or failed; or waiting to be restarted by systemd itself, which counts as an end
 *     coming   activating
 *     up       active or reloading
 *     going    deactivating
 *
 * One connection serves all units. When it breaks (the bus or systemd was restarted) units stay as they were
 * last seen, until it is there again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "common/clock.h"
#include "common/log.h"
#include "superviserd/runner.h"

static const char destination[] = "org.freedesktop.systemd1";
static const char manager_path[] = "/org/freedesktop/systemd1";
static const char manager[] = "org.freedesktop.systemd1.Manager";
static const char properties[] = "org.freedesktop.DBus.Properties";

static const int64_t reconnect_ns = NS_PER_S;

/* A unit's object has its name in it, three bytes for each that is no letter or digit. */
enum { OBJECT_PATH_MAX = 512 };

_Static_assert(OBJECT_PATH_MAX >
                   sizeof "/org/freedesktop/systemd1/unit/" + 3 * sizeof((struct config_service *)0)->unit,
               "the longest name fits");

enum seen { SEEN_NOT_YET, SEEN_DOWN, SEEN_COMING, SEEN_UP, SEEN_GOING };
enum asked { ASKED_NOTHING, ASKED_START, ASKED_STOP };

struct unit {
    struct runner runner;
    struct unit *next;
    enum seen seen;
    enum asked asked; /* what `started`, `failed` or `ended` is still owed for */
    char path[OBJECT_PATH_MAX], job[OBJECT_PATH_MAX]; /* objects; empty: not known, none */
    int replies;                          /* to jobs asked for, which name them, that are still to come */
    char active[32], sub[32], result[32]; /* properties, as last heard */
    int pid;
    bool told;            /* that it runs, and since then not that it does not */
    sd_bus_slot *changed; /* the subscription to its properties */
    struct loop_source *patience;
};

/* The connection, made with the first unit. */
static struct {
    sd_bus *bus; /* NULL: not connected */
    struct loop *loop;
    struct loop_source *reconnect;
    struct unit *units;
    bool complained;
} systemd;

static const char *name_of(const struct unit *unit)
{
    return unit->runner.context.config->unit;
}

/* ----------------------------------------------------------------- what is told */

static void tell_started(struct unit *unit)
{
    const struct runner_handlers *handlers = &unit->runner.context.handlers;
    const bool asked = unit->asked == ASKED_START;

    loop_stop_timer(unit->patience);
    if (asked)
        unit->asked = ASKED_NOTHING;
    /* Told before: it was restarted by somebody else, and goes on as another process. */
    const bool known = asked || unit->told;
    unit->told = true;
    (known ? handlers->started : handlers->found)(handlers->userdata, unit->pid);
}

static void tell_failed(struct unit *unit, const char *text)
{
    const struct runner_handlers *handlers = &unit->runner.context.handlers;

    loop_stop_timer(unit->patience);
    unit->asked = ASKED_NOTHING;
    unit->told = false;
    handlers->failed(handlers->userdata, text);
}

static void tell_ended(struct unit *unit)
{
    const struct runner_handlers *handlers = &unit->runner.context.handlers;
    char text[PROCESS_TEXT_MAX];

    snprintf(text, sizeof text, "unit %.60s is %s (result: %s)", name_of(unit), unit->active, unit->result);
    loop_stop_timer(unit->patience);
    unit->asked = ASKED_NOTHING;
    unit->told = false;
    handlers->ended(handlers->userdata, text);
}

static enum seen judge(const struct unit *unit)
{
    if (strcmp(unit->active, "active") == 0 || strcmp(unit->active, "reloading") == 0 ||
        strcmp(unit->active, "refreshing") == 0)
        return SEEN_UP;
    if (strcmp(unit->active, "activating") == 0)
        return strcmp(unit->sub, "auto-restart") == 0 ? SEEN_DOWN : SEEN_COMING;
    if (strcmp(unit->active, "inactive") == 0 || strcmp(unit->active, "failed") == 0)
        return SEEN_DOWN;
    return SEEN_GOING;
}

/* Properties were heard: what do they mean to the guard? */
static void consider(struct unit *unit, int pid_before)
{
    const enum seen before = unit->seen;
    const bool was_there = before == SEEN_UP || before == SEEN_GOING || before == SEEN_COMING;

    unit->seen = judge(unit);
    if (unit->seen == SEEN_UP && before != SEEN_UP && unit->asked != ASKED_STOP)
        tell_started(unit);
    else if (unit->seen == SEEN_UP && unit->pid != pid_before && unit->pid != 0)
        unit->runner.context.handlers.started(unit->runner.context.handlers.userdata, unit->pid);
    else if (unit->seen == SEEN_DOWN && was_there && before != SEEN_DOWN)
        tell_ended(unit);
}

/* ------------------------------------------------------------------ properties */

static void take_text(sd_bus_message *message, char *to, size_t size)
{
    const char *text;

    if (sd_bus_message_read(message, "v", "s", &text) >= 0)
        text_copy(to, size, text);
}

/* Reads a{sv} and keeps what is of interest. */
static int take_properties(struct unit *unit, sd_bus_message *message)
{
    const char *name;
    uint32_t pid;
    int r = sd_bus_message_enter_container(message, 'a', "{sv}");

    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
            return r;
        if (strcmp(name, "ActiveState") == 0)
            take_text(message, unit->active, sizeof unit->active);
        else if (strcmp(name, "SubState") == 0)
            take_text(message, unit->sub, sizeof unit->sub);
        else if (strcmp(name, "Result") == 0)
            take_text(message, unit->result, sizeof unit->result);
        else if (strcmp(name, "MainPID") == 0 && sd_bus_message_read(message, "v", "u", &pid) >= 0)
            unit->pid = (int)pid;
        else
            r = sd_bus_message_skip(message, "v");
        if (r >= 0)
            r = sd_bus_message_exit_container(message);
    }
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

static void complain(const struct unit *unit, const char *what, const sd_bus_error *error)
{
    log_warning("unit %s: %s: %s", name_of(unit), what,
                error && error->message ? error->message : "no answer");
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    struct unit *unit = userdata;
    const int pid_before = unit->pid;
    const char *interface;

    (void)unused;
    if (sd_bus_message_read(message, "s", &interface) < 0 || take_properties(unit, message) < 0)
        log_warning("unit %s: systemd told a change that cannot be read", name_of(unit));
    else if (unit->active[0] != '\0')
        consider(unit, pid_before);
    return 0;
}

static int ask_job(struct unit *unit, const char *method);

/* A start of ours led to nothing. */
static void judge_start(struct unit *unit)
{
    char text[PROCESS_TEXT_MAX];

    if (unit->asked != ASKED_START || unit->replies > 0 || unit->job[0] != '\0' || unit->seen != SEEN_DOWN)
        return;
    snprintf(text, sizeof text, "unit %.50s was started and is %s (result: %s)", name_of(unit), unit->active,
             unit->result);
    tell_failed(unit, text);
}

static int on_all(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    struct unit *unit = userdata;
    const int pid_before = unit->pid;

    (void)unused;
    if (sd_bus_message_is_method_error(message, NULL)) {
        complain(unit, "cannot read its state", sd_bus_message_get_error(message));
        return 0;
    }
    if (take_properties(unit, message) < 0) {
        complain(unit, "cannot read its state", NULL);
        return 0;
    }
    consider(unit, pid_before);
    judge_start(unit);
    if (unit->asked != ASKED_STOP || unit->replies > 0 || unit->job[0] != '\0')
        return 0;
    if (unit->seen == SEEN_DOWN)
        tell_ended(unit);
    else
        ask_job(unit, "StopUnit"); /* the first one was lost with the connection */
    return 0;
}

static void ask_all(struct unit *unit)
{
    if (systemd.bus && unit->path[0] != '\0')
        sd_bus_call_method_async(systemd.bus, NULL, destination, unit->path, properties, "GetAll", on_all,
                                 unit, "s", "");
}

/* ------------------------------------------------------------------ connection */

static int on_loaded(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    struct unit *unit = userdata;
    const char *path;

    (void)unused;
    if (sd_bus_message_is_method_error(message, NULL)) {
        if (!systemd.complained)
            complain(unit, "systemd does not know it", sd_bus_message_get_error(message));
        return 0;
    }
    if (systemd.complained)
        log_notice("systemd is reached again");
    systemd.complained = false;
    if (sd_bus_message_read(message, "o", &path) < 0)
        return 0;
    text_copy(unit->path, sizeof unit->path, path);
    sd_bus_slot_unref(unit->changed);
    unit->changed = NULL;
    sd_bus_match_signal_async(systemd.bus, &unit->changed, destination, unit->path, properties,
                              "PropertiesChanged", on_changed, NULL, unit);
    ask_all(unit);
    return 0;
}

static void load(struct unit *unit)
{
    if (systemd.bus)
        sd_bus_call_method_async(systemd.bus, NULL, destination, manager_path, manager, "LoadUnit", on_loaded,
                                 unit, "s", name_of(unit));
}

/* Whatever became of it: the unit's state tells. */
static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    const char *path, *name, *result;
    uint32_t id;

    (void)userdata;
    (void)unused;
    if (sd_bus_message_read(message, "uoss", &id, &path, &name, &result) < 0)
        return 0;
    for (struct unit *unit = systemd.units; unit; unit = unit->next)
        if (strcmp(unit->job, path) == 0) {
            unit->job[0] = '\0';
            ask_all(unit);
        }
    return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    (void)message;
    (void)userdata;
    (void)unused;
    if (!systemd.complained)
        log_warning("the connection to systemd is lost; units are as they were, until it is there again");
    systemd.complained = true;
    loop_set_timer(systemd.reconnect, clock_now_ns() + reconnect_ns);
    return 0;
}

static int subscribe(void)
{
    int r = sd_bus_attach_event(systemd.bus, loop_event(systemd.loop), SD_EVENT_PRIORITY_NORMAL);

    if (r >= 0)
        r = sd_bus_match_signal_async(systemd.bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL,
                                      NULL);
    if (r >= 0)
        r = sd_bus_match_signal_async(systemd.bus, NULL, destination, manager_path, manager, "JobRemoved",
                                      on_job_removed, NULL, NULL);
    if (r >= 0)
        r = sd_bus_call_method_async(systemd.bus, NULL, destination, manager_path, manager, "Subscribe", NULL,
                                     NULL, "");
    return r;
}

static void disconnect(void)
{
    for (struct unit *unit = systemd.units; unit; unit = unit->next) {
        unit->changed = sd_bus_slot_unref(unit->changed);
        unit->path[0] = unit->job[0] = '\0';
        unit->replies = 0;
    }
    systemd.bus = sd_bus_close_unref(systemd.bus);
}

static void connect_bus(void)
{
    int r = sd_bus_open_system(&systemd.bus);

    if (r >= 0)
        r = subscribe();
    if (r < 0) {
        if (!systemd.complained)
            log_error("cannot reach systemd over D-Bus: %s; services with `unit` cannot be guarded; is "
                      "dbus.service running?",
                      strerror(-r));
        systemd.complained = true;
        disconnect();
        loop_set_timer(systemd.reconnect, clock_now_ns() + reconnect_ns);
        return;
    }
    for (struct unit *unit = systemd.units; unit; unit = unit->next)
        load(unit);
}

static void on_reconnect(void *userdata, int64_t now_ns)
{
    (void)userdata;
    (void)now_ns;
    disconnect();
    connect_bus();
}

/* ------------------------------------------------------------------------ jobs */

static int on_job(sd_bus_message *message, void *userdata, sd_bus_error *unused)
{
    struct unit *unit = userdata;
    char text[PROCESS_TEXT_MAX];
    const char *path;

    (void)unused;
    if (unit->replies > 0)
        unit->replies--;
    if (!sd_bus_message_is_method_error(message, NULL)) {
        if (sd_bus_message_read(message, "o", &path) >= 0)
            text_copy(unit->job, sizeof unit->job, path);
        return 0;
    }
    const sd_bus_error *error = sd_bus_message_get_error(message);
    snprintf(text, sizeof text, "systemd: %.140s", error && error->message ? error->message : "refused");
    if (unit->asked == ASKED_START)
        tell_failed(unit, text);
    else
        complain(unit, "cannot be stopped", error);
    return 0;
}

static int ask_job(struct unit *unit, const char *method)
{
    if (!systemd.bus)
        return -ENOTCONN;
    const int r = sd_bus_call_method_async(systemd.bus, NULL, destination, manager_path, manager, method,
                                           on_job, unit, "ss", name_of(unit), "replace");
    if (r >= 0)
        unit->replies++;
    return r;
}

static void start(struct runner *runner)
{
    struct unit *unit = (struct unit *)runner;
    char text[PROCESS_TEXT_MAX];

    unit->asked = ASKED_START;
    if (unit->seen == SEEN_UP) {
        tell_started(unit);
        return;
    }
    if (systemd.bus && unit->path[0] == '\0')
        load(unit); /* it was not there; perhaps it is by now */
    loop_set_timer(unit->patience, clock_now_ns() + runner->context.config->start_timeout);
    /* How often in a row it is started is decided here, and not by systemd's StartLimitBurst. */
    if (systemd.bus)
        sd_bus_call_method_async(systemd.bus, NULL, destination, manager_path, manager, "ResetFailedUnit",
                                 NULL, NULL, "s", name_of(unit));
    const int r = ask_job(unit, "StartUnit");
    if (r < 0) {
        snprintf(text, sizeof text, "cannot reach systemd: %s", strerror(-r));
        tell_failed(unit, text);
    }
}

/* The start takes too long: what becomes of the stop tells that it failed. */
static void on_patience_over(void *userdata, int64_t now_ns)
{
    struct unit *unit = userdata;

    (void)now_ns;
    if (unit->asked != ASKED_START)
        return;
    log_warning("unit %s did not become active within start-timeout: it is stopped", name_of(unit));
    if (ask_job(unit, "StopUnit") < 0)
        tell_failed(unit, "it did not become active within start-timeout, and systemd cannot be reached");
}

static void send_signal(struct runner *runner, enum guard_signal signal)
{
    struct unit *unit = (struct unit *)runner;

    loop_stop_timer(unit->patience);
    unit->asked = ASKED_STOP;
    const bool at_rest = unit->seen == SEEN_DOWN && unit->replies == 0 && unit->job[0] == '\0';
    if (at_rest && signal == GUARD_TERM && unit->path[0] != '\0') {
        tell_ended(unit);
        return;
    }
    if (signal == GUARD_KILL && systemd.bus)
        sd_bus_call_method_async(systemd.bus, NULL, destination, manager_path, manager, "KillUnit", NULL,
                                 NULL, "ssi", name_of(unit), "all", 9);
    else if (signal == GUARD_TERM && ask_job(unit, "StopUnit") < 0)
        log_warning("unit %s: cannot reach systemd to stop it", name_of(unit));
}

static void look(struct runner *runner)
{
    struct unit *unit = (struct unit *)runner;

    if (!systemd.bus && !systemd.complained)
        connect_bus(); /* and asks for all units */
    else if (unit->path[0] == '\0')
        load(unit);
    /* else its state is known, and told when it changes */
}

static int open_unit(const struct runner_context *context, struct runner **runner)
{
    struct unit *made = calloc(1, sizeof *made);
    struct loop *loop = context->daemon->loop;

    if (!made)
        return -ENOMEM;
    int r = loop_add_timer(loop, on_patience_over, made, &made->patience);
    if (r == 0 && !systemd.loop) {
        systemd.loop = loop;
        r = loop_add_timer(loop, on_reconnect, NULL, &systemd.reconnect);
    }
    if (r < 0) {
        free(made);
        return r;
    }
    made->next = systemd.units;
    systemd.units = made;
    *runner = &made->runner;
    return 0;
}

const struct runner_kind runner_unit = {open_unit, look, start, send_signal};
