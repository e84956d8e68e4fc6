#include "cli/status_json.h"

#include <jansson.h>
#include <string.h>

#include "cli/sync_json.h"
#include "common/clock.h"

struct view {
    const struct model *model;
    int64_t now_ns;
};

static json_t *moment(int64_t boottime_ns)
{
    char text[CLOCK_UTC_MAX];

    if (boottime_ns == 0)
        return json_null();
    clock_utc(boottime_ns, text);
    return json_string(text);
}

/* "a; b" as ["a", "b"]. */
static json_t *split_reasons(const char *text)
{
    json_t *list = json_array();

    while (*text) {
        const char *end = strstr(text, "; ");
        const size_t length = end ? (size_t)(end - text) : strlen(text);
        json_array_append_new(list, json_stringn(text, length));
        text += length + (end ? 2 : 0);
    }
    return list;
}

static void put_role(json_t *status, const struct role_message *role)
{
    json_object_set_new(status, "role", role ? json_string(role_names[role->role]) : json_null());
    json_object_set_new(status, "phase", role ? json_string(phase_names[role->phase]) : json_null());
    json_object_set_new(status, "epoch", role ? json_integer(role->epoch) : json_null());
    json_object_set_new(status, "since", role ? moment(role->since_ns) : json_null());
    json_object_set_new(status, "reason", role ? json_string(role->reason) : json_null());
    json_object_set_new(status, "fit", json_boolean(role && role->fit));
    json_object_set_new(status, "held", json_boolean(role && role->held));
    json_object_set_new(status, "ready", json_boolean(role && role->ready));
    json_object_set_new(status, "not_ready",
                        role ? split_reasons(role->not_ready) : json_pack("[s]", "arbiterd does not answer"));
}

static json_t *peer_of(const struct view *view)
{
    const struct peer_message *peer = model_get(view->model, &peer_type, NULL, view->now_ns);
    const bool heard = peer && peer->heard_ns != 0;
    json_t *object = json_object();

    json_object_set_new(object, "node", peer ? json_string(peer->name) : json_null());
    json_object_set_new(object, "alive", json_boolean(peer && peer->alive));
    json_object_set_new(object, "role", heard ? json_string(role_names[peer->role]) : json_null());
    json_object_set_new(object, "phase", heard ? json_string(phase_names[peer->phase]) : json_null());
    json_object_set_new(object, "epoch", heard ? json_integer(peer->epoch) : json_null());
    json_object_set_new(object, "fit", json_boolean(heard && !peer->unfit));
    json_object_set_new(object, "ready", json_boolean(heard && model_peer_ready(peer)));
    json_object_set_new(object, "last_heard_ms",
                        heard ? json_integer(MAX(view->now_ns - peer->heard_ns, 0) / NS_PER_MS)
                              : json_null());
    return object;
}

/* The list of what `row` makes of each topic of `type`. */
typedef json_t *row_function(const struct view *view, const struct model_topic *topic);

static json_t *list_of(const struct view *view, const struct message_type *type, bool stale,
                       row_function *row)
{
    json_t *list = json_array();
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(view->model, type, stale, view->now_ns, &at));) {
        json_t *object = row(view, topic);
        if (object)
            json_array_append_new(list, object);
    }
    return list;
}

static json_t *path_row(const struct view *view, const struct model_topic *topic)
{
    const struct path_message *path = topic->body;

    (void)view;
    return json_pack("{s:s s:s s:b s:I s:f}", "name", topic->name, "state", path_state_names[path->state],
                     "udp", (int)path->udp, "rtt_us", (json_int_t)path->rtt_us, "loss",
                     (double)path->loss_permille / 10);
}

static json_t *addresses_of(const struct address_channel_message *addresses)
{
    json_t *list = json_array();

    for (size_t i = 0; addresses && i < addresses->addresses_count; i++)
        json_array_append_new(list, json_pack("{s:s s:b}", "address", addresses->addresses[i].address, "held",
                                              addresses->addresses[i].held));
    return list;
}

static json_t *routers_of(const struct view *view, const char *channel)
{
    json_t *list = json_array();
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(view->model, &router_type, false, view->now_ns, &at));) {
        const struct router_message *router = topic->body;
        if (strcmp(router->channel, channel) == 0)
            json_array_append_new(list, json_pack("{s:s s:b s:I}", "address", router->address, "answering",
                                                  router->answering, "missed", (json_int_t)router->missed));
    }
    return list;
}

static json_t *channel_row(const struct view *view, const struct model_topic *topic)
{
    const struct link_message *link = model_get(view->model, &link_type, topic->name, view->now_ns);
    const struct address_channel_message *addresses =
        model_get(view->model, &address_channel_type, topic->name, view->now_ns);

    if (!link && !addresses)
        return NULL;
    return json_pack("{s:s s:s s:b s:b s:o s:o}", "name", topic->name, "device",
                     link ? link->device : addresses->device, "carrier", link && link->carrier, "usable",
                     link && link->usable, "addresses", addresses_of(addresses), "routers",
                     routers_of(view, topic->name));
}

static json_t *service_row(const struct view *view, const struct model_topic *topic)
{
    const struct service_message *service = topic->body;

    (void)view;
    return json_pack("{s:s s:s s:I s:I}", "name", topic->name, "state", service_state_names[service->state],
                     "pid", (json_int_t)service->pid, "restarts", (json_int_t)service->restarts);
}

static json_t *hook_row(const struct view *view, const struct model_topic *topic)
{
    const struct hook_command_message *hook = topic->body;

    (void)view;
    return json_pack("{s:s s:s s:s s:I s:I s:s}", "name", topic->name, "event", hook_event_names[hook->event],
                     "state", hook_state_names[hook->state], "took_ms", (json_int_t)hook->took_ms, "epoch",
                     (json_int_t)hook->epoch, "text", hook->text);
}

static json_t *alarm_row(const struct view *view, const struct model_topic *topic)
{
    const struct alarm_message *alarm = topic->body;

    (void)view;
    if (!alarm->active)
        return NULL;
    return json_pack("{s:s s:s s:s}", "name", topic->name, "since", alarm->since, "text", alarm->text);
}

static json_t *daemons_of(const struct view *view)
{
    json_t *list = json_array();

    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        const struct daemon_message *pulse =
            model_get(view->model, &daemon_type, model_daemons[i], view->now_ns);
        const bool runs = model_runs(view->model, i, view->now_ns);
        if (!runs && !model_wants(view->model, i))
            continue;
        json_array_append_new(list, json_pack("{s:s s:s s:I s:I}", "name", model_daemons[i], "state",
                                              runs ? "running" : "missing", "pid",
                                              (json_int_t)(pulse ? pulse->pid : 0), "late_us_max",
                                              (json_int_t)(pulse ? pulse->late_us_max : 0)));
    }
    return list;
}

/* A superviserd that does not answer has not said that it is off. */
static json_t *reboot_of(const struct view *view)
{
    const struct reboot_message *reboot = model_get(view->model, &reboot_type, NULL, view->now_ns);
    const int64_t left_ns = reboot && reboot->until_ns > 0 ? MAX(reboot->until_ns - view->now_ns, 0) : 0;

    return json_pack("{s:s? s:s s:I s:I s:s}", "state", reboot ? reboot_state_names[reboot->state] : NULL,
                     "reason", reboot ? reboot->reason : "", "row", (json_int_t)(reboot ? reboot->row : 0),
                     "left_ms", (json_int_t)(left_ns / NS_PER_MS), "error", reboot ? reboot->error : "");
}

static json_t *watchdog_of(const struct view *view)
{
    const struct watchdog_message *watchdog = model_get(view->model, &watchdog_type, NULL, view->now_ns);

    return json_pack("{s:s s:s? s:I}", "device", watchdog ? watchdog->device : "", "state",
                     watchdog ? watchdog_state_names[watchdog->state] : NULL, "timeout_ms",
                     (json_int_t)(watchdog ? watchdog->timeout_ms : 0));
}

char *status_json(const struct model *model, const char *cluster, int64_t now_ns, bool pretty)
{
    const struct view view = {model, now_ns};
    json_t *status = json_pack("{s:s s:s}", "cluster", cluster, "node", model->node);

    if (!status)
        return NULL;
    put_role(status, model_get(model, &role_type, NULL, now_ns));
    json_object_set_new(status, "peer", peer_of(&view));
    json_object_set_new(status, "paths", list_of(&view, &path_type, false, path_row));
    json_object_set_new(status, "channels", list_of(&view, &link_type, true, channel_row));
    json_object_set_new(status, "services", list_of(&view, &service_type, false, service_row));
    json_object_set_new(status, "hooks", list_of(&view, &hook_command_type, false, hook_row));
    json_object_set_new(status, "sync", sync_json(model, now_ns));
    json_object_set_new(status, "watchdog", watchdog_of(&view));
    json_object_set_new(status, "reboot", reboot_of(&view));
    json_object_set_new(status, "daemons", daemons_of(&view));
    json_object_set_new(status, "alarms", list_of(&view, &alarm_type, false, alarm_row));
    char *text = json_dumps(status, pretty ? JSON_INDENT(2) | JSON_REAL_PRECISION(6)
                                           : JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(status);
    return text;
}
