#include "monitord/outlet.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/zap.h"
#include "monitord/clients.h"
#include "monitord/readers.h"

enum {
    PREFIX_MAX = 2 * CONFIG_NAME_MAX + 2,
    FULL_TOPIC_MAX = PREFIX_MAX + TOPIC_MAX,
    FRAME_MAX = 512, /* the longest that a tool may send: CURVE's INITIATE has more than 256 */
    /* XPUB takes all that is in a tool's queue in one go, and what comes meanwhile. With a long queue, one
     * that subscribes faster than that would never let go of this thread; with one of two, libzmq's thread
     * waits for this one. (One of one stalls for good.) */
    INBOUND_QUEUE = 2,
    WANTED_MAX = 32,
    HEARTBEAT_MS = 2000,
    TIMEOUT_MS = 6000,
    HANDSHAKE_MS = 5000,
};

/* libzmq lets go of an endpoint a little later than zmq_close() returns. */
static const int64_t bind_again_ns = 50 * NS_PER_MS, bind_patience_ns = 2 * NS_PER_S;
static const int64_t look_again_ns = 2 * NS_PER_S, state_pause_ns = 100 * NS_PER_MS;

struct outlet {
    struct loop *loop;
    const struct config *config;
    const struct store *store;
    void (*changed)(void *userdata);
    void *userdata;
    char prefix[PREFIX_MAX];
    void *context, *socket, *monitor;
    struct zap *zap;
    struct loop_source *socket_source, *monitor_source, *look_timer, *state_timer;
    struct clients clients;
    struct readers readers;
    char wanted[WANTED_MAX][FULL_TOPIC_MAX]; /* subscriptions that wait for the state */
    size_t wanted_count;
    bool wants_all, reopen;
    int64_t told_ns, closed_ns; /* the state was last sent; the socket was last closed on purpose */
    struct outlet_state state;
    struct log_limit refused_log;
};

/* ------------------------------------------------------------------ sending */

static void send_one(struct outlet *outlet, const char *full_topic, const char *json, size_t size)
{
    if (zmq_send(outlet->socket, full_topic, strlen(full_topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(outlet->socket, json, size, ZMQ_DONTWAIT);
}

static void full_topic(const struct outlet *outlet, const char *topic, char text[static FULL_TOPIC_MAX])
{
    snprintf(text, FULL_TOPIC_MAX, "%s%s", outlet->prefix, topic);
}

void outlet_send(struct outlet *outlet, const char *topic, const char *json, size_t size)
{
    char text[FULL_TOPIC_MAX];

    if (!outlet->socket || outlet->state.subscriptions == 0)
        return;
    full_topic(outlet, topic, text);
    send_one(outlet, text, json, size);
}

static bool is_wanted(const struct outlet *outlet, const char *text)
{
    for (size_t i = 0; i < outlet->wanted_count; i++)
        if (strncmp(text, outlet->wanted[i], strlen(outlet->wanted[i])) == 0)
            return true;
    return outlet->wants_all;
}

static void send_state(struct outlet *outlet, int64_t now_ns)
{
    char text[FULL_TOPIC_MAX];

    for (size_t i = 0; outlet->socket && i < outlet->store->count; i++) {
        const struct store_entry *entry = &outlet->store->entries[i];
        full_topic(outlet, entry->topic, text);
        if (is_wanted(outlet, text))
            send_one(outlet, text, entry->json, entry->size);
    }
    outlet->wanted_count = 0;
    outlet->wants_all = false;
    outlet->told_ns = now_ns;
}

static void on_state(void *userdata, int64_t now_ns)
{
    send_state(userdata, now_ns);
}

/* The state goes out at once, or, where it just did, after a pause that serves all who ask meanwhile. */
static void want_state(struct outlet *outlet, const char *text, size_t size)
{
    if (outlet->wanted_count == 0 && !outlet->wants_all)
        loop_set_timer(outlet->state_timer, outlet->told_ns + state_pause_ns);
    if (size >= FULL_TOPIC_MAX)
        return; /* no topic is as long */
    if (outlet->wanted_count == WANTED_MAX) {
        outlet->wants_all = true;
        return;
    }
    char *wanted = outlet->wanted[outlet->wanted_count++];
    memcpy(wanted, text, size);
    wanted[size] = '\0';
}

/* ---------------------------------------------------------------- receiving */

static void tell_barred(struct outlet *outlet, const char *name, const char *why)
{
    outlet->state.barred++;
    outlet->reopen = true;
    log_warning("the tool %s is shut out for %d s: %s", name, (int)(READER_BAR_NS / NS_PER_S), why);
    loop_set_timer(outlet->look_timer, 0);
}

static void count_frame(struct outlet *outlet, zmq_msg_t *frame)
{
    const char *name = zmq_msg_gets(frame, "User-Id");
    const int64_t now_ns = clock_now_ns();

    if (outlet->reopen)
        return;
    /* Those of an ended connection have no name. */
    if (name && readers_count(&outlet->readers, name, now_ns))
        tell_barred(outlet, name, "it subscribes and takes back all the time");
    else if (outlet->state.subscriptions > OUTLET_SUBSCRIPTIONS_MAX) {
        name = readers_bar_worst(&outlet->readers, now_ns);
        tell_barred(outlet, name ? name : "of an unknown name", "it has too many subscriptions");
    }
}

static void on_frame(void *userdata, void *socket)
{
    struct outlet *outlet = userdata;
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0) {
        const char *bytes = zmq_msg_data(&frame);
        const size_t size = zmq_msg_size(&frame);
        if (size > 0 && bytes[0] == 1) {
            outlet->state.subscriptions++;
            want_state(outlet, bytes + 1, size - 1);
        } else if (size > 0 && bytes[0] == 0 && outlet->state.subscriptions > 0) {
            outlet->state.subscriptions--;
        }
        count_frame(outlet, &frame);
        while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0)
            ; /* frames too many */
    }
    zmq_msg_close(&frame);
}

/* Handshakes that failed: no key, another protocol, not the key of this server, or refused below. */
static void on_monitor(void *userdata, void *socket)
{
    struct outlet *outlet = userdata;
    zmq_msg_t part;
    uint16_t number = 0;

    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_size(&part) >= sizeof number)
            memcpy(&number, zmq_msg_data(&part), sizeof number);
        while (zmq_msg_more(&part) && zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0)
            ;
    }
    zmq_msg_close(&part);
    if (number == 0)
        return;
    outlet->state.refused++;
    outlet->changed(outlet->userdata);
}

static bool admit(void *userdata, const struct zap_request *request, char *user)
{
    struct outlet *outlet = userdata;
    const struct client *client = request->key ? clients_find(&outlet->clients, request->key) : NULL;
    const bool barred = client && readers_barred(&outlet->readers, client->name, clock_now_ns());

    if (client && !barred) {
        text_copy(user, ZAP_TEXT_MAX, client->name);
        return true;
    }
    if (log_allowed(&outlet->refused_log, 5))
        log_warning("refused %s: %s%s", request->address,
                    client ? client->name : "its key is not among the clients'",
                    client ? " is shut out" : "");
    return false;
}

/* ----------------------------------------------------------------- the socket */

static void close_socket(struct outlet *outlet)
{
    loop_remove(outlet->socket_source);
    loop_remove(outlet->monitor_source);
    outlet->socket_source = outlet->monitor_source = NULL;
    if (outlet->socket) {
        zmq_socket_monitor(outlet->socket, NULL, 0);
        zmq_close(outlet->socket);
    }
    if (outlet->monitor)
        zmq_close(outlet->monitor);
    outlet->socket = outlet->monitor = NULL;
    outlet->state.listening = outlet->reopen = false;
    outlet->state.subscriptions = 0;
    outlet->wanted_count = 0;
    outlet->wants_all = false;
}

static void set_options(void *socket)
{
    const struct {
        int option, value;
    } options[] = {{ZMQ_LINGER, 0},
                   {ZMQ_SNDHWM, OUTLET_QUEUE},
                   {ZMQ_RCVHWM, INBOUND_QUEUE},
                   {ZMQ_XPUB_VERBOSER, 1}, /* every subscription is told, not only the first of its kind */
                   {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
                   {ZMQ_HEARTBEAT_TIMEOUT, TIMEOUT_MS},
                   {ZMQ_HEARTBEAT_TTL, TIMEOUT_MS},
                   {ZMQ_TCP_MAXRT, TIMEOUT_MS},
                   {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
                   {ZMQ_BACKLOG, 16}};
    const int64_t most = FRAME_MAX;

    for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
        zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
}

static int set_server(struct outlet *outlet)
{
    static const char domain[] = "monitor";
    const int on = 1, v6 = strchr(outlet->config->monitor.listen, '[') != NULL;
    struct curve_pair pair;
    int r = curve_read(outlet->config->monitor.key_file, true, &pair);

    if (r == 0 && (zmq_setsockopt(outlet->socket, ZMQ_CURVE_SERVER, &on, sizeof on) < 0 ||
                   zmq_setsockopt(outlet->socket, ZMQ_CURVE_SECRETKEY, pair.secret, CURVE_BYTES) < 0 ||
                   zmq_setsockopt(outlet->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0 ||
                   zmq_setsockopt(outlet->socket, ZMQ_IPV6, &v6, sizeof v6) < 0))
        r = -errno;
    sodium_memzero(&pair, sizeof pair);
    return r;
}

static int open_monitor(struct outlet *outlet)
{
    static const int watched = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    char endpoint[64];

    snprintf(endpoint, sizeof endpoint, "inproc://monitor-%p", outlet->socket);
    if (zmq_socket_monitor(outlet->socket, endpoint, watched) < 0)
        return -errno;
    outlet->monitor = zmq_socket(outlet->context, ZMQ_PAIR);
    if (!outlet->monitor || zmq_connect(outlet->monitor, endpoint) < 0)
        return -errno;
    return loop_add_zmq(outlet->loop, outlet->monitor, on_monitor, outlet, &outlet->monitor_source);
}

/* Into the state, and into the log if it is another trouble than before. */
PRINTF_LIKE(2, 3) static void say(struct outlet *outlet, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(outlet->state.text, sizeof outlet->state.text, format, arguments);
    va_end(arguments);
}

static const char *key_error(int r)
{
    return r == -EACCES                    ? "others than its owner can read it, or not this user; chmod 600"
           : r == -EBADMSG || r == -ENOKEY ? "no key pair in it; make one with duet keygen --monitor"
           : r == -ENOENT                  ? "it does not exist; make it with duet keygen --monitor"
                                           : strerror(-r);
}

static bool open_socket(struct outlet *outlet)
{
    const char *listen = outlet->config->monitor.listen;

    outlet->socket = zmq_socket(outlet->context, ZMQ_XPUB);
    if (!outlet->socket)
        return false;
    set_options(outlet->socket);
    int r = set_server(outlet);
    if (r < 0) {
        say(outlet, "nobody can listen: the key-file %.80s: %.70s", outlet->config->monitor.key_file,
            key_error(r));
        return false;
    }
    r = open_monitor(outlet);
    if (r == 0 && zmq_bind(outlet->socket, listen) < 0)
        r = -errno;
    if (r == 0)
        r = loop_add_zmq(outlet->loop, outlet->socket, on_frame, outlet, &outlet->socket_source);
    if (r < 0)
        say(outlet, "nobody can listen: cannot bind %.80s: %.70s", listen, zmq_strerror(-r));
    return r == 0;
}

/* ----------------------------------------------------------------- the clients */

/* Admits who is in the directory now. True if somebody is not any more. */
static bool look_at_clients(struct outlet *outlet)
{
    const struct clients before = outlet->clients;
    char error[CLIENTS_ERROR_MAX];
    const int r = clients_read(outlet->config->monitor.clients, &outlet->clients, error);

    outlet->state.clients = (int64_t)outlet->clients.count;
    if (r < 0)
        say(outlet, "nobody can listen: the clients' directory %.80s: %.70s", outlet->config->monitor.clients,
            strerror(-r));
    else
        say(outlet, "%s", error);
    return clients_any_gone(&before, &outlet->clients);
}

static bool is_closing(const struct outlet *outlet, int64_t now_ns)
{
    return !outlet->state.listening && outlet->closed_ns != 0 &&
           now_ns - outlet->closed_ns < bind_patience_ns;
}

static void on_look(void *userdata, int64_t now_ns)
{
    struct outlet *outlet = userdata;
    const struct outlet_state before = outlet->state;

    if (look_at_clients(outlet) || outlet->reopen) {
        close_socket(outlet);
        outlet->closed_ns = now_ns;
    }
    if (!outlet->socket) {
        outlet->state.listening = open_socket(outlet);
        if (!outlet->state.listening)
            close_socket(outlet);
    }
    if (outlet->state.listening && !before.listening)
        log_info("tools can listen at %s (%" PRId64 " keys)", outlet->config->monitor.listen,
                 outlet->state.clients);
    if (is_closing(outlet, now_ns))
        outlet->state.text[0] = '\0';
    if (strcmp(before.text, outlet->state.text) != 0 && outlet->state.text[0] != '\0')
        log_warning("%s", outlet->state.text);
    if (memcmp(&before, &outlet->state, sizeof before) != 0)
        outlet->changed(outlet->userdata);
    loop_set_timer(outlet->look_timer, now_ns + (is_closing(outlet, now_ns) ? bind_again_ns : look_again_ns));
}

/* ------------------------------------------------------------------- lifetime */

static int open_parts(struct outlet *outlet)
{
    outlet->context = zmq_ctx_new();
    if (!outlet->context || sodium_init() < 0)
        return -ENOMEM;
    int r = zap_open(outlet->context, outlet->loop, admit, outlet, &outlet->zap);
    if (r == 0)
        r = loop_add_timer(outlet->loop, on_look, outlet, &outlet->look_timer);
    if (r == 0)
        r = loop_add_timer(outlet->loop, on_state, outlet, &outlet->state_timer);
    return r;
}

int outlet_open(struct loop *loop, const struct config *config, const char *node, const struct store *store,
                void (*changed)(void *userdata), void *userdata, struct outlet **outlet)
{
    struct outlet *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->loop = loop;
    made->config = config;
    made->store = store;
    made->changed = changed;
    made->userdata = userdata;
    snprintf(made->prefix, sizeof made->prefix, "%s/%s/", config->cluster, node);
    const int r = open_parts(made);
    if (r < 0) {
        outlet_close(made);
        return r;
    }
    loop_set_timer(made->look_timer, 0);
    *outlet = made;
    return 0;
}

void outlet_close(struct outlet *outlet)
{
    if (!outlet)
        return;
    close_socket(outlet);
    loop_remove(outlet->look_timer);
    loop_remove(outlet->state_timer);
    zap_close(outlet->zap);
    if (outlet->context)
        zmq_ctx_term(outlet->context);
    free(outlet);
}

const struct outlet_state *outlet_state(const struct outlet *outlet)
{
    return &outlet->state;
}
