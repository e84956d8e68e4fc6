#include "trapd/view.h"

#include <stdlib.h>
#include <string.h>

#include "trapd/moment.h"

/* ---- identifiers */

static int compare_arcs(const uint32_t *a, size_t a_length, const uint32_t *b, size_t b_length)
{
    for (size_t i = 0; i < a_length && i < b_length; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return (a_length > b_length) - (a_length < b_length);
}

static int compare_cells(const void *a, const void *b)
{
    const struct view_cell *one = *(const struct view_cell *const *)a;
    const struct view_cell *other = *(const struct view_cell *const *)b;

    return compare_arcs(one->arcs, one->length, other->arcs, other->length);
}

/* The index in `order` of the first value that is not before `arcs`. */
static size_t first_from(const struct view *view, const uint32_t *arcs, size_t length)
{
    size_t low = 0, high = view->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct view_cell *cell = view->order[middle];
        if (compare_arcs(cell->arcs, cell->length, arcs, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct view_cell *view_at(const struct view *view, const uint32_t *arcs, size_t length)
{
    const size_t at = first_from(view, arcs, length);
    const struct view_cell *cell = at < view->count ? view->order[at] : NULL;

    return cell && compare_arcs(cell->arcs, cell->length, arcs, length) == 0 ? cell : NULL;
}

const struct view_cell *view_after(const struct view *view, const uint32_t *arcs, size_t length, bool or_at)
{
    size_t at = first_from(view, arcs, length);

    if (!or_at && at < view->count &&
        compare_arcs(view->order[at]->arcs, view->order[at]->length, arcs, length) == 0)
        at++;
    return at < view->count ? view->order[at] : NULL;
}

/* ---- values */

/* One making of the list. */
struct making {
    struct view *view;
    const struct view_source *source;
    const char *channel, *name; /* the row: its index, in which `channel` comes first and can be NULL; or
                                   neither, for a scalar */
};

static size_t add_text(uint32_t *arcs, size_t length, const char *text)
{
    while (*text && length < VIEW_ARCS_MAX)
        arcs[length++] = (uint8_t)*text++;
    return length;
}

/* The instance after the object's own arcs. A name that is last in an index stands there as it is (IMPLIED),
 * one before another begins with its length (RFC 2578, 7.7). */
static void add_instance(struct view_cell *cell, const struct making *making)
{
    if (!making->name) {
        cell->arcs[cell->length++] = 0;
        return;
    }
    if (making->channel) {
        cell->arcs[cell->length++] = (uint32_t)strlen(making->channel);
        cell->length = add_text(cell->arcs, cell->length, making->channel);
    }
    cell->length = add_text(cell->arcs, cell->length, making->name);
}

/* NULL if the list is full. */
static struct view_cell *add_cell(struct making *making, enum mib_object object)
{
    const struct mib_node *node = &mib_objects[object];
    struct view *view = making->view;

    if (view->count == VIEW_CELLS_MAX) {
        view->refused++;
        return NULL;
    }
    struct view_cell *cell = &view->cells[view->count];
    view->order[view->count++] = cell;
    cell->kind = node->kind;
    cell->number = 0;
    cell->octet_count = 0;
    cell->length = node->length;
    memcpy(cell->arcs, node->arcs, node->length * sizeof *node->arcs);
    add_instance(cell, making);
    return cell;
}

/* Counters wrap, as those of SNMP do; all else that does not fit is as much as fits (RFC 2578, 7.1.6
 * and 7.1.7). */
static void put_number(struct making *making, enum mib_object object, int64_t number)
{
    struct view_cell *cell = add_cell(making, object);

    if (!cell)
        return;
    if (cell->kind == MIB_KIND_COUNTER)
        cell->number = (uint32_t)((uint64_t)number & UINT32_MAX);
    else
        cell->number = (uint32_t)MIN(MAX(number, 0), (int64_t)UINT32_MAX);
}

/* TruthValue (RFC 2579). */
static void put_truth(struct making *making, enum mib_object object, bool truth)
{
    put_number(making, object, truth ? 1 : 2);
}

/* Enumerations of the MIB begin with unknown(1), and go on as those of the bus do; test_view proves it. */
static void put_enum(struct making *making, enum mib_object object, bool known, int value)
{
    put_number(making, object, known ? value + 2 : 1);
}

/* A text that is too long ends before a character that does not fit as a whole. */
static void put_text(struct making *making, enum mib_object object, const char *text)
{
    struct view_cell *cell = add_cell(making, object);
    size_t length = strlen(text);

    if (!cell)
        return;
    if (length > VIEW_OCTETS_MAX) {
        length = VIEW_OCTETS_MAX;
        while (length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(cell->octets, text, length);
    cell->octet_count = length;
}

static void put_moment(struct making *making, enum mib_object object, int64_t at_ns)
{
    struct view_cell *cell = add_cell(making, object);

    if (!cell || at_ns == 0)
        return;
    moment_octets(at_ns + making->source->wall_offset_ns, cell->octets);
    cell->octet_count = MOMENT_OCTETS;
}

/* ---- scalars */

static const void *get(const struct making *making, const struct message_type *type)
{
    return model_get(making->source->model, type, NULL, making->source->now_ns);
}

static int health_value(enum health health)
{
    switch (health) {
    case HEALTH_GOOD:
        return MIB_VALUE_HEALTH_GOOD;
    case HEALTH_DEGRADED:
        return MIB_VALUE_HEALTH_DEGRADED;
    case HEALTH_DOWN:
        return MIB_VALUE_HEALTH_DOWN;
    case HEALTH_UNKNOWN:
        break;
    }
    return MIB_VALUE_HEALTH_UNKNOWN;
}

static void put_role(struct making *making)
{
    static const struct role_message silent = {.not_ready = "arbiterd does not answer"};
    const struct role_message *told = get(making, &role_type), *role = told ? told : &silent;

    put_enum(making, MIB_NODE_ROLE, told, role->role);
    put_enum(making, MIB_NODE_PHASE, told, role->phase);
    put_number(making, MIB_NODE_EPOCH, role->epoch);
    put_moment(making, MIB_NODE_SINCE, role->since_ns);
    put_text(making, MIB_NODE_REASON, role->reason);
    put_truth(making, MIB_NODE_FIT, role->fit);
    put_truth(making, MIB_NODE_HELD, role->held);
    put_truth(making, MIB_NODE_READY, role->ready);
    put_text(making, MIB_NODE_NOT_READY_TEXT, role->not_ready);
}

static void put_node(struct making *making)
{
    const struct view_source *source = making->source;
    const struct data_message *data = get(making, &data_type);
    const struct watchdog_message *watchdog = get(making, &watchdog_type);
    const struct reboot_message *reboot = get(making, &reboot_type);
    const enum sync_state silent = source->model->has_sync ? SYNC_STATE_DISCONNECTED : SYNC_STATE_OFF;

    put_text(making, MIB_NODE_CLUSTER, source->cluster);
    put_text(making, MIB_NODE_NAME, source->node);
    put_number(making, MIB_NODE_HEALTH, health_value(model_health(source->model, source->now_ns)));
    put_role(making);
    put_enum(making, MIB_NODE_SYNC_STATE, true, data ? data->state : silent);
    put_enum(making, MIB_NODE_WATCHDOG_STATE, watchdog, watchdog ? watchdog->state : 0);
    put_enum(making, MIB_NODE_REBOOT_STATE, reboot, reboot ? reboot->state : 0);
    put_text(making, MIB_NODE_REBOOT_REASON, reboot ? reboot->reason : "");
}

static void put_peer(struct making *making)
{
    static const struct peer_message silent;
    const struct peer_message *told = get(making, &peer_type), *peer = told ? told : &silent;
    const bool heard = peer->heard_ns != 0;

    put_text(making, MIB_PEER_NAME, peer->name);
    put_truth(making, MIB_PEER_ALIVE, peer->alive);
    put_enum(making, MIB_PEER_ROLE, heard, peer->role);
    put_enum(making, MIB_PEER_PHASE, heard, peer->phase);
    put_number(making, MIB_PEER_EPOCH, peer->epoch);
    put_truth(making, MIB_PEER_FIT, heard && !peer->unfit);
    put_truth(making, MIB_PEER_READY, heard && model_peer_ready(peer));
    put_number(making, MIB_PEER_LAST_HEARD,
               heard ? MAX(making->source->now_ns - peer->heard_ns, 0) / NS_PER_MS : 0);
}

/* ---- rows: each function puts all columns of the row that `making` names */

typedef void row_function(struct making *making, const struct model_topic *topic);

static void put_path(struct making *making, const struct model_topic *topic)
{
    const struct path_message *path = topic->body;

    put_enum(making, MIB_PATH_STATE, true, path->state);
    put_number(making, MIB_PATH_ROUND_TRIP, path->rtt_us);
    put_number(making, MIB_PATH_LOSS, path->loss_permille);
    put_number(making, MIB_PATH_SENT, path->sent);
    put_number(making, MIB_PATH_RECEIVED, path->received);
}

/* A channel of which neither its adapter nor its addresses are told has no row. */
static void put_channel(struct making *making, const struct model_topic *topic)
{
    const struct view_source *source = making->source;
    const struct link_message *link = model_get(source->model, &link_type, topic->name, source->now_ns);
    const struct address_channel_message *addresses =
        model_get(source->model, &address_channel_type, topic->name, source->now_ns);

    if (!link && !addresses)
        return;
    put_text(making, MIB_CHANNEL_DEVICE, link ? link->device : addresses->device);
    put_truth(making, MIB_CHANNEL_CARRIER, link && link->carrier);
    put_truth(making, MIB_CHANNEL_USABLE, link && link->usable);
    put_text(making, MIB_CHANNEL_MAC, link ? link->mac : "");
}

static void put_addresses(struct making *making, const struct model_topic *topic)
{
    const struct address_channel_message *message = topic->body;

    making->channel = topic->name;
    for (size_t i = 0; i < message->addresses_count; i++) {
        making->name = message->addresses[i].address;
        put_truth(making, MIB_ADDRESS_ACTIVE, message->addresses[i].active);
        put_truth(making, MIB_ADDRESS_HELD, message->addresses[i].held);
    }
}

static void put_router(struct making *making, const struct model_topic *topic)
{
    const struct router_message *router = topic->body;

    making->channel = router->channel;
    making->name = router->address;
    put_truth(making, MIB_ROUTER_ANSWERING, router->answering);
    put_number(making, MIB_ROUTER_MISSED, router->missed);
}

static void put_service(struct making *making, const struct model_topic *topic)
{
    const struct service_message *service = topic->body;

    put_enum(making, MIB_SERVICE_STATE, true, service->state);
    put_number(making, MIB_SERVICE_PID, service->pid);
    put_number(making, MIB_SERVICE_RESTARTS, service->restarts);
    put_moment(making, MIB_SERVICE_SINCE, service->since_ns);
    put_text(making, MIB_SERVICE_ON_FAILURE, service->on_failure);
    put_text(making, MIB_SERVICE_TEXT, service->text);
}

/* A set of a syncd that does not answer is disconnected for all that is known, as in `duet status`. */
static void put_set(struct making *making, const struct model_topic *topic)
{
    static const struct data_set_message silent = {.state = SYNC_STATE_DISCONNECTED,
                                                   .text = "syncd does not answer"};
    const int64_t now_ns = making->source->now_ns;
    const struct data_set_message *told =
        model_get(making->source->model, &data_set_type, topic->name, now_ns);
    const struct data_set_message *set = told ? told : &silent;
    const int64_t behind_ns = set->behind_since_ns > 0 ? MAX(now_ns - set->behind_since_ns, 0) : 0;

    put_enum(making, MIB_SYNC_STATE, true, set->state);
    put_truth(making, MIB_SYNC_WHOLE, set->whole);
    put_number(making, MIB_SYNC_EPOCH, set->epoch);
    put_number(making, MIB_SYNC_GENERATION, set->generation);
    put_number(making, MIB_SYNC_BEHIND_FILES, set->behind_files);
    put_number(making, MIB_SYNC_BEHIND_KBYTES, set->behind_bytes / 1024 + (set->behind_bytes % 1024 > 0));
    put_number(making, MIB_SYNC_BEHIND_TIME, behind_ns / NS_PER_S);
    put_number(making, MIB_SYNC_CONFLICTS, set->conflicts);
    put_truth(making, MIB_SYNC_REFUSED, set->refused);
    put_text(making, MIB_SYNC_TEXT, set->text);
}

static void put_alarm(struct making *making, const struct model_topic *topic)
{
    const struct alarm_message *alarm = topic->body;

    if (!alarm->active)
        return;
    put_moment(making, MIB_ALARM_SINCE, alarm->since_ns);
    put_text(making, MIB_ALARM_TEXT, alarm->text);
}

static void put_sink(struct making *making, const struct model_topic *topic)
{
    static const char *const kinds[] = {"", "SNMPv1 trap", "trap", "inform"};
    const struct trap_sink_message *sink = topic->body;

    put_text(making, MIB_SINK_DESTINATION, sink->address);
    put_text(making, MIB_SINK_KIND, kinds[sink->kind]);
    put_number(making, MIB_SINK_STATE,
               sink->waiting > 0 ? MIB_VALUE_SINK_STATE_WAITING : MIB_VALUE_SINK_STATE_READY);
    put_number(making, MIB_SINK_SENT, sink->sent);
    put_number(making, MIB_SINK_ACKNOWLEDGED, sink->acknowledged);
    put_number(making, MIB_SINK_WAITING, sink->waiting);
    put_number(making, MIB_SINK_DROPPED, sink->dropped);
}

static void put_rows(struct making *making, const struct message_type *type, bool stale, row_function *row)
{
    const struct model_topic *topic;

    for (size_t at = 0;
         (topic = model_next(making->source->model, type, stale, making->source->now_ns, &at));) {
        making->channel = NULL;
        making->name = topic->name;
        if (topic->name[0] != '\0')
            row(making, topic);
    }
}

static void put_daemons(struct making *making)
{
    const struct model *model = making->source->model;
    const int64_t now_ns = making->source->now_ns;

    making->channel = NULL;
    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        const struct daemon_message *pulse = model_get(model, &daemon_type, model_daemons[i], now_ns);
        const bool runs = model_runs(model, i, now_ns);
        if (!runs && !model_wants(model, i))
            continue;
        making->name = model_daemons[i];
        put_number(making, MIB_DAEMON_STATE,
                   runs ? MIB_VALUE_DAEMON_STATE_RUNNING : MIB_VALUE_DAEMON_STATE_MISSING);
        put_number(making, MIB_DAEMON_PID, pulse ? pulse->pid : 0);
        put_number(making, MIB_DAEMON_LATE_MAX, pulse ? pulse->late_us_max : 0);
    }
}

void view_make(struct view *view, const struct view_source *source)
{
    struct making making = {.view = view, .source = source};

    view->count = view->refused = 0;
    put_node(&making);
    put_peer(&making);
    put_rows(&making, &path_type, false, put_path);
    put_rows(&making, &link_type, true, put_channel);
    put_rows(&making, &address_channel_type, false, put_addresses);
    put_rows(&making, &router_type, false, put_router);
    put_rows(&making, &service_type, false, put_service);
    put_rows(&making, &data_set_type, true, put_set);
    put_rows(&making, &alarm_type, false, put_alarm);
    put_rows(&making, &trap_sink_type, false, put_sink);
    put_daemons(&making);
    qsort(view->order, view->count, sizeof view->order[0], compare_cells);
}
