#include "syncd/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "syncd/dump.h"
#include "syncd/spot.h"
#include "syncd/sqlite.h"

enum { STACK_BYTES = 512 * 1024, SHARE = 5 };

struct snapshot {
    struct loop *loop;
    const struct config_sync *set;
    char to[PATH_MAX];
    const struct snapshot_events *events;
    void *userdata;
    struct spot *spot; /* where the database lies; NULL: a dump */
    struct loop_source *timer, *done_source;

    bool active;                   /* between start and stop */
    bool untaken;                  /* a copy was made, and not yet read */
    bool urgent;                   /* the next one is made whatever the pace */
    bool void_copy;                /* the one under way was begun before the last start */
    bool troubled;                 /* told as failed */
    int64_t first_ns, last_ns;     /* changes that came after the last copy was begun; 0: none */
    int64_t in_copy_ns;            /* the first change of the copy under way, or not yet read; 0: none */
    int64_t began_ns, earliest_ns; /* the copy under way; the pace allows the next one */
    int64_t failures;

    bool settle_due; /* the role was given up, and the thread is still busy with something else */

    /* The copy under way, or the settling. */
    bool running, settling;
    pthread_t thread;
    atomic_bool cancelled;
    int done; /* eventfd, written to by the thread as its last act */
    int result;
    char error[SQLITE_ERROR_MAX];
    struct dump *dump;
};

/* Without a change for so long, nobody is in the middle of several. */
static const int64_t quiet_ns = 20 * NS_PER_MS;
static const int64_t again_first_ns = 200 * NS_PER_MS, again_most_ns = 10 * NS_PER_S;
static const int64_t dump_timeout_ns = 600 * NS_PER_S;

static bool is_dump(const struct snapshot *snapshot)
{
    return snapshot->set->dump.count > 0;
}

/* ------------------------------------------------------------------- pace */

/* When the next copy is due; 0: nothing waits for one. */
static int64_t due_ns(const struct snapshot *snapshot)
{
    if (snapshot->first_ns == 0 || snapshot->untaken || snapshot->running || !snapshot->active)
        return 0;
    if (snapshot->urgent)
        return snapshot->first_ns;
    return MAX(snapshot->earliest_ns,
               MIN(snapshot->last_ns + quiet_ns, snapshot->first_ns + snapshot->set->max_delay));
}

static void set_timer(struct snapshot *snapshot)
{
    const int64_t due = due_ns(snapshot);

    if (due == 0)
        loop_stop_timer(snapshot->timer);
    else
        loop_set_timer(snapshot->timer, due);
}

static void note_change(struct snapshot *snapshot, int64_t now_ns)
{
    if (snapshot->first_ns == 0)
        snapshot->first_ns = now_ns;
    snapshot->last_ns = now_ns;
    set_timer(snapshot);
}

static void on_changed(void *userdata)
{
    note_change(userdata, clock_now_ns());
}

/* ------------------------------------------------------------ end of a copy */

static void tell_trouble(struct snapshot *snapshot, const char *text)
{
    if (!text && !snapshot->troubled)
        return;
    snapshot->troubled = text != NULL;
    snapshot->events->failed(snapshot->userdata, text);
}

/* `r` as dump_ended() says it. */
static void finish(struct snapshot *snapshot, int r, const char *error)
{
    const int64_t now = clock_now_ns(), took_ns = now - snapshot->began_ns;

    snapshot->running = false;
    if (!snapshot->active || snapshot->void_copy) {
        snapshot->void_copy = false;
        set_timer(snapshot);
        return;
    }
    if (r < 0) {
        /* What it was to have still waits. */
        snapshot->first_ns = snapshot->in_copy_ns;
        snapshot->last_ns = MAX(snapshot->last_ns, snapshot->in_copy_ns);
        snapshot->earliest_ns =
            now + MAX(backoff_ns(again_first_ns, ++snapshot->failures, again_most_ns), took_ns * (SHARE - 1));
        snapshot->urgent = false;
    } else {
        snapshot->failures = 0;
        snapshot->earliest_ns = now + took_ns * (SHARE - 1);
        /* Nothing tells of changes behind a dump: the next one is due by the clock. */
        if (is_dump(snapshot) && snapshot->first_ns == 0)
            snapshot->earliest_ns = MAX(snapshot->earliest_ns, snapshot->began_ns + snapshot->set->max_delay);
        snapshot->untaken = r > 0;
    }
    if (r <= 0) /* else it waits until the copy is taken */
        snapshot->in_copy_ns = 0;
    if (is_dump(snapshot) && snapshot->first_ns == 0)
        snapshot->first_ns = snapshot->last_ns = now;
    set_timer(snapshot);
    tell_trouble(snapshot, r < 0 ? error : NULL);
    if (r > 0)
        snapshot->events->made(snapshot->userdata);
}

static void begin_settling(struct snapshot *snapshot);

static void settled(struct snapshot *snapshot)
{
    const bool wanted = !snapshot->active && !snapshot->settle_due;

    snapshot->running = snapshot->settling = false;
    if (!wanted)
        set_timer(snapshot);
    else
        snapshot->events->settled(snapshot->userdata, snapshot->result < 0 && snapshot->result != -ECANCELED
                                                          ? snapshot->error
                                                          : NULL);
}

static void finish_copy(struct snapshot *snapshot)
{
    if (snapshot->result == 1 && snapshot->active) /* what it may lack is nowhere told again */
        note_change(snapshot, clock_now_ns());
    finish(snapshot, snapshot->result < 0 ? snapshot->result : 1, snapshot->error);
}

static void on_done(void *userdata, int fd, unsigned events)
{
    struct snapshot *snapshot = userdata;
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    pthread_join(snapshot->thread, NULL);
    if (snapshot->settling)
        settled(snapshot);
    else
        finish_copy(snapshot);
    if (snapshot->settle_due)
        begin_settling(snapshot);
}

static void on_dumped(void *userdata, int r, const char *error)
{
    struct snapshot *snapshot = userdata;
    struct dump *dump = snapshot->dump;

    snapshot->dump = NULL;
    finish(snapshot, r, error);
    dump_free(dump);
}

/* ---------------------------------------------------------- begin of a copy */

static void *run(void *userdata)
{
    struct snapshot *snapshot = userdata;
    const struct sqlite_job job = {
        .database = snapshot->set->sqlite, .to = snapshot->to, .cancelled = &snapshot->cancelled};
    const uint64_t one = 1;

    snapshot->result =
        snapshot->settling ? sqlite_settle(&job, snapshot->error) : sqlite_copy(&job, snapshot->error);
    while (write(snapshot->done, &one, sizeof one) < 0 && errno == EINTR)
        ;
    return NULL;
}

/* Signals are the loop's: a new thread begins with the mask of this one, which has them blocked. */
static int start_thread(struct snapshot *snapshot)
{
    pthread_attr_t attributes;

    atomic_store(&snapshot->cancelled, false);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int r = -pthread_create(&snapshot->thread, &attributes, run, snapshot);
    pthread_attr_destroy(&attributes);
    return r;
}

static void begin_copy(struct snapshot *snapshot, int64_t now_ns)
{
    snapshot->running = true;
    snapshot->began_ns = now_ns;
    snapshot->in_copy_ns = snapshot->first_ns;
    snapshot->first_ns = 0;
    snapshot->urgent = false;
    const int r = is_dump(snapshot) ? dump_start(snapshot->loop, &snapshot->set->dump, snapshot->to,
                                                 dump_timeout_ns, on_dumped, snapshot, &snapshot->dump)
                                    : start_thread(snapshot);
    if (r < 0) {
        char text[256];
        snprintf(text, sizeof text, "cannot begin a copy: %s", strerror(-r));
        finish(snapshot, r, text);
    }
}

static void begin_settling(struct snapshot *snapshot)
{
    snapshot->settle_due = false;
    snapshot->running = snapshot->settling = true;
    snapshot->result = is_dump(snapshot) ? 0 : start_thread(snapshot);
    if (is_dump(snapshot) || snapshot->result < 0) {
        snprintf(snapshot->error, sizeof snapshot->error, "cannot look at the database: %s",
                 strerror(-snapshot->result));
        settled(snapshot);
    }
}

static void on_due(void *userdata, int64_t now_ns)
{
    struct snapshot *snapshot = userdata;

    if (snapshot->settle_due && !snapshot->running) {
        begin_settling(snapshot);
        return;
    }
    const int64_t due = due_ns(snapshot);

    if (due == 0)
        return;
    if (due > now_ns) {
        loop_set_timer(snapshot->timer, due);
        return;
    }
    /* A change that is not watched for would be lost: first the watch, then the copy. */
    if (snapshot->spot)
        spot_watch(snapshot->spot);
    begin_copy(snapshot, now_ns);
}

/* --------------------------------------------------------------- lifetime */

static int open_parts(struct snapshot *snapshot)
{
    snapshot->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (snapshot->done < 0)
        return -errno;
    int r = loop_add_fd(snapshot->loop, snapshot->done, EPOLLIN, on_done, snapshot, &snapshot->done_source);
    if (r == 0)
        r = loop_add_timer(snapshot->loop, on_due, snapshot, &snapshot->timer);
    if (r == 0 && !is_dump(snapshot))
        r = spot_new(snapshot->loop, snapshot->set->sqlite, on_changed, snapshot, &snapshot->spot);
    return r;
}

int snapshot_new(struct loop *loop, const struct config_sync *set, const char *to,
                 const struct snapshot_events *events, void *userdata, struct snapshot **snapshot)
{
    struct snapshot *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made = (struct snapshot){.loop = loop, .set = set, .events = events, .userdata = userdata, .done = -1};
    text_copy(made->to, sizeof made->to, to);
    const int r = open_parts(made);
    if (r < 0) {
        snapshot_free(made);
        return r;
    }
    *snapshot = made;
    return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    if (snapshot->running && !is_dump(snapshot)) {
        atomic_store(&snapshot->cancelled, true);
        pthread_join(snapshot->thread, NULL);
    }
    dump_free(snapshot->dump);
    spot_free(snapshot->spot);
    loop_remove(snapshot->timer);
    loop_remove(snapshot->done_source);
    if (snapshot->done >= 0)
        close(snapshot->done);
    free(snapshot);
}

void snapshot_start(struct snapshot *snapshot)
{
    const int64_t now = clock_now_ns();

    if (snapshot->active)
        return;
    snapshot->active = snapshot->urgent = true;
    snapshot->untaken = snapshot->settle_due = false;
    if (snapshot->settling)
        atomic_store(&snapshot->cancelled, true);
    snapshot->failures = 0;
    snapshot->void_copy = snapshot->running && !snapshot->settling;
    snapshot->first_ns = snapshot->last_ns = now;
    if (snapshot->spot)
        spot_watch(snapshot->spot);
    set_timer(snapshot);
}

void snapshot_stop(struct snapshot *snapshot)
{
    snapshot->active = snapshot->urgent = snapshot->untaken = false;
    snapshot->first_ns = snapshot->in_copy_ns = 0;
    loop_stop_timer(snapshot->timer);
    if (snapshot->spot)
        spot_stop(snapshot->spot);
    if (snapshot->dump) {
        dump_free(snapshot->dump);
        snapshot->dump = NULL;
        snapshot->running = false;
    }
    atomic_store(&snapshot->cancelled, true); /* heard of in on_done() */
    tell_trouble(snapshot, NULL);
}

void snapshot_settle(struct snapshot *snapshot)
{
    snapshot->settle_due = true; /* at once, or when a copy that was cancelled has ended */
    loop_set_timer(snapshot->timer, clock_now_ns());
}

void snapshot_taken(struct snapshot *snapshot)
{
    snapshot->untaken = false;
    if (!snapshot->running)
        snapshot->in_copy_ns = 0;
    set_timer(snapshot);
}

void snapshot_now(struct snapshot *snapshot)
{
    if (!snapshot->active)
        return;
    if (snapshot->spot)
        spot_look(snapshot->spot); /* what was written a moment ago */
    /* Nobody tells what has changed since the last dump began. */
    if (is_dump(snapshot) && snapshot->began_ns > 0 && !snapshot->running)
        snapshot->first_ns = snapshot->last_ns = snapshot->began_ns;
    else if (is_dump(snapshot) && snapshot->first_ns == 0)
        snapshot->first_ns = snapshot->last_ns = clock_now_ns();
    snapshot->urgent = snapshot->first_ns != 0;
    set_timer(snapshot);
}

int64_t snapshot_oldest_ns(const struct snapshot *snapshot)
{
    if (snapshot->in_copy_ns != 0)
        return snapshot->in_copy_ns;
    /* That a dump waits for its time is no change. */
    if (is_dump(snapshot) && !snapshot->urgent && !snapshot->troubled)
        return 0;
    return snapshot->first_ns;
}
