#include "takeoverd/lifetime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    BESIDE_THE_GATE_S = 30,
    SLICE = 128, /* addresses before the loop has its turn: about a millisecond */
};

static const int64_t pause_ns = 5 * NS_PER_MS; /* between two slices */

struct lifetime {
    struct plan *plan;
    struct adapters *adapters;
    struct loop_source *timer;
    int64_t interval_ns;
    bool running;
    size_t next; /* the address that goes on */
    struct log_limit log;
};

uint32_t lifetime_seconds(const struct config *config)
{
    return config->lease_gate ? BESIDE_THE_GATE_S : (uint32_t)(config->timers.address_lease / NS_PER_S);
}

static size_t fill(struct lifetime *l, struct plan_operation operations[static SLICE])
{
    size_t count = 0;

    for (; l->next < l->plan->address_count && count < SLICE; l->next++) {
        const struct plan_address *address = &l->plan->addresses[l->next];
        if (address->active && plan_holds(address))
            operations[count++] = (struct plan_operation){
                .verb = PLAN_RENEW_ADDRESS, .length = address->address.prefix, .index = l->next};
    }
    return count;
}

static void renew_slice(struct lifetime *l)
{
    struct plan_operation operations[SLICE];
    struct adapters_failure failure;
    const size_t count = fill(l, operations);

    if (count > 0 && adapters_apply(l->adapters, l->plan, operations, count, &failure) < 0 &&
        log_allowed(&l->log, 1))
        log_warning("cannot renew the lifetime of an active address: %s", strerror(-failure.error));
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct lifetime *l = userdata;

    if (!l->running)
        return;
    renew_slice(l);
    if (l->next < l->plan->address_count) {
        loop_set_timer(l->timer, clock_now_ns() + pause_ns);
        return;
    }
    l->next = 0;
    loop_set_timer(l->timer, now_ns + l->interval_ns);
}

void lifetime_start(struct lifetime *l)
{
    if (l->running)
        return;
    l->running = true;
    l->next = 0;
    loop_set_timer(l->timer, clock_now_ns() + l->interval_ns);
}

void lifetime_stop(struct lifetime *l)
{
    l->running = false;
    loop_stop_timer(l->timer);
}

int lifetime_open(struct loop *loop, const struct config *config, struct plan *plan,
                  struct adapters *adapters, struct lifetime **lifetime)
{
    struct lifetime *l = calloc(1, sizeof *l);

    if (!l)
        return -ENOMEM;
    l->plan = plan;
    l->adapters = adapters;
    l->interval_ns = (int64_t)lifetime_seconds(config) * NS_PER_S / 4;
    *lifetime = l;
    return loop_add_timer(loop, on_timer, l, &l->timer);
}

void lifetime_configure(struct lifetime *l, const struct config *config, struct adapters *adapters)
{
    l->adapters = adapters;
    l->interval_ns = (int64_t)lifetime_seconds(config) * NS_PER_S / 4;
    l->next = 0;
}

void lifetime_free(struct lifetime *l)
{
    free(l);
}
