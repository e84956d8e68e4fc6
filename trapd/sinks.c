#include "trapd/sinks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "trapd/process.h"

/* The first failure may be a route that is about to change hands: soon again, then less and less often. */
static const int64_t again_first_ns = 10 * NS_PER_MS, again_most_ns = 30 * NS_PER_S;

struct sink {
    struct sinks *sinks;
    struct sink_state state;
    struct directive directive;
    char key[SINK_KEY_MAX]; /* in the backlog; no secret is in it */
    struct process process; /* pid 0: none runs */
    struct loop_source *socket_source, *timer;
    bool ready, under_way; /* it has answered its setup; the first of the queue is with it */
    int64_t failures;
    struct event *queue; /* SINK_WAITING_MAX, a ring */
    size_t first;
};

struct sinks {
    struct loop *loop;
    struct backlog *backlog;
    struct child_setup *setup; /* all but the directive */
    void (*changed)(void *userdata);
    void *userdata;
    struct sink *all[DIRECTIVES_MAX];
    size_t count;
};

/* ------------------------------------------------------------------------------- queue */

static struct event *queued(struct sink *sink, size_t n)
{
    return &sink->queue[(sink->first + n) % SINK_WAITING_MAX];
}

static void drop_first(struct sink *sink)
{
    backlog_remove(sink->sinks->backlog, sink->key, queued(sink, 0)->number);
    sink->first = (sink->first + 1) % SINK_WAITING_MAX;
    sink->state.waiting--;
}

/* Too many wait: the oldest one goes, unless it is on its way just now. */
static void make_room(struct sink *sink)
{
    if (sink->state.waiting < SINK_WAITING_MAX)
        return;
    sink->state.dropped++;
    if (!sink->under_way) {
        drop_first(sink);
        return;
    }
    backlog_remove(sink->sinks->backlog, sink->key, queued(sink, 1)->number);
    *queued(sink, 1) = *queued(sink, 0);
    sink->first = (sink->first + 1) % SINK_WAITING_MAX;
    sink->state.waiting--;
}

static void append(void *userdata, const struct event *event)
{
    struct sink *sink = userdata;

    make_room(sink);
    *queued(sink, sink->state.waiting++) = *event;
}

/* ----------------------------------------------------------------------------- process */

static void start(struct sink *sink);

static void end_process(struct sink *sink)
{
    loop_remove(sink->socket_source);
    sink->socket_source = NULL;
    process_end(&sink->process);
    sink->ready = sink->under_way = false;
}

static void tell(struct sink *sink, const char *text)
{
    if (strcmp(sink->state.text, text) == 0)
        return;
    if (text[0] != '\0')
        log_warning("sink %s: %s", sink->state.address, text);
    else
        log_notice("sink %s: that is over", sink->state.address);
    text_copy(sink->state.text, sizeof sink->state.text, text);
}

static void pause(struct sink *sink)
{
    loop_set_timer(sink->timer, clock_now_ns() + backoff_ns(again_first_ns, ++sink->failures, again_most_ns));
}

static void pump(struct sink *sink)
{
    if (!sink->ready || sink->under_way || sink->state.waiting == 0)
        return;
    if (process_send(&sink->process, queued(sink, 0), sizeof(struct event)) < 0) {
        end_process(sink);
        pause(sink);
        return;
    }
    sink->under_way = true;
}

static void take_setup(struct sink *sink, const struct child_reply *reply)
{
    sink->state.kind = reply->kind;
    if (reply->address[0] != '\0')
        text_copy(sink->state.address, sizeof sink->state.address, reply->address);
    sink->ready = reply->result == 0;
    if (reply->result < 0)
        tell(sink, reply->text);
    pump(sink);
}

static void take_result(struct sink *sink, const struct child_reply *reply)
{
    if (!sink->under_way || reply->number != queued(sink, 0)->number)
        return;
    sink->under_way = false;
    if (reply->result < 0) {
        tell(sink, reply->text);
        pause(sink);
        return;
    }
    sink->failures = 0;
    sink->state.sent++;
    sink->state.acknowledged += sink->state.kind == SESSION_INFORM;
    drop_first(sink);
    tell(sink, "");
    pump(sink);
}

static void on_socket(void *userdata, int fd, unsigned events)
{
    struct sink *sink = userdata;
    struct child_reply reply;

    (void)fd, (void)events;
    const long size = process_receive(&sink->process, &reply, sizeof reply);
    if (size == -EAGAIN)
        return;
    if (size != (long)sizeof reply) {
        const bool refused = !sink->ready && sink->state.kind == 0 && sink->state.text[0] != '\0';
        end_process(sink);
        if (!refused) /* else its line is wrong, and only another one helps */
            pause(sink);
    } else if (reply.number == 0 && !sink->ready) {
        take_setup(sink, &reply);
    } else {
        take_result(sink, &reply);
    }
    sink->sinks->changed(sink->sinks->userdata);
}

static void start(struct sink *sink)
{
    struct child_setup *setup = sink->sinks->setup;
    int r = process_start("--sink", &sink->process);

    setup->directive = sink->directive;
    if (r == 0)
        r = process_send(&sink->process, setup, sizeof *setup);
    explicit_bzero(&setup->directive, sizeof setup->directive);
    if (r == 0)
        r = loop_add_fd(sink->sinks->loop, process_socket(&sink->process), EPOLLIN, on_socket, sink,
                        &sink->socket_source);
    if (r < 0) {
        char text[SESSION_ERROR_MAX];
        snprintf(text, sizeof text, "its process cannot be started: %s", strerror(-r));
        tell(sink, text);
        end_process(sink);
        pause(sink);
    }
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct sink *sink = userdata;

    (void)now_ns;
    if (sink->process.pid == 0)
        start(sink);
    else
        pump(sink);
}

/* ------------------------------------------------------------------------ configuration */

static void free_sink(struct sink *sink)
{
    if (!sink)
        return;
    end_process(sink);
    loop_remove(sink->timer);
    explicit_bzero(&sink->directive, sizeof sink->directive);
    free(sink->queue);
    free(sink);
}

/* The host, and the kind of directive: a password that changes leaves what waits where it is. */
static void name_sink(struct sink *sink)
{
    const struct directive *d = &sink->directive;
    const char *host = directive_word(d, d->kind == DIRECTIVE_TRAPSESS ? d->word_count - 1 : 0);
    const char *port = d->kind != DIRECTIVE_TRAPSESS && d->word_count > 2 ? directive_word(d, 2) : "";

    snprintf(sink->key, sizeof sink->key, "%d %.100s %.16s", d->kind, host, port);
    snprintf(sink->state.address, sizeof sink->state.address, "%.100s", host);
    sink->state.line = d->line;
}

static struct sink *new_sink(struct sinks *sinks, const struct directive *directive)
{
    struct sink *made = calloc(1, sizeof *made);

    if (made)
        made->queue = calloc(SINK_WAITING_MAX, sizeof *made->queue);
    if (!made || !made->queue || loop_add_timer(sinks->loop, on_timer, made, &made->timer) < 0) {
        if (made)
            free(made->queue);
        free(made);
        return NULL;
    }
    made->sinks = sinks;
    made->directive = *directive;
    name_sink(made);
    if (backlog_load(sinks->backlog, made->key, append, made) < 0)
        log_warning("sink %s: what waits for it on the disk cannot be read", made->state.address);
    return made;
}

static bool is_same(const struct directive *a, const struct directive *b)
{
    return a->kind == b->kind && a->word_count == b->word_count &&
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0 && strcmp(a->community, b->community) == 0;
}

static struct sink *take_out(struct sinks *sinks, const struct directive *directive)
{
    for (size_t i = 0; i < sinks->count; i++)
        if (sinks->all[i] && is_same(&sinks->all[i]->directive, directive)) {
            struct sink *found = sinks->all[i];
            sinks->all[i] = NULL;
            return found;
        }
    return NULL;
}

static bool users_changed(const struct child_setup *setup, const struct directives *directives)
{
    bool changed = setup->user_count != directives->user_count;

    for (size_t i = 0; i < directives->user_count && !changed; i++)
        changed = strcmp(setup->users[i], directives->users[i].text) != 0;
    return changed;
}

static void take_users(struct child_setup *setup, const struct directives *directives)
{
    explicit_bzero(setup->users, sizeof setup->users);
    setup->user_count = directives->user_count;
    for (size_t i = 0; i < directives->user_count; i++)
        text_copy(setup->users[i], sizeof setup->users[i], directives->users[i].text);
}

int sinks_configure(struct sinks *sinks, const struct directives *directives)
{
    const bool anew = users_changed(sinks->setup, directives);
    struct sink *chosen[DIRECTIVES_MAX] = {0};
    const char *keys[DIRECTIVES_MAX];
    int r = 0;

    take_users(sinks->setup, directives);
    for (size_t i = 0; i < directives->count; i++) {
        chosen[i] = anew ? NULL : take_out(sinks, &directives->sinks[i]);
        if (chosen[i])
            chosen[i]->state.line = directives->sinks[i].line;
    }
    for (size_t i = 0; i < sinks->count; i++)
        free_sink(sinks->all[i]);
    sinks->count = 0;
    for (size_t i = 0; i < directives->count; i++) {
        const bool made = !chosen[i];
        struct sink *sink = made ? new_sink(sinks, &directives->sinks[i]) : chosen[i];
        if (!sink) {
            r = -ENOMEM;
            continue;
        }
        keys[sinks->count] = sink->key;
        sinks->all[sinks->count++] = sink;
        if (made)
            start(sink);
    }
    backlog_keep(sinks->backlog, keys, sinks->count);
    return r;
}

/* ---------------------------------------------------------------------------- the rest */

int sinks_new(struct loop *loop, struct backlog *backlog, const struct engine_id *engine_id, uint32_t boots,
              const struct config_oid *base, void (*changed)(void *userdata), void *userdata,
              struct sinks **sinks)
{
    struct sinks *made = calloc(1, sizeof *made);
    struct child_setup *setup = calloc(1, sizeof *setup);

    if (!made || !setup) {
        free(made);
        free(setup);
        return -ENOMEM;
    }
    setup->boots = boots;
    setup->engine_id = *engine_id;
    setup->base = *base;
    *made = (struct sinks){
        .loop = loop, .backlog = backlog, .setup = setup, .changed = changed, .userdata = userdata};
    *sinks = made;
    return 0;
}

void sinks_free(struct sinks *sinks)
{
    if (!sinks)
        return;
    for (size_t i = 0; i < sinks->count; i++)
        free_sink(sinks->all[i]);
    explicit_bzero(sinks->setup, sizeof *sinks->setup);
    free(sinks->setup);
    free(sinks);
}

void sinks_send(struct sinks *sinks, const struct event *event)
{
    for (size_t i = 0; i < sinks->count; i++) {
        append(sinks->all[i], event);
        pump(sinks->all[i]);
    }
    /* First it is sent, then written down. */
    for (size_t i = 0; i < sinks->count; i++)
        if (backlog_put(sinks->backlog, sinks->all[i]->key, event) < 0)
            log_warning("the backlog cannot be written: what waits is lost if this daemon ends");
    sinks->changed(sinks->userdata);
}

void sinks_hurry(struct sinks *sinks)
{
    for (size_t i = 0; i < sinks->count; i++)
        if (sinks->all[i]->failures > 0 && sinks->all[i]->state.waiting > 0) {
            sinks->all[i]->failures = 0;
            loop_set_timer(sinks->all[i]->timer, clock_now_ns());
        }
}

size_t sinks_count(const struct sinks *sinks)
{
    return sinks->count;
}

const struct sink_state *sinks_state(const struct sinks *sinks, size_t n)
{
    return &sinks->all[n]->state;
}
