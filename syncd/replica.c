#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/statefile.h"
#include "syncd/replica_inside.h"

int replica_fail(struct replica *r, int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(r->error, sizeof r->error, format, arguments);
    va_end(arguments);
    return error;
}

const char *replica_error(const struct replica *r)
{
    return r->error;
}

struct replica_state replica_state(const struct replica *r)
{
    return r->public;
}

void replica_set_diverged(struct replica *r, bool diverged)
{
    r->diverged = diverged;
}

/* ---------------------------------------------------------------------------- areas */

struct area *replica_area(struct replica *r, struct sync_bytes path)
{
    const uint32_t root = sync_path_root(path);
    struct area *area = &r->areas[root];

    if (area->directories[area->chosen] >= 0)
        return area;
    return area_open(r->state, r->options.roots[root], area) < 0 ? NULL : area;
}

static void close_areas(struct replica *r)
{
    for (size_t i = 0; r->areas && i < r->options.root_count; i++)
        area_close(&r->areas[i]);
}

static void shut_areas(struct replica *r)
{
    for (size_t i = 0; i < r->options.root_count; i++) {
        r->areas[i] = (struct area){0};
        for (size_t k = 0; k < AREA_KINDS; k++)
            r->areas[i].directories[k] = -1;
    }
}

static bool keep_nothing(void *userdata, const char *name)
{
    (void)userdata, (void)name;
    return false;
}

static void sweep_areas(struct replica *r)
{
    for (size_t i = 0; i < r->options.root_count; i++) {
        char text[24];
        snprintf(text, sizeof text, "%zu", i);
        const struct area *area = replica_area(r, (struct sync_bytes){(const uint8_t *)text, strlen(text)});
        if (area)
            area_sweep(area, keep_nothing, NULL);
    }
}

/* ------------------------------------------------------------------------- positions */

static void print_position(const struct replica *r, char text[static 512])
{
    char tree[2 * SYNC_HASH_BYTES + 1];

    for (size_t i = 0; i < SYNC_HASH_BYTES; i++)
        snprintf(tree + 2 * i, 3, "%02x", r->tree_hash.bytes[i]);
    snprintf(text, 512, "epoch %" PRIu64 "\ncounter %" PRIu64 "\nwhole %d\nreceived %d\ntree %s\n",
             r->public.generation.epoch, r->public.generation.counter, r->public.whole, r->received, tree);
}

static int parse_position(struct replica *r, const char *text)
{
    char again[512], tree[2 * SYNC_HASH_BYTES + 1];
    int whole, received;

    if (sscanf(text, "epoch %" SCNu64 " counter %" SCNu64 " whole %d received %d tree %32s",
               &r->public.generation.epoch, &r->public.generation.counter, &whole, &received, tree) != 5)
        return -EUCLEAN;
    r->public.whole = whole == 1;
    r->received = received == 1;
    for (size_t i = 0; i < SYNC_HASH_BYTES; i++) {
        unsigned byte = 0;
        sscanf(tree + 2 * i, "%2x", &byte);
        r->tree_hash.bytes[i] = (uint8_t)byte;
    }
    print_position(r, again);
    return strcmp(again, text) == 0 ? 0 : -EUCLEAN;
}

static int write_position(struct replica *r, bool quick)
{
    char path[PATH_MAX], text[512];

    snprintf(path, sizeof path, "%.4000s/position", r->options.state_dir);
    print_position(r, text);
    const int written = quick ? statefile_write_quick(path, text) : statefile_write(path, text);
    return written < 0 ? replica_fail(r, written, "cannot write %.100s: %s", path, strerror(-written)) : 0;
}

static int read_position(struct replica *r)
{
    char path[PATH_MAX], text[STATEFILE_MAX];

    snprintf(path, sizeof path, "%.4000s/position", r->options.state_dir);
    int done = statefile_read(path, text);
    if (done == -ENOENT)
        return 0;
    if (done == 0)
        done = parse_position(r, text);
    if (done < 0) {
        r->public = (struct replica_state){0};
        r->tree_hash = (struct sync_hash){0};
        replica_fail(r, -EUCLEAN, "the position is damaged");
        return -EUCLEAN;
    }
    return 0;
}

static int sync_roots(struct replica *r)
{
    for (size_t i = 0; i < r->options.root_count; i++) {
        const struct area *area = &r->areas[i];
        const int fd = area->directories[area->chosen];
        if (fd >= 0 && syncfs(fd) < 0)
            return replica_fail(r, -errno, "cannot make %.100s durable: %s", r->options.roots[i],
                                strerror(errno));
    }
    return syncfs(r->state) < 0 ? -errno : 0;
}

int replica_settle(struct replica *r)
{
    const int synced = sync_roots(r);

    return synced < 0 ? synced : write_position(r, false);
}

int replica_begin_anew(struct replica *r)
{
    int done = write_position(r, false);

    if (done == 0 && (done = journal_reset(r->journal, journal_sequence(r->journal) + 1)) < 0)
        return replica_fail(r, done, "cannot begin the journal anew: %s", strerror(-done));
    r->journal_bytes = 0;
    r->moved = false;
    return done;
}

int replica_checkpoint(struct replica *r)
{
    const int synced = sync_roots(r);

    return synced < 0 ? synced : replica_begin_anew(r);
}

int replica_set_position(struct replica *r, struct sync_generation generation, bool whole, bool quick)
{
    if (r->journal_bytes > 0) {
        const int done = replica_checkpoint(r); /* what is in the journal is older than this position */
        if (done < 0)
            return done;
    }
    r->public.generation = r->public.durable = generation;
    r->public.whole = whole;
    r->received = false;
    r->tree_hash = tree_root_hash(r->options.tree);
    return write_position(r, quick);
}

size_t replica_log(const struct replica *r, struct sync_log_entry *log, size_t room)
{
    if (room == 0 || !r->received || r->public.generation.epoch == 0)
        return 0;
    log[0] = (struct sync_log_entry){r->public.generation, r->tree_hash};
    return 1 + history_list(r, log + 1, room - 1);
}

/* ----------------------------------------------------------------------------- journal */

int replica_log_event(struct replica *r, enum record_kind kind, const struct event *event, bool durable)
{
    int written = journal_append(r->journal, kind, event, sizeof *event, NULL);

    r->journal_bytes += sizeof *event;
    if (written == 0 && durable)
        written = journal_sync(r->journal);
    return written < 0 ? replica_fail(r, written, "cannot write the journal: %s", strerror(-written)) : 0;
}

void replica_forget(struct replica *r)
{
    walker_clear(&r->walker);
    redo_end(r);
    patch_drop(r);
    paths_clear(&r->made);
    paths_clear(&r->touched);
    while (r->moves) {
        struct move *move = r->moves;
        r->moves = move->next;
        free(move);
    }
    while (r->staged) {
        struct staged *staged = r->staged;
        r->staged = staged->next;
        free(staged);
    }
    free(r->inodes);
    r->inodes = NULL;
    r->inode_count = 0;
    if (r->incoming.fd >= 0)
        close(r->incoming.fd);
    free(r->incoming.staged);
    r->incoming = (struct incoming){.fd = -1};
    r->kept.used = 0;
    r->aside[0] = '\0';
    times_clear(r);
    fresh_forget(r);
}

void replica_abort(struct replica *r)
{
    if (r->phase != REPLICA_RECEIVING)
        return;
    journal_return(r->journal, &r->mark);
    replica_forget(r);
    r->moved = false;
    r->phase = REPLICA_IDLE;
    sweep_areas(r);
}

int replica_refuse(struct replica *r)
{
    if (r->phase != REPLICA_DURABLE)
        return -EINVAL;
    const int told = replica_log_event(r, RECORD_REFUSED, &r->current, true);
    replica_forget(r);
    r->public.durable = r->public.generation;
    r->moved = false;
    r->phase = REPLICA_IDLE;
    sweep_areas(r);
    return told;
}

/* ---------------------------------------------------------------------------- recovery */

/* All of a generation that was committed, once more. */
static int redo(struct replica *r)
{
    int done = r->times_record.size > 0 ? times_read(r, &r->times_record) : 0;

    if (done < 0)
        return done;
    r->phase = REPLICA_DURABLE;
    do
        done = replica_switch(r);
    while (done == 1);
    if (done < 0)
        log_warning("set %s: generation %" PRIu64 ".%" PRIu64 " could not be applied again: %s",
                    r->options.set->name, r->current.generation.epoch, r->current.generation.counter,
                    r->error);
    else
        log_notice("set %s: generation %" PRIu64 ".%" PRIu64 " was applied (again) after a crash",
                   r->options.set->name, r->current.generation.epoch, r->current.generation.counter);
    replica_forget(r);
    return 0;
}

static int take_event(struct replica *r, const struct journal_record *record, struct event *event)
{
    if (record->size != sizeof *event)
        return -EUCLEAN;
    return journal_read(r->journal, record, (uint8_t *)event);
}

static int take_inodes(struct replica *r, const struct journal_record *record)
{
    r->inodes = malloc(record->size + 1);
    if (!r->inodes || record->size % sizeof *r->inodes != 0)
        return -ENOMEM;
    r->inode_count = record->size / sizeof *r->inodes;
    return journal_read(r->journal, record, (uint8_t *)r->inodes);
}

/* A generation with `validate` counts only with its GO. */
static bool is_wanted(const struct replica *r, enum record_kind kind)
{
    return kind == (r->options.set->validate.count > 0 ? RECORD_GO : RECORD_COMMIT) &&
           sync_generation_compare(r->current.generation, r->public.generation) > 0;
}

static int recover_record(struct replica *r, const struct journal_record *record)
{
    int done = 0;

    switch ((enum record_kind)record->kind) {
    case RECORD_BEGIN:
        replica_forget(r);
        r->times_record.size = 0;
        return take_event(r, record, &r->current);
    case RECORD_OPERATIONS:
        return walker_add(&r->walker, record);
    case RECORD_INODES:
        return take_inodes(r, record);
    case RECORD_TIMES:
        r->times_record = *record;
        return 0;
    case RECORD_COMMIT:
    case RECORD_GO:
        done = take_event(r, record, &r->current);
        r->redo_due = done == 0 && is_wanted(r, (enum record_kind)record->kind);
        return done;
    case RECORD_APPLIED:
        return 0;
    case RECORD_REFUSED:
        replica_forget(r);
        return 0;
    }
    return -EUCLEAN;
}

/* It was applied since the machine started: all of it is there. */
static bool was_applied(const struct replica *r, const struct journal_record *next, struct applied *applied)
{
    return next && next->kind == RECORD_APPLIED && next->size == sizeof *applied && r->boot_id[0] != '\0' &&
           journal_read(r->journal, next, (uint8_t *)applied) == 0 &&
           memcmp(applied->boot_id, r->boot_id, sizeof applied->boot_id) == 0 &&
           sync_generation_compare(applied->generation, r->current.generation) == 0;
}

/* The generation that was committed, as the record that follows it (NULL: none) says. */
static int finish_due(struct replica *r, const struct journal_record *next)
{
    const bool due = r->redo_due;
    struct applied applied;

    r->redo_due = false;
    if (due && was_applied(r, next, &applied)) {
        replica_arrive(r);
        r->tree_hash = applied.tree;
    } else if (due) {
        return redo(r);
    }
    return 0;
}

static int recover(struct replica *r)
{
    struct journal_record record;
    int next, done = 0;
    bool any = false;

    /* Several generations one after the other are a mixture in between, if the disk has a later one already.
     */
    r->hurried = true;
    while (replica_lock(r) == 1)
        ;
    r->redo = true;
    while (done == 0 && (next = journal_next(r->journal, &record)) == 1) {
        any = true;
        done = finish_due(r, &record);
        if (done == 0)
            done = recover_record(r, &record);
    }
    if (done == 0)
        done = finish_due(r, NULL);
    replica_forget(r);
    r->redo = r->hurried = false;
    replica_unlock(r);
    r->phase = REPLICA_IDLE;
    if (any)
        sweep_areas(r);
    r->public.durable = r->public.generation;
    return any ? replica_checkpoint(r) : 0;
}

/* ------------------------------------------------------------------------------ opening */

static int open_parts(struct replica *r)
{
    const struct replica_options *o = &r->options;
    int done = make_directories(o->state_dir, 0700);

    if (done == 0) {
        r->state = open(o->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        done = r->state < 0 ? -errno : 0;
    }
    /* There from the start: who wants to read a whole generation may come before the first one does. */
    if (sys_boot_id(r->boot_id) < 0)
        r->boot_id[0] = '\0';
    r->lock = open(o->switch_lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (done == 0)
        done = beneath_new(o->roots, o->root_count, &r->beneath);
    r->areas = calloc(o->root_count, sizeof *r->areas);
    r->needs = calloc(o->root_count, sizeof *r->needs);
    r->digest = NULL;
    if (done == 0 &&
        (!r->areas || !r->needs || posix_memalign((void **)&r->digest, 64, sizeof *r->digest) != 0))
        done = -ENOMEM;
    if (r->areas)
        shut_areas(r);
    if (done == 0)
        done = journal_open(r->state, "journal", &r->journal);
    return done;
}

int replica_open(const struct replica_options *options, struct replica **replica, char *error, size_t size)
{
    struct replica *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->options = *options;
    r->state = r->lock = r->history = r->undo = -1;
    r->incoming.fd = r->patching.fd = -1;
    int done = open_parts(r);
    const bool damaged = done == -EUCLEAN;
    if (damaged)
        done = journal_reset(r->journal, 1);
    const int position = done == 0 ? read_position(r) : 0;
    if (done == 0)
        done = recover(r);
    if (done < 0) {
        text_copy(error, size, r->error);
        replica_close(r);
        return done;
    }
    *replica = r;
    if (damaged)
        text_copy(error, size, "the journal is damaged");
    else if (position < 0)
        text_copy(error, size, r->error);
    return damaged || position < 0 ? -EUCLEAN : 0;
}

void replica_close(struct replica *r)
{
    if (!r)
        return;
    rest_end(r);
    replica_abort(r);
    if (r->journal && r->journal_bytes > 0 && r->phase == REPLICA_IDLE)
        replica_checkpoint(r);
    replica_forget(r);
    history_end(r);
    restore_free(r);
    buffer_free(&r->kept);
    buffer_free(&r->old_blocks);
    buffer_free(&r->groups);
    buffer_free(&r->times);
    close_areas(r);
    free(r->areas);
    free(r->needs);
    beneath_free(r->beneath);
    if (r->journal)
        journal_close(r->journal);
    free(r->digest);
    if (r->state >= 0)
        close(r->state);
    if (r->lock >= 0)
        close(r->lock);
    free(r);
}
