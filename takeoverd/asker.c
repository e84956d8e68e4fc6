#include "takeoverd/asker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "takeoverd/listen.h"
#include "takeoverd/packets.h"

enum { ASK_MAX = 256, HEAR_MAX = 64 }; /* questions, frames, before the loop has its turn */

static const int64_t pause_ns = 5 * NS_PER_MS; /* between two turns: 50,000 questions a second at most */
static const int64_t news_pause_ns =
    20 * NS_PER_MS; /* to count thousands of answers at each one takes long */

struct asker {
    struct loop *loop;
    const struct config *config;
    const struct plan *plan;
    const struct adapters *adapters;
    struct confirm confirm;
    struct loop_source *timer, *news_timer;
    int64_t news_ns;           /* when it was last told */
    int sending, listening[2]; /* ARP, neighbour discovery; -1: not needed */
    unsigned told;             /* channels whose outcome was logged */
    bool asking;
    int64_t end_ns;
    struct asker_handlers handlers;
    struct log_limit send_log;
};

static int channel_of(const struct asker *a, int link)
{
    for (size_t i = 0; i < a->plan->channel_count; i++)
        if (link != 0 && a->plan->links[i] == link)
            return (int)i;
    return -1;
}

/* ----------------------------------------------------------------- telling */

/* "router 203.0.113.1 on outside knows the new owner of 2 addresses after 0.9 ms" */
static void log_router(const struct asker *a, int channel, int router)
{
    const struct config_channel *config = &a->config->channels[channel];
    const struct confirm_tally tally = confirm_count(&a->confirm, a->plan, channel, router);
    char address[ADDRESS_TEXT_MAX];

    net_address_print(&config->routers.items[router], false, address);
    if (tally.asked > 0 && tally.confirmed == tally.asked)
        log_notice("router %s on %s knows the new owner of %zu address%s after %.1f ms", address,
                   config->name, tally.asked, tally.asked == 1 ? "" : "es",
                   (double)tally.took_ns / (double)NS_PER_MS);
    else if (tally.asked > 0)
        log_warning("router %s on %s has not confirmed the new owner of %zu of %zu addresses", address,
                    config->name, tally.asked - tally.confirmed, tally.asked);
}

static bool is_settled(const struct asker *a, int channel)
{
    const struct config_channel *config = &a->config->channels[channel];

    for (size_t i = 0; i < config->routers.count; i++)
        if (!confirm_count(&a->confirm, a->plan, channel, (int)i).done)
            return false;
    return true;
}

/* Once for each channel and claim: when its routers have answered, or are not asked any more. */
static void log_outcome(struct asker *a)
{
    for (int i = 0; i < (int)a->plan->channel_count; i++) {
        if ((a->told >> i & 1) || !is_settled(a, i))
            continue;
        a->told |= 1u << i;
        for (size_t k = 0; k < a->config->channels[i].routers.count; k++)
            log_router(a, i, (int)k);
    }
}

/* ------------------------------------------------------------------ asking */

static void send_questions(struct asker *a, const struct confirm_question *due[], size_t count)
{
    static struct announce_frame frames[ASK_MAX];

    for (size_t i = 0; i < count;) {
        const int channel = a->plan->addresses[due[i]->address].channel;
        const struct adapter *adapter = adapters_get(a->adapters, (size_t)channel);
        size_t n = 0;
        for (; i < count && a->plan->addresses[due[i]->address].channel == channel; i++)
            announce_ask(&a->plan->addresses[due[i]->address].address, &adapter->mac, &due[i]->to,
                         &due[i]->mac, &frames[n++]);
        if (!adapter->up || mac_is_zero(&adapter->mac))
            continue;
        int sent = packets_send(a->sending, adapter->link, frames, n);
        if (sent < 0 && log_allowed(&a->send_log, 5))
            log_warning("cannot ask neighbours on %s: %s", adapter->device, strerror(-sent));
    }
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct asker *a = userdata;
    const struct confirm_question *due[ASK_MAX];

    if (!a->asking)
        return;
    if (clock_now_ns() >= a->end_ns) { /* a renewal may wait to be read; if not, asker_end() comes */
        loop_set_timer(a->timer, clock_now_ns() + pause_ns);
        return;
    }
    send_questions(a, due, confirm_due(&a->confirm, now_ns, due, ASK_MAX));
    const int64_t next_ns = confirm_next_ns(&a->confirm);
    if (next_ns != 0)
        loop_set_timer(a->timer, MAX(next_ns, now_ns + pause_ns));
    else
        a->handlers.on_news(a->handlers.userdata);
    log_outcome(a);
}

/* Another host speaks from an active address that the kernel here has, and that is answered for. */
static bool is_conflict(const struct asker *a, int channel, const struct announce_heard *heard)
{
    const struct plan_address *address = plan_find(a->plan, channel, &heard->from);

    return a->asking && address && address->active && plan_holds(address) &&
           !mac_equal(&heard->mac, &adapters_get(a->adapters, (size_t)channel)->mac);
}

/* True if a tally changed. */
static bool take(struct asker *a, int channel, const struct announce_heard *heard, int64_t now_ns)
{
    if (is_conflict(a, channel, heard))
        a->handlers.on_conflict(a->handlers.userdata, channel, &heard->from, &heard->mac);
    else if (heard->kind == ANNOUNCE_QUESTION)
        confirm_see(&a->confirm, a->plan, a->config, channel, &heard->from, &heard->mac, &heard->to, now_ns);
    else if (heard->kind == ANNOUNCE_ANSWER)
        return a->asking && confirm_heard(&a->confirm, a->plan, channel, &heard->from, &heard->to, now_ns);
    return false;
}

static void on_frames(void *userdata, int fd, unsigned events)
{
    struct asker *a = userdata;
    const int64_t now_ns = clock_now_ns();
    struct announce_heard heard;
    bool news = false;
    int link, r;

    (void)events;
    for (int i = 0; i < HEAR_MAX && (r = listen_next(fd, &link, &heard)) != 0; i++) {
        const int channel = r == 1 ? channel_of(a, link) : -1;
        if (channel >= 0)
            news = take(a, channel, &heard, now_ns) || news;
    }
    if (news)
        loop_set_timer(a->news_timer, MAX(now_ns, a->news_ns + news_pause_ns));
}

static void on_news_timer(void *userdata, int64_t now_ns)
{
    struct asker *a = userdata;

    if (!a->asking)
        return;
    a->news_ns = now_ns;
    log_outcome(a);
    a->handlers.on_news(a->handlers.userdata);
}

void asker_until(struct asker *a, int64_t end_ns)
{
    a->end_ns = end_ns;
}

void asker_begin(struct asker *a, unsigned channels)
{
    if (confirm_begin(&a->confirm, a->plan, a->config, channels, clock_now_ns()) < 0) {
        log_warning("cannot ask who knows the new owner: out of memory");
        return;
    }
    a->told &= ~channels;
    a->asking = true;
    on_timer(a, clock_now_ns());
}

void asker_end(struct asker *a)
{
    a->asking = false;
    a->told = ~0u;
    confirm_end(&a->confirm);
    loop_stop_timer(a->timer);
    loop_stop_timer(a->news_timer);
}

struct confirm_tally asker_count(const struct asker *a, int channel, int router)
{
    return confirm_count(&a->confirm, a->plan, channel, router);
}

/* ---------------------------------------------------------------- lifetime */

static bool has_active(const struct plan *plan, int family)
{
    for (size_t i = 0; i < plan->address_count; i++)
        if (plan->addresses[i].active && plan->addresses[i].address.family == family)
            return true;
    return false;
}

static int open_listener(struct asker *a, int family, int *fd)
{
    if (!has_active(a->plan, family))
        return 0;
    *fd = listen_open(family, a->plan);
    return *fd < 0 ? *fd : loop_add_fd(a->loop, *fd, EPOLLIN, on_frames, a, NULL);
}

/* An open one stays open, since closing takes the kernel ten milliseconds: it hears what it is to hear. */
static int adapt_listener(struct asker *a, int family, int *fd)
{
    return *fd < 0 ? open_listener(a, family, fd) : listen_filter(*fd, family, a->plan);
}

int asker_configure(struct asker *a, const struct config *config, const struct adapters *adapters)
{
    asker_end(a);
    a->config = config;
    a->adapters = adapters;
    confirm_free(&a->confirm);
    int r = confirm_init(&a->confirm, a->plan);
    if (r == 0)
        r = adapt_listener(a, AF_INET, &a->listening[0]);
    return r < 0 ? r : adapt_listener(a, AF_INET6, &a->listening[1]);
}

int asker_open(struct loop *loop, const struct config *config, const struct plan *plan,
               const struct adapters *adapters, const struct asker_handlers *handlers, struct asker **asker)
{
    struct asker *a = calloc(1, sizeof *a);

    if (!a)
        return -ENOMEM;
    *a = (struct asker){.loop = loop,
                        .config = config,
                        .plan = plan,
                        .adapters = adapters,
                        .sending = -1,
                        .listening = {-1, -1},
                        .told = ~0u,
                        .handlers = *handlers};
    *asker = a;
    a->sending = packets_open();
    int r = a->sending < 0 ? a->sending : confirm_init(&a->confirm, plan);
    if (r == 0)
        r = loop_add_timer(loop, on_timer, a, &a->timer);
    if (r == 0)
        r = loop_add_timer(loop, on_news_timer, a, &a->news_timer);
    if (r == 0)
        r = open_listener(a, AF_INET, &a->listening[0]);
    if (r == 0)
        r = open_listener(a, AF_INET6, &a->listening[1]);
    return r;
}

void asker_free(struct asker *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(a->listening); i++)
        if (a->listening[i] >= 0)
            close(a->listening[i]);
    if (a->sending >= 0)
        close(a->sending);
    confirm_free(&a->confirm);
    free(a);
}
