#include "takeoverd/lifetime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

enum { BESIDE_THE_GATE_S = 30 };

static const int64_t pause_ns = 5 * NS_PER_MS; /* between two slices */

struct lifetime {
    const struct plan *plan;
    struct clerk *clerk;
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

/* Moves `*next` behind the last one that found room. */
static size_t fill(const struct lifetime *l, size_t *next,
                   struct plan_operation operations[static CLERK_SLICE])
{
    size_t count = 0;

    for (; *next < l->plan->address_count && count < CLERK_SLICE; ++*next) {
        const struct plan_address *address = &l->plan->addresses[*next];
        if (address->active && !address->routed && plan_holds(address))
            operations[count++] = (struct plan_operation){
                .verb = PLAN_RENEW_ADDRESS, .length = address->address.prefix, .index = *next};
    }
    return count;
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct lifetime *l = userdata;
    struct plan_operation operations[CLERK_SLICE];
    size_t next = l->next;

    if (!l->running)
        return;
    const size_t count = fill(l, &next, operations);
    if (count > 0 && !clerk_apply(l->clerk, l->plan, operations, count)) {
        loop_set_timer(l->timer, now_ns + pause_ns); /* it is busy */
        return;
    }
    l->next = next < l->plan->address_count ? next : 0;
    loop_set_timer(l->timer, now_ns + (l->next > 0 ? pause_ns : l->interval_ns));
}

void lifetime_renewed(struct lifetime *l, int error)
{
    if (error < 0 && log_allowed(&l->log, 1))
        log_warning("cannot renew the lifetime of an active address: %s", strerror(-error));
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

int lifetime_open(struct loop *loop, const struct config *config, const struct plan *plan,
                  struct clerk *clerk, struct lifetime **lifetime)
{
    struct lifetime *l = calloc(1, sizeof *l);

    if (!l)
        return -ENOMEM;
    l->plan = plan;
    l->clerk = clerk;
    l->interval_ns = (int64_t)lifetime_seconds(config) * NS_PER_S / 4;
    *lifetime = l;
    return loop_add_timer(loop, on_timer, l, &l->timer);
}

void lifetime_configure(struct lifetime *l, const struct config *config)
{
    l->interval_ns = (int64_t)lifetime_seconds(config) * NS_PER_S / 4;
    l->next = 0;
}

void lifetime_free(struct lifetime *l)
{
    free(l);
}
