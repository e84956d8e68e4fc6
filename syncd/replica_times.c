/* Times of directories over a crash. What is put into a directory changes its time, which is set again at the
 * end of the generation. A sender tells the time of a directory only where names came or went there; of the
 * others the tree knows it, but after a crash there may be no tree. So the journal has the times of all that
 * a generation works in. */
#include <errno.h>
#include <string.h>

#include "syncd/replica_inside.h"

struct time_record {
    int64_t mtime_ns;
    uint64_t size; /* of the path that follows */
};

static bool is_last(const struct replica *r, struct sync_bytes directory)
{
    return r->times_last > 0 &&
           path_equal(directory,
                      (struct sync_bytes){r->times.bytes + r->times.used - r->times_last, r->times_last});
}

static int note(struct replica *r, struct sync_bytes directory)
{
    const tree_node node = directory.size > 0 ? tree_find(r->options.tree, directory) : 0;
    struct tree_entry entry;

    if (node == 0 || is_last(r, directory))
        return 0;
    tree_get(r->options.tree, node, &entry);
    const struct time_record record = {entry.mtime_ns, directory.size};
    if (buffer_reserve(&r->times, sizeof record + directory.size) < 0)
        return -ENOMEM;
    memcpy(r->times.bytes + r->times.used, &record, sizeof record);
    memcpy(r->times.bytes + r->times.used + sizeof record, directory.at, directory.size);
    r->times.used += sizeof record + directory.size;
    r->times_last = directory.size;
    return 0;
}

int times_note(struct replica *r, const struct sync_op *op)
{
    int noted = 0;

    if (r->redo)
        return 0;
    if (op->kind == SYNC_OP_MOVE)
        noted = note(r, path_parent(op->content));
    if (noted == 0)
        noted = note(r, path_parent(op->path));
    return noted;
}

int times_write(struct replica *r)
{
    const int written =
        r->times.used > 0 ? journal_append(r->journal, RECORD_TIMES, r->times.bytes, r->times.used, NULL) : 0;

    times_clear(r);
    return written;
}

/* As they were before the generation, which says the rest itself. */
int times_read(struct replica *r, const struct journal_record *record)
{
    struct time_record one;

    r->times.used = 0;
    int done = buffer_reserve(&r->times, record->size);
    if (done == 0)
        done = journal_read(r->journal, record, r->times.bytes);
    for (size_t at = 0; done == 0 && at < record->size; at += sizeof one + (size_t)one.size) {
        if (record->size - at < sizeof one)
            return -EUCLEAN;
        memcpy(&one, r->times.bytes + at, sizeof one);
        if (one.size == 0 || one.size > SYNC_PATH_MAX || one.size > record->size - at - sizeof one)
            return -EUCLEAN;
        apply_know(r, (struct sync_bytes){r->times.bytes + at + sizeof one, (size_t)one.size}, one.mtime_ns);
    }
    times_clear(r);
    return done;
}

void times_clear(struct replica *r)
{
    r->times.used = r->times_last = 0;
}
