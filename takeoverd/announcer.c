#include "takeoverd/announcer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "takeoverd/packets.h"

enum { CHUNK = 512, CHUNKS_A_TURN = 8 }; /* frames in one system call; calls before the loop has its turn */

static const int64_t delays_ns[] = {0, 20 * NS_PER_MS, 100 * NS_PER_MS, 500 * NS_PER_MS, 2 * NS_PER_S};
static const int64_t pause_ns = NS_PER_MS;          /* before a full adapter is tried again */
static const int64_t patience_ns = 200 * NS_PER_MS; /* with one that stays full, a burst */

struct announcer {
    const struct plan *plan;
    const struct adapters *adapters;
    struct loop_source *timer;
    int socket;
    unsigned channels; /* whose bursts are not all done */
    size_t step;       /* into delays_ns */
    int64_t started_ns;
    int64_t end_ns;
    size_t next[PLAN_CHANNELS_MAX]; /* the address that the burst goes on with */
    int64_t sent[PLAN_CHANNELS_MAX];
    struct log_limit send_log;
    struct announce_frame frames[CHUNK];
    size_t owners[CHUNK]; /* the address of each frame */
};

static size_t first_of(const struct plan *plan, int channel)
{
    size_t i = 0;

    while (i < plan->address_count && plan->addresses[i].channel < channel)
        i++;
    return i;
}

/* Frames from address `*next` of `channel` on; moves it behind the last one that found room. */
static size_t fill(struct announcer *a, size_t channel, size_t *next)
{
    const struct mac *mac = &adapters_get(a->adapters, channel)->mac;
    size_t count = 0, i = *next;

    for (; i < a->plan->address_count && a->plan->addresses[i].channel == (int)channel; i++) {
        const struct plan_address *address = &a->plan->addresses[i];
        if (!address->active || !plan_holds(address))
            continue;
        if (count + ANNOUNCE_FRAMES_MAX > CHUNK)
            break;
        const size_t added = announce_build(&address->address, mac, &a->frames[count]);
        for (size_t k = 0; k < added; k++)
            a->owners[count++] = i;
    }
    *next = i;
    return count;
}

/* One system call's worth. False when the channel has nothing more to say, for good or for now (`*blocked`).
 */
static bool send_chunk(struct announcer *a, size_t channel, bool *blocked)
{
    const struct adapter *adapter = adapters_get(a->adapters, channel);
    size_t next = a->next[channel];

    if (!adapter->up || mac_is_zero(&adapter->mac))
        return false;
    const size_t count = fill(a, channel, &next);
    if (count == 0)
        return false;
    int sent = packets_send(a->socket, adapter->link, a->frames, count);
    if (sent < 0) {
        if (log_allowed(&a->send_log, 5))
            log_warning("cannot announce on %s: %s", adapter->device, strerror(-sent));
        return false;
    }
    a->sent[channel] += sent;
    *blocked = *blocked || (size_t)sent < count;
    a->next[channel] = (size_t)sent < count ? a->owners[sent] : next;
    return (size_t)sent == count;
}

/* A turn of the present burst. True when it is whole. */
static bool send_turn(struct announcer *a)
{
    unsigned left = a->channels;
    bool blocked = false;

    for (int chunks = 0; left != 0;)
        for (size_t i = 0; i < a->plan->channel_count; i++) {
            if (!(left >> i & 1))
                continue;
            if (chunks++ == CHUNKS_A_TURN)
                return false;
            if (!send_chunk(a, i, &blocked))
                left &= ~(1u << i);
        }
    return !blocked;
}

static void begin_burst(struct announcer *a)
{
    for (size_t i = 0; i < a->plan->channel_count; i++)
        a->next[i] = first_of(a->plan, (int)i);
}

static void go_on(struct announcer *a)
{
    const int64_t give_up_ns = a->started_ns + delays_ns[a->step] + patience_ns;

    if (clock_now_ns() >= a->end_ns) { /* a renewal may wait to be read; if not, announcer_stop() comes */
        loop_set_timer(a->timer, clock_now_ns() + pause_ns);
        return;
    }
    if (!send_turn(a) && clock_now_ns() < give_up_ns) {
        loop_set_timer(a->timer, clock_now_ns() + pause_ns);
        return;
    }
    if (++a->step == ARRAY_LENGTH(delays_ns)) {
        announcer_stop(a);
        return;
    }
    begin_burst(a);
    loop_set_timer(a->timer, a->started_ns + delays_ns[a->step]);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    go_on(userdata);
}

bool announcer_start(struct announcer *a, unsigned channels)
{
    int64_t before = 0, after = 0;

    for (size_t i = 0; i < a->plan->channel_count; i++)
        before += a->sent[i];
    a->channels |= channels;
    a->step = 0;
    a->started_ns = clock_now_ns();
    begin_burst(a);
    go_on(a);
    for (size_t i = 0; i < a->plan->channel_count; i++)
        after += a->sent[i];
    return after > before;
}

void announcer_until(struct announcer *a, int64_t end_ns)
{
    a->end_ns = end_ns;
}

void announcer_stop(struct announcer *a)
{
    a->channels = 0;
    loop_stop_timer(a->timer);
}

int64_t announcer_sent(const struct announcer *a, size_t channel)
{
    return a->sent[channel];
}

int announcer_open(struct loop *loop, const struct plan *plan, const struct adapters *adapters,
                   struct announcer **announcer)
{
    struct announcer *a = calloc(1, sizeof *a);

    if (!a)
        return -ENOMEM;
    a->plan = plan;
    a->adapters = adapters;
    a->socket = packets_open();
    int r = a->socket < 0 ? a->socket : loop_add_timer(loop, on_timer, a, &a->timer);
    if (r < 0) {
        announcer_free(a);
        return r;
    }
    *announcer = a;
    return 0;
}

void announcer_configure(struct announcer *a, const struct adapters *adapters)
{
    announcer_stop(a);
    a->adapters = adapters;
    memset(a->next, 0, sizeof a->next);
    memset(a->sent, 0, sizeof a->sent);
}

void announcer_free(struct announcer *a)
{
    if (!a)
        return;
    if (a->socket >= 0)
        close(a->socket);
    free(a);
}
