#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "proto/sync.h"
#include "syncd/ends.h"
#include "syncd/plug.h"

/* An attempt that has failed stays until the timer runs, which makes the next one: a plug cannot be closed by
 * its own events. */
enum dial_state { DIAL_PAUSE, DIAL_TRIES, DIAL_UP };

struct dial {
    const struct end_setup *setup;
    enum dial_state state;
    struct plug *plug;
    struct loop_source *timer; /* PAUSE: the next attempt; TRIES: this one took too long */
    size_t key, port;          /* which of the keys, and of the peer's ports, this attempt uses */
    bool refused;              /* this attempt was not let in: another key, another port */
    int64_t nth, began_ns, up_ns;
};

static const int64_t pause_first_ns = 10 * NS_PER_MS, pause_most_ns = NS_PER_S;

/* ------------------------------------------------------------- end of one */

/* After a refusal: each key at the first port, then each at the second one. A peer with one key has no second
 * port, so whatever else goes wrong there leads back to the first one. */
static void choose_next(struct dial *dial)
{
    if (dial->refused)
        dial->key++;
    else if (dial->port > 0)
        dial->key = dial->port = 0;
    if (dial->key == dial->setup->keys->count) {
        dial->key = 0;
        dial->port = (dial->port + 1) % KEYS_MAX;
    }
}

static void end_attempt(struct dial *dial, const char *why)
{
    const bool was_up = dial->state == DIAL_UP;
    const int64_t now = clock_now_ns();

    if (dial->state == DIAL_PAUSE)
        return;
    dial->state = DIAL_PAUSE;
    text_copy(dial->setup->trouble, LINK_TROUBLE_MAX, why);
    if (!was_up)
        choose_next(dial);
    else if (now - dial->up_ns > pause_most_ns)
        dial->nth = 0;
    const int64_t pause_ns = backoff_ns(pause_first_ns, ++dial->nth, pause_most_ns);
    /* What the attempt itself took counts. */
    loop_set_timer(dial->timer, MAX(now + pause_first_ns, was_up ? now : dial->began_ns + pause_ns));
    if (was_up)
        dial->setup->events->down(dial->setup->userdata, why);
}

static void on_happened(void *userdata, enum plug_event event, int fd)
{
    struct dial *dial = userdata;

    (void)fd;
    if (dial->state == DIAL_PAUSE)
        return;
    if (event == PLUG_REFUSED) {
        dial->refused = true;
        ++*dial->setup->refused;
    } else if (dial->state == DIAL_UP) {
        end_attempt(dial, "the connection is lost");
    } else {
        end_attempt(dial, dial->refused ? "the peer does not let this node in; do both have the same key?"
                                        : "the peer cannot be reached");
    }
}

/* --------------------------------------------------------------- messages */

static void take_nonce(struct dial *dial, const struct plug_message *message)
{
    uint8_t confirm[GREETING_BYTES];

    if (message->size != GREETING_BYTES || memcmp(message->bytes, NONCE, GREET_BYTES) != 0) {
        end_attempt(dial, "the peer does not speak this version of the link");
        return;
    }
    memcpy(confirm, CONFIRM, GREET_BYTES);
    memcpy(confirm + GREET_BYTES, message->bytes + GREET_BYTES, NONCE_BYTES);
    if (plug_send(dial->plug, NULL, confirm, sizeof confirm) < 0) {
        end_attempt(dial, "the connection is lost");
        return;
    }
    loop_stop_timer(dial->timer);
    dial->state = DIAL_UP;
    dial->up_ns = clock_now_ns();
    dial->setup->trouble[0] = '\0';
    dial->setup->events->up(dial->setup->userdata);
}

static void on_message(void *userdata)
{
    struct dial *dial = userdata;
    struct plug_message message;

    if (plug_take(dial->plug, &message) < 0)
        return;
    if (dial->state == DIAL_TRIES)
        take_nonce(dial, &message);
    else if (dial->state == DIAL_UP)
        dial->setup->events->message(dial->setup->userdata, message.bytes, message.size);
    plug_drop(&message);
}

int dial_send(struct dial *dial, const uint8_t *bytes, size_t size)
{
    if (dial->state != DIAL_UP)
        return -ENOTCONN;
    return plug_send(dial->plug, NULL, bytes, size);
}

/* --------------------------------------------------------------- attempts */

static const struct plug_events plug_events = {.message = on_message, .happened = on_happened};

static int connect_plug(struct dial *dial)
{
    const struct end_setup *setup = dial->setup;
    const struct curve_pair *pairs = setup->keys->node[dial->key];

    int r = plug_set_client(dial->plug, &pairs[setup->self], pairs[!setup->self].open);
    if (r == 0)
        r = plug_connect(dial->plug, &setup->own, &setup->peer, SYNC_PORT + (int)dial->port);
    /* The greeting waits in the socket until the connection is there. */
    if (r == 0)
        r = plug_send(dial->plug, NULL, GREET, GREET_BYTES);
    return r;
}

static void begin_attempt(struct dial *dial, int64_t now_ns)
{
    plug_close(dial->plug);
    dial->plug = NULL;
    dial->state = DIAL_TRIES;
    dial->refused = false;
    dial->began_ns = now_ns;
    int r =
        plug_open(dial->setup->context, dial->setup->loop, PLUG_CONNECTS, &plug_events, dial, &dial->plug);
    if (r == 0)
        r = connect_plug(dial);
    if (r < 0) {
        char text[LINK_TROUBLE_MAX];
        snprintf(text, sizeof text, "cannot make a connection: %s", strerror(-r));
        end_attempt(dial, text);
        return;
    }
    loop_set_timer(dial->timer, now_ns + 2 * LINK_TIMEOUT_MS * NS_PER_MS);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct dial *dial = userdata;

    if (dial->state == DIAL_PAUSE)
        begin_attempt(dial, now_ns);
    else if (dial->state == DIAL_TRIES)
        end_attempt(dial, "the peer does not answer");
}

void dial_hurry(struct dial *dial)
{
    const int64_t now = clock_now_ns();

    if (dial->state == DIAL_UP)
        return;
    end_attempt(dial, "it was begun before the line came back"); /* its first packet is lost, and is sent
                                                                    again a second later */
    dial->nth = 0;
    loop_set_timer(dial->timer, now);
}

int dial_open(const struct end_setup *setup, struct dial **dial)
{
    struct dial *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->setup = setup;
    const int r = loop_add_timer(setup->loop, on_timer, made, &made->timer);
    if (r < 0) {
        free(made);
        return r;
    }
    loop_set_timer(made->timer, 0);
    *dial = made;
    return 0;
}

void dial_close(struct dial *dial)
{
    if (!dial)
        return;
    loop_remove(dial->timer);
    plug_close(dial->plug);
    free(dial);
}
