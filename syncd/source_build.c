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
    walk_init(&s->build.walk);
}

void build_free(struct source *s)
{
    content_clear(&s->build.content);
    free(s->build.base);
    paths_clear(&s->build.gone);
    paths_clear(&s->build.parents);
    paths_clear(&s->build.extra);
    walk_clear(&s->build.walk);
    free(s->build.going);
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
    b->begun = true;
    places_release(s->places);
    owners_forget(s->owners);
    return 0;
}

int build_emit(struct source *s, const struct sync_op *op)
{
    struct build *b = &s->build;

    return b->quiet ? 0 : sync_op_pack(op, b->out, b->room, b->used);
}

void build_parent(struct source *s, struct sync_bytes path)
{
    struct build *b = &s->build;
    const struct sync_bytes parent = path_parent(path);

    if (parent.size == 0 || path_equal(parent, (struct sync_bytes){b->last_parent, b->last_parent_size}))
        return;
    paths_add(&b->parents, parent, 0);
    b->last_parent_size = parent.size;
    memcpy(b->last_parent, parent.at, parent.size);
}

/* Marks are the scan's as well: this one is nobody's. */
int build_walk(struct source *s, struct sync_bytes directory)
{
    struct build *b = &s->build;

    if (!walk_busy(&b->walk)) {
        b->mark = (uint8_t)(tree_mark(s->tree, TREE_TOP) % UINT8_MAX + 1);
        tree_set_mark(s->tree, TREE_TOP, b->mark);
    }
    return walk_push(&b->walk, directory, 0);
}

/* ------------------------------------------------------------------ the item in hand */

/* What is below a directory is weighed with it, and counted down as it comes. */
static void weigh_down(struct build *b)
{
    b->files -= MIN(b->files, 1);
    b->bytes -= MIN(b->bytes, b->item->bytes);
}

static void item_done(struct source *s)
{
    struct build *b = &s->build;
    const tree_node node = b->item->flags & ITEM_LISTED ? tree_find(s->tree, build_path(s)) : 0;

    if (b->special)
        source_tell_trouble(s, build_path(s), "is a socket, a device or a FIFO: it does not travel");
    else if (!(b->item->flags & DIRTY_DEEP) || s->found.type != SYNC_DIRECTORY)
        source_end_trouble(s, build_path(s)); /* of a directory: when it was listed */
    if (node)
        tree_set_mark(s->tree, node, b->mark);
    weigh_down(b);
    free(b->item);
    b->item = NULL;
}

/* A scan that only learns does not wait for what cannot be read: the rest is of use without it. */
static bool is_tried_again(const struct source *s, int error, unsigned tries)
{
    return !s->build.quiet || (error == CONTENT_CHANGED && tries <= SOURCE_RETRY_MOST);
}

static void retry(struct source *s, int error, unsigned tries, int64_t at_ns)
{
    const struct dirty_entry *item = s->build.item;

    if (is_tried_again(s, error, tries))
        dirty_retry(s->dirty, build_path(s), item->flags, tries, item->first_ns, at_ns);
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
    if (error == ROOT_IS_MISSING) {
        source_tell_trouble(s, path, "is not there: the peer keeps what it has");
        retry(s, error, tries, now + SOURCE_TROUBLE_MS * NS_PER_MS);
    } else if (place_is_gone(error)) {
        dirty_mark(s->dirty, path, DIRTY_NAME | (item->flags & DIRTY_FORCE), DIRTY_NOW, now);
    } else if (error == CONTENT_CHANGED) {
        retry(s, error, tries, now + ((int64_t)SOURCE_RETRY_MS << shift) * NS_PER_MS);
        if (tries > SOURCE_RETRY_MOST)
            source_tell_trouble(s, path, "changes faster than it can be read; the peer keeps what it has");
    } else {
        source_tell_trouble(s, path, strerror(-error));
        retry(s, error, tries, now + SOURCE_TROUBLE_MS * NS_PER_MS);
    }
    weigh_down(b);
    free(item);
    b->item = NULL;
}

/* An item that is not one of those taken. */
static bool make_item(struct source *s, struct sync_bytes path, unsigned flags, uint64_t bytes)
{
    struct build *b = &s->build;

    b->item = calloc(1, sizeof *b->item + path.size);
    if (!b->item) {
        source_mark(s, path, flags, DIRTY_NOW);
        return false;
    }
    b->item->flags = (uint16_t)flags;
    b->item->first_ns = b->oldest_ns;
    b->item->bytes = bytes;
    b->item->size = (uint32_t)path.size;
    memcpy(b->item->path, path.at, path.size);
    b->path_size = path.size;
    memcpy(b->path, path.at, path.size);
    return true;
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
    if (b->item->flags & DIRTY_DEEP) {
        b->item->bytes = 0;
        if (b->item->tries > 0)
            scan_directory(s, build_path(s)); /* which could not watch it either */
    }
    if (b->item->flags & DIRTY_NAME)
        build_parent(s, build_path(s));
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

/* Whether it is still gone is asked again: a name may have come back. Until that is known it stays in the
 * queue, where build_moved() finds it. */
static int delete_next(struct source *s, bool *any)
{
    struct build *b = &s->build;
    const size_t before = b->gone.read;
    struct sync_bytes path;
    unsigned flags;

    *any = paths_next(&b->gone, &path, &flags);
    if (!*any)
        return 1;
    const size_t after = b->gone.read;
    b->gone.read = before;
    const int r = entry_delete(s, path, flags);
    b->looked++;
    if (r != -ENOBUFS)
        b->gone.read = after;
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
    struct sync_bytes path;
    unsigned flags;

    return paths_next(&s->build.extra, &path, &flags) && make_item(s, path, flags, 0);
}

/* ----------------------------------------------------------- directories with all in them */

/* What the tree has in the directory that was listed, and the list had not. */
static void all_listed(struct source *s)
{
    struct build *b = &s->build;
    const tree_node directory = tree_find(s->tree, walk_directory(&b->walk));
    uint8_t path[SYNC_PATH_MAX];

    for (tree_node node = directory ? tree_first_child(s->tree, directory) : 0; node;
         node = tree_next_sibling(s->tree, node))
        if (tree_mark(s->tree, node) != b->mark)
            paths_add(&b->gone, (struct sync_bytes){path, tree_path(s->tree, node, path)}, 0);
}

static void cannot_list(struct source *s, int error)
{
    const struct build *b = &s->build;
    const int64_t now = clock_now_ns();

    if (place_is_gone(error))
        return;
    source_tell_trouble(s, walk_directory(&b->walk), strerror(-error));
    if (!b->quiet)
        dirty_retry(s->dirty, walk_directory(&b->walk), DIRTY_DEEP, 1, now,
                    now + SOURCE_TROUBLE_MS * NS_PER_MS);
}

static bool take_child(struct source *s, struct sync_bytes path)
{
    struct build *b = &s->build;
    const tree_node node = tree_find(s->tree, path);
    const struct dirty_entry *own = dirty_find(s->dirty, path);

    if (path.size > SYNC_PATH_MAX) {
        source_tell_trouble(s, walk_directory(&b->walk), "what is in it has too long a path");
        return false;
    }
    if (node)
        tree_set_mark(s->tree, node, b->mark);
    if (own && own->writing)
        return false; /* its own time comes */
    return make_item(s, path, DIRTY_CONTENT | DIRTY_DEEP | ITEM_LISTED, 0);
}

static bool take_listed(struct source *s)
{
    struct build *b = &s->build;
    struct sync_bytes path;
    const char *name;

    while (walk_busy(&b->walk) && b->looked++ < SOURCE_STEP_ENTRIES) {
        const bool listing = walk_listing(&b->walk);
        const int r = listing ? walk_next(&b->walk, &path, &name) : walk_open(&b->walk, s->places);
        if (r < 0)
            cannot_list(s, r);
        else if (listing && r == 0)
            all_listed(s);
        else if (!listing && r == 1)
            source_end_trouble(s, walk_directory(&b->walk));
        else if (listing && take_child(s, path))
            return true;
    }
    return false;
}

/* What was not yet listed is for the next generation. */
static void put_walk_back(struct source *s)
{
    struct walk *walk = &s->build.walk;
    const int64_t now = clock_now_ns();
    struct sync_bytes path;
    unsigned flags;

    if (walk_listing(walk))
        dirty_mark(s->dirty, walk_directory(walk), DIRTY_DEEP, DIRTY_NOW, now);
    while (paths_next(&walk->stack, &path, &flags))
        dirty_mark(s->dirty, path, DIRTY_DEEP, DIRTY_NOW, now);
    walk_clear(walk);
    walk_init(walk);
}

/* 1: go on; 0: that was all; -ENOBUFS. */
static int build_step(struct source *s)
{
    bool any;

    if (s->build.item || take_extra(s) || take_listed(s))
        return item_step(s);
    if (walk_busy(&s->build.walk))
        return 1;
    if (take_item(s))
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
    b->call++;
    while (r == 1 && *used < SYNC_BATCH_FULL && b->read < SOURCE_STEP_BYTES &&
           b->looked < SOURCE_STEP_ENTRIES)
        r = build_step(s);
    if (r == -ENOBUFS && *used == 0)
        return -EMSGSIZE; /* one operation that is longer than a batch: sync_op_pack() does not say so */
    return r == -ENOBUFS ? 1 : r;
}

static void mark_moved(struct source *s, struct sync_bytes path, unsigned flags, struct sync_bytes from,
                       struct sync_bytes to)
{
    const size_t rest = path.size - from.size;
    uint8_t moved[SYNC_PATH_MAX];

    if (!path_below(path, from) || to.size + rest > sizeof moved)
        return;
    memcpy(moved, to.at, to.size);
    memcpy(moved + to.size, path.at + from.size, rest);
    source_mark(s, (struct sync_bytes){moved, to.size + rest}, flags, DIRTY_NOW);
}

static void mark_all_moved(struct source *s, struct paths queue, unsigned also, struct sync_bytes from,
                           struct sync_bytes to)
{
    struct sync_bytes path;
    unsigned flags;

    while (paths_next(&queue, &path, &flags))
        mark_moved(s, path, flags | also, from, to);
}

static void mark_entry_moved(struct source *s, const struct dirty_entry *entry, struct sync_bytes from,
                             struct sync_bytes to)
{
    if (entry)
        mark_moved(s, dirty_path(entry), entry->flags | DIRTY_NAME, from, to);
}

/* What was taken is looked for under its old name, and not found. */
void build_moved(struct source *s, struct sync_bytes from, struct sync_bytes to)
{
    struct build *b = &s->build;

    mark_entry_moved(s, b->item, from, to);
    for (size_t i = b->taken_at; i < b->taken_count; i++)
        mark_entry_moved(s, b->taken[i], from, to);
    mark_all_moved(s, b->gone, DIRTY_NAME, from, to);
    mark_all_moved(s, b->extra, DIRTY_NAME, from, to);
    mark_all_moved(s, b->parents, 0, from, to);
    if (walk_touches(&b->walk, from))
        source_mark(s, to, DIRTY_DEEP, DIRTY_NOW);
}

static void mark_forced_moved(struct source *s, const struct dirty_entry *entry, struct sync_bytes from,
                              struct sync_bytes to)
{
    if (entry && entry->flags & DIRTY_FORCE)
        mark_entry_moved(s, entry, from, to);
}

static void mark_all_forced_moved(struct source *s, struct paths queue, struct sync_bytes from,
                                  struct sync_bytes to)
{
    struct sync_bytes path;
    unsigned flags;

    while (paths_next(&queue, &path, &flags))
        if (flags & DIRTY_FORCE)
            mark_moved(s, path, flags | DIRTY_NAME, from, to);
}

/* Directories below it in which names came or went have another name in the tree from now on. */
static void move_parents(struct source *s, struct sync_bytes from, struct sync_bytes to)
{
    struct paths queue = s->build.parents, found = {0};
    uint8_t moved[SYNC_PATH_MAX];
    struct sync_bytes path;
    unsigned flags;

    while (paths_next(&queue, &path, &flags))
        if (path_below(path, from) && to.size + path.size - from.size <= sizeof moved) {
            memcpy(moved, to.at, to.size);
            memcpy(moved + to.size, path.at + from.size, path.size - from.size);
            paths_add(&found, (struct sync_bytes){moved, to.size + path.size - from.size}, flags);
        }
    while (paths_next(&found, &path, &flags))
        paths_add(&s->build.parents, path, flags);
    paths_clear(&found);
}

/* A directory was renamed that inotify has not told of yet: below it the peer has something else than the
 * tree says, and will have it there. */
void build_tree_moved(struct source *s, struct sync_bytes from, struct sync_bytes to)
{
    struct build *b = &s->build;

    move_parents(s, from, to);
    mark_forced_moved(s, b->item, from, to);
    for (size_t i = b->taken_at; i < b->taken_count; i++)
        mark_forced_moved(s, b->taken[i], from, to);
    mark_all_forced_moved(s, b->gone, from, to);
    mark_all_forced_moved(s, b->extra, from, to);
    if (dirty_force_moved(s->dirty, from, to, clock_now_ns()) < 0)
        s->scan.again = true;
}

static void put_back(struct source *s, struct dirty_entry *entry)
{
    if (!entry)
        return;
    dirty_mark(s->dirty, dirty_path(entry), entry->flags, DIRTY_NOW, entry->first_ns);
    free(entry);
}

static void put_paths_back(struct source *s, struct paths *paths, unsigned also)
{
    struct sync_bytes path;
    unsigned flags;

    while (paths_next(paths, &path, &flags))
        dirty_mark(s->dirty, path, flags | also, DIRTY_NOW, clock_now_ns());
    paths_clear(paths);
}

void build_end(struct source *s)
{
    struct build *b = &s->build;

    if (!b->begun)
        return;
    file_drop(s);
    put_back(s, b->item);
    for (size_t i = b->taken_at; i < b->taken_count; i++)
        put_back(s, b->taken[i]);
    free(b->taken);
    put_walk_back(s);
    put_paths_back(s, &b->gone, DIRTY_NAME);
    put_paths_back(s, &b->extra, 0);
    put_paths_back(s, &b->parents, 0);
    free(b->going);
    b->going = NULL;
    b->going_count = 0;
    b->going_known = false;
    b->last_parent_size = 0;
    b->taken = NULL;
    b->item = NULL;
    b->taken_count = b->taken_at = 0;
    b->files = b->bytes = 0;
    b->oldest_ns = 0;
    b->begun = false;
}
