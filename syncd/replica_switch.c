#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/replica_inside.h"

/* How long a reader of a whole generation is waited for; and when this node takes the role, or begins. */
static const int64_t patience_ns = 10 * NS_PER_S, hurried_patience_ns = 200 * NS_PER_MS;

int walker_add(struct walker *walker, const struct journal_record *record)
{
    if (walker->count == walker->room) {
        const size_t room = walker->room ? walker->room * 2 : 16;
        struct journal_record *records = realloc(walker->records, room * sizeof *records);
        if (!records)
            return -ENOMEM;
        walker->records = records;
        walker->room = room;
    }
    walker->records[walker->count++] = *record;
    return 0;
}

void walker_clear(struct walker *walker)
{
    free(walker->records);
    buffer_free(&walker->buffer);
    *walker = (struct walker){0};
}

int walker_next(struct replica *r, struct sync_op *op)
{
    struct walker *w = &r->walker;

    while (w->rest.size == 0) {
        if (w->next == w->count)
            return 0;
        const struct journal_record *record = &w->records[w->next++];
        w->buffer.used = 0;
        int read = buffer_reserve(&w->buffer, record->size);
        if (read == 0)
            read = journal_read(r->journal, record, w->buffer.bytes);
        if (read < 0)
            return read;
        w->rest = (struct sync_bytes){w->buffer.bytes, record->size};
    }
    return sync_op_next(&w->rest, op);
}

/* After a crash much was done already, and what comes later may have been done as well: what cannot be done
 * again is looked at by the scan that follows. */
static bool may_be_passed_over(const struct replica *r, int error)
{
    return r->redo && error != -ENOSPC && error != -EIO && error != -ENOMEM;
}

/* What was done before the crash has changed the times of directories, which were to be set again at the end.
 */
static void touch_passed(struct replica *r, const struct sync_op *op)
{
    if (op->path.size > 0)
        apply_touch(r, op->path);
    if (op->kind == SYNC_OP_MOVE)
        apply_touch(r, op->content);
}

int replica_apply_all(struct replica *r)
{
    struct walker *w = &r->walker;
    struct sync_op op;

    w->bytes = 0;
    for (int i = 0; i < STEP_OPERATIONS && w->bytes < STEP_BYTES; i++) {
        const int next = walker_next(r, &op);
        if (next <= 0)
            return next;
        w->bytes += op.content.size;
        const bool opens = op.kind == SYNC_OP_OPEN;
        const bool wanted = !r->redo || r->view_of || redo_translate(r, w->at, &op);
        if (!wanted)
            touch_passed(r, &op);
        const int done = wanted ? apply_operation(r, &op) : 0;
        w->at++;
        if (done < 0 && !may_be_passed_over(r, done))
            return done;
        if (opens)
            w->op++;
        if (opens && !wanted)
            patch_pass_over(r);
    }
    return 1;
}

/* A reader that hangs holds up neither the data nor, when this node takes the role, the services. */
static bool reader_is_late(struct replica *r)
{
    const int64_t now = clock_now_ns();

    if (r->passed_reader)
        return true;
    if (r->refused_lock_since_ns == 0)
        r->refused_lock_since_ns = now;
    if (now - r->refused_lock_since_ns < (r->hurried ? hurried_patience_ns : patience_ns))
        return false;
    log_warning("set %s: somebody holds %s locked and does not end: it is switched all the same, and may "
                "read a mixture",
                r->options.set->name, r->options.switch_lock);
    return r->passed_reader = true;
}

int replica_lock(struct replica *r)
{
    static const struct timespec pause = {.tv_nsec = 2000000};

    /* Without the file there is nobody who could hold it. */
    if (r->lock < 0 || flock(r->lock, LOCK_EX | LOCK_NB) == 0) {
        r->refused_lock_since_ns = 0;
        r->passed_reader = false;
        return 0;
    }
    if (reader_is_late(r))
        return 0;
    nanosleep(&pause, NULL);
    return 1;
}

void replica_hurry(struct replica *r)
{
    r->hurried = true;
}

void replica_unlock(struct replica *r)
{
    if (r->lock >= 0)
        flock(r->lock, LOCK_UN);
}

/* Death of this process leaves what was written to the files, the end of the machine may not: after that, the
 * journal is applied once more. Not durable, since who dies without it does no more than is needed. */
static int note_applied(struct replica *r)
{
    struct applied applied = {.generation = r->current.generation, .tree = r->tree_hash};

    text_copy(applied.boot_id, sizeof applied.boot_id, r->boot_id);
    r->journal_bytes += sizeof applied;
    return journal_append(r->journal, RECORD_APPLIED, &applied, sizeof applied, NULL);
}

void replica_arrive(struct replica *r)
{
    r->public.generation = r->current.generation;
    r->public.whole = r->current.whole || (r->public.whole && !r->current.partial);
    r->received = true;
}

/* The sender cannot always know. */
static bool is_told(const struct sync_hash *tree)
{
    static const struct sync_hash none;

    return !hash_equal(tree, &none);
}

static int end_switch(struct replica *r, int done)
{
    const int in_place = fresh_end(r);

    done = done < 0 ? done : in_place;
    patch_drop(r);
    apply_times(r);
    r->hurried = r->redo;
    if (!r->redo)
        replica_unlock(r);
    history_end(r);
    r->phase = REPLICA_IDLE;
    if (done < 0) {
        /* Half of it is there: not whole before the next one is. */
        r->public.whole = false;
        replica_checkpoint(r);
        return done;
    }
    replica_arrive(r);
    /* When it is done again, the index is not yet what is on the disk. */
    r->tree_hash = r->redo ? r->current.tree : tree_root_hash(r->options.tree);
    if (!r->redo)
        note_applied(r); /* else it is only done again */
    if (!r->redo && !r->current.partial)
        history_prune(r);
    if (r->current.partial || r->redo || !is_told(&r->current.tree) ||
        hash_equal(&r->tree_hash, &r->current.tree))
        return 0;
    return replica_fail(r, -EILSEQ, "what came of the generation is not what the sender has");
}

int replica_switch(struct replica *r)
{
    if (r->phase == REPLICA_DURABLE) {
        if (r->options.set->validate.count > 0 && !r->redo) {
            const int going = replica_log_event(r, RECORD_GO, &r->current, true);
            if (going < 0)
                return end_switch(r, going);
        }
        if (replica_lock(r) == 1)
            return 1;
        r->walker.next = 0;
        r->walker.op = 0;
        r->walker.at = 0;
        const int again = r->redo ? redo_begin(r) : 0;
        if (again < 0)
            return end_switch(r, again);
        history_begin(r);
        r->phase = REPLICA_SWITCHING;
    }
    if (r->phase != REPLICA_SWITCHING)
        return replica_fail(r, -EINVAL, "there is nothing to switch to");
    const int done = replica_apply_all(r);
    return done == 1 ? 1 : end_switch(r, done);
}
