#include "client/server.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"
#include "client/memory.h"
#include "client/page.h"
#include "client/probe.h"
#include "client/task.h"
#include "client/view.h"
#include "common/clock.h"
#include "common/log.h"

enum { NOTIFY_SECONDS = 30 };

struct server {
    struct daemon *daemon;
    const struct client_config *config;
    struct roam roam;
    struct memory *memory;
    struct connections *connections;
    struct probes *probes;
    struct page *page;
    struct loop_source *wake;
    struct task *notify;
    struct view view, told;
};

static void dispatch(struct server *s, struct roam_event event);

static const char *name_of(const struct server *s, int profile)
{
    return s->config->profiles[profile].name;
}

/* ---- telling */

static void look(struct server *s, struct view *view)
{
    view_fill(view, s->config, &s->roam, s->connections, s->probes, memory_chosen(s->memory), clock_now_ns());
}

static void publish(struct server *s)
{
    look(s, &s->view);
    if (memcmp(&s->view.profile, &s->told.profile, sizeof s->view.profile) != 0)
        bus_publish(s->daemon->bus, &profile_type, NULL, &s->view.profile, NULL);
    for (size_t i = 0; i < s->view.gateway_count; i++)
        if (memcmp(&s->view.gateways[i], &s->told.gateways[i], sizeof s->view.gateways[i]) != 0)
            bus_publish(s->daemon->bus, &gateway_type, s->config->gateways[i].name, &s->view.gateways[i],
                        NULL);
    s->told = s->view;
}

static void on_notified(void *userdata, const struct task_end *end)
{
    struct server *s = userdata;

    s->notify = NULL;
    if (!end->good)
        log_warning("notify: %s", end->text);
}

static void notify(struct server *s, const char *what, const char *text)
{
    const struct config_strings *command = &s->config->notify;
    char **words AUTO_FREE = calloc(command->count + 3, sizeof *words);

    if (command->count == 0 || !words)
        return;
    if (s->notify) {
        log_warning("notify: the command before this one still runs; \"%s\" is not told", text);
        return;
    }
    memcpy(words, command->items, command->count * sizeof *words);
    words[command->count] = (char *)what;
    words[command->count + 1] = (char *)text;
    const struct task_request request = {.words = words,
                                         .timeout_ns = NOTIFY_SECONDS * NS_PER_S,
                                         .name = "notify",
                                         .on_end = on_notified,
                                         .userdata = s};
    const int r = task_start(s->daemon->loop, &request, &s->notify);
    if (r < 0)
        log_warning("notify: %s cannot be started: %s", words[0], strerror(-r));
}

static void tell_news(struct server *s, enum roam_news news)
{
    char text[192];

    look(s, &s->view);
    switch (news) {
    case ROAM_NEWS_NONE:
        break;
    case ROAM_NEWS_UNREACHABLE:
        log_warning("%s", s->view.profile.advice);
        notify(s, "unreachable", s->view.profile.advice);
        break;
    case ROAM_NEWS_SWITCHED:
        snprintf(text, sizeof text, "connected by %s%s", name_of(s, s->roam.current),
                 s->roam.by_itself ? ", by itself" : "");
        log_notice("%s, %.1f ms after it was asked for", text,
                   (double)(s->roam.carries_ns - s->roam.asked_ns) / NS_PER_MS);
        notify(s, "switched", text);
        break;
    case ROAM_NEWS_FAILED:
        log_error("the switch failed: %s", s->view.profile.error);
        notify(s, "failed", s->view.profile.error);
        break;
    }
}

/* ---- doing */

/* Those that are there whether or not this daemon is: what runs in its foreground ends with it. */
static uint32_t lasting(const struct server *s)
{
    uint32_t up = 0;

    for (size_t i = 0; i < s->config->rules.profile_count; i++)
        if (s->roam.profiles[i].link == ROAM_LINK_UP && s->config->profiles[i].run.count == 0)
            up |= UINT32_C(1) << i;
    return up;
}

static void do_connections(struct server *s, const struct roam_effects *effects)
{
    for (int i = 0; i < (int)s->config->rules.profile_count; i++) {
        if (effects->disconnect & UINT32_C(1) << i) {
            log_info("%s: disconnecting", name_of(s, i));
            connections_down(s->connections, i);
        }
        if (effects->connect & UINT32_C(1) << i) {
            log_info("%s: connecting", name_of(s, i));
            connections_up(s->connections, i);
        }
    }
    if (effects->carry >= 0)
        connections_carry(s->connections, effects->carry);
}

static bool is_all_down(const struct server *s)
{
    for (size_t i = 0; i < s->config->rules.profile_count; i++)
        if (s->roam.profiles[i].link != ROAM_LINK_DOWN)
            return false;
    return true;
}

static void perform(struct server *s, const struct roam_effects *effects)
{
    tell_news(s, effects->news);
    do_connections(s, effects);
    if (effects->remember >= 0)
        memory_choose(s->memory, effects->remember);
    memory_note_up(s->memory, lasting(s));
    probes_select(s->probes, roam_tested(&s->roam), roam_awaited(&s->roam));
    if (effects->wake_ns > 0)
        loop_set_timer(s->wake, effects->wake_ns);
    else
        loop_stop_timer(s->wake);
    publish(s);
    if (s->roam.stopping && is_all_down(s))
        loop_exit(s->daemon->loop, 0);
}

static void dispatch(struct server *s, struct roam_event event)
{
    struct roam_effects effects;

    event.now_ns = clock_now_ns();
    roam_step(&s->roam, &event, &effects);
    perform(s, &effects);
}

/* ---- what happens */

static void on_link(void *userdata, int profile, enum roam_link link)
{
    struct server *s = userdata;

    log_info("%s: %s", name_of(s, profile), link == ROAM_LINK_UP ? "up" : "down");
    dispatch(s, (struct roam_event){.kind = ROAM_EVENT_LINK, .index = profile, .link = link});
}

static void on_carried(void *userdata, int profile, bool good)
{
    dispatch(userdata, (struct roam_event){.kind = ROAM_EVENT_CARRIED, .index = profile, .good = good});
}

/* The connections whose gateway was silent this time may be gone. */
static void look_after(struct server *s, int gateway)
{
    for (int i = 0; i < (int)s->config->rules.profile_count; i++) {
        const struct roam_profile_rule *rule = &s->config->rules.profiles[i];
        if ((rule->gateways | rule->inside) & UINT32_C(1) << gateway)
            connections_look(s->connections, i);
    }
}

static void on_tested(void *userdata, int gateway, bool good, int64_t began_ns)
{
    struct server *s = userdata;
    const enum roam_answer before = s->roam.gateways[gateway].answer;

    if (!good)
        look_after(s, gateway);

    dispatch(s, (struct roam_event){
                    .kind = ROAM_EVENT_TESTED, .index = gateway, .good = good, .began_ns = began_ns});
    const enum roam_answer now = s->roam.gateways[gateway].answer;
    if (now != before)
        log_info("gateway %s %s%s%s", s->config->gateways[gateway].name,
                 now == ROAM_ANSWERS ? "answers" : "is silent", now == ROAM_ANSWERS ? "" : ": ",
                 now == ROAM_ANSWERS ? "" : probes_text(s->probes, gateway));
}

static void on_wake(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    dispatch(userdata, (struct roam_event){.kind = ROAM_EVENT_TIME});
}

static void on_stop(void *userdata)
{
    dispatch(userdata, (struct roam_event){.kind = ROAM_EVENT_STOP});
}

static void on_end(void *userdata)
{
    struct server *s = userdata;

    page_close(s->page);
    s->page = NULL;
}

/* ---- what people ask for */

static const char *use(struct server *s, const char *name, int64_t *number)
{
    const int profile = client_profile_find(s->config, name);

    *number = 0;
    if (profile < 0)
        return "there is no such profile; `duet-client list` shows all";
    if (s->roam.stopping)
        return "roamd is stopping";
    const int64_t before = s->roam.number;
    dispatch(s, (struct roam_event){.kind = ROAM_EVENT_USE, .index = profile});
    if (s->roam.target == profile || s->roam.number != before)
        *number = s->roam.number;
    return NULL;
}

static const char *page_use(void *userdata, const char *profile)
{
    int64_t number;

    return use(userdata, profile, &number);
}

static void page_view(void *userdata, struct view *view)
{
    look(userdata, view);
}

static void on_command(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    static struct use_answer_message reply; /* until the next command */

    reply = (struct use_answer_message){0};
    if (strcmp(command->command, "use") != 0) {
        snprintf(answer->reply.error, sizeof answer->reply.error, "roamd knows use only");
        return;
    }
    const char *why = use(userdata, command->name, &reply.number);
    reply.ok = !why;
    text_copy(reply.error, sizeof reply.error, why ? why : "");
    answer->type = &use_answer_type;
    answer->body = &reply;
}

/* ---- the begin */

static int open_parts(struct server *s)
{
    const struct connect_handlers connect = {on_link, on_carried, s};
    const struct page_handlers page = {page_view, page_use, s};
    struct loop *loop = s->daemon->loop;
    int r = sodium_init() < 0 ? -ENOSYS
                              : memory_open(s->daemon->state_dir, s->daemon->run_dir, s->config, &s->memory);

    if (r == 0)
        r = loop_add_timer(loop, on_wake, s, &s->wake);
    if (r == 0)
        r = connections_new(loop, s->config, &connect, &s->connections);
    if (r == 0)
        r = probes_new(loop, s->config, on_tested, s, &s->probes);
    if (r == 0 && s->config->page.family != 0 && (r = page_open(loop, s->config, &page, &s->page)) < 0)
        log_error("the page cannot listen on its address, port %d: %s; choose another one, or end who has it",
                  s->config->page_port, strerror(-r));
    return r;
}

static void begin(struct server *s)
{
    const uint32_t left_up = memory_left_up(s->memory);
    const int chosen = memory_chosen(s->memory);

    for (int i = 0; i < (int)s->config->rules.profile_count; i++) {
        if (!(left_up & UINT32_C(1) << i) || s->config->profiles[i].run.count > 0)
            continue;
        log_info("%s: was left up", name_of(s, i));
        connections_adopt(s->connections, i);
        struct roam_effects none;
        roam_step(&s->roam,
                  &(struct roam_event){
                      .kind = ROAM_EVENT_LINK, .index = i, .link = ROAM_LINK_UP, .now_ns = clock_now_ns()},
                  &none);
    }
    dispatch(s,
             (struct roam_event){.kind = ROAM_EVENT_START, .index = chosen >= 0 ? chosen : s->config->first});
}

int server_open(struct daemon *daemon, const struct client_config *config, struct server **server)
{
    struct server *s = *server = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->daemon = daemon;
    s->config = config;
    roam_init(&s->roam, &config->rules);
    const int r = open_parts(s);
    if (r < 0)
        return r;
    daemon->on_stop = on_stop;
    daemon->on_end = on_end;
    daemon->stop_userdata = s;
    bus_on_command(daemon->bus, on_command, s);
    begin(s);
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    task_abandon(s->notify);
    connections_free(s->connections);
    probes_free(s->probes);
    memory_close(s->memory);
    free(s);
}
