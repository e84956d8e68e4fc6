#include <stdio.h>
#include <string.h>

#include "arbiterd/server.h"
#include "common/clock.h"

static int64_t count_guarded(const struct config *config)
{
    int64_t count = 0;

    for (size_t i = 0; i < config->service_count; i++)
        count += config->services[i].on_failure != FAULT_IGNORE;
    return count;
}

static void fill_exclusive(const struct config *config, struct arbiter_settings *set)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (config->services[i].exclusive) {
            set->exclusive = true;
            set->exclusive_stop = MAX(set->exclusive_stop, config->services[i].stop_timeout);
        }
}

static bool has_routers(const struct config *config)
{
    bool any = false;

    for (size_t i = 0; i < config->channel_count; i++)
        any = any || config->channels[i].routers.count > 0;
    return any;
}

void server_fill_settings(const struct config *config, struct arbiter_settings *set)
{
    const struct config_timers *t = &config->timers;
    const int self = config->self;

    *set = (struct arbiter_settings){
        .first_named = self == 0,
        .sorts_first = strcmp(config->nodes[self].name, config->nodes[!self].name) < 0,
        .reboot_on_network_fault = config->on_network_fault == FAULT_REBOOT,
        .services_guarded = count_guarded(config),
        .watchdog_required = config->watchdog.required,
        .sync_sets = (int64_t)config->sync_count,
        .witness = config_has_witness(config),
        .fence = config->fence.command.count > 0,
        .routers = has_routers(config),
        .channel_count = config->channel_count,
        .evidence_wait = 4 * t->router_interval_quick,
        .heartbeat_interval = t->heartbeat_interval,
        .takeover_after = t->takeover_after,
        .address_lease = t->address_lease,
        .isolation_after = t->isolation_after,
        .router_interval = t->router_interval,
        .search_time = t->search_time,
        .claim_time = t->claim_time,
        .handover_time = t->handover_time,
        .settle_time = t->settle_time,
        .stale_start_wait = t->stale_start_wait,
        .linger = t->linger,
    };
    fill_exclusive(config, set);
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *channel = &config->channels[i];
        text_copy(set->channels[i], sizeof set->channels[i], channel->name);
        set->searched[i] = channel->search && channel->active.count > 0;
        set->routed[i] = channel->routers.count > 0;
    }
}

/* ---------------------------------------------------------------- a changed one */

static bool names_service(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].name, name) == 0)
            return true;
    return false;
}

static bool names_channel(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return true;
    return strcmp(name, "reserved") == 0;
}

/* What was taken out is not to be counted, nor noted, any more. */
static void forget_what_is_gone(struct server *s)
{
    const struct config *config = s->daemon->config;
    size_t left = 0;

    for (size_t i = 0; i < s->service_count; i++)
        if (names_service(config, s->services[i].name))
            s->services[left++] = s->services[i];
    s->service_count = left;
    left = 0;
    for (size_t i = 0; i < s->router_count; i++)
        if (names_channel(config, s->routers[i].message.channel))
            s->routers[left++] = s->routers[i];
    s->router_count = left;
    left = 0;
    for (size_t i = 0; i < s->path_count; i++)
        if (names_channel(config, s->paths[i].name))
            s->paths[left++] = s->paths[i];
    s->path_count = left;
    s->hook_count = 0; /* told anew within a second */
}

/* What two nodes agree on meanwhile rests on the settings with which it began. */
bool server_check(void *userdata, const struct config *next, char *text, size_t size)
{
    const struct server *s = userdata;
    const enum phase phase = s->arbiter.phase;

    (void)next;
    if (phase == PHASE_ACTIVE || phase == PHASE_PASSIVE || phase == PHASE_SEARCHING)
        return true;
    snprintf(text, size, "the role is just changing (%s); try again in a moment", phase_names[phase]);
    return false;
}

int server_reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct server *s = userdata;
    struct arbiter_settings settings;
    struct arbiter_event event = {.kind = EVENT_TIME};

    (void)before;
    forget_what_is_gone(s);
    server_fill_settings(s->daemon->config, &settings);
    arbiter_configure(&s->arbiter, &settings);
    history_note(&s->history, clock_now_ns(), NULL, "the configuration was changed");
    server_step(s, &event, NULL);
    server_count_services(s, NULL);
    snprintf(text, size, "decides by it");
    return 0;
}
