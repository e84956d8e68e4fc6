/* A generation: what was dirty is looked at, path by path, directories before what is in them; what is gone
 * is deleted at the end, because by then it may have turned out to be somewhere else; last come the times of
 * the directories. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "syncd/source_inside.h"

void build_init(struct source *s)
{
    s->build = (struct build){0};
    content_init(&s->build.content);
}

void build_free(struct source *s)
{
    content_clear(&s->build.content);
    free(s->build.base);
    paths_clear(&s->build.gone);
    paths_clear(&s->build.parents);
    paths_clear(&s->build.touched);
    paths_clear(&s->build.extra);
}

struct sync_bytes build_path(const struct source *s)
{
    return (struct sync_bytes){s->build.path, s->build.path_size};
}

int build_begin(struct source *s, int64_t now_ns, bool urgent)
{
    struct build *b = &s->build;

    if (b->begun)
        return -EALREADY;
    b->oldest_ns = dirty_oldest_ns(s->dirty);
    const long count = dirty_take(s->dirty, now_ns, urgent, &b->taken);
    if (count < 0)
        return (int)count;
    b->taken_count = (size_t)count;
    b->taken_at = 0;
    b->files = b->bytes = 0;
    for (size_t i = 0; i < b->taken_count; i++) {
        b->files += 1 + b->taken[i]->files;
        b->bytes += b->taken[i]->bytes;
    }
    b->begun = s->unsure = true;
    places_release(s->places);
    owners_forget(s->owners);
    return 0;
}

int build_emit(struct source *s, const struct sync_op *op)
{
    struct build *b = &s->build;

    return b->quiet ? 0 : sync_op_pack(op, b->out, b->room, b->used);
}

void build_touched(struct source *s, struct sync_bytes path)
{
    if (!s->build.quiet)
        paths_add(&s->build.touched, path, 0);
}

/* ------------------------------------------------------------------ the item in hand */

static void item_done(struct source *s)
{
    struct build *b = &s->build;

    source_end_trouble(s, build_path(s));
    b->files -= MIN(b->files, 1 + b->item->files);
    b->bytes -= MIN(b->bytes, b->item->bytes);
    free(b->item);
    b->item = NULL;
}

static void item_failed(struct source *s, int error)
{
    struct build *b = &s->build;
    struct dirty_entry *item = b->item;
    const struct sync_bytes path = build_path(s);
    const int64_t now = clock_now_ns();
    const unsigned tries = item->tries + 1u;
    const unsigned shift = MIN(tries, (unsigned)SOURCE_RETRY_MOST);

    file_drop(s);
    if (place_is_gone(error)) {
        dirty_mark(s->dirty, path, DIRTY_NAME, DIRTY_NOW, now);
    } else if (error == CONTENT_CHANGED) {
        dirty_retry(s->dirty, path, item->flags, tries, item->first_ns,
                    now + ((int64_t)SOURCE_RETRY_MS << shift) * NS_PER_MS);
        if (tries > SOURCE_RETRY_MOST)
            source_tell_trouble(s, path, "changes faster than it can be read; the peer keeps what it has");
    } else {
        source_tell_trouble(s, path, strerror(-error));
        dirty_retry(s->dirty, path, item->flags, tries, item->first_ns, now + SOURCE_TROUBLE_MS * NS_PER_MS);
    }
    b->files -= MIN(b->files, 1 + item->files);
    b->bytes -= MIN(b->bytes, item->bytes);
    free(item);
    b->item = NULL;
}

static bool take_item(struct source *s)
{
    struct build *b = &s->build;

    if (b->taken_at == b->taken_count)
        return false;
    b->item = b->taken[b->taken_at];
    b->taken[b->taken_at++] = NULL;
    b->path_size = b->item->size;
    memcpy(b->path, b->item->path, b->item->size);
    if (b->item->flags & DIRTY_NAME) {
        const struct sync_bytes parent = path_parent(build_path(s));
        if (parent.size > 0)
            paths_add(&b->parents, parent, 0);
    }
    return true;
}

/* 1: go on; -ENOBUFS. */
static int item_step(struct source *s)
{
    struct build *b = &s->build;
    const int r = b->reading ? file_step(s) : entry_look(s, build_path(s), b->item->flags);

    b->looked++;
    if (r == -ENOBUFS || r == -ESTALE)
        return r; /* stale: half a file was yielded, and it changed: the generation is of no use */
    if (r < 0)
        item_failed(s, r);
    else if (r == 0)
        item_done(s);
    return 1;
}

/* ------------------------------------------------------------------------- the end of it */

/* Whether it is still gone is asked again: a name may have come back. */
static int delete_next(struct source *s, bool *any)
{
    struct build *b = &s->build;
    struct paths before = b->gone;
    struct sync_bytes path;
    unsigned flags;

    *any = paths_next(&b->gone, &path, &flags);
    if (!*any)
        return 1;
    const int r = entry_delete(s, path);
    if (r == -ENOBUFS)
        b->gone.read = before.read;
    return r == -ENOBUFS ? r : 1;
}

static int parent_next(struct source *s, bool *any)
{
    struct build *b = &s->build;
    const size_t before = b->parents.read;
    struct sync_bytes path;
    unsigned flags;

    *any = paths_next(&b->parents, &path, &flags);
    if (!*any || tree_find(s->tree, path) == 0)
        return 1;
    uint8_t copy[SYNC_PATH_MAX];
    memcpy(copy, path.at, path.size);
    const int r = entry_look(s, (struct sync_bytes){copy, path.size}, 0);
    b->looked++;
    if (r == -ENOBUFS)
        b->parents.read = before;
    return r == -ENOBUFS ? r : 1;
}

/* An entry that is said again because of another one is an item of its own. */
static bool take_extra(struct source *s)
{
    struct build *b = &s->build;
    struct sync_bytes path;
    unsigned flags;

    if (!paths_next(&b->extra, &path, &flags))
        return false;
    b->item = calloc(1, sizeof *b->item + path.size);
    if (!b->item) {
        source_mark(s, path, flags, DIRTY_NOW);
        return false;
    }
    b->item->flags = (uint16_t)flags;
    b->item->first_ns = clock_now_ns();
    b->item->size = (uint32_t)path.size;
    memcpy(b->item->path, path.at, path.size);
    b->path_size = path.size;
    memcpy(b->path, path.at, path.size);
    return true;
}

/* 1: go on; 0: that was all; -ENOBUFS. */
static int build_step(struct source *s)
{
    bool any;

    if (s->build.item || take_extra(s) || take_item(s))
        return item_step(s);
    int r = delete_next(s, &any);
    if (r == 1 && !any)
        r = parent_next(s, &any);
    return r == 1 && !any ? 0 : r;
}

int build_fill(struct source *s, uint8_t *bytes, size_t room, size_t *used)
{
    struct build *b = &s->build;
    int r = 1;

    b->out = bytes;
    b->room = room;
    b->used = used;
    b->read = b->looked = 0;
    places_release(s->places);
    while (r == 1 && *used < SYNC_BATCH_FULL && b->read < SOURCE_STEP_BYTES &&
           b->looked < SOURCE_STEP_ENTRIES)
        r = build_step(s);
    if (r == -ENOBUFS && *used == 0)
        return -EMSGSIZE; /* one operation that is longer than a batch: sync_op_pack() does not say so */
    return r == -ENOBUFS ? 1 : r;
}

static void put_back(struct source *s, struct dirty_entry *entry)
{
    if (!entry)
        return;
    dirty_mark(s->dirty, dirty_path(entry), entry->flags, DIRTY_NOW, entry->first_ns);
    free(entry);
}

void build_end(struct source *s, bool taken)
{
    struct build *b = &s->build;
    struct sync_bytes path;
    unsigned flags;

    if (!b->begun)
        return;
    file_drop(s);
    put_back(s, b->item);
    for (size_t i = b->taken_at; i < b->taken_count; i++)
        put_back(s, b->taken[i]);
    free(b->taken);
    while (!taken && paths_next(&b->gone, &path, &flags))
        dirty_mark(s->dirty, path, DIRTY_NAME | DIRTY_FORCE, DIRTY_NOW, clock_now_ns());
    while (!taken && paths_next(&b->extra, &path, &flags))
        dirty_mark(s->dirty, path, flags, DIRTY_NOW, clock_now_ns());
    while (!taken && paths_next(&b->touched, &path, &flags))
        dirty_mark(s->dirty, path, DIRTY_CONTENT | DIRTY_FORCE, DIRTY_NOW, clock_now_ns());
    paths_clear(&b->gone);
    paths_clear(&b->parents);
    paths_clear(&b->touched);
    paths_clear(&b->extra);
    b->taken = NULL;
    b->item = NULL;
    b->taken_count = b->taken_at = 0;
    b->files = b->bytes = 0;
    b->oldest_ns = 0;
    b->begun = false;
}
