/* What is at a path now and was elsewhere before travels as a rename, with all below it. That is seen by its
 * inode, so that it does not matter whether inotify told of it or a scan found it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/source_inside.h"

enum {
    GOING_MAX = 16384, /* entries of a generation among which it is looked for where something went */
    DEPTH_MAX = 32,    /* of renames that wait for one another: a rotation of files */
};

static enum sync_type kind_of(const struct tree_entry *entry)
{
    return entry->type == SYNC_HARDLINK ? SYNC_FILE : entry->type;
}

static bool is_it(const struct tree_entry *known, const struct sight *sight)
{
    return kind_of(known) == sight_type(sight) && known->stat.inode == sight->stat.inode &&
           known->stat.device == sight->stat.device && known->stat.birth_ns == sight->stat.birth_ns;
}

/* The entry that the tree knows under this inode, if it is not where it was. */
static tree_node moved_from(struct source *s, struct sync_bytes path, const struct sight *sight,
                            uint8_t *from, size_t *from_size)
{
    struct tree_entry entry;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, &sight->stat, node)) != 0;) {
        *from_size = tree_path(s->tree, node, from);
        const struct sync_bytes old = {from, *from_size};
        tree_get(s->tree, node, &entry);
        if (entry.type != sight_type(sight) || path_parent(old).size == 0 || path_below(path, old))
            continue;
        if (entry.stat.birth_ns != sight->stat.birth_ns)
            continue; /* the number came again */
        if (links_is_name(s, old, &sight->stat))
            continue; /* another name of it */
        return node;
    }
    return 0;
}

/* A small file is put in the place of another one in one step, as it was here. */
static bool is_better_put(const struct source *s, tree_node there, const struct sight *sight)
{
    struct tree_entry known;

    if (there == 0)
        return false;
    tree_get(s->tree, there, &known);
    return sight_type(sight) != SYNC_DIRECTORY && known.type != SYNC_DIRECTORY &&
           sight->size <= SYNC_INLINE_MAX;
}

static int by_path(const void *a, const void *b)
{
    const struct sync_bytes *path = a;
    const struct dirty_entry *const *entry = b;

    return path_compare(*path, dirty_path(*entry));
}

static bool is_forced(const struct dirty_entry *entry)
{
    return entry && entry->flags & DIRTY_FORCE;
}

/* Comparing found that the peer has something at a path of which the tree knows nothing. Of an item that was
 * found by listing its directory the mark may still be to come. */
static bool is_surplus(const struct source *s, struct sync_bytes path)
{
    const struct build *b = &s->build;
    struct dirty_entry *const *taken =
        bsearch(&path, b->taken + b->taken_at, b->taken_count - b->taken_at, sizeof *b->taken, by_path);

    return (b->item && path_equal(dirty_path(b->item), path) && is_forced(b->item)) ||
           (taken && is_forced(*taken)) || is_forced(dirty_find(s->dirty, path));
}

/* The place that something is renamed to is empty on the peer, too. */
static int empty_place(struct source *s, struct sync_bytes path, tree_node there)
{
    const struct sync_op op = {.kind = SYNC_OP_DELETE, .path = path};

    if (there)
        return entry_remove(s, path, there);
    return is_surplus(s, path) ? build_emit(s, &op) : 0;
}

/* 0, whether it was renamed or not; -ENOBUFS. */
static int try_move(struct source *s, struct sync_bytes path, const struct sight *sight)
{
    uint8_t from[SYNC_PATH_MAX];
    size_t from_size;
    const tree_node node = moved_from(s, path, sight, from, &from_size);
    const tree_node there = tree_find(s->tree, path);

    if (node == 0 || is_better_put(s, there, sight))
        return 0;
    const struct sync_bytes old = {from, from_size};
    const struct sync_op op = {.kind = SYNC_OP_MOVE, .path = old, .content = path};
    int r = empty_place(s, path, there);
    if (r < 0 || tree_find(s->tree, old) != node)
        return r; /* or it was below what was replaced */
    r = build_emit(s, &op);
    if (r < 0)
        return r == -EINVAL ? 0 : r;
    if (tree_move(s->tree, node, path) < 0)
        return -ENOMEM;
    if (sight_type(sight) == SYNC_DIRECTORY)
        build_tree_moved(s, old, path);
    build_parent(s, old);
    build_parent(s, path);
    links_moved_below(s, node, 0);
    return 0;
}

/* ------------------------------------------------------ where something went */

static int by_inode(const void *a, const void *b)
{
    const struct going *one = a, *other = b;

    if (one->inode != other->inode)
        return one->inode < other->inode ? -1 : 1;
    return (one->device > other->device) - (one->device < other->device);
}

/* The inodes at the names that have come or gone, of this generation's entries still to come. */
static void find_going(struct source *s)
{
    struct build *b = &s->build;
    struct sight sight;
    const char *name;
    int directory;

    b->going_known = true;
    const size_t count = b->taken_count - b->taken_at;
    if (count == 0 || count > GOING_MAX || (b->going = malloc(count * sizeof *b->going)) == NULL)
        return;
    for (size_t i = b->taken_at; i < b->taken_count; i++) {
        if (!(b->taken[i]->flags & DIRTY_NAME) ||
            places_find(s->places, dirty_path(b->taken[i]), &directory, &name) < 0 ||
            sight_at(directory, name, &sight) < 0)
            continue;
        b->going[b->going_count++] =
            (struct going){.inode = sight.stat.inode, .device = sight.stat.device, .taken = i};
    }
    qsort(b->going, b->going_count, sizeof *b->going, by_inode);
}

static const struct dirty_entry *where_it_went(struct source *s, const struct tree_stat *stat)
{
    const struct going key = {.inode = stat->inode, .device = stat->device};
    struct build *b = &s->build;

    if (!b->going_known)
        find_going(s);
    const struct going *going =
        b->going_count > 0 ? bsearch(&key, b->going, b->going_count, sizeof key, by_inode) : NULL;
    return going && going->taken >= b->taken_at ? b->taken[going->taken] : NULL;
}

/* What the tree has at a path where there is something else now is renamed first, if it only went elsewhere:
 * else it would be deleted here, and sent anew there. */
static int let_go(struct source *s, struct sync_bytes path, const struct tree_entry *known)
{
    const struct dirty_entry *entry = s->build.moving < DEPTH_MAX ? where_it_went(s, &known->stat) : NULL;
    const struct sight sight = s->found.sight;
    const enum sync_type type = s->found.type;
    const char *name;
    int directory, r = 0;

    if (!entry || path_equal(dirty_path(entry), path) ||
        tree_find(s->tree, path_parent(dirty_path(entry))) == 0)
        return 0;
    s->build.moving++;
    if (entry_sight(s, dirty_path(entry), &directory, &name) == 0) {
        s->found.type = sight_type(&s->found.sight);
        if (is_it(known, &s->found.sight) &&
            !source_excluded(s, dirty_path(entry), s->found.type == SYNC_DIRECTORY))
            r = moves_make_way(s, dirty_path(entry));
    }
    s->build.moving--;
    s->found.sight = sight;
    s->found.type = type;
    return r;
}

int moves_make_way(struct source *s, struct sync_bytes path)
{
    const struct sight sight = s->found.sight;
    tree_node node = tree_find(s->tree, path);
    struct tree_entry known;
    int r = 0;

    if (node) {
        tree_get(s->tree, node, &known);
        if (is_it(&known, &sight))
            return 0;
        r = let_go(s, path, &known);
    }
    /* Where the tree has it may be a name that is still there, below a directory that was renamed. */
    const bool has_names = sight.links > 1 && s->found.type != SYNC_DIRECTORY;
    if (r == 0 && path_parent(path).size > 0 && !has_names)
        r = try_move(s, path, &sight);
    node = tree_find(s->tree, path);
    if (r < 0 || node == 0)
        return r;
    tree_get(s->tree, node, &known);
    return kind_of(&known) == s->found.type ? 0 : entry_remove(s, path, node);
}
