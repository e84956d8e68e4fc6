#include "trapd/tables.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "trapd/agent.h"

/* A walk asks for one value after the other: for so long all come from the same view. */
#define VIEW_KEPT_NS (20 * NS_PER_MS)

struct tables {
    struct config *config;
    const char *node;
    struct loop *loop;
    struct bus *bus;
    struct loop_source *second, *watched[AGENT_FDS_MAX];
    struct model model;
    struct config_oid base;
    struct view *view;
    int64_t viewed_ns;
};

static struct tables self;

/* What does not fit its description is left out, as in `duet status`. */
static void on_message(void *userdata, const char *topic, const char *json, size_t size)
{
    struct tables *tables = userdata;
    char error[CODEC_ERROR_MAX];
    struct envelope envelope;
    const char *name;
    const struct message_type *type = topic_find(topic, &name);

    if (!type)
        return;
    AUTO_FREE void *body = malloc(type->record->size);
    if (!body || message_parse(type, json, size, &envelope, body, error) < 0)
        return;
    if (strcmp(type->owner, "*") != 0 && strcmp(type->owner, envelope.from) != 0)
        return;
    model_take(&tables->model, type, name, &envelope, body, clock_now_ns());
}

static const struct view *current_view(void *userdata)
{
    struct tables *tables = userdata;
    static struct log_limit limit;
    const struct view_source source = {&tables->model, tables->config->cluster, tables->node, clock_now_ns(),
                                       clock_wall_offset_ns()};

    if (source.now_ns - tables->viewed_ns < VIEW_KEPT_NS)
        return tables->view;
    view_make(tables->view, &source);
    tables->viewed_ns = source.now_ns;
    if (tables->view->refused > 0 && log_allowed(&limit, 1))
        log_warning("tables: %zu values are left out: there are more than %d", tables->view->refused,
                    VIEW_CELLS_MAX);
    return tables->view;
}

static void turn(struct tables *tables);

static void on_readable(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    turn(userdata);
}

static void tell_obstacle(void)
{
    static char told[256];
    char text[sizeof told];

    agent_obstacle(text, sizeof text);
    if (text[0] != '\0' && strcmp(text, told) != 0)
        log_warning("tables: %s", text);
    text_copy(told, sizeof told, text);
}

static void on_second(void *userdata, int64_t now_ns)
{
    struct tables *tables = userdata;

    tell_obstacle();
    loop_set_timer(tables->second, now_ns + NS_PER_S);
    turn(tables);
}

static void unwatch(struct tables *tables)
{
    for (size_t i = 0; i < AGENT_FDS_MAX; i++) {
        loop_remove(tables->watched[i]);
        tables->watched[i] = NULL;
    }
}

/* The library opens and closes its descriptors as it likes, perhaps under the same number: each time they are
 * watched anew. */
static void turn(struct tables *tables)
{
    int fds[AGENT_FDS_MAX];

    unwatch(tables);
    agent_turn();
    const size_t count = agent_fds(fds);
    for (size_t i = 0; i < count; i++)
        if (loop_add_fd(tables->loop, fds[i], EPOLLIN, on_readable, tables, &tables->watched[i]) < 0)
            log_debug("tables: a connection to snmpd cannot be watched; it is looked at each second");
}

static void on_stop(void *userdata, int signal)
{
    (void)signal;
    loop_exit(userdata, 0);
}

/* ---- the beginning and the end */

static int open_bus(struct tables *tables, const struct options *options)
{
    int r = loop_new(&tables->loop);

    if (r == 0)
        r = loop_add_signal(tables->loop, SIGTERM, on_stop, tables->loop);
    if (r == 0)
        r = loop_add_signal(tables->loop, SIGINT, on_stop, tables->loop);
    if (r == 0)
        r = loop_add_timer(tables->loop, on_second, tables, &tables->second);
    if (r == 0)
        r = bus_open_listener(tables->loop, options->run_dir, options->node, &tables->bus);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        r = bus_subscribe_raw(tables->bus, model_daemons[i], false, on_message, tables);
    return r;
}

static void take_base(struct tables *tables)
{
    tables->base = tables->config->snmp_base;
    if (tables->base.count > 0)
        return;
    tables->base.count = MIB_BASE_LENGTH;
    memcpy(tables->base.arcs, mib_base, sizeof mib_base);
}

static int open_tables(struct tables *tables, const struct options *options)
{
    tables->node = options->node;
    int r = config_read(options->config, options->node, stderr, &tables->config);
    if (r < 0)
        return r;
    if (tables->config->snmp_agentx[0] == '\0') {
        log_error("tables: the configuration has no agentx in its snmp section; add agentx = "
                  "\"unix:/run/agentx/master\"");
        return -EINVAL;
    }
    take_base(tables);
    model_expect(&tables->model, tables->config);
    tables->view = calloc(1, sizeof *tables->view);
    if (!tables->view)
        return -ENOMEM;
    r = open_bus(tables, options);
    return r < 0 ? r : agent_open(tables->config->snmp_agentx, &tables->base, current_view, tables);
}

static void close_tables(struct tables *tables)
{
    unwatch(tables);
    agent_close();
    bus_free(tables->bus);
    loop_free(tables->loop);
    model_clear(&tables->model);
    config_free(tables->config);
    free(tables->view);
}

int tables_run(const struct options *options)
{
    int r = sys_drop_privileges(0);

    sys_leave_realtime();
    signal(SIGPIPE, SIG_IGN);
    if (r == 0)
        r = open_tables(&self, options);
    if (r == 0) {
        turn(&self);
        loop_set_timer(self.second, clock_now_ns() + NS_PER_S);
        r = loop_run(self.loop);
    } else {
        log_error("tables: cannot begin: %s", strerror(-r));
    }
    close_tables(&self);
    return r < 0 ? EXIT_FAILURE : r;
}
