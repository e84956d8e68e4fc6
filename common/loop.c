#include "common/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <zmq.h>

#include "common/clock.h"

struct loop {
    sd_event *event;
    struct loop_source *sources; /* all of them, to be freed with the loop */
    int64_t late_ns_max;
};

struct loop_source {
    struct loop *loop;
    struct loop_source *next, *previous;
    sd_event_source *event_source, *again; /* again: the zmq socket has more */
    union {
        loop_fd_handler *fd;
        loop_timer_handler *timer;
        loop_signal_handler *signal;
        loop_zmq_handler *zmq;
    } handler;
    void *userdata, *socket;
    int64_t due_ns;
    bool told, unsure; /* the zmq socket: the loop is told of calls, and its state is to be asked */
};

enum { ZMQ_BURST = 64 };

int loop_new(struct loop **loop)
{
    struct loop *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    int r = sd_event_new(&made->event);
    if (r < 0) {
        free(made);
        return r;
    }
    *loop = made;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->sources)
        loop_remove(loop->sources);
    sd_event_unref(loop->event);
    free(loop);
}

int loop_run(struct loop *loop)
{
    return sd_event_loop(loop->event);
}

void loop_exit(struct loop *loop, int code)
{
    sd_event_exit(loop->event, code);
}

int loop_turn(struct loop *loop, int64_t timeout_ns)
{
    int r = sd_event_run(loop->event, (uint64_t)MAX(timeout_ns, 0) / 1000);

    return MIN(r, 0);
}

static struct loop_source *source_new(struct loop *loop, void *userdata)
{
    struct loop_source *source = calloc(1, sizeof *source);

    if (source) {
        source->loop = loop;
        source->userdata = userdata;
        source->next = loop->sources;
        if (source->next)
            source->next->previous = source;
        loop->sources = source;
    }
    return source;
}

/* Hands the source out, or frees it if it could not be added. */
static int source_done(struct loop_source *made, int r, struct loop_source **source)
{
    if (r < 0) {
        loop_remove(made);
        return r;
    }
    if (source)
        *source = made;
    return 0;
}

static int on_fd(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    struct loop_source *source = userdata;

    (void)s;
    source->handler.fd(source->userdata, fd, events);
    return 0;
}

int loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_handler *handler, void *userdata,
                struct loop_source **source)
{
    struct loop_source *made = source_new(loop, userdata);

    if (!made)
        return -ENOMEM;
    made->handler.fd = handler;
    return source_done(made, sd_event_add_io(loop->event, &made->event_source, fd, events, on_fd, made),
                       source);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct loop_source *source = userdata;
    const int64_t now = clock_now_ns();

    (void)s;
    (void)usec;
    if (now - source->due_ns > source->loop->late_ns_max)
        source->loop->late_ns_max = now - source->due_ns;
    source->handler.timer(source->userdata, now);
    return 0;
}

int loop_add_timer(struct loop *loop, loop_timer_handler *handler, void *userdata,
                   struct loop_source **source)
{
    struct loop_source *made = source_new(loop, userdata);

    if (!made)
        return -ENOMEM;
    made->handler.timer = handler;
    int r =
        sd_event_add_time(loop->event, &made->event_source, CLOCK_BOOTTIME, UINT64_MAX, 1, on_timer, made);
    if (r >= 0)
        r = sd_event_source_set_enabled(made->event_source, SD_EVENT_OFF);
    return source_done(made, r, source);
}

void loop_set_timer(struct loop_source *source, int64_t at_ns)
{
    source->due_ns = MAX(at_ns, clock_now_ns());
    sd_event_source_set_time(source->event_source, (uint64_t)MAX(at_ns, 0) / 1000);
    sd_event_source_set_enabled(source->event_source, SD_EVENT_ONESHOT);
}

void loop_stop_timer(struct loop_source *source)
{
    sd_event_source_set_enabled(source->event_source, SD_EVENT_OFF);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
    struct loop_source *source = userdata;

    (void)s;
    source->handler.signal(source->userdata, (int)info->ssi_signo);
    return 0;
}

int loop_add_signal(struct loop *loop, int signal, loop_signal_handler *handler, void *userdata)
{
    struct loop_source *made = source_new(loop, userdata);
    sigset_t set;

    if (!made)
        return -ENOMEM;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, NULL);
    made->handler.signal = handler;
    return source_done(made, sd_event_add_signal(loop->event, &made->event_source, signal, on_signal, made),
                       NULL);
}

static bool zmq_readable(void *socket)
{
    int events = 0;
    size_t size = sizeof events;

    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

static void zmq_drain(struct loop_source *source)
{
    source->unsure = false;
    for (int i = 0; zmq_readable(source->socket); i++) {
        if (i == ZMQ_BURST) {
            source->unsure = true;
            return;
        }
        source->handler.zmq(source->userdata, source->socket);
    }
}

static int on_zmq_fd(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    (void)s;
    (void)fd;
    (void)events;
    zmq_drain(userdata);
    return 0;
}

static int on_zmq_again(sd_event_source *s, void *userdata)
{
    (void)s;
    zmq_drain(userdata);
    return 0;
}

static int before_sleep(sd_event_source *s, void *userdata)
{
    struct loop_source *source = userdata;

    (void)s;
    if (source->told && !source->unsure)
        return 0;
    source->unsure = zmq_readable(source->socket);
    if (source->unsure)
        sd_event_source_set_enabled(source->again, SD_EVENT_ONESHOT);
    return 0;
}

void loop_zmq_used(struct loop_source *source)
{
    source->told = source->unsure = true;
}

int loop_add_zmq(struct loop *loop, void *socket, loop_zmq_handler *handler, void *userdata,
                 struct loop_source **source)
{
    struct loop_source *made = source_new(loop, userdata);
    int fd = -1;
    size_t size = sizeof fd;

    if (!made)
        return -ENOMEM;
    made->handler.zmq = handler;
    made->socket = socket;
    int r = zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0 ? -errno : 0;
    if (r >= 0)
        r = sd_event_add_io(loop->event, &made->event_source, fd, EPOLLIN, on_zmq_fd, made);
    if (r >= 0)
        r = sd_event_add_defer(loop->event, &made->again, on_zmq_again, made);
    if (r >= 0)
        r = sd_event_source_set_prepare(made->event_source, before_sleep);
    return source_done(made, r, source);
}

void loop_remove(struct loop_source *source)
{
    if (!source)
        return;
    if (source->next)
        source->next->previous = source->previous;
    *(source->previous ? &source->previous->next : &source->loop->sources) = source->next;
    sd_event_source_disable_unref(source->event_source);
    sd_event_source_disable_unref(source->again);
    free(source);
}

struct sd_event *loop_event(struct loop *loop)
{
    return loop->event;
}

int64_t loop_late_us_max(struct loop *loop, bool reset)
{
    const int64_t late_us = loop->late_ns_max / NS_PER_US;

    if (reset)
        loop->late_ns_max = 0;
    return late_us;
}
