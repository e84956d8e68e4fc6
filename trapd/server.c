#include "trapd/server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "common/log.h"
#include "common/statefile.h"
#include "trapd/config_file.h"
#include "trapd/limiter.h"
#include "trapd/memory.h"
#include "trapd/sinks.h"
#include "trapd/tables_child.h"
#include "trapd/watch.h"

static const int64_t tick_ns = 500 * NS_PER_MS, publish_after_ns = 20 * NS_PER_MS;

struct server {
    struct daemon *daemon;
    struct watch watch;
    struct limiter limiter;
    struct memory memory;
    struct backlog *backlog;
    struct sinks *sinks;
    struct tables_child *tables; /* NULL: none are wanted */
    struct directives directives;
    struct loop_source *tick, *publish;
    bool publish_due, remember_due;
    uint64_t held_back;
    int64_t reboot_ns, reboot_told_ns; /* the restart under way; the one of which all have been told */
    struct timespec file_time;         /* of the SNMP configuration file, as it was read */
    char trouble[192];
};

/* ---------------------------------------------------------------------------- telling */

static void publish_soon(void *userdata)
{
    struct server *s = userdata;

    if (!s->publish_due)
        loop_set_timer(s->publish, clock_now_ns() + publish_after_ns);
    s->publish_due = true;
}

static void publish_sink(struct server *s, size_t n)
{
    const struct sink_state *state = sinks_state(s->sinks, n);
    struct trap_sink_message message = {.kind = (enum sink_kind)state->kind,
                                        .line = state->line,
                                        .sent = (int64_t)state->sent,
                                        .waiting = (int64_t)state->waiting,
                                        .acknowledged = (int64_t)state->acknowledged,
                                        .dropped = (int64_t)state->dropped};
    char name[24];

    text_copy(message.address, sizeof message.address, state->address);
    text_copy(message.text, sizeof message.text, state->text);
    snprintf(name, sizeof name, "%zu", n + 1);
    bus_publish(s->daemon->bus, &trap_sink_type, name, &message, NULL);
}

static void on_publish(void *userdata, int64_t now_ns)
{
    struct server *s = userdata;
    struct trap_message message = {.sinks = (int64_t)sinks_count(s->sinks),
                                   .number = backlog_number(s->backlog),
                                   .held_back = (int64_t)s->held_back};

    (void)now_ns;
    s->publish_due = false;
    for (size_t i = 0; i < sinks_count(s->sinks); i++) {
        publish_sink(s, i);
        message.waiting += (int64_t)sinks_state(s->sinks, i)->waiting;
    }
    if (message.waiting == 0)
        s->reboot_told_ns = s->reboot_ns;
    message.reboot_ns = s->reboot_told_ns;
    text_copy(message.text, sizeof message.text, s->trouble);
    bus_publish(s->daemon->bus, &trap_type, NULL, &message, NULL);
}

/* --------------------------------------------------------------------------- notifying */

static void notify(struct server *s, struct event *event)
{
    const uint32_t number = backlog_number(s->backlog) + 1;

    event->number = number == 0 ? 1 : number;
    text_copy(event->node, sizeof event->node, s->daemon->node);
    log_info("notification %" PRIu32 " %s: %s", event->number, mib_notifications[event->kind].node.name,
             event->text);
    sinks_send(s->sinks, event);
    if (backlog_set_number(s->backlog, event->number) < 0)
        log_warning("the number of the last notification cannot be written");
}

static void take_events(struct server *s)
{
    const struct event *events;
    const size_t count = watch_take(&s->watch, &events);
    const int64_t now = clock_now_ns();

    for (size_t i = 0; i < count; i++) {
        struct event event = events[i];
        event.wall_ns = event.at_ns + clock_wall_offset_ns();
        if (limiter_take(&s->limiter, &event, now))
            notify(s, &event);
        else
            s->held_back++;
    }
    if (count > 0) {
        s->remember_due = true;
        publish_soon(s);
    }
}

/* What was told must be known after a restart; that it was told comes first. */
static void remember(struct server *s)
{
    if (!s->remember_due)
        return;
    s->remember_due = false;
    const int r = memory_write(&s->memory, &s->watch, false);
    if (r < 0)
        log_warning("what was told cannot be written down: %s", strerror(-r));
}

/* --------------------------------------------------------------------------------- bus */

static void on_role(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_role(&s->watch, message->body, clock_now_ns());
    take_events(s);
}

/* Its name is said by nobody else as early. */
static void on_service(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_service(&s->watch, message->name, message->body, clock_now_ns());
    take_events(s);
}

static void on_link(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_link(&s->watch, message->name, message->body, clock_now_ns());
    take_events(s);
    sinks_hurry(s->sinks);
}

static void on_alarm(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_alarm(&s->watch, message->name, message->body, clock_now_ns());
    take_events(s);
}

static void on_set(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_set(&s->watch, message->name, message->body, clock_now_ns());
    take_events(s);
}

static void on_pulse(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;

    watch_daemon(&s->watch, message->name, message->body, clock_now_ns());
    take_events(s);
}

static void on_reboot(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;
    const struct reboot_message *reboot = message->body;

    watch_reboot(&s->watch, reboot);
    s->reboot_ns = s->watch.reboot_reason[0] ? reboot->at_ns : 0;
    s->remember_due = true;
    remember(s);
    publish_soon(s);
}

static int subscribe(struct server *s)
{
    static const char *const daemons[] = {"heartbeatd", "arbiterd", "takeoverd", "superviserd", "syncd"};
    const struct {
        const struct message_type *type;
        const char *daemon;
        bus_handler *handler;
    } wanted[] = {{&role_type, "arbiterd", on_role},          {&alarm_type, "arbiterd", on_alarm},
                  {&service_type, "superviserd", on_service}, {&reboot_type, "superviserd", on_reboot},
                  {&link_type, "heartbeatd", on_link},        {&data_set_type, "syncd", on_set}};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(wanted) && r == 0; i++)
        r = bus_subscribe(s->daemon->bus, wanted[i].type, wanted[i].daemon, wanted[i].handler, s);
    for (size_t i = 0; i < ARRAY_LENGTH(daemons) && r == 0; i++)
        r = bus_subscribe(s->daemon->bus, &daemon_type, daemons[i], on_pulse, s);
    return r;
}

/* ------------------------------------------------------------------------ configuration */

static void on_problem(void *userdata, int line, const char *text)
{
    struct server *s = userdata;

    if (line > 0)
        snprintf(s->trouble, sizeof s->trouble, "%.100s:%d: %.70s", s->daemon->config->snmp_config, line,
                 text);
    else
        snprintf(s->trouble, sizeof s->trouble, "%.100s: %.80s", s->daemon->config->snmp_config, text);
    log_error("%s", s->trouble);
}

static struct timespec time_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? (struct timespec){0} : st.st_ctim; /* also that it may be read now */
}

/* A file that is wrong changes nothing: the sinks of before stay. */
static void read_sinks(struct server *s)
{
    const char *path = s->daemon->config->snmp_config;

    s->file_time = time_of(path);
    s->trouble[0] = '\0';
    const int problems = config_file_read(path, &s->directives, on_problem, s);
    if (problems == 0) {
        if (sinks_configure(s->sinks, &s->directives) < 0)
            log_error("out of memory");
        if (s->directives.count == 0)
            log_warning("%s names no sink: notifications go nowhere", path);
    }
    explicit_bzero(&s->directives, sizeof s->directives);
    publish_soon(s);
}

static void on_hangup(void *userdata, int signal)
{
    (void)signal;
    log_notice("the sinks are read again");
    read_sinks(userdata);
}

static void check_file(struct server *s)
{
    const struct timespec now = time_of(s->daemon->config->snmp_config);

    if (now.tv_sec != s->file_time.tv_sec || now.tv_nsec != s->file_time.tv_nsec)
        read_sinks(s);
}

static void begin(struct server *s)
{
    const int r = memory_begin(&s->memory, &s->watch);

    if (r < 0)
        log_warning("%s cannot be written (%s): should the machine end by itself, that is not told",
                    s->memory.path, strerror(-r));
}

static void on_tick(void *userdata, int64_t now_ns)
{
    struct server *s = userdata;
    struct event event;

    watch_tick(&s->watch, now_ns);
    const bool tells_past = memory_tell_past(&s->memory, &s->watch, now_ns);
    take_events(s);
    if (tells_past)
        begin(s);
    while (limiter_next(&s->limiter, &event, now_ns))
        notify(s, &event);
    remember(s);
    check_file(s);
    loop_set_timer(s->tick, now_ns + tick_ns);
}

/* ----------------------------------------------------------------------------- lifetime */

static int open_backlog(struct server *s)
{
    char path[PATH_MAX], error[BACKLOG_ERROR_MAX] = "";

    snprintf(path, sizeof path, "%s/backlog", s->daemon->state_dir);
    const int r = backlog_open(path, &s->backlog, error);
    if (r < 0)
        log_error("the backlog cannot be opened: %s", error);
    if (r > 0)
        log_warning("the backlog was damaged, and begins anew; the old one is %s.damaged: %s", path, error);
    return MIN(r, 0);
}

static int open_sinks(struct server *s)
{
    return sinks_new(s->daemon->loop, s->backlog, &s->memory.engine_id, s->memory.boots,
                     &s->daemon->config->snmp_base, publish_soon, s, &s->sinks);
}

/* What this node told before, and what has become of it since. */
static int open_memory(struct server *s)
{
    const int r =
        memory_open(s->daemon->state_dir, s->daemon->config->cluster, s->daemon->node, &s->memory, &s->watch);

    if (r < 0)
        log_error("the state in %s cannot be read or written: %s", s->daemon->state_dir, strerror(-r));
    const struct config *config = s->daemon->config;
    if (config->self >= 0)
        text_copy(s->watch.peer, sizeof s->watch.peer, config->nodes[!config->self].name);
    return r;
}

static void on_end(void *userdata)
{
    struct server *s = userdata;

    take_events(s);
    memory_write(&s->memory, &s->watch, true);
    /* While the loop is there. */
    tables_child_free(s->tables);
    sinks_free(s->sinks);
}

static int open_parts(struct server *s)
{
    int r = sodium_init() < 0 ? -ENOSYS : open_memory(s);

    if (r == 0)
        r = open_backlog(s);
    if (r == 0)
        r = open_sinks(s);
    if (r == 0)
        r = loop_add_timer(s->daemon->loop, on_tick, s, &s->tick);
    if (r == 0)
        r = loop_add_timer(s->daemon->loop, on_publish, s, &s->publish);
    if (r == 0)
        r = loop_add_signal(s->daemon->loop, SIGHUP, on_hangup, s);
    if (r == 0)
        r = subscribe(s);
    if (r == 0 && s->daemon->config->snmp_agentx[0] != '\0')
        r = tables_child_start(s->daemon, &s->tables);
    return r;
}

/* What waits for the sinks is on the disk. The tables list channels, services and sets, in the order of the
 * configuration. */
static int reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct server *s = userdata;
    const struct config *now = s->daemon->config;
    const bool lists_same =
        !s->tables || (config_channels_equal(before, now) && config_services_equal(before, now) &&
                       config_syncs_equal(before, now));

    return daemon_reload_again(s->daemon, lists_same && config_snmp_equal(before, now), text, size);
}

int server_open(struct daemon *daemon, struct server **server)
{
    struct server *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->daemon = daemon;
    *server = s;
    const int r = open_parts(s);
    if (r < 0)
        return r;
    daemon->on_end = on_end;
    daemon->reload = (struct daemon_reload){.apply = reload, .userdata = s};
    daemon->stop_userdata = s;
    if (daemon->config->snmp_config[0] != '\0')
        read_sinks(s);
    else
        log_notice("no snmp section is configured: there is nothing to do");
    take_events(s);
    if (!s->memory.past_untold)
        begin(s);
    loop_set_timer(s->tick, clock_now_ns() + tick_ns);
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    backlog_close(s->backlog);
    free(s);
}
