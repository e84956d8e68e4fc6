#include "superviserd/recorder.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/blackbox_files.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "superviserd/box.h"
#include "superviserd/line.h"
#include "superviserd/pmsg.h"
#include "superviserd/pstore.h"
#include "superviserd/sieve.h"
#include "superviserd/walk.h"

enum {
    NOTES_MAX = 16,
    NOTE_MAX = 200,
    STACK_BYTES = 256 * 1024,
    TURNS_MAX = 16,
    PATIENCE_SECONDS = 2,
    TELL_SECONDS = 10
};

static const char *const daemons[] = {"heartbeatd", "arbiterd", "takeoverd", "superviserd", "syncd"};
static const char pmsg_path[] = "/dev/pmsg0", pstore_path[] = "/sys/fs/pstore";

/* What others want of the thread. */
struct orders {
    size_t note_count, notes_dropped;
    char notes[NOTES_MAX][NOTE_MAX];
    bool ending;
    uint64_t flush; /* the latest one asked for */
};

struct recorder {
    const struct daemon *daemon;
    char boot_id[SYS_BOOT_ID_MAX];
    pthread_t thread;
    pthread_mutex_t lock; /* of `orders`, `flushed` and `flush_result` */
    pthread_cond_t ordered, done;
    struct orders orders;
    uint64_t flushed;
    int flush_result;

    /* The thread's own. */
    struct loop *loop;
    struct bus *bus;
    struct box *box;
    struct pmsg pmsg;
    struct sieve sieve;
    struct blackbox_mark mark;
    uint64_t messages, held_back_told;
    int64_t changed_ns, flush_due_ns, mark_due_ns, tell_due_ns;
    bool busy; /* another process writes the box: it is tried again each second */
};

/* ------------------------------------------------------------------ records */

static void give_up(struct recorder *recorder, int r)
{
    log_error("the black box in %s cannot be written any more: %s; going on without",
              recorder->daemon->state_dir, strerror(-r));
    box_close(recorder->box);
    recorder->box = NULL;
}

static void put(struct recorder *recorder, enum blackbox_kind kind, const char *topic, int64_t at_ns,
                const char *body, size_t size)
{
    const struct blackbox_record record = {.kind = kind,
                                           .at_ns = at_ns,
                                           .wall_ns = at_ns + clock_wall_offset_ns(),
                                           .topic = topic,
                                           .topic_size = strlen(topic),
                                           .body = body,
                                           .body_size = size};

    if (!recorder->box)
        return;
    const int r = box_append(recorder->box, &record);
    if (r < 0) {
        give_up(recorder, r);
        return;
    }
    if (kind == BLACKBOX_RENEWAL)
        return; /* the kernel writes it back when it likes */
    recorder->changed_ns = clock_now_ns();
    if (recorder->flush_due_ns == 0)
        recorder->flush_due_ns = recorder->changed_ns + RECORDER_FLUSH;
}

static void put_note(struct recorder *recorder, enum blackbox_kind kind, const char *text)
{
    const int64_t now = clock_now_ns();

    pmsg_put(&recorder->pmsg, now, text);
    put(recorder, kind, "", now, text, strlen(text));
}

/* ----------------------------------------------------------------- messages */

static void heard(struct recorder *recorder, const char *daemon, int64_t now_ns)
{
    struct blackbox_mark *mark = &recorder->mark;
    size_t i = 0;

    while (i < mark->count && strcmp(mark->daemons[i].daemon, daemon) != 0)
        i++;
    if (i == BLACKBOX_DAEMONS_MAX)
        return;
    if (i == mark->count)
        text_copy(mark->daemons[mark->count++].daemon, BLACKBOX_DAEMON_MAX, daemon);
    mark->daemons[i].heard_ns = now_ns;
}

/* When the message was sent, and by whom; else now, and by nobody. */
static int64_t read_envelope(const char *json, size_t size, char daemon[static BLACKBOX_DAEMON_MAX])
{
    struct walk walk = walk_object(json, size);
    struct walk_field field;
    int64_t at_ns = 0;

    daemon[0] = '\0';
    while (walk_next(&walk, &field) && (at_ns == 0 || !daemon[0]))
        if (walk_is(&field, "from"))
            walk_text(&field, daemon, BLACKBOX_DAEMON_MAX);
        else if (walk_is(&field, "mono_ns"))
            at_ns = walk_number(&field);
    return at_ns;
}

/* What the arbiters tell each other of their records is on both their disks already. */
static bool is_of_records(const char *topic)
{
    return strcmp(topic, "record") == 0 || strcmp(topic, "peer_record") == 0;
}

static void on_message(void *userdata, const char *topic, const char *json, size_t size)
{
    struct recorder *recorder = userdata;
    const int64_t now = clock_now_ns();
    char daemon[BLACKBOX_DAEMON_MAX], line[PMSG_LINE_MAX];
    const int64_t sent_ns = read_envelope(json, size, daemon);
    const int64_t at_ns = sent_ns > 0 && sent_ns <= now ? sent_ns : now;
    const struct sieve_message message = {topic, json, size, now,
                                          recorder->box ? box_position(recorder->box) : 0};

    recorder->messages++;
    if (daemon[0])
        heard(recorder, daemon, at_ns);
    if (is_of_records(topic))
        return;
    const enum sieve_verdict verdict = sieve_judge(&recorder->sieve, &message);
    if (verdict == SIEVE_NOTHING)
        return;
    if (verdict == SIEVE_CHANGE && recorder->pmsg.fd >= 0 && sieve_is_decision(topic)) {
        line_print(topic, json, size, line, sizeof line);
        pmsg_put(&recorder->pmsg, at_ns, line);
    }
    put(recorder, verdict == SIEVE_CHANGE ? BLACKBOX_CHANGE : BLACKBOX_RENEWAL, topic, at_ns, json, size);
    if (verdict == SIEVE_CHANGE && strcmp(topic, "reboot") == 0)
        recorder->flush_due_ns = now; /* there may not be a second left */
}

static void tell_held_back(struct recorder *recorder, int64_t now_ns)
{
    char text[NOTE_MAX];

    if (recorder->sieve.held_back == recorder->held_back_told || now_ns < recorder->tell_due_ns)
        return;
    recorder->tell_due_ns = now_ns + TELL_SECONDS * NS_PER_S;
    snprintf(text, sizeof text, "changes that came too fast and are left out: %llu",
             (unsigned long long)(recorder->sieve.held_back - recorder->held_back_told));
    recorder->held_back_told = recorder->sieve.held_back;
    put_note(recorder, BLACKBOX_NOTE, text);
}

/* ------------------------------------------------------------------- orders */

static void deadline_after(int64_t span_ns, struct timespec *at)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    const int64_t sum_ns = at->tv_nsec + span_ns;
    at->tv_sec += (time_t)(sum_ns / NS_PER_S);
    at->tv_nsec = (long)(sum_ns % NS_PER_S);
}

/* Waits for orders, for at most `pace_ns`, and takes what there is. */
static void take_orders(struct recorder *recorder, int64_t pace_ns, struct orders *orders)
{
    struct timespec until;
    int r = 0;

    deadline_after(pace_ns, &until);
    pthread_mutex_lock(&recorder->lock);
    while (r == 0 && recorder->orders.note_count == 0 && !recorder->orders.ending &&
           recorder->orders.flush == recorder->flushed)
        r = pthread_cond_timedwait(&recorder->ordered, &recorder->lock, &until);
    *orders = recorder->orders;
    recorder->orders.note_count = recorder->orders.notes_dropped = 0;
    pthread_mutex_unlock(&recorder->lock);
}

static int flush(struct recorder *recorder)
{
    recorder->flush_due_ns = 0;
    if (!recorder->box)
        return -ENODEV;
    const int r = box_flush(recorder->box);
    if (r < 0)
        give_up(recorder, r);
    return r;
}

static void answer_flush(struct recorder *recorder, uint64_t asked, int r)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->flushed = asked;
    recorder->flush_result = r;
    pthread_cond_broadcast(&recorder->done);
    pthread_mutex_unlock(&recorder->lock);
}

/* ------------------------------------------------------------------- thread */

/* What an earlier run in this boot recorded is no news. */
static void remember_earlier(struct recorder *recorder)
{
    struct blackbox_reading reading;
    char topic[BLACKBOX_TOPIC_MAX + 1];

    if (box_read(recorder->box, &reading) < 0)
        return;
    for (size_t i = 0; i < reading.count; i++) {
        const struct blackbox_record *record = &reading.records[i];
        if (record->kind != BLACKBOX_CHANGE)
            continue;
        snprintf(topic, sizeof topic, "%.*s", (int)record->topic_size, record->topic);
        const struct sieve_message message = {topic, record->body, record->body_size, record->at_ns,
                                              box_position_of(recorder->box, record)};
        sieve_remember(&recorder->sieve, &message);
    }
    recorder->mark = reading.mark;
    blackbox_forget(&reading);
}

static void open_box(struct recorder *recorder)
{
    const char *pstore = sys_is_whole_machine() ? pstore_path : NULL;
    const char *directory = recorder->daemon->state_dir;
    struct blackbox_about about = {.begun_ns = clock_now_ns()};
    char kept[PATH_MAX];

    about.begun_wall_ns = about.begun_ns + clock_wall_offset_ns();
    text_copy(about.boot_id, sizeof about.boot_id, recorder->boot_id);
    text_copy(about.node, sizeof about.node, recorder->daemon->node);
    const int r = box_open(directory, &about, &recorder->box);
    const bool was_busy = recorder->busy;
    recorder->busy = r == -EBUSY;
    if (recorder->busy && !was_busy)
        log_warning("another superviserd writes the black box in %s: going on without, until that ends",
                    directory);
    else if (r < 0 && r != -EBUSY)
        log_error("cannot open the black box in %s: %s; going on without", directory, strerror(-r));
    if (r < 0)
        return;
    if (was_busy)
        log_notice("the black box in %s is free: it is written from now on", directory);
    remember_earlier(recorder);
    put_note(recorder, BLACKBOX_BEGIN, "superviserd " DUET_VERSION " begins");
    if (!pstore)
        return;
    snprintf(kept, sizeof kept, "%s/%s", directory, BLACKBOX_PSTORE);
    pstore_collect(pstore, kept, about.number - 1);
}

static int open_bus(struct recorder *recorder)
{
    int r = loop_new(&recorder->loop);

    if (r == 0)
        r = bus_open_listener(recorder->loop, recorder->daemon->run_dir, recorder->daemon->node,
                              &recorder->bus);
    for (size_t i = 0; i < ARRAY_LENGTH(daemons) && r == 0; i++)
        r = bus_subscribe_raw(recorder->bus, daemons[i], false, on_message, recorder);
    if (r < 0)
        log_error("the black box cannot hear the bus: %s", strerror(-r));
    return r;
}

/* All that waits on the bus, within bounds. */
static void hear(struct recorder *recorder)
{
    uint64_t before = recorder->messages - 1;

    for (int i = 0; i < TURNS_MAX && recorder->bus && recorder->messages != before; i++) {
        before = recorder->messages;
        loop_turn(recorder->loop, 0);
    }
}

static void keep_up(struct recorder *recorder)
{
    const int64_t now = clock_now_ns();
    int r = 0;

    if (recorder->flush_due_ns != 0 && now >= recorder->flush_due_ns)
        flush(recorder);
    if (now < recorder->mark_due_ns)
        return;
    recorder->mark_due_ns = now + NS_PER_S;
    if (recorder->busy)
        open_box(recorder);
    recorder->mark.alive_ns = now;
    if (recorder->box && (r = box_mark(recorder->box, &recorder->mark)) < 0)
        give_up(recorder, r);
    tell_held_back(recorder, now);
}

static void obey(struct recorder *recorder, const struct orders *orders)
{
    for (size_t i = 0; i < orders->note_count; i++)
        put_note(recorder, BLACKBOX_NOTE, orders->notes[i]);
    if (orders->notes_dropped > 0)
        put_note(recorder, BLACKBOX_NOTE, "more notes came than the disk could take");
    if (orders->ending)
        put_note(recorder, BLACKBOX_END, "superviserd ends");
}

static void *run(void *userdata)
{
    struct recorder *recorder = userdata;
    struct orders orders = {0};

    const bool whole = sys_is_whole_machine();

    pmsg_open(&recorder->pmsg, whole ? pmsg_path : NULL);
    open_box(recorder);
    if (open_bus(recorder) < 0) {
        bus_free(recorder->bus);
        recorder->bus = NULL;
    }
    while (!orders.ending) {
        const bool busy = clock_now_ns() - recorder->changed_ns < NS_PER_S;
        take_orders(recorder, busy ? RECORDER_PACE / 5 : RECORDER_PACE, &orders);
        hear(recorder);
        obey(recorder, &orders);
        keep_up(recorder);
        if (orders.ending || orders.flush != recorder->flushed)
            answer_flush(recorder, orders.flush, flush(recorder));
    }
    bus_free(recorder->bus);
    loop_free(recorder->loop);
    box_close(recorder->box);
    pmsg_close(&recorder->pmsg);
    return NULL;
}

/* ---------------------------------------------------------------- lifetime */

int recorder_start(const struct daemon *daemon, struct recorder **recorder)
{
    struct recorder *made = calloc(1, sizeof *made);
    pthread_condattr_t monotonic;
    pthread_attr_t attributes;

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    int r = sys_boot_id(made->boot_id);
    if (r < 0) {
        free(made);
        return r;
    }
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->ordered, &monotonic);
    pthread_cond_init(&made->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    r = -pthread_create(&made->thread, &attributes, run, made);
    pthread_attr_destroy(&attributes);
    if (r < 0)
        free(made);
    else
        *recorder = made;
    return r;
}

void recorder_note(struct recorder *recorder, const char *text)
{
    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    struct orders *orders = &recorder->orders;
    if (orders->note_count < NOTES_MAX)
        text_copy(orders->notes[orders->note_count++], NOTE_MAX, text);
    else
        orders->notes_dropped++;
    pthread_cond_signal(&recorder->ordered);
    pthread_mutex_unlock(&recorder->lock);
}

int recorder_flush(struct recorder *recorder, int64_t timeout_ns)
{
    struct timespec until;
    int r = 0;

    if (!recorder)
        return -ENODEV;
    deadline_after(timeout_ns, &until);
    pthread_mutex_lock(&recorder->lock);
    const uint64_t asked = ++recorder->orders.flush;
    pthread_cond_signal(&recorder->ordered);
    while (r == 0 && recorder->flushed < asked)
        r = pthread_cond_timedwait(&recorder->done, &recorder->lock, &until);
    r = recorder->flushed >= asked ? recorder->flush_result : -ETIMEDOUT;
    pthread_mutex_unlock(&recorder->lock);
    return r;
}

/* If the disk holds the thread for longer, both are left to the end of the process. */
void recorder_stop(struct recorder *recorder)
{
    struct timespec until;

    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    recorder->orders.ending = true;
    pthread_cond_signal(&recorder->ordered);
    pthread_mutex_unlock(&recorder->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    if (pthread_timedjoin_np(recorder->thread, NULL, &until) != 0) {
        log_warning("the disk is too slow for the end of the black box");
        return;
    }
    pthread_cond_destroy(&recorder->done);
    pthread_cond_destroy(&recorder->ordered);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder);
}
