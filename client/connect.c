#include "client/connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/task.h"
#include "common/clock.h"
#include "common/log.h"

/* A route by a device that has just been made may come too early; it is tried again until this is over. */
static const int64_t route_patience_ns = 5 * NS_PER_S, route_pause_ns = 100 * NS_PER_MS;
static const int64_t route_timeout_ns = 10 * NS_PER_S;
static const int64_t look_pause_ns = NS_PER_S, look_timeout_ns = 30 * NS_PER_S;

enum stage {
    STAGE_DOWN,
    STAGE_UP_COMMAND,
    STAGE_UP,
    STAGE_ROUTES,
    STAGE_UNROUTES,
    STAGE_END,
    STAGE_DOWN_COMMAND
};

struct connection {
    struct connections *all;
    const struct client_profile *profile;
    int index;
    enum stage stage;
    bool leaving, routed; /* routed: some of its routes may be there */
    size_t route;         /* next */
    int64_t routes_until_ns;
    struct task *task, *run;   /* the step's command; what stays in the foreground */
    struct task *look;         /* asks its keeper for its state */
    unsigned ups, look_at_up;  /* tries to connect, so far and when that was asked */
    int64_t look_ns;           /* not before */
    char state[32];            /* what the keeper said */
    struct loop_source *timer; /* soon: the next step */
    char text[192];
};

struct connections {
    struct loop *loop;
    const struct client_config *config;
    struct connect_handlers handlers;
    struct connection items[ROAM_PROFILES_MAX];
};

static void go(struct connection *c, enum stage stage);

static void soon(struct connection *c)
{
    loop_set_timer(c->timer, clock_now_ns());
}

static void note_failure(struct connection *c, const char *text)
{
    text_copy(c->text, sizeof c->text, text);
    log_warning("%s: %s", c->profile->name, text);
}

/* Why it went is worth more than what `down` says of one that is gone. */
static void note_down_failure(struct connection *c, const char *text)
{
    if (c->text[0])
        log_info("%s: %s", c->profile->name, text);
    else
        note_failure(c, text);
}

static void note_start_failure(struct connection *c, const struct config_strings *words, int error)
{
    char text[160];

    snprintf(text, sizeof text, "%.100s cannot be started: %s", words->items[0], strerror(-error));
    note_failure(c, text);
}

static void tell_link(struct connection *c, enum roam_link link)
{
    c->all->handlers.link(c->all->handlers.userdata, c->index, link);
}

static void tell_carried(struct connection *c, bool good)
{
    c->all->handlers.carried(c->all->handlers.userdata, c->index, good);
}

/* ---- one command after the other */

static void on_command(void *userdata, const struct task_end *end)
{
    struct connection *c = userdata;
    const enum stage stage = c->stage;

    c->task = NULL;
    if (stage == STAGE_UP_COMMAND) {
        if (!end->good && !c->leaving)
            note_failure(c, end->text);
        c->leaving = c->leaving || !end->good;
        go(c, c->leaving ? STAGE_UNROUTES : STAGE_UP);
    } else if (stage == STAGE_ROUTES) {
        if (end->good)
            c->route++;
        else if (clock_now_ns() >= c->routes_until_ns)
            note_failure(c, end->text);
        if (c->leaving) {
            go(c, STAGE_UNROUTES);
        } else if (end->good || clock_now_ns() < c->routes_until_ns) {
            loop_set_timer(c->timer, clock_now_ns() + (end->good ? 0 : route_pause_ns));
        } else {
            c->stage = STAGE_UP;
            tell_carried(c, false);
        }
    } else if (stage == STAGE_UNROUTES) {
        c->route++; /* one that is not there any more needs no removing */
        soon(c);
    } else if (stage == STAGE_DOWN_COMMAND) {
        if (!end->good)
            note_down_failure(c, end->text);
        go(c, STAGE_DOWN);
    }
}

/* True: the step waits for this command. */
static bool start(struct connection *c, const struct config_strings *words, int64_t timeout_ns, bool quiet)
{
    const struct task_request request = {.words = words->items,
                                         .timeout_ns = timeout_ns,
                                         .name = quiet ? NULL : c->profile->name,
                                         .reason_first = c->profile->keeper != CLIENT_KEEPER_NONE,
                                         .on_end = on_command,
                                         .userdata = c};
    const int r = task_start(c->all->loop, &request, &c->task);

    if (r == 0)
        return true;
    note_start_failure(c, words, r);
    return false;
}

static void on_run_end(void *userdata, const struct task_end *end)
{
    struct connection *c = userdata;

    c->run = NULL;
    if (c->stage == STAGE_END) {
        go(c, STAGE_DOWN_COMMAND);
        return;
    }
    note_failure(c, end->text);
    c->leaving = true;
    if (c->task)
        return; /* routes: on_command() goes on */
    go(c, STAGE_UNROUTES);
}

static void begin_run(struct connection *c)
{
    const struct task_request request = {
        .words = c->profile->run.items, .name = c->profile->name, .on_end = on_run_end, .userdata = c};
    const int r = c->profile->run.count > 0 ? task_start(c->all->loop, &request, &c->run) : 0;

    if (r == 0) {
        tell_link(c, ROAM_LINK_UP);
        return;
    }
    note_start_failure(c, &c->profile->run, r);
    c->leaving = true;
    go(c, STAGE_UNROUTES);
}

static void next_route(struct connection *c)
{
    if (c->route == c->profile->route_count) {
        c->stage = STAGE_UP;
        c->text[0] = '\0';
        tell_carried(c, true);
    } else if (!start(c, &c->profile->routes[c->route], route_timeout_ns, true)) {
        c->stage = STAGE_UP;
        tell_carried(c, false);
    }
}

static void next_unroute(struct connection *c)
{
    while (c->routed && c->route < c->profile->route_count) {
        if (start(c, &c->profile->unroutes[c->route], route_timeout_ns, true))
            return;
        c->route++;
    }
    go(c, STAGE_END);
}

static void begin_end(struct connection *c)
{
    if (c->run)
        task_end(c->run, c->profile->down_timeout);
    else
        go(c, STAGE_DOWN_COMMAND);
}

static void begin_down_command(struct connection *c)
{
    if (c->profile->down.count == 0 || !start(c, &c->profile->down, c->profile->down_timeout, false))
        go(c, STAGE_DOWN);
}

/* Begins a step. What it tells may lead to another one at once. */
static void go(struct connection *c, enum stage stage)
{
    c->stage = stage;
    c->route = 0;
    loop_stop_timer(c->timer);
    switch (stage) {
    case STAGE_DOWN:
        c->leaving = c->routed = false;
        tell_link(c, ROAM_LINK_DOWN);
        break;
    case STAGE_UP_COMMAND:
        if (c->profile->up.count == 0)
            go(c, STAGE_UP);
        else if (!start(c, &c->profile->up, c->profile->connect_timeout, false))
            go(c, STAGE_DOWN);
        break;
    case STAGE_UP:
        begin_run(c);
        break;
    case STAGE_ROUTES:
        c->routed = true;
        c->routes_until_ns = clock_now_ns() + route_patience_ns;
        next_route(c);
        break;
    case STAGE_UNROUTES:
        next_unroute(c);
        break;
    case STAGE_END:
        begin_end(c);
        break;
    case STAGE_DOWN_COMMAND:
        begin_down_command(c);
        break;
    }
}

/* Goes on with what was put off so that no handler runs inside of a call from outside. */
static void on_timer(void *userdata, int64_t now_ns)
{
    struct connection *c = userdata;

    (void)now_ns;
    if (c->task)
        return;
    if (c->stage == STAGE_UNROUTES)
        next_unroute(c);
    else if (c->leaving)
        go(c, STAGE_UNROUTES);
    else if (c->stage == STAGE_ROUTES && c->routes_until_ns != 0)
        next_route(c);
    else
        go(c, c->stage); /* asked for from outside */
}

/* ---- whether it is still there */

static void on_state_line(void *userdata, const char *line)
{
    struct connection *c = userdata;

    text_copy(c->state, sizeof c->state, line);
}

/* One that is on its way, in either direction, is not gone. An answer that cannot be had says nothing:
 * NetworkManager keeps connections while it restarts itself. */
static bool is_gone(const struct connection *c, const struct task_end *end)
{
    if (c->profile->keeper == CLIENT_KEEPER_NETWORKMANAGER)
        return end->good && c->state[0] == '\0';
    return strcmp(c->state, "inactive") == 0 || strcmp(c->state, "failed") == 0;
}

static bool is_established(const struct connection *c)
{
    return !c->leaving && (c->stage == STAGE_UP || c->stage == STAGE_ROUTES);
}

static void on_look(void *userdata, const struct task_end *end)
{
    struct connection *c = userdata;
    char text[96];

    c->look = NULL;
    if (!is_established(c) || c->ups != c->look_at_up || !is_gone(c, end))
        return;
    if (c->profile->keeper == CLIENT_KEEPER_SYSTEMD)
        snprintf(text, sizeof text, "its unit ended: systemd calls it %s", c->state);
    else
        text_copy(text, sizeof text, "it ended: NetworkManager has it no longer");
    note_failure(c, text);
    c->leaving = true;
    if (!c->task) /* else a route: on_command() goes on */
        go(c, STAGE_UNROUTES);
}

void connections_look(struct connections *connections, int profile)
{
    struct connection *c = &connections->items[profile];
    const int64_t now_ns = clock_now_ns();
    const struct task_request request = {.words = c->profile->state.items,
                                         .timeout_ns = look_timeout_ns,
                                         .on_line = on_state_line,
                                         .on_end = on_look,
                                         .userdata = c};

    if (c->profile->keeper == CLIENT_KEEPER_NONE || c->look || now_ns < c->look_ns || !is_established(c))
        return;
    c->look_ns = now_ns + look_pause_ns;
    c->look_at_up = c->ups;
    c->state[0] = '\0';
    const int r = task_start(connections->loop, &request, &c->look);
    if (r < 0)
        log_warning("%s: %s cannot be started: %s", c->profile->name, request.words[0], strerror(-r));
}

/* ---- what is asked from outside */

void connections_up(struct connections *connections, int profile)
{
    struct connection *c = &connections->items[profile];

    c->text[0] = '\0';
    c->leaving = false;
    c->ups++;
    c->stage = STAGE_UP_COMMAND;
    soon(c);
}

void connections_down(struct connections *connections, int profile)
{
    struct connection *c = &connections->items[profile];

    if (c->leaving)
        return;
    c->leaving = true;
    if (c->task)
        task_end(c->task, c->profile->down_timeout); /* its end leads on */
    else
        soon(c);
}

void connections_carry(struct connections *connections, int profile)
{
    struct connection *c = &connections->items[profile];

    if (c->stage != STAGE_UP || c->leaving)
        return;
    c->stage = STAGE_ROUTES;
    c->route = 0;
    c->routes_until_ns = 0;
    soon(c);
}

void connections_adopt(struct connections *connections, int profile)
{
    connections->items[profile].stage = STAGE_UP;
    connections->items[profile].routed = true;
}

const char *connections_text(const struct connections *connections, int profile)
{
    return connections->items[profile].text;
}

int connections_new(struct loop *loop, const struct client_config *config,
                    const struct connect_handlers *handlers, struct connections **result)
{
    struct connections *all = calloc(1, sizeof *all);
    int r = all ? 0 : -ENOMEM;

    *result = all;
    if (!all)
        return r;
    *all = (struct connections){.loop = loop, .config = config, .handlers = *handlers};
    for (size_t i = 0; i < config->rules.profile_count && r == 0; i++) {
        struct connection *c = &all->items[i];
        *c = (struct connection){.all = all, .profile = &config->profiles[i], .index = (int)i};
        r = loop_add_timer(loop, on_timer, c, &c->timer);
    }
    return r;
}

void connections_free(struct connections *connections)
{
    if (!connections)
        return;
    for (size_t i = 0; i < ROAM_PROFILES_MAX; i++) {
        task_abandon(connections->items[i].task);
        task_abandon(connections->items[i].run);
        task_abandon(connections->items[i].look);
    }
    free(connections);
}
