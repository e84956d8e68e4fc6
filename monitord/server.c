#include "monitord/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "common/log.h"
#include "monitord/metrics.h"
#include "monitord/outlet.h"
#include "monitord/store.h"
#include "monitord/web.h"

static const int64_t tick_ns = NS_PER_S, publish_after_ns = 20 * NS_PER_MS;

struct server {
    struct daemon *daemon;
    struct store store;
    struct outlet *outlet; /* NULL: not configured */
    struct web *web;       /* NULL: not configured, or not yet */
    struct loop_source *tick, *publish;
    bool publish_due;
    int64_t scrapes;
    char web_trouble[128]; /* why it could not be opened */
    struct log_limit full_log;
};

/* ------------------------------------------------------------------- telling */

static void on_publish(void *userdata, int64_t now_ns)
{
    struct server *s = userdata;
    const struct config *config = s->daemon->config;
    struct monitor_message message = {.topics = (int64_t)s->store.count, .scrapes = s->scrapes};

    (void)now_ns;
    s->publish_due = false;
    text_copy(message.listen, sizeof message.listen, config->monitor.listen);
    if (s->web)
        text_copy(message.metrics, sizeof message.metrics, config->monitor.metrics);
    text_copy(message.text, sizeof message.text, s->web_trouble);
    if (s->outlet) {
        const struct outlet_state *state = outlet_state(s->outlet);
        message.listening = state->listening;
        message.clients = state->clients;
        message.subscriptions = state->subscriptions;
        message.refused = state->refused;
        message.barred = state->barred;
        if (state->text[0] != '\0')
            text_copy(message.text, sizeof message.text, state->text);
    }
    bus_publish(s->daemon->bus, &monitor_type, NULL, &message, NULL);
}

static void publish_soon(void *userdata)
{
    struct server *s = userdata;

    if (!s->publish_due)
        loop_set_timer(s->publish, clock_now_ns() + publish_after_ns);
    s->publish_due = true;
}

/* ----------------------------------------------------------------------- bus */

static void on_message(void *userdata, const char *topic, const char *json, size_t size)
{
    struct server *s = userdata;

    if (store_put(&s->store, topic, json, size, clock_now_ns()) < 0 && log_allowed(&s->full_log, 1))
        log_warning("topic %.64s is not retained: there are too many, or memory is out", topic);
    if (s->outlet)
        outlet_send(s->outlet, topic, json, size);
}

/* To those that run at all: each attempt to reach another one costs a little. Its own topics come over the
 * bus as well. */
static int subscribe(struct server *s)
{
    struct model *model = calloc(1, sizeof *model);
    int r = model ? 0 : -ENOMEM;

    if (model)
        model_expect(model, s->daemon->config);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        if (model_wants(model, i))
            r = bus_subscribe_raw(s->daemon->bus, model_daemons[i], true, on_message, s);
    if (model)
        model_clear(model);
    free(model);
    return r;
}

/* ------------------------------------------------------------------- metrics */

static char *render(void *userdata, size_t *size)
{
    struct server *s = userdata;
    struct model *model = calloc(1, sizeof *model);
    char *text = malloc(METRICS_TEXT_MAX);
    int n = -ENOMEM;

    if (model && text) {
        text_copy(model->node, sizeof model->node, s->daemon->node);
        model_expect(model, s->daemon->config);
        store_model(&s->store, model);
        n = metrics_print(model, s->daemon->config->cluster, clock_now_ns(), text, METRICS_TEXT_MAX);
    }
    if (model)
        model_clear(model);
    free(model);
    if (n < 0) {
        free(text);
        return NULL;
    }
    s->scrapes++;
    *size = (size_t)n;
    return text;
}

static void open_web(struct server *s)
{
    const char *where = s->daemon->config->monitor.metrics;
    char trouble[sizeof s->web_trouble] = "";
    struct net_address address;
    int port;

    int r = net_endpoint_parse(where, &address, &port);
    if (r == 0)
        r = web_open(s->daemon->loop, &address, port, render, s, &s->web);
    if (r < 0)
        snprintf(trouble, sizeof trouble, "no metrics: cannot listen at %s: %s", where, strerror(-r));
    else
        log_info("metrics are at http://%s/metrics", where);
    if (trouble[0] != '\0' && strcmp(trouble, s->web_trouble) != 0)
        log_warning("%s", trouble);
    text_copy(s->web_trouble, sizeof s->web_trouble, trouble);
}

/* ------------------------------------------------------------------ lifetime */

static void on_tick(void *userdata, int64_t now_ns)
{
    struct server *s = userdata;

    store_expire(&s->store, now_ns);
    if (!s->web && s->daemon->config->monitor.metrics[0] != '\0')
        open_web(s);
    publish_soon(s);
    loop_set_timer(s->tick, now_ns + tick_ns);
}

/* While the loop is there. */
static void on_end(void *userdata)
{
    struct server *s = userdata;

    outlet_close(s->outlet);
    web_close(s->web);
    s->outlet = NULL;
    s->web = NULL;
}

static int open_parts(struct server *s)
{
    const struct config *config = s->daemon->config;
    int r = loop_add_timer(s->daemon->loop, on_publish, s, &s->publish);

    if (r == 0)
        r = loop_add_timer(s->daemon->loop, on_tick, s, &s->tick);
    if (r == 0 && config->monitor.listen[0] != '\0')
        r = outlet_open(s->daemon->loop, config, s->daemon->node, &s->store, publish_soon, s, &s->outlet);
    return r < 0 ? r : subscribe(s);
}

/* Tools reconnect by themselves, and have the whole state at once. What is not of the monitor section is read
 * from the configuration whenever it is needed. */
static int reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct server *s = userdata;
    return daemon_reload_again(s->daemon, config_monitor_equal(before, s->daemon->config), text, size);
}

int server_open(struct daemon *daemon, struct server **server)
{
    struct server *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->daemon = daemon;
    *server = s;
    daemon->on_end = on_end;
    daemon->reload = (struct daemon_reload){.apply = reload, .userdata = s};
    daemon->stop_userdata = s;
    const int r = open_parts(s);
    if (r < 0) {
        log_error("cannot open the monitor: %s", strerror(-r));
        return r;
    }
    if (!config_has_monitor(daemon->config))
        log_notice("no monitor section is configured: there is nothing to do");
    loop_set_timer(s->tick, 0);
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    store_free(&s->store);
    free(s);
}
