#include "common/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"

enum {
    PUBLISHERS_MAX = 12,
    HANDLERS_MAX = 32,
    RECONNECT_MS = 5,
    RECONNECT_SELDOM_MS = 100, /* and more and more seldom, down to … */
    RECONNECT_RARE_MS = 500,
    JSON_MAX = 1 << 20
};

struct retained {
    const struct message_type *type;
    char topic[TOPIC_MAX];
    char cause[CAUSE_MAX];
    void *body;
    int64_t full_ns; /* when it last went to all */
};

struct subscription {
    const struct message_type *type; /* NULL: everything, raw */
    const char *daemon;
    bus_handler *handler;
    bus_raw_handler *raw;
    void *userdata;
};

struct bus {
    struct loop *loop;
    const char *node, *daemon;
    char run_dir[PATH_MAX - 64];
    void *context, *pub, *sub, *ctl;
    struct loop_source *pub_source, *sub_source, *ctl_source;
    struct retained *retained[BUS_RETAINED_MAX];
    size_t retained_count;
    struct subscription subscriptions[HANDLERS_MAX];
    size_t subscription_count;
    char publishers[PUBLISHERS_MAX][32]; /* daemons that we listen to */
    size_t publisher_count;
    bus_command_handler *command;
    void *command_userdata;
    bus_command_handler *reload;
    void *reload_userdata;
    struct loop_source *resend_timer, *pulse_timer;
    struct daemon_message pulse;
    int64_t late_us[10]; /* by second, a ring */
    size_t late_at;
    int64_t seq;
    struct log_limit drop_log;
};

/* What its daemon publishes each second is not sent twice; and what is nearly due goes with what is, since
 * each waking costs more than a message. */
static const int64_t resend_after_ns = NS_PER_S * 11 / 10, resend_early_ns = NS_PER_S / 5;

/* ---------------------------------------------------------------- sockets */

static void endpoint_of(const char *run_dir, const char *daemon, const char *area, const char *file,
                        char *text, size_t size)
{
    snprintf(text, size, "ipc://%s/%s/%s/%s", run_dir, area, daemon, file);
}

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* A lease may hang on those that always run, if they are started again. Others may not be there at all, and
 * two hundred attempts a second for each cost more than all else. */
static bool is_always_there(const char *daemon)
{
    static const char *const seldom[] = {"syncd", "trapd", "monitord", "witnessd"};

    for (size_t i = 0; i < ARRAY_LENGTH(seldom); i++)
        if (strcmp(daemon, seldom[i]) == 0)
            return false;
    return true;
}

static int connect_to(const struct bus *bus, void *socket, const char *daemon)
{
    const bool always = is_always_there(daemon);
    char endpoint[PATH_MAX];

    endpoint_of(bus->run_dir, daemon, "bus", "pub", endpoint, sizeof endpoint);
    set_option(socket, ZMQ_RECONNECT_IVL, always ? RECONNECT_MS : RECONNECT_SELDOM_MS);
    set_option(socket, ZMQ_RECONNECT_IVL_MAX, always ? 0 : RECONNECT_RARE_MS);
    return zmq_connect(socket, endpoint) < 0 ? -errno : 0;
}

static void *open_socket(void *context, int type)
{
    void *socket = zmq_socket(context, type);

    if (!socket)
        return NULL;
    set_option(socket, ZMQ_LINGER, 100);
    set_option(socket, ZMQ_SNDHWM, BUS_QUEUE);
    set_option(socket, ZMQ_RCVHWM, BUS_QUEUE);
    set_option(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    const int64_t most = JSON_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    return socket;
}

static int bind_socket(struct bus *bus, const char *area, const char *file, int type, void **socket)
{
    char directory[PATH_MAX], endpoint[PATH_MAX];

    snprintf(directory, sizeof directory, "%s/%s/%s", bus->run_dir, area, bus->daemon);
    int r = make_directories(directory, 0750);
    if (r < 0)
        return r;
    *socket = open_socket(bus->context, type);
    if (!*socket)
        return -errno;
    endpoint_of(bus->run_dir, bus->daemon, area, file, endpoint, sizeof endpoint);
    if (zmq_bind(*socket, endpoint) < 0)
        return -errno;
    /* Who may connect is the group of the directory, whatever the umask of whoever started us. */
    return chmod(endpoint + strlen("ipc://"), 0660) < 0 ? -errno : 0;
}

/* --------------------------------------------------------------- sending */

static void fill_envelope(struct bus *bus, const char *cause, struct envelope *envelope)
{
    *envelope = (struct envelope){.seq = ++bus->seq, .mono_ns = clock_now_ns()};
    text_copy(envelope->node, sizeof envelope->node, bus->node);
    text_copy(envelope->from, sizeof envelope->from, bus->daemon);
    text_copy(envelope->cause, sizeof envelope->cause, cause);
    clock_utc(envelope->mono_ns, envelope->at);
}

/* Never blocks: what a full queue refuses is sent again within a second. */
static int send_message(struct bus *bus, const struct message_type *type, const char *topic,
                        const char *cause, const void *body)
{
    struct envelope envelope;

    fill_envelope(bus, cause, &envelope);
    AUTO_FREE char *json = message_pack(type, &envelope, body);
    if (!json)
        return -ENOMEM;
    const bool sent = zmq_send(bus->pub, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
                      zmq_send(bus->pub, json, strlen(json), ZMQ_DONTWAIT) >= 0;
    const int r = sent ? 0 : -errno;
    loop_zmq_used(bus->pub_source);
    return r;
}

static int send_retained(struct bus *bus, struct retained *kept)
{
    kept->full_ns = clock_now_ns();
    return send_message(bus, kept->type, kept->topic, kept->cause, kept->body);
}

static int send_renewal(struct bus *bus, const struct retained *kept)
{
    char topic[TOPIC_MAX + 1];

    snprintf(topic, sizeof topic, "%c%s", BUS_RENEWAL, kept->topic);
    return send_message(bus, kept->type, topic, kept->cause, kept->body);
}

static struct retained *find_retained(struct bus *bus, const char *topic)
{
    for (size_t i = 0; i < bus->retained_count; i++)
        if (strcmp(bus->retained[i]->topic, topic) == 0)
            return bus->retained[i];
    return NULL;
}

static struct retained *add_retained(struct bus *bus, const struct message_type *type, const char *topic)
{
    if (bus->retained_count == BUS_RETAINED_MAX)
        return NULL;
    struct retained *kept = calloc(1, sizeof *kept);
    if (!kept || !(kept->body = calloc(1, type->record->size))) {
        free(kept);
        return NULL;
    }
    kept->type = type;
    text_copy(kept->topic, sizeof kept->topic, topic);
    bus->retained[bus->retained_count++] = kept;
    return kept;
}

static void topic_of(const struct message_type *type, const char *name, char topic[static TOPIC_MAX])
{
    snprintf(topic, TOPIC_MAX, name ? "%s/%s" : "%s", type->topic, name);
}

int bus_publish(struct bus *bus, const struct message_type *type, const char *name, const void *body,
                const char *cause)
{
    char topic[TOPIC_MAX];

    topic_of(type, name, topic);
    if (type->live && !type->ages)
        return send_message(bus, type, topic, cause ? cause : "", body);
    struct retained *kept = find_retained(bus, topic);
    if (!kept && !(kept = add_retained(bus, type, topic)))
        return -ENOBUFS;
    const bool renewal = kept->full_ns != 0 && clock_now_ns() - kept->full_ns < BUS_CALM &&
                         message_is_renewal(type, kept->body, body);
    memcpy(kept->body, body, type->record->size);
    text_copy(kept->cause, sizeof kept->cause, cause ? cause : "");
    return renewal ? send_renewal(bus, kept) : send_retained(bus, kept);
}

void bus_retire(struct bus *bus, const struct message_type *type, const char *name)
{
    char topic[TOPIC_MAX];

    topic_of(type, name, topic);
    for (size_t i = 0; i < bus->retained_count; i++)
        if (strcmp(bus->retained[i]->topic, topic) == 0) {
            free(bus->retained[i]->body);
            free(bus->retained[i]);
            bus->retained[i] = bus->retained[--bus->retained_count];
            return;
        }
}

void bus_last_cause(const struct bus *bus, char cause[static CAUSE_MAX])
{
    cause[0] = '\0';
    if (bus->seq > 0)
        snprintf(cause, CAUSE_MAX, "%s:%" PRId64, bus->daemon, bus->seq);
}

/* Somebody subscribed (first byte 1): tell the present state of what they asked for. What is live is not told:
 * its body would be old and its time new. */
static void on_subscriber(void *userdata, void *socket)
{
    struct bus *bus = userdata;
    char frame[TOPIC_MAX + 1];
    int n = zmq_recv(socket, frame, sizeof frame - 1, ZMQ_DONTWAIT);

    if (n < 1 || frame[0] != 1)
        return;
    const size_t length = (size_t)MIN(n, (int)sizeof frame - 1) - 1;
    for (size_t i = 0; i < bus->retained_count; i++)
        if (!bus->retained[i]->type->live && strncmp(bus->retained[i]->topic, frame + 1, length) == 0)
            send_retained(bus, bus->retained[i]);
}

static void on_resend(void *userdata, int64_t now_ns)
{
    struct bus *bus = userdata;
    int64_t due_ns = now_ns + resend_after_ns;

    for (size_t i = 0; i < bus->retained_count; i++) {
        struct retained *kept = bus->retained[i];
        if (kept->type->live)
            continue;
        if (now_ns - kept->full_ns >= resend_after_ns - resend_early_ns)
            send_retained(bus, kept);
        due_ns = MIN(due_ns, kept->full_ns + resend_after_ns);
    }
    loop_set_timer(bus->resend_timer, due_ns);
}

/* -------------------------------------------------------------- receiving */

static bool is_connected(const struct bus *bus, const char *daemon)
{
    for (size_t i = 0; i < bus->publisher_count; i++)
        if (strcmp(bus->publishers[i], daemon) == 0)
            return true;
    return false;
}

static void drop(struct bus *bus, const char *topic, const char *why)
{
    bus->pulse.dropped++;
    if (log_allowed(&bus->drop_log, 5))
        log_warning("dropped a message on topic %.64s: %s", topic, why);
}

static void deliver(struct bus *bus, const struct bus_message *message)
{
    for (size_t i = 0; i < bus->subscription_count; i++) {
        const struct subscription *s = &bus->subscriptions[i];
        if (s->handler && s->type == message->type && strcmp(s->daemon, message->envelope->from) == 0)
            s->handler(s->userdata, message);
    }
}

static void parse_and_deliver(struct bus *bus, const char *topic, const char *json, size_t size)
{
    struct envelope envelope;
    char error[CODEC_ERROR_MAX];
    struct bus_message message = {.envelope = &envelope};

    message.type = topic_find(topic, &message.name);
    if (!message.type) {
        drop(bus, topic, "nobody sends such a topic");
        return;
    }
    AUTO_FREE void *body = malloc(message.type->record->size);
    if (!body)
        return;
    if (message_parse(message.type, json, size, &envelope, body, error) < 0) {
        drop(bus, topic, error);
        return;
    }
    if (strcmp(message.type->owner, "*") != 0 && strcmp(message.type->owner, envelope.from) != 0) {
        drop(bus, topic, "it comes from a daemon that does not own it");
        return;
    }
    snprintf(message.cause, sizeof message.cause, "%.24s:%" PRId64, envelope.from, envelope.seq);
    message.body = body;
    deliver(bus, &message);
}

static void on_message(void *userdata, void *socket)
{
    struct bus *bus = userdata;
    char frame[TOPIC_MAX + 1];
    zmq_msg_t part;
    int more = 0;
    size_t more_size = sizeof more;

    int n = zmq_recv(socket, frame, sizeof frame - 1, ZMQ_DONTWAIT);
    if (n < 0)
        return;
    frame[MIN(n, (int)sizeof frame - 1)] = '\0';
    const char *topic = frame + (frame[0] == BUS_RENEWAL);
    zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    if (!more) {
        drop(bus, topic, "it has one frame instead of two");
        return;
    }
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0) {
        for (size_t i = 0; i < bus->subscription_count; i++)
            if (bus->subscriptions[i].raw)
                bus->subscriptions[i].raw(bus->subscriptions[i].userdata, topic, zmq_msg_data(&part),
                                          zmq_msg_size(&part));
        bool typed = false;
        for (size_t i = 0; i < bus->subscription_count; i++)
            typed = typed || bus->subscriptions[i].handler;
        if (typed)
            parse_and_deliver(bus, topic, zmq_msg_data(&part), zmq_msg_size(&part));
    }
    zmq_msg_close(&part);
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more)
        zmq_recv(socket, frame, 0, ZMQ_DONTWAIT);
}

static int connect_publisher(struct bus *bus, const char *daemon)
{
    if (is_connected(bus, daemon))
        return 0;
    if (bus->publisher_count == PUBLISHERS_MAX)
        return -ENOBUFS;
    const int r = connect_to(bus, bus->sub, daemon);
    if (r < 0)
        return r;
    loop_zmq_used(bus->sub_source);
    text_copy(bus->publishers[bus->publisher_count++], sizeof *bus->publishers, daemon);
    return 0;
}

static int subscribe_to(struct bus *bus, const char *prefix, size_t length)
{
    const int r = zmq_setsockopt(bus->sub, ZMQ_SUBSCRIBE, prefix, length) < 0 ? -errno : 0;

    loop_zmq_used(bus->sub_source);
    return r;
}

static int add_subscription(struct bus *bus, const struct subscription *wanted)
{
    if (bus->subscription_count == HANDLERS_MAX)
        return -ENOBUFS;
    bus->subscriptions[bus->subscription_count++] = *wanted;
    return connect_publisher(bus, wanted->daemon);
}

int bus_subscribe(struct bus *bus, const struct message_type *type, const char *daemon, bus_handler *handler,
                  void *userdata)
{
    const struct subscription wanted = {
        .type = type, .daemon = daemon, .handler = handler, .userdata = userdata};
    char prefix[TOPIC_MAX];

    snprintf(prefix, sizeof prefix, type->named ? "%s/" : "%s", type->topic);
    const int r = subscribe_to(bus, prefix, strlen(prefix));
    return r < 0 ? r : add_subscription(bus, &wanted);
}

int bus_hear_renewals(struct bus *bus, const struct message_type *type)
{
    char prefix[TOPIC_MAX];

    snprintf(prefix, sizeof prefix, type->named ? "%c%s/" : "%c%s", BUS_RENEWAL, type->topic);
    return subscribe_to(bus, prefix, strlen(prefix));
}

/* Prefixes cannot say "but not": each topic begins with a letter, and a renewal does not. */
static int subscribe_to_all(struct bus *bus, bool renewals)
{
    int r = renewals ? subscribe_to(bus, "", 0) : 0;

    for (char letter = 'a'; letter <= 'z' && r == 0 && !renewals; letter++)
        r = subscribe_to(bus, &letter, 1);
    return r;
}

int bus_subscribe_raw(struct bus *bus, const char *daemon, bool renewals, bus_raw_handler *handler,
                      void *userdata)
{
    /* One SUB socket serves all: the raw handler is called once a message, whoever sent it. */
    for (size_t i = 0; i < bus->subscription_count; i++)
        if (bus->subscriptions[i].raw == handler)
            return connect_publisher(bus, daemon);
    const struct subscription wanted = {.daemon = daemon, .raw = handler, .userdata = userdata};
    const int r = subscribe_to_all(bus, renewals);
    return r < 0 ? r : add_subscription(bus, &wanted);
}

/* --------------------------------------------------------------- commands */

static void run_command(struct bus *bus, const char *json, size_t size, struct bus_answer *answer)
{
    struct command_message command;
    char error[CODEC_ERROR_MAX];

    if (message_parse(&command_type, json, size, NULL, &command, error) < 0)
        snprintf(answer->reply.error, sizeof answer->reply.error, "this command cannot be read: %s", error);
    else if (bus->reload && strcmp(command.command, "reload") == 0)
        bus->reload(bus->reload_userdata, &command, answer);
    else if (!bus->command)
        snprintf(answer->reply.error, sizeof answer->reply.error, "%s takes no commands", bus->daemon);
    else
        bus->command(bus->command_userdata, &command, answer);
}

/* A command has the frames identity, (empty), JSON; the answer goes back with the same frames before it, so
 * REQ and DEALER both can ask. */
static void on_command(void *userdata, void *socket)
{
    struct bus *bus = userdata;
    zmq_msg_t identity, part;
    bool delimited = false;

    zmq_msg_init(&identity);
    zmq_msg_init(&part);
    if (zmq_msg_recv(&identity, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&identity) &&
        zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_size(&part) == 0 && zmq_msg_more(&part)) {
            delimited = true;
            zmq_msg_recv(&part, socket, ZMQ_DONTWAIT);
        }
        struct bus_answer answer = {0};
        run_command(bus, zmq_msg_data(&part), zmq_msg_size(&part), &answer);
        const struct message_type *type = answer.type ? answer.type : &reply_type;
        AUTO_FREE char *json = message_pack(type, NULL, answer.type ? answer.body : &answer.reply);
        while (zmq_msg_more(&part) && zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0)
            ; /* frames too many: not ours */
        if (json) {
            zmq_msg_send(&identity, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT);
            if (delimited)
                zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
            zmq_send(socket, json, strlen(json), ZMQ_DONTWAIT);
        }
    }
    zmq_msg_close(&part);
    zmq_msg_close(&identity);
}

void bus_on_command(struct bus *bus, bus_command_handler *handler, void *userdata)
{
    bus->command = handler;
    bus->command_userdata = userdata;
}

void bus_on_reload(struct bus *bus, bus_command_handler *handler, void *userdata)
{
    bus->reload = handler;
    bus->reload_userdata = userdata;
}

static int receive_answer(void *socket, const struct message_type *type, void *body)
{
    char error[CODEC_ERROR_MAX];
    zmq_msg_t part;

    zmq_msg_init(&part);
    int r = zmq_msg_recv(&part, socket, 0) < 0 ? -errno : 0;
    if (r == 0)
        r = message_parse(type, zmq_msg_data(&part), zmq_msg_size(&part), NULL, body, error);
    zmq_msg_close(&part);
    return r == -EAGAIN ? -ETIMEDOUT : r;
}

int bus_request(const char *run_dir, const char *daemon, const struct command_message *command,
                int64_t timeout_ns, const struct message_type *type, void *body)
{
    char endpoint[PATH_MAX];
    AUTO_FREE char *json = message_pack(&command_type, NULL, command);
    void *context = zmq_ctx_new();
    void *socket = context && json ? open_socket(context, ZMQ_REQ) : NULL;
    int r = socket ? 0 : -ENOMEM;

    if (r == 0) {
        set_option(socket, ZMQ_RCVTIMEO, (int)(timeout_ns / NS_PER_MS));
        set_option(socket, ZMQ_LINGER, 0);
        endpoint_of(run_dir, daemon, "ctl", "ctl", endpoint, sizeof endpoint);
        if (zmq_connect(socket, endpoint) < 0 || zmq_send(socket, json, strlen(json), 0) < 0)
            r = -errno;
    }
    if (r == 0)
        r = receive_answer(socket, type, body);
    if (socket)
        zmq_close(socket);
    if (context)
        zmq_ctx_term(context);
    return r;
}

/* ------------------------------------------------------------------ pulse */

static void on_pulse(void *userdata, int64_t now_ns)
{
    struct bus *bus = userdata;
    const int64_t late_us = loop_late_us_max(bus->loop, true);

    bus->late_us[bus->late_at++ % ARRAY_LENGTH(bus->late_us)] = late_us;
    bus->pulse.late_us_max = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(bus->late_us); i++)
        bus->pulse.late_us_max = MAX(bus->pulse.late_us_max, bus->late_us[i]);
    bus->pulse.late_us_ever = MAX(bus->pulse.late_us_ever, late_us);
    bus_publish(bus, &daemon_type, bus->daemon, &bus->pulse, NULL);
    loop_set_timer(bus->pulse_timer, now_ns + NS_PER_S);
}

void bus_tell_stopping(struct bus *bus)
{
    bus->pulse.stopping = true;
    if (bus->pulse_timer)
        bus_publish(bus, &daemon_type, bus->daemon, &bus->pulse, NULL);
}

int bus_start_pulse(struct bus *bus)
{
    bus->pulse.pid = getpid();
    bus->pulse.started_ns = clock_now_ns();
    text_copy(bus->pulse.version, sizeof bus->pulse.version, DUET_VERSION);
    int r = loop_add_timer(bus->loop, on_pulse, bus, &bus->pulse_timer);
    if (r == 0)
        loop_set_timer(bus->pulse_timer, bus->pulse.started_ns);
    return r;
}

/* --------------------------------------------------------------- lifetime */

int bus_open_listener(struct loop *loop, const char *run_dir, const char *node, struct bus **bus)
{
    struct bus *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->loop = loop;
    made->node = node;
    text_copy(made->run_dir, sizeof made->run_dir, run_dir);
    made->context = zmq_ctx_new();
    made->sub = made->context ? open_socket(made->context, ZMQ_SUB) : NULL;
    int r = made->sub ? loop_add_zmq(loop, made->sub, on_message, made, &made->sub_source) : -ENOMEM;
    if (r < 0) {
        bus_free(made);
        return r;
    }
    *bus = made;
    return 0;
}

int bus_open(struct loop *loop, const char *run_dir, const char *node, const char *daemon, struct bus **bus)
{
    struct bus *made;
    int r = bus_open_listener(loop, run_dir, node, &made);

    if (r < 0)
        return r;
    made->daemon = daemon;
    r = bind_socket(made, "bus", "pub", ZMQ_XPUB, &made->pub);
    if (r == 0) {
        set_option(made->pub, ZMQ_XPUB_VERBOSE, 1);
        r = loop_add_zmq(loop, made->pub, on_subscriber, made, &made->pub_source);
    }
    if (r == 0)
        r = bind_socket(made, "ctl", "ctl", ZMQ_ROUTER, &made->ctl);
    if (r == 0)
        r = loop_add_zmq(loop, made->ctl, on_command, made, &made->ctl_source);
    if (r == 0)
        r = loop_add_timer(loop, on_resend, made, &made->resend_timer);
    if (r < 0) {
        bus_free(made);
        return r;
    }
    loop_zmq_used(made->ctl_source);
    loop_set_timer(made->resend_timer, clock_now_ns() + resend_after_ns);
    *bus = made;
    return 0;
}

void bus_free(struct bus *bus)
{
    if (!bus)
        return;
    for (size_t i = 0; i < bus->retained_count; i++) {
        free(bus->retained[i]->body);
        free(bus->retained[i]);
    }
    void *const sockets[] = {bus->pub, bus->sub, bus->ctl};
    for (size_t i = 0; i < ARRAY_LENGTH(sockets); i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    if (bus->context)
        zmq_ctx_term(bus->context);
    free(bus);
}
