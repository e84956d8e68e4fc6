/* A changed configuration: services that are in both go on, whatever of their keys changed, as long as they
 * are started in the same way. The others are told to end, in the order that `after` gives them; a new one of
 * the same name waits until nothing is left of the one before. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "superviserd/kept.h"
#include "superviserd/services_inside.h"

static const char *name_of(const struct services *services, size_t i)
{
    return services->items[i]->config->name;
}

/* The one of that name; one that is leaving goes by those that leave with it, if it can. -1: there is none.
 */
static int find(const struct services *services, const char *name, bool leaving)
{
    int other = -1;

    for (size_t i = 0; i < services->count; i++) {
        if (strcmp(name_of(services, i), name) != 0)
            continue;
        if (services->items[i]->leaving == leaving)
            return (int)i;
        other = (int)i;
    }
    return leaving ? other : -1;
}

static void index_after(struct services *services, struct service *service)
{
    const struct config_strings *after = &service->config->after;

    service->after_count = 0;
    for (size_t i = 0; i < after->count; i++) {
        const int at = find(services, after->items[i], service->leaving);
        if (at >= 0)
            service->after[service->after_count++] = (size_t)at;
    }
}

/* The configuration has no circles in `after`, so as many rounds as there are services reach all. */
static void spread_yielding(struct services *services)
{
    for (size_t i = 0; i < services->count; i++)
        services->items[i]->yields = services->items[i]->config->exclusive;
    for (size_t round = 0; round < services->count; round++)
        for (size_t i = 0; i < services->count; i++) {
            struct service *service = services->items[i];
            for (size_t k = 0; k < service->after_count; k++)
                service->yields = service->yields || services->items[service->after[k]]->yields;
        }
}

void services_index(struct services *services)
{
    for (size_t i = 0; i < services->count; i++)
        index_after(services, services->items[i]);
    spread_yielding(services);
}

bool services_is_in_the_way(const struct services *services, const char *name)
{
    for (size_t i = 0; i < services->count; i++)
        if (services->items[i]->leaving && strcmp(name_of(services, i), name) == 0)
            return true;
    return kept_is_in_the_way(name);
}

/* ------------------------------------------------------------------- leaving */

/* Nothing of it is left. Its memory stays: its runner may still hear of something. */
static void take_out(struct services *services, size_t i)
{
    struct service *service = services->items[i];
    const char *name = service->config->name;

    service->gone = true;
    loop_stop_timer(service->timer);
    memmove(&services->items[i], &services->items[i + 1],
            (services->count - i - 1) * sizeof services->items[0]);
    services->count--;
    services_index(services);
    log_notice("service %s has ended, and is not configured any more, or in another way", name);
    const int next = find(services, name, false);
    if (next < 0) {
        bus_retire(services->daemon->bus, &service_type, name);
        return;
    }
    services_publish(services->items[next]);
    services_look(services->items[next]);
}

void services_let_go(struct services *services)
{
    for (size_t i = 0; i < services->count;)
        if (services->items[i]->leaving && guard_at_rest(&services->items[i]->guard))
            take_out(services, i);
        else
            i++;
}

/* ------------------------------------------------------------------- changed */

static const struct config_service *find_config(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].name, name) == 0)
            return &config->services[i];
    return NULL;
}

struct tally {
    int kept, changed, ending, added;
};

static void adapt(struct service *service, const struct config_service *next, struct tally *tally)
{
    const bool same = config_service_equal(service->config, next);

    tally->kept += same;
    tally->changed += !same;
    service->config = next;
    service->runner->context.config = next;
    if (same)
        return;
    services_settle_guard(next, &service->guard.settings);
    services_publish(service);
}

static void adapt_all(struct services *services, struct tally *tally)
{
    const struct config *now = services->daemon->config;

    for (size_t i = 0; i < services->count; i++) {
        struct service *service = services->items[i];
        const struct config_service *next = find_config(now, service->config->name);
        if (service->leaving)
            continue;
        if (next && config_service_same_program(service->config, next)) {
            adapt(service, next, tally);
            continue;
        }
        service->leaving = true;
        service->cause[0] = '\0';
        tally->ending++;
    }
}

static int add_new(struct services *services, struct tally *tally)
{
    const struct config *now = services->daemon->config;
    int r = 0;

    for (size_t i = 0; i < now->service_count && r == 0; i++) {
        if (find(services, now->services[i].name, false) >= 0)
            continue;
        r = services_add(services, &now->services[i]);
        tally->added++;
    }
    return r;
}

static void begin_new(struct services *services, size_t first)
{
    for (size_t i = first; i < services->count; i++) {
        services_publish(services->items[i]);
        services_look(services->items[i]);
    }
}

bool services_check(const struct services *services, const struct config *next, char *text, size_t size)
{
    size_t leaving = 0;

    for (size_t i = 0; i < services->count; i++)
        leaving += services->items[i]->leaving;
    if (services->stopping)
        snprintf(text, size, "it is being stopped");
    else if (leaving > 0 && leaving + next->service_count > CONFIG_SERVICES_MAX)
        snprintf(text, size, "services of an earlier configuration are still ending; try again in a moment");
    else
        return true;
    return false;
}

int services_reload(struct services *services, char *text, size_t size)
{
    struct tally tally = {0};

    services->ordering = true; /* all are known before one is told anything */
    adapt_all(services, &tally);
    failures_configure(services->failures, services->daemon->config);
    const size_t first = services->count;
    const int r = add_new(services, &tally);
    services_index(services);
    begin_new(services, first);
    services->ordering = false;
    services_order(services);
    snprintf(text, size, "services: %d as they were, %d with other settings, %d ending, %d new", tally.kept,
             tally.changed, tally.ending, tally.added);
    return r;
}
