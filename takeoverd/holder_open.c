/* How the holder (holder.h) begins and ends. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "takeoverd/holder_inside.h"
#include "takeoverd/wanted.h"

int holder_open_kernel(const struct config *config, struct holder_kernel *kernel)
{
    int r = wanted_plan(config, &kernel->plan);

    if (r < 0)
        return r;
    kernel->operations_max =
        2 * kernel->plan.address_count + kernel->plan.route_count + kernel->plan.rule_count + 1;
    kernel->operations = calloc(HOLDER_SLICE, sizeof *kernel->operations);
    if (!kernel->operations)
        return -ENOMEM;
    r = adapters_open(config->channels, config->channel_count, lifetime_seconds(config), true,
                      &kernel->adapters);
    if (r == 0)
        r = adapters_refresh(kernel->adapters, &kernel->plan);
    return r;
}

void holder_close_kernel(struct holder_kernel *kernel)
{
    loop_remove(kernel->source);
    adapters_free(kernel->adapters);
    wanted_free(&kernel->plan);
    free(kernel->operations);
}

static int open_timers(struct holder *h)
{
    struct loop *loop = h->daemon->loop;
    int r = loop_add_timer(loop, holder_on_lease_end, h, &h->lease_timer);

    if (r == 0)
        r = loop_add_timer(loop, holder_on_retry, h, &h->retry_timer);
    if (r == 0)
        r = loop_add_timer(loop, holder_on_audit, h, &h->audit_timer);
    if (r == 0)
        r = loop_add_timer(loop, holder_on_claim_timer, h, &h->claim_timer);
    if (r == 0)
        r = loop_add_timer(loop, holder_on_gate_timer, h, &h->gate_timer);
    if (r == 0)
        r = loop_add_timer(loop, holder_on_more, h, &h->more_timer);
    if (r == 0)
        loop_set_timer(h->audit_timer, clock_now_ns() + HOLDER_AUDIT_NS);
    return r;
}

static int open_plan(struct holder *h)
{
    struct holder_kernel kernel = {0};
    const int r = holder_open_kernel(h->daemon->config, &kernel);

    h->plan = kernel.plan;
    h->operations = kernel.operations;
    h->operations_max = kernel.operations_max;
    h->adapters = kernel.adapters;
    return r;
}

static int open_all(struct holder *h)
{
    const struct asker_handlers handlers = {holder_on_asker_news, holder_on_conflict, h};
    struct daemon *d = h->daemon;
    int r = open_plan(h);

    if (r == 0)
        r = open_timers(h);
    if (r == 0)
        r = clerk_open(d->loop, d->config, holder_on_clerk, h, &h->clerk);
    if (r == 0)
        r = lifetime_open(d->loop, d->config, &h->plan, h->clerk, &h->lifetime);
    if (r == 0)
        r = announcer_open(d->loop, &h->plan, h->adapters, &h->announcer);
    if (r == 0)
        r = asker_open(d->loop, d->config, &h->plan, h->adapters, &handlers, &h->asker);
    if (r == 0)
        r = report_open(d->config, &h->plan, h->announcer, h->asker, d->bus, &h->report);
    if (r < 0)
        log_error("cannot open the network interfaces of the kernel (rtnetlink, packet socket): %s",
                  strerror(-r));
    return r == 0 ? lease_file_open(&h->file, d->run_dir) : r;
}

/* Makes the gate before anything else is done: what the run before left is leased from then on. */
static int open_gate(struct holder *h, int64_t lease_ns)
{
    if (!h->daemon->config->lease_gate)
        return 0;
    int r = gate_open(h->daemon->config, &h->plan, h->adapters, lease_ns, &h->gate);
    if (r == 0)
        r = loop_add_fd(h->daemon->loop, gate_fd(h->gate), EPOLLIN, holder_on_gate, h, NULL);
    if (r == 0)
        r = loop_add_fd(h->daemon->loop, gate_echo_fd(h->gate), EPOLLIN, holder_on_gate_echo, h, NULL);
    if (r < 0)
        log_error("cannot make the gate of the active addresses: %s", strerror(-r));
    return r;
}

static int begin(struct holder *h)
{
    const int64_t lease_ns = lease_file_recall(&h->file, &h->state.epoch);
    holder_begin_term(h);
    int r = open_gate(h, lease_ns);

    if (r < 0)
        return r;
    if (lease_ns == 0) {
        holder_become(h, false, "everything starts passive");
        return 0;
    }
    h->waiting = true;
    lifetime_start(h->lifetime);
    h->lease_ns = lease_ns;
    loop_set_timer(h->lease_timer, lease_ns + NS_PER_US);
    log_info("the lease of the run before stands for another %" PRId64
             " ms: keeping the addresses until then",
             (lease_ns - clock_now_ns()) / NS_PER_MS);
    return 0;
}

int holder_hear_hooks(struct holder *h)
{
    if (h->prepare.limit_ns == 0 || h->hears_hooks)
        return 0;
    const int r = bus_subscribe(h->daemon->bus, &hook_type, "superviserd", holder_on_hook, h);
    h->hears_hooks = r == 0;
    return r;
}

int holder_open(struct daemon *daemon, struct holder **holder)
{
    struct holder *h = calloc(1, sizeof *h);

    if (!h)
        return -ENOMEM;
    *holder = h;
    h->daemon = daemon;
    h->file.fd = -1;
    prepare_init(&h->prepare, config_hooks_ns(daemon->config, HOOK_EVENT_BEFORE_ACTIVE),
                 daemon->config->timers.claim_time);
    int r = open_all(h);
    if (r < 0)
        return r;
    r = begin(h);
    if (r < 0)
        return r;
    daemon->on_stop = holder_on_stop;
    daemon->stop_userdata = h;
    daemon->reload = (struct daemon_reload){holder_check, holder_reload, h};
    r = loop_add_fd(daemon->loop, adapters_fd(h->adapters), EPOLLIN, holder_on_events, h,
                    &h->adapters_source);
    if (r == 0)
        r = holder_hear_hooks(h);
    if (r == 0)
        r = bus_subscribe(daemon->bus, &role_type, "arbiterd", holder_on_role, h);
    if (r == 0)
        r = bus_hear_renewals(daemon->bus, &role_type);
    if (r < 0)
        log_error("cannot listen to the bus and the kernel: %s", strerror(-r));
    return r;
}

void holder_free(struct holder *h)
{
    if (!h)
        return;
    report_free(h->report);
    gate_free(h->gate, h->state.state == HOLD_STATE_RELEASED);
    lifetime_free(h->lifetime);
    clerk_free(h->clerk);
    holder_close_kernel(&h->leaving);
    asker_free(h->asker);
    announcer_free(h->announcer);
    adapters_free(h->adapters);
    wanted_free(&h->plan);
    free(h->operations);
    if (h->file.fd >= 0)
        close(h->file.fd);
    free(h);
}
