#include "syncd/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/clock.h"
#include "proto/sync.h"
#include "syncd/ends.h"

struct link {
    struct end_setup setup;
    struct link_events events;
    void *userdata;
    struct keys keys;
    bool has_keys, up, full;
    struct loop_source *room_timer;
    struct dial *dial; /* one of the two */
    struct answer *answer;
    struct link_counts counts;
    char trouble[LINK_TROUBLE_MAX];
};

/* ZeroMQ tells in bulk when a queue has room again (half of it), and for a socket that binds not of which
 * connection. So it is asked again, much sooner than half a queue of batches is sent. */
static const int64_t room_again_ns = 2 * NS_PER_MS;

/* ----------------------------------------------------------------- events */

static void on_up(void *userdata)
{
    struct link *link = userdata;

    link->up = true;
    link->events.up(link->userdata);
}

static void on_down(void *userdata, const char *why)
{
    struct link *link = userdata;

    link->up = link->full = false;
    loop_stop_timer(link->room_timer);
    link->events.down(link->userdata, why);
}

static void on_message(void *userdata, const uint8_t *bytes, size_t size)
{
    struct link *link = userdata;

    link->counts.received_bytes += size;
    link->events.message(link->userdata, bytes, size);
}

static void on_room(void *userdata, int64_t now_ns)
{
    struct link *link = userdata;

    (void)now_ns;
    if (!link->full)
        return;
    link->full = false;
    link->events.room(link->userdata);
}

static const struct link_events end_events = {.up = on_up, .down = on_down, .message = on_message};

/* ---------------------------------------------------------------- sending */

int link_send(struct link *link, const uint8_t *bytes, size_t size)
{
    if (size > SYNC_MESSAGE_MAX)
        return -EMSGSIZE;
    const int r = link->dial ? dial_send(link->dial, bytes, size) : answer_send(link->answer, bytes, size);
    if (r == 0) {
        link->counts.sent_bytes += size;
    } else if (r == -EAGAIN && !link->full) {
        link->full = true;
        loop_set_timer(link->room_timer, clock_now_ns() + room_again_ns);
    }
    return r;
}

struct link_counts link_counts(const struct link *link)
{
    return link->counts;
}

void link_hurry(struct link *link)
{
    if (link->dial)
        dial_hurry(link->dial);
}

const char *link_trouble(const struct link *link)
{
    return link->trouble;
}

/* --------------------------------------------------------------- lifetime */

static int open_parts(struct link *link, const struct config *config)
{
    int r = keys_open(&link->keys, config);
    if (r < 0)
        return r;
    link->has_keys = true;
    link->setup.context = zmq_ctx_new();
    if (!link->setup.context)
        return -errno;
    r = loop_add_timer(link->setup.loop, on_room, link, &link->room_timer);
    if (r < 0)
        return r;
    if (config->self == 0)
        return answer_open(&link->setup, &link->answer);
    return dial_open(&link->setup, &link->dial);
}

int link_open(struct loop *loop, const struct config *config, const struct link_events *events,
              void *userdata, struct link **link)
{
    if (config->self < 0 || config->nodes[0].reserved.family == 0)
        return -EINVAL;
    struct link *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->events = *events;
    made->userdata = userdata;
    made->setup = (struct end_setup){.loop = loop,
                                     .keys = &made->keys,
                                     .self = config->self,
                                     .own = config->nodes[config->self].reserved,
                                     .peer = config->nodes[!config->self].reserved,
                                     .events = &end_events,
                                     .userdata = made,
                                     .refused = &made->counts.refused,
                                     .trouble = made->trouble};
    const int r = open_parts(made, config);
    if (r < 0) {
        link_close(made);
        return r;
    }
    *link = made;
    return 0;
}

void link_close(struct link *link)
{
    if (!link)
        return;
    dial_close(link->dial);
    answer_close(link->answer);
    loop_remove(link->room_timer);
    if (link->setup.context)
        zmq_ctx_term(link->setup.context);
    if (link->has_keys)
        keys_close(&link->keys);
    free(link);
}
