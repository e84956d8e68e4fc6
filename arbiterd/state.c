#include "arbiterd/state.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"

static const char layout[] = "epoch %" PRId64 "\n"
                             "next-epoch %" PRId64 "\n"
                             "was-active %d\n"
                             "held %d\n"
                             "hold-version %" PRId64 "\n"
                             "hold-left-ns %" PRId64 "\n"
                             "data-whole %d\n"
                             "data-epoch %" PRId64 "\n";

void state_print(const struct arbiter_durable *d, char text[static STATEFILE_MAX])
{
    snprintf(text, STATEFILE_MAX, layout, d->epoch, d->next_epoch, d->was_active, d->held, d->hold_version,
             d->hold_left_ns, d->data_whole, d->data_epoch);
}

int state_parse(const char *text, struct arbiter_durable *durable)
{
    static const char scan[] =
        "epoch %" SCNd64 " next-epoch %" SCNd64 " was-active %d held %d hold-version %" SCNd64
        " hold-left-ns %" SCNd64 " data-whole %d data-epoch %" SCNd64;
    struct arbiter_durable d = {0};
    int was_active, held, data_whole;
    char again[STATEFILE_MAX];

    if (sscanf(text, scan, &d.epoch, &d.next_epoch, &was_active, &held, &d.hold_version, &d.hold_left_ns,
               &data_whole, &d.data_epoch) != 8)
        return -EUCLEAN;
    if (d.epoch < 0 || d.next_epoch < 0 || d.hold_version < 0 || d.hold_left_ns < 0 || d.data_epoch < 0)
        return -EUCLEAN;
    d.was_active = was_active == 1;
    d.held = held == 1;
    d.data_whole = data_whole == 1;
    state_print(&d, again); /* whatever was read must be all there was */
    if (strcmp(again, text) != 0)
        return -EUCLEAN;
    *durable = d;
    return 0;
}

struct state_writer {
    const char *path;
    state_written_handler *handler;
    void *userdata;
    int done; /* eventfd: a job is done */
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool has_job;
    struct arbiter_durable job, written;
    int error; /* of `written`, which is then not on the disk */
};

static struct arbiter_durable wait_for_job(struct state_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->has_job)
        pthread_cond_wait(&w->wanted, &w->mutex);
    w->has_job = false;
    const struct arbiter_durable job = w->job;
    pthread_mutex_unlock(&w->mutex);
    return job;
}

/* Wakes the loop, which hears of the job, or of the error that holds it up. */
static void tell(struct state_writer *w, const struct arbiter_durable *job, int error)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&w->mutex);
    w->written = *job;
    w->error = error;
    pthread_mutex_unlock(&w->mutex);
    if (write(w->done, &one, sizeof one) < 0)
        log_error("cannot tell that the state was written: %s", strerror(errno));
}

static void write_until_done(struct state_writer *w, const struct arbiter_durable *job)
{
    char text[STATEFILE_MAX];
    bool told = false;
    int r;

    state_print(job, text);
    while ((r = statefile_write(w->path, text)) < 0) {
        log_error("cannot write %s: %s; this node cannot claim the role until that is mended", w->path,
                  strerror(-r));
        if (!told)
            tell(w, job, r);
        told = true;
        sleep(1);
    }
}

static void *writer_thread(void *userdata)
{
    struct state_writer *w = userdata;

    for (;;) {
        const struct arbiter_durable job = wait_for_job(w);
        write_until_done(w, &job);
        tell(w, &job, 0);
    }
    return NULL;
}

static void on_done(void *userdata, int fd, unsigned events)
{
    struct state_writer *w = userdata;
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&w->mutex);
    const struct arbiter_durable written = w->written;
    const int error = w->error;
    pthread_mutex_unlock(&w->mutex);
    w->handler(w->userdata, &written, error);
}

int state_writer_start(struct loop *loop, const char *path, state_written_handler *handler, void *userdata,
                       struct state_writer **writer)
{
    struct state_writer *w = calloc(1, sizeof *w);
    pthread_t thread;

    if (!w)
        return -ENOMEM;
    w->path = path;
    w->handler = handler;
    w->userdata = userdata;
    w->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wanted, NULL);
    int r = w->done < 0 ? -errno : loop_add_fd(loop, w->done, EPOLLIN, on_done, w, NULL);
    if (r == 0)
        r = -pthread_create(&thread, NULL, writer_thread, w);
    if (r < 0) {
        free(w);
        return r;
    }
    pthread_detach(thread);
    *writer = w;
    return 0;
}

void state_write(struct state_writer *w, const struct arbiter_durable *durable)
{
    pthread_mutex_lock(&w->mutex);
    w->job = *durable;
    w->has_job = true;
    pthread_cond_signal(&w->wanted);
    pthread_mutex_unlock(&w->mutex);
}
