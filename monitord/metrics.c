#include "monitord/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sheet {
    const struct model *model;
    const char *cluster;
    int64_t now_ns;
    char *text;
    size_t size, used;
    bool full;
};

PRINTF_LIKE(2, 3) static void put(struct sheet *sheet, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int n = vsnprintf(sheet->text + sheet->used, sheet->size - sheet->used, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sheet->size - sheet->used)
        sheet->full = true;
    else
        sheet->used += (size_t)n;
}

/* ---- one family of samples for each row */

enum kind {
    GAUGE,   /* the field times `scale`; a bool is 0 or 1 */
    COUNTER, /* the same, of what only grows */
    AGE,     /* seconds since the point in time that the field has; left out while there is none */
    LEFT,    /* seconds until it; 0 when it is over or there is none */
    STATE,   /* an enum: one sample a value, with the label `state` */
};

struct family {
    const char *name;
    enum kind kind;
    const struct message_type *type;
    const char *field;
    const char *label, *second; /* for NAME of area/NAME, and for a text field of that name; or NULL */
    double scale;
    const char *help;
};

#define SECONDS_OF_US 1e-6
#define SECONDS_OF_MS 1e-3
#define RATIO 1e-3

/* Sorted by what they tell of. */
static const struct family families[] = {
    {"duet_role", STATE, &role_type, "role", NULL, NULL, 1, "The role of this node."},
    {"duet_phase", STATE, &role_type, "phase", NULL, NULL, 1, "Where this node is in the state machine."},
    {"duet_phase_age_seconds", AGE, &role_type, "since_ns", NULL, NULL, 1,
     "Time since the last change of phase."},
    {"duet_epoch", GAUGE, &role_type, "epoch", NULL, NULL, 1,
     "The epoch: it grows with every claim of the active role."},
    {"duet_lease_remaining_seconds", LEFT, &role_type, "lease_ns", NULL, NULL, 1,
     "What is left of the right to hold the active addresses."},
    {"duet_fit", GAUGE, &role_type, "fit", NULL, NULL, 1, "Whether this node is fit to be offered the role."},
    {"duet_held", GAUGE, &role_type, "held", NULL, NULL, 1, "Whether the pair is held for maintenance."},
    {"duet_ready", GAUGE, &role_type, "ready", NULL, NULL, 1,
     "Whether a failover would go without surprises."},
    {"duet_data_whole", GAUGE, &role_type, "whole", NULL, NULL, 1, "Whether the data of this node is whole."},
    {"duet_reboot_wanted", GAUGE, &role_type, "reboot", NULL, NULL, 1, "Whether this node is to restart."},

    {"duet_peer_alive", GAUGE, &peer_type, "alive", NULL, NULL, 1, "Whether the peer is heard on some path."},
    {"duet_peer_linked", GAUGE, &peer_type, "linked", NULL, NULL, 1, "Whether both nodes hear each other."},
    {"duet_peer_role", STATE, &peer_type, "role", NULL, NULL, 1, "The role that the peer last showed."},
    {"duet_peer_epoch", GAUGE, &peer_type, "epoch", NULL, NULL, 1, "The epoch that the peer last showed."},
    {"duet_peer_unfit", GAUGE, &peer_type, "unfit", NULL, NULL, 1, "Whether the peer gave up for a fault."},
    {"duet_peer_heard_age_seconds", AGE, &peer_type, "heard_ns", NULL, NULL, 1,
     "Time since the last heartbeat of the peer."},
    {"duet_peer_lateness_seconds", GAUGE, &peer_type, "late_us", NULL, NULL, SECONDS_OF_US,
     "The longest delay of a timer in the peer's heartbeatd of late."},

    {"duet_path_state", STATE, &path_type, "state", "path", NULL, 1, "A way on which heartbeats travel."},
    {"duet_path_round_trip_seconds", GAUGE, &path_type, "rtt_us", "path", NULL, SECONDS_OF_US,
     "Round trip of heartbeats, smoothed."},
    {"duet_path_loss_ratio", GAUGE, &path_type, "loss_permille", "path", NULL, RATIO,
     "Of the last 64 heartbeats expected, those lost."},
    {"duet_path_heartbeats_sent_total", COUNTER, &path_type, "sent", "path", NULL, 1, "Heartbeats sent."},
    {"duet_path_heartbeats_received_total", COUNTER, &path_type, "received", "path", NULL, 1,
     "Heartbeats accepted."},
    {"duet_path_unopened_total", COUNTER, &path_type, "unopened", "path", NULL, 1,
     "Datagrams that did not open."},
    {"duet_path_foreign_total", COUNTER, &path_type, "foreign", "path", NULL, 1,
     "Datagrams of another cluster."},
    {"duet_path_replayed_total", COUNTER, &path_type, "replayed", "path", NULL, 1, "Datagrams heard before."},
    {"duet_path_send_errors_total", COUNTER, &path_type, "send_errors", "path", NULL, 1,
     "Sends that the kernel refused."},

    {"duet_channel_usable", GAUGE, &link_type, "usable", "channel", "device", 1, "Whether a channel works."},
    {"duet_channel_carrier", GAUGE, &link_type, "carrier", "channel", "device", 1,
     "Whether its adapter has carrier."},
    {"duet_channel_addresses_missing", GAUGE, &address_channel_type, "missing", "channel", "device", 1,
     "Addresses that this role wants there, and that are not there."},
    {"duet_router_answering", GAUGE, &router_type, "answering", "router", "channel", 1,
     "Whether a router answers."},
    {"duet_router_missed_requests", GAUGE, &router_type, "missed", "router", "channel", 1,
     "Requests in a row without an answer."},
    {"duet_search_state", STATE, &search_type, "state", "channel", NULL, 1,
     "The search for the active addresses."},

    {"duet_address_state", STATE, &address_type, "state", NULL, NULL, 1,
     "Whether this node holds the active addresses."},
    {"duet_addresses_held", GAUGE, &address_type, "held", NULL, NULL, 1,
     "Active addresses that the kernel has."},

    {"duet_service_state", STATE, &service_type, "state", "service", NULL, 1, "A guarded daemon."},
    {"duet_service_restarts_total", COUNTER, &service_type, "restarts", "service", NULL, 1,
     "Restarts since it was last started on purpose."},
    {"duet_service_state_age_seconds", AGE, &service_type, "since_ns", "service", NULL, 1,
     "Time in this state."},
    {"duet_hook_state", STATE, &hook_command_type, "state", "hook", NULL, 1,
     "A command run because the role changes."},
    {"duet_hook_last_run_seconds", GAUGE, &hook_command_type, "took_ms", "hook", NULL, SECONDS_OF_MS,
     "How long its last run took."},
    {"duet_watchdog_state", STATE, &watchdog_type, "state", NULL, NULL, 1, "The hardware watchdog."},
    {"duet_watchdog_starving_seconds", AGE, &watchdog_type, "starving_since_ns", NULL, NULL, 1,
     "Time since it should have been fed."},
    {"duet_reboot_state", STATE, &reboot_type, "state", NULL, NULL, 1, "The restart of this node."},

    {"duet_sync_state", STATE, &data_type, "state", NULL, NULL, 1,
     "The data of the pair, the worst of the sets."},
    {"duet_sync_connected", GAUGE, &data_type, "connected", NULL, NULL, 1,
     "Whether both nodes' syncd are connected."},
    {"duet_sync_behind_files", GAUGE, &data_type, "behind_files", NULL, NULL, 1,
     "Changes that the passive node does not have yet."},
    {"duet_sync_behind_bytes", GAUGE, &data_type, "behind_bytes", NULL, NULL, 1, "Their size."},
    {"duet_sync_lag_seconds", AGE, &data_type, "behind_since_ns", NULL, NULL, 1,
     "Since when the oldest of them waits; absent: nothing waits."},
    {"duet_sync_kept_aside_total", COUNTER, &data_type, "conflicts", NULL, NULL, 1,
     "Entries kept aside since the start."},
    {"duet_sync_set_state", STATE, &data_set_type, "state", "set", NULL, 1, "A set of files, or a database."},
    {"duet_sync_set_behind_files", GAUGE, &data_set_type, "behind_files", "set", NULL, 1,
     "Its changes that the passive node does not have yet."},
    {"duet_sync_set_behind_bytes", GAUGE, &data_set_type, "behind_bytes", "set", NULL, 1, "Their size."},
    {"duet_sync_set_lag_seconds", AGE, &data_set_type, "behind_since_ns", "set", NULL, 1,
     "Since when the oldest waits; absent: nothing waits."},
    {"duet_sync_set_generation", GAUGE, &data_set_type, "generation", "set", NULL, 1,
     "The generation that the passive node has."},

    {"duet_alarm", GAUGE, &alarm_type, "active", "alarm", NULL, 1,
     "Something that a person should know of is so now."},
    {"duet_trap_waiting", GAUGE, &trap_type, "waiting", NULL, NULL, 1,
     "SNMP notifications that some sink has not got yet."},

    {"duet_daemon_lateness_seconds", GAUGE, &daemon_type, "late_us_max", "daemon", NULL, SECONDS_OF_US,
     "The longest delay of a timer in the last ten seconds."},
    {"duet_daemon_age_seconds", AGE, &daemon_type, "started_ns", "daemon", NULL, 1, "Time since its start."},
    {"duet_daemon_dropped_messages_total", COUNTER, &daemon_type, "dropped", "daemon", NULL, 1,
     "Messages of the bus that did not fit their description."},

    {"duet_monitor_refused_connections_total", COUNTER, &monitor_type, "refused", NULL, NULL, 1,
     "Connections to the monitor without an admitted key."},
    {"duet_monitor_barred_total", COUNTER, &monitor_type, "barred", NULL, NULL, 1,
     "Times that a tool was shut out for a while."},
    {"duet_monitor_subscriptions", GAUGE, &monitor_type, "subscriptions", NULL, NULL, 1,
     "What tools have subscribed to."},
};

/* ---- samples */

static void put_escaped(struct sheet *sheet, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put(sheet, "\\n");
        else
            put(sheet, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
}

static void put_label(struct sheet *sheet, const char *name, const char *value)
{
    put(sheet, ",%s=\"", name);
    put_escaped(sheet, value);
    put(sheet, "\"");
}

static void put_head(struct sheet *sheet, const char *name, const char *type, const char *help)
{
    put(sheet, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct sheet *sheet, const char *name)
{
    put(sheet, "%s{cluster=\"", name);
    put_escaped(sheet, sheet->cluster);
    put(sheet, "\"");
    put_label(sheet, "node", sheet->model->node);
}

static const struct field *field_of(const struct message_type *type, const char *name)
{
    const struct field *field = type->record->fields;

    while (field->name && strcmp(field->name, name) != 0)
        field++;
    return field->name ? field : NULL;
}

static void put_topic_labels(struct sheet *sheet, const struct family *family,
                             const struct model_topic *topic)
{
    const struct field *second = family->second ? field_of(family->type, family->second) : NULL;

    if (family->label)
        put_label(sheet, family->label, topic->name);
    if (second)
        put_label(sheet, second->name, (const char *)topic->body + second->offset);
}

static void put_states(struct sheet *sheet, const struct family *family, const struct field *field,
                       const struct model_topic *topic)
{
    unsigned now;

    memcpy(&now, (const char *)topic->body + field->offset, sizeof now);
    for (size_t i = 0; i < field->size; i++) {
        put_name(sheet, family->name);
        put_topic_labels(sheet, family, topic);
        put_label(sheet, "state", field->names[i]);
        put(sheet, "} %d\n", now == i);
    }
}

static int64_t value_of(const struct field *field, const struct model_topic *topic)
{
    bool yes;
    int64_t value;

    if (field->kind == FIELD_BOOL) {
        memcpy(&yes, (const char *)topic->body + field->offset, sizeof yes);
        return yes;
    }
    memcpy(&value, (const char *)topic->body + field->offset, sizeof value);
    return value;
}

static void put_number(struct sheet *sheet, const struct family *family, const struct field *field,
                       const struct model_topic *topic)
{
    const int64_t value = value_of(field, topic),
                  ns = family->kind == AGE ? sheet->now_ns - value : value - sheet->now_ns;

    if (family->kind == AGE && value == 0)
        return;
    put_name(sheet, family->name);
    put_topic_labels(sheet, family, topic);
    if (family->kind == AGE || family->kind == LEFT)
        put(sheet, "} %.6f\n", (double)MAX(ns, 0) / 1e9);
    else if (family->scale < 1)
        put(sheet, "} %.6f\n", (double)value * family->scale);
    else
        put(sheet, "} %" PRId64 "\n", value);
}

static void put_family(struct sheet *sheet, const struct family *family)
{
    const struct field *field = field_of(family->type, family->field);
    const struct model_topic *topic;

    if (!field)
        return;
    put_head(sheet, family->name, family->kind == COUNTER ? "counter" : "gauge", family->help);
    for (size_t at = 0; (topic = model_next(sheet->model, family->type, false, sheet->now_ns, &at));) {
        if (family->kind == STATE)
            put_states(sheet, family, field, topic);
        else
            put_number(sheet, family, field, topic);
    }
}

/* ---- what follows from several topics */

static void put_health(struct sheet *sheet)
{
    static const char *const names[] = {"healthy", "degraded", "down", "unknown"};
    const enum health health = model_health(sheet->model, sheet->now_ns);

    put_head(sheet, "duet_health", "gauge",
             "The health of the pair, as this node sees it; what duet status exits with.");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        put_name(sheet, "duet_health");
        put_label(sheet, "state", names[i]);
        put(sheet, "} %d\n", (size_t)health == i);
    }
}

static void put_daemons(struct sheet *sheet)
{
    put_head(sheet, "duet_daemon_up", "gauge", "Whether a daemon that should run is heard.");
    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        if (!model_wants(sheet->model, i))
            continue;
        put_name(sheet, "duet_daemon_up");
        put_label(sheet, "daemon", model_daemons[i]);
        put(sheet, "} %d\n", model_runs(sheet->model, i, sheet->now_ns));
    }
}

static void put_version(struct sheet *sheet)
{
    const struct daemon_message *pulse = model_get(sheet->model, &daemon_type, "monitord", sheet->now_ns);

    put_head(sheet, "duet_build_info", "gauge", "The version of duet, as a label.");
    if (!pulse)
        return;
    put_name(sheet, "duet_build_info");
    put_label(sheet, "version", pulse->version);
    put(sheet, "} 1\n");
}

int metrics_print(const struct model *model, const char *cluster, int64_t now_ns, char *text, size_t size)
{
    struct sheet sheet = {.model = model, .cluster = cluster, .now_ns = now_ns, .text = text, .size = size};

    put_version(&sheet);
    put_health(&sheet);
    for (size_t i = 0; i < ARRAY_LENGTH(families); i++)
        put_family(&sheet, &families[i]);
    put_daemons(&sheet);
    return sheet.full ? -ENOBUFS : (int)sheet.used;
}
