#include "client/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/echo.h"
#include "client/task.h"
#include "client/wire.h"
#include "common/clock.h"

struct probe {
    struct probes *all;
    const struct client_gateway *gateway;
    int index;
    bool selected, quick, running;
    int64_t selected_ns, began_ns, rtt_ns;
    struct loop_source *next, *limit; /* timers: the next test; the end of this one */
    int fd;
    struct loop_source *source;
    struct task *task;
    uint64_t nonce;
    int64_t handshake; /* latest one, in seconds since 1970 */
    char text[192];
};

struct probes {
    struct loop *loop;
    probe_handler *handler;
    void *userdata;
    size_t count;
    struct probe items[ROAM_GATEWAYS_MAX];
};

/* While a new connection is to be proven. A packet is cheap, a program is not. */
static const int64_t quick_socket_ns = 10 * NS_PER_MS, quick_command_ns = 100 * NS_PER_MS;

static void clean_up(struct probe *probe)
{
    loop_stop_timer(probe->limit);
    loop_remove(probe->source);
    probe->source = NULL;
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
    probe->running = false;
}

static bool is_by_socket(const struct probe *probe)
{
    return probe->gateway->test == CLIENT_TEST_ICMP || probe->gateway->test == CLIENT_TEST_TCP;
}

static int64_t interval_of(const struct probe *probe)
{
    const int64_t quick_ns = is_by_socket(probe) ? quick_socket_ns : quick_command_ns;

    return probe->quick ? MIN(quick_ns, probe->gateway->interval) : probe->gateway->interval;
}

/* `why` NULL: it went well. */
static void end(struct probe *probe, const char *why)
{
    const int64_t now = clock_now_ns();

    clean_up(probe);
    if (!probe->selected)
        return;
    loop_set_timer(probe->next, MAX(now, probe->began_ns + interval_of(probe)));
    if (probe->began_ns < probe->selected_ns)
        return; /* a command that began when its connection was another one */
    text_copy(probe->text, sizeof probe->text, why ? why : "");
    if (!why)
        probe->rtt_ns = now - probe->began_ns;
    probe->all->handler(probe->all->userdata, probe->index, !why, probe->began_ns);
}

/* ---- by a socket */

static void on_echo(void *userdata, int fd, unsigned events)
{
    struct probe *probe = userdata;
    const int r = wire_echo_read(fd, &probe->gateway->address, probe->nonce);

    (void)events;
    if (r != 0)
        end(probe, r < 0 ? strerror(-r) : NULL);
}

static void on_connected(void *userdata, int fd, unsigned events)
{
    const int r = wire_connected(fd);

    (void)events;
    end(userdata, r < 0 ? strerror(-r) : NULL);
}

static int begin_socket(struct probe *probe)
{
    const struct client_gateway *gateway = probe->gateway;
    const bool echo = gateway->test == CLIENT_TEST_ICMP;

    randombytes_buf(&probe->nonce, sizeof probe->nonce);
    probe->fd = echo ? wire_echo(&gateway->address, gateway->device, probe->nonce)
                     : wire_connect(&gateway->address, gateway->port, gateway->device);
    if (probe->fd < 0)
        return probe->fd;
    return loop_add_fd(probe->all->loop, probe->fd, echo ? EPOLLIN : EPOLLOUT, echo ? on_echo : on_connected,
                       probe, &probe->source);
}

/* ---- by a command */

static void on_line(void *userdata, const char *line)
{
    struct probe *probe = userdata;

    probe->handshake = MAX(probe->handshake, handshake_of_line(line, probe->gateway->peer));
}

static void judge_handshake(struct probe *probe)
{
    const int64_t now_s = (clock_now_ns() + clock_wall_offset_ns()) / NS_PER_S,
                  age_s = now_s - probe->handshake;
    char text[96];

    if (probe->handshake == 0)
        text_copy(text, sizeof text, "no handshake yet");
    else
        snprintf(text, sizeof text, "the last handshake was %" PRId64 " s ago", age_s);
    end(probe, probe->handshake != 0 && age_s <= probe->gateway->max_age / NS_PER_S ? NULL : text);
}

static void on_command_end(void *userdata, const struct task_end *how)
{
    struct probe *probe = userdata;

    probe->task = NULL;
    if (how->good && probe->gateway->test == CLIENT_TEST_HANDSHAKE)
        judge_handshake(probe);
    else
        end(probe, how->good ? NULL : how->text);
}

static int begin_command(struct probe *probe)
{
    const bool handshake = probe->gateway->test == CLIENT_TEST_HANDSHAKE;
    const struct task_request request = {.words = probe->gateway->command.items,
                                         .timeout_ns = probe->gateway->timeout,
                                         .on_line = handshake ? on_line : NULL,
                                         .on_end = on_command_end,
                                         .userdata = probe};

    probe->handshake = 0;
    return task_start(probe->all->loop, &request, &probe->task);
}

/* ---- the pace */

static void on_limit(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    end(userdata, "no answer in time");
}

static void on_next(void *userdata, int64_t now_ns)
{
    struct probe *probe = userdata;
    const bool socket = is_by_socket(probe);

    if (!probe->selected || probe->running || probe->task)
        return;
    probe->running = true;
    probe->began_ns = now_ns;
    const int r = socket ? begin_socket(probe) : begin_command(probe);
    if (r < 0)
        end(probe, strerror(-r));
    else if (socket)
        loop_set_timer(probe->limit, now_ns + probe->gateway->timeout);
}

void probes_select(struct probes *probes, uint32_t gateways, uint32_t quick)
{
    for (size_t i = 0; i < probes->count; i++) {
        struct probe *probe = &probes->items[i];
        const bool selected = gateways & UINT32_C(1) << i;
        probe->quick = quick & UINT32_C(1) << i;
        if (selected == probe->selected)
            continue;
        probe->selected = selected;
        probe->selected_ns = clock_now_ns();
        if (probe->running && !probe->task)
            clean_up(probe);
        loop_stop_timer(probe->next);
        probe->text[0] = '\0';
        if (selected)
            loop_set_timer(probe->next, clock_now_ns());
    }
}

int64_t probes_rtt_ns(const struct probes *probes, int gateway)
{
    return probes->items[gateway].rtt_ns;
}

const char *probes_text(const struct probes *probes, int gateway)
{
    return probes->items[gateway].text;
}

int probes_new(struct loop *loop, const struct client_config *config, probe_handler *handler, void *userdata,
               struct probes **result)
{
    struct probes *probes = calloc(1, sizeof *probes);
    int r = probes ? 0 : -ENOMEM;

    *result = probes;
    if (!probes)
        return r;
    *probes = (struct probes){
        .loop = loop, .handler = handler, .userdata = userdata, .count = config->rules.gateway_count};
    for (size_t i = 0; i < probes->count && r == 0; i++) {
        struct probe *probe = &probes->items[i];
        *probe = (struct probe){.all = probes, .gateway = &config->gateways[i], .index = (int)i, .fd = -1};
        r = loop_add_timer(loop, on_next, probe, &probe->next);
        if (r == 0)
            r = loop_add_timer(loop, on_limit, probe, &probe->limit);
    }
    return r;
}

void probes_free(struct probes *probes)
{
    if (!probes)
        return;
    for (size_t i = 0; i < probes->count; i++) {
        task_abandon(probes->items[i].task);
        if (probes->items[i].fd >= 0)
            close(probes->items[i].fd);
    }
    free(probes);
}
