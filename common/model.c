#include "common/model.h"

#include <stdlib.h>
#include <string.h>

#include "common/changes.h"

const char *const model_daemons[MODEL_DAEMONS + 1] = {
    "heartbeatd", "arbiterd", "takeoverd", "superviserd", "syncd", "trapd", "monitord", "witnessd", NULL};

void model_clear(struct model *model)
{
    for (size_t i = 0; i < model->topic_count; i++)
        free(model->topics[i].body);
    *model = (struct model){0};
}

static const struct model_topic *find(const struct model *model, const struct message_type *type,
                                      const char *name)
{
    for (size_t i = 0; i < model->topic_count; i++)
        if (model->topics[i].type == type && strcmp(model->topics[i].name, name ? name : "") == 0)
            return &model->topics[i];
    return NULL;
}

static struct model_topic *find_or_add(struct model *model, const struct message_type *type, const char *name)
{
    struct model_topic *topic = (struct model_topic *)find(model, type, name);

    if (topic)
        return topic;
    void *body = model->topic_count < MODEL_TOPICS_MAX ? calloc(1, type->record->size) : NULL;
    if (!body) {
        model->refused++;
        return NULL;
    }
    topic = &model->topics[model->topic_count++];
    *topic = (struct model_topic){.type = type, .body = body};
    text_copy(topic->name, sizeof topic->name, name ? name : "");
    return topic;
}

void model_expect(struct model *model, const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++)
        find_or_add(model, &link_type, config->channels[i].name);
    for (size_t i = 0; i < config->service_count; i++)
        find_or_add(model, &service_type, config->services[i].name);
    for (size_t i = 0; i < config->hook_count; i++)
        find_or_add(model, &hook_command_type, config->hooks[i].name);
    for (size_t i = 0; i < config->sync_count; i++)
        find_or_add(model, &data_set_type, config->syncs[i].name);
    model->has_sync = config->sync_count > 0;
    model->has_snmp = config->snmp_config[0] != '\0';
    model->has_monitor = config_has_monitor(config);
    model->has_witness = config_has_witness(config);
}

static void note_sender(struct model *model, const struct envelope *envelope, int64_t now_ns)
{
    text_copy(model->node, sizeof model->node, envelope->node);
    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        if (strcmp(model_daemons[i], envelope->from) == 0)
            model->heard_ns[i] = now_ns;
}

bool model_take(struct model *model, const struct message_type *type, const char *name,
                const struct envelope *envelope, const void *body, int64_t now_ns)
{
    note_sender(model, envelope, now_ns);
    /* A channel is listed by its adapter; one whose adapter nobody tells of is listed as well. */
    if (type == &address_channel_type)
        find_or_add(model, &link_type, name);

    struct model_topic *topic = find_or_add(model, type, name);
    if (!topic)
        return false;
    const bool news = changes_any(type->record, topic->heard_ns ? topic->body : NULL, body);
    memcpy(topic->body, body, type->record->size);
    topic->heard_ns = now_ns;
    return news;
}

static bool is_fresh(int64_t heard_ns, int64_t now_ns)
{
    return heard_ns != 0 && now_ns - heard_ns < MODEL_STALE_NS;
}

const void *model_get(const struct model *model, const struct message_type *type, const char *name,
                      int64_t now_ns)
{
    const struct model_topic *topic = find(model, type, name);

    return topic && is_fresh(topic->heard_ns, now_ns) ? topic->body : NULL;
}

const struct model_topic *model_next(const struct model *model, const struct message_type *type, bool stale,
                                     int64_t now_ns, size_t *at)
{
    while (*at < model->topic_count) {
        const struct model_topic *topic = &model->topics[(*at)++];
        if (topic->type == type && (stale || is_fresh(topic->heard_ns, now_ns)))
            return topic;
    }
    return NULL;
}

bool model_wants(const struct model *model, size_t daemon)
{
    return (daemon != MODEL_SYNCD || model->has_sync) && (daemon != MODEL_TRAPD || model->has_snmp) &&
           (daemon != MODEL_MONITORD || model->has_monitor) &&
           (daemon != MODEL_WITNESSD || model->has_witness);
}

bool model_runs(const struct model *model, size_t daemon, int64_t now_ns)
{
    return is_fresh(model->heard_ns[daemon], now_ns);
}

bool model_peer_ready(const struct peer_message *peer)
{
    return peer->alive && peer->linked && !peer->unfit && peer->whole;
}

static size_t daemons_running(const struct model *model, int64_t now_ns)
{
    size_t count = 0;

    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        count += model_runs(model, i, now_ns);
    return count;
}

static bool is_any_missing(const struct model *model, int64_t now_ns)
{
    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        if (model_wants(model, i) && !model_runs(model, i, now_ns))
            return true;
    return false;
}

static bool is_any_alarm(const struct model *model, int64_t now_ns)
{
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(model, &alarm_type, false, now_ns, &at));)
        if (((const struct alarm_message *)topic->body)->active)
            return true;
    return false;
}

/* While arbiterd restarts, the addresses that its lease keeps up tell that somebody serves. */
static bool is_somebody_active(const struct model *model, const struct role_message *role, int64_t now_ns)
{
    const struct peer_message *peer = model_get(model, &peer_type, NULL, now_ns);
    const struct address_message *address = model_get(model, &address_type, NULL, now_ns);

    if (role ? role->role == ROLE_ACTIVE : address && address->state == HOLD_STATE_HOLDING)
        return true;
    return peer && peer->alive && peer->role == ROLE_ACTIVE;
}

enum health model_health(const struct model *model, int64_t now_ns)
{
    const struct role_message *role = model_get(model, &role_type, NULL, now_ns);
    const size_t running = daemons_running(model, now_ns);

    if (running == 0)
        return HEALTH_UNKNOWN;
    if (!is_somebody_active(model, role, now_ns))
        return HEALTH_DOWN;
    const bool good = !is_any_missing(model, now_ns) && role && role->ready && !is_any_alarm(model, now_ns);
    return good ? HEALTH_GOOD : HEALTH_DEGRADED;
}
