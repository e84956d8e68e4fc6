/* One entry: what it is on the disk against what the tree says that the peer holds. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/source_inside.h"

/* ------------------------------------------------------------------------ what is there */

int entry_sight(struct source *s, struct sync_bytes path, int *directory, const char **name)
{
    const int r = places_find(s->places, path, directory, name);

    return r < 0 ? r : sight_at(*directory, *name, &s->found.sight);
}

/* All that travels beside a content. */
static int look_meta(struct source *s, int directory, const char *name)
{
    struct found *f = &s->found;
    const struct sight *sight = &f->sight;
    const int r = xattrs_read(-1, directory, name, s->options.set->privileged, &s->xattrs);

    if (r < 0)
        return r;
    const struct sync_bytes xattrs = {s->xattrs.bytes, s->xattrs.size};
    f->type = sight_type(sight);
    f->entry = (struct tree_entry){
        .type = f->type,
        .mode = f->type == SYNC_SYMLINK ? 0777 : source_mode(s, sight),
        .mtime_ns = sight->mtime_ns,
        .uid = sight->uid,
        .gid = sight->gid,
        .owner = owners_user(s->owners, sight->uid),
        .group = owners_group(s->owners, sight->gid),
        .size = f->type == SYNC_FILE ? sight->size : 0,
        .xattrs = hash_bytes(s->hasher, xattrs.at, xattrs.size),
        .stat = sight->stat,
    };
    f->meta = (struct sync_meta){
        .type = f->type,
        .mode = f->entry.mode,
        .mtime_ns = sight->mtime_ns,
        .uid = sight->uid,
        .gid = sight->gid,
        .owner = owner_bytes(f->entry.owner),
        .group = owner_bytes(f->entry.group),
        .xattrs = xattrs,
    };
    return 0;
}

static bool same_meta(const struct tree_entry *a, const struct tree_entry *b)
{
    return (a->type == SYNC_SYMLINK || a->mode == b->mode) && a->mtime_ns == b->mtime_ns &&
           strcmp(a->owner, b->owner) == 0 && strcmp(a->group, b->group) == 0 &&
           hash_equal(&a->xattrs, &b->xattrs);
}

/* All that is said of it stays; only where it is on the disk may differ. */
void entry_stat(struct source *s, tree_node node)
{
    const struct tree_stat *stat = &s->found.entry.stat;
    struct tree_entry known;

    tree_get(s->tree, node, &known);
    tree_set_stat(s->tree, node, stat, s->found.entry.racy);
    if (known.stat.inode != 0 && known.type != SYNC_DIRECTORY && known.stat.inode != stat->inode)
        links_leave(s, &known.stat);
}

/* The tree has it now as it was found. */
void entry_settle(struct source *s, struct sync_bytes path, tree_node node)
{
    struct tree_entry known = {0};

    node = node ? node : tree_find(s->tree, path);
    if (node)
        tree_get(s->tree, node, &known);
    const int put = tree_put(s->tree, path, &s->found.entry, &node);
    if (put == 0 && s->mode == SOURCE_LEARN)
        tree_set_mark(s->tree, node, s->scan.mark); /* the scan may be in the middle of its directory */
    if (known.stat.inode != 0 && known.type != SYNC_DIRECTORY &&
        known.stat.inode != s->found.entry.stat.inode)
        links_leave(s, &known.stat);
}

int entry_put(struct source *s, struct sync_bytes path, struct sync_bytes content)
{
    const struct sync_op op = {.kind = SYNC_OP_PUT,
                               .path = path,
                               .meta = s->found.meta,
                               .hash = s->found.entry.content,
                               .content = content};
    const int r = build_emit(s, &op);

    if (r == 0)
        entry_settle(s, path, 0);
    return r;
}

/* The same content: its attributes, or only where it is on the disk. */
int entry_meta(struct source *s, struct sync_bytes path, tree_node node)
{
    struct tree_entry known;
    const struct sync_op op = {
        .kind = SYNC_OP_META, .path = path, .meta = s->found.meta, .hash = s->found.entry.content};

    tree_get(s->tree, node, &known);
    if (same_meta(&known, &s->found.entry)) {
        entry_stat(s, node);
        return 0;
    }
    const int r = build_emit(s, &op);
    if (r == 0)
        entry_settle(s, path, node);
    return r;
}

/* --------------------------------------------------------------------------- gone */

static int emit_delete(struct source *s, struct sync_bytes path)
{
    const struct sync_op op = {.kind = SYNC_OP_DELETE, .path = path};

    return build_emit(s, &op);
}

int entry_remove(struct source *s, struct sync_bytes path, tree_node node)
{
    const int r = emit_delete(s, path);

    if (r == 0) {
        links_leave_below(s, node, 0);
        tree_remove(s->tree, node);
    }
    return r;
}

static bool is_there(struct source *s, struct sync_bytes path)
{
    const char *name;
    int directory;

    places_release(s->places);
    if (entry_sight(s, path, &directory, &name) < 0)
        return false;
    s->found.type = sight_type(&s->found.sight);
    return s->found.type != 0;
}

/* Something happened, since the generation began, to its name or to that of a directory that it is in: it may
 * be elsewhere by now, and then the peer must not be without it in between. The next generation looks. */
static bool comes_again(struct source *s, struct sync_bytes path)
{
    for (; path.size > 0; path = path_parent(path)) {
        const struct dirty_entry *entry = dirty_find(s->dirty, path);
        if (entry && entry->flags & DIRTY_NAME)
            return true;
    }
    return false;
}

/* Only of a directory that is where the tree has it can be said what is gone from it. Of another one the news
 * is still to come, and what waits below it is renamed with it. */
static bool parent_is_known(struct source *s, struct sync_bytes path, unsigned flags)
{
    const struct sync_bytes parent = path_parent(path);
    const tree_node node = tree_find(s->tree, parent);
    struct tree_entry entry;

    if (node == 0)
        return true;
    tree_get(s->tree, node, &entry);
    if (links_is_name(s, parent, &entry.stat))
        return true;
    source_mark(s, path, flags | DIRTY_NAME, DIRTY_NOW);
    source_mark(s, parent, DIRTY_NAME, DIRTY_NOW);
    return false;
}

/* It stays for now. Another name of a file is not that any more on the peer if the file was deleted, and what
 * comparing found to differ is something else there: until it is looked at again nobody knows what the peer's
 * tree says of it. */
static void put_off(struct source *s, struct sync_bytes path, tree_node node, unsigned flags)
{
    struct tree_entry known;

    if (node == 0)
        return;
    tree_get(s->tree, node, &known);
    if (known.type == SYNC_HARDLINK || flags & DIRTY_FORCE)
        source_mark(s, path, DIRTY_NAME | DIRTY_FORCE, DIRTY_NOW);
}

int entry_delete(struct source *s, struct sync_bytes path, unsigned flags)
{
    const tree_node node = tree_find(s->tree, path);

    if (is_there(s, path)) {
        put_off(s, path, node, flags);
        source_mark(s, path, flags | DIRTY_NAME, DIRTY_NOW); /* its directory was away for a moment */
        return 0;
    }
    watch_drain(s);
    if (comes_again(s, path) || !parent_is_known(s, path, flags)) {
        put_off(s, path, node, flags);
        return 0;
    }
    return node ? entry_remove(s, path, node) : 0;
}

/* The peer has what this node has not; with its directory it goes by itself. */
static int surplus(struct source *s, struct sync_bytes path)
{
    const tree_node parent = tree_find(s->tree, path_parent(path));
    struct tree_entry entry;

    if (parent == 0)
        return 0;
    tree_get(s->tree, parent, &entry);
    build_parent(s, path);
    return entry.type == SYNC_DIRECTORY ? emit_delete(s, path) : 0;
}

/* A root that is a directory and is not there is more likely not mounted than meant to be deleted on the
 * other node, too. */
static bool is_missing_root(struct source *s, struct sync_bytes path, tree_node node)
{
    struct tree_entry entry;

    if (s->build.quiet || path_parent(path).size > 0)
        return false;
    tree_get(s->tree, node, &entry);
    return entry.type == SYNC_DIRECTORY;
}

static int gone(struct source *s, struct sync_bytes path, unsigned flags)
{
    const tree_node node = tree_find(s->tree, path);

    if (node == 0 && flags & DIRTY_FORCE)
        return surplus(s, path);
    if (node && is_missing_root(s, path, node))
        return ROOT_IS_MISSING;
    return paths_add(&s->build.gone, path, flags & (DIRTY_CONTENT | DIRTY_READ | DIRTY_DEEP | DIRTY_FORCE));
}

/* It stays on each node as it is. */
static int forget(struct source *s, struct sync_bytes path)
{
    const tree_node node = tree_find(s->tree, path);

    if (node) {
        links_leave_below(s, node, 0);
        tree_remove(s->tree, node);
    }
    return 0;
}

/* -------------------------------------------------------------------- kinds of entries */

static int look_directory(struct source *s, struct sync_bytes path, tree_node node, unsigned flags)
{
    const struct tree_stat *stat = &s->found.entry.stat;
    struct tree_entry known;
    int r = 0;

    if (node)
        tree_get(s->tree, node, &known);
    const bool other = !node || (known.stat.inode != 0 &&
                                 (known.stat.inode != stat->inode || known.stat.device != stat->device ||
                                  known.stat.birth_ns != stat->birth_ns));
    if (!node || flags & DIRTY_FORCE)
        r = entry_put(s, path, (struct sync_bytes){0});
    else
        r = entry_meta(s, path, node);
    if (!other && s->dirs && !s->unwatched && dirs_watch(s->dirs, path) == 0 && !s->scan.running)
        scan_directory(s, path); /* it may be listed now */
    /* Of what is in a directory that was not here before nothing is known. */
    return r == 0 && (other || flags & DIRTY_DEEP) ? build_walk(s, path) : r;
}

static int look_symlink(struct source *s, struct sync_bytes path, tree_node node, unsigned flags,
                        int directory, const char *name)
{
    const ssize_t size = readlinkat(directory, name, (char *)s->target, SYNC_PATH_MAX);
    struct tree_entry known;

    if (size < 0)
        return -errno;
    if (size == 0 || size >= SYNC_PATH_MAX)
        return -ENAMETOOLONG;
    s->found.entry.content = hash_bytes(s->hasher, s->target, (size_t)size);
    if (node)
        tree_get(s->tree, node, &known);
    if (node && !(flags & DIRTY_FORCE) && hash_equal(&known.content, &s->found.entry.content) &&
        same_meta(&known, &s->found.entry)) {
        entry_stat(s, node);
        return 0;
    }
    return entry_put(s, path, (struct sync_bytes){s->target, (size_t)size});
}

/* Nobody wrote to it: only its name, or what travels beside its content, can have changed. */
static bool keeps_content(const struct sight *sight, const struct tree_entry *known, unsigned flags)
{
    if (flags & (DIRTY_FORCE | DIRTY_READ) || known->racy || known->type != SYNC_FILE)
        return false;
    if (sight_is(sight, known))
        return true;
    return !(flags & DIRTY_CONTENT) && sight->links == 1 && sight->size == known->size &&
           sight->mtime_ns == known->mtime_ns && sight->stat.inode == known->stat.inode &&
           sight->stat.device == known->stat.device && sight->stat.birth_ns == known->stat.birth_ns;
}

static int look_file(struct source *s, struct sync_bytes path, tree_node node, unsigned flags, int directory,
                     const char *name)
{
    uint8_t target[SYNC_PATH_MAX];
    struct tree_entry known = {0};
    size_t size;

    if (node)
        tree_get(s->tree, node, &known);
    const bool link = s->found.sight.links > 1 && links_target(s, path, target, &size);
    if (node && (known.type == SYNC_HARDLINK) != link) {
        const int r = entry_remove(s, path, node);
        if (r < 0)
            return r;
        node = 0;
    }
    if (link)
        return links_put(s, path, (struct sync_bytes){target, size}, node, flags);
    if (node && keeps_content(&s->found.sight, &known, flags)) {
        s->found.entry.content = known.content;
        return entry_meta(s, path, node);
    }
    /* Looking at the other names may have closed the directory. */
    const int r = places_find(s->places, path, &directory, &name);
    return r < 0 ? r : file_look(s, path, directory, name, flags);
}

/* ------------------------------------------------------------------------- the entry */

static int look_at_kind(struct source *s, struct sync_bytes path, unsigned flags, int directory,
                        const char *name)
{
    const tree_node node = tree_find(s->tree, path);

    switch (s->found.type) {
    case SYNC_DIRECTORY:
        return look_directory(s, path, node, flags);
    case SYNC_SYMLINK:
        return look_symlink(s, path, node, flags, directory, name);
    case SYNC_FILE:
    case SYNC_HARDLINK:
        break;
    }
    return look_file(s, path, node, flags, directory, name);
}

/* The directory that it is in comes first. 1: it is there; 0: it does not travel. */
static int parent_first(struct source *s, struct sync_bytes path)
{
    const struct sync_bytes parent = path_parent(path);
    const char *name;
    int directory;

    if (parent.size == 0 || tree_find(s->tree, parent) != 0)
        return 1;
    int r = entry_sight(s, parent, &directory, &name);
    if (r == 0)
        r = sight_type(&s->found.sight) == SYNC_DIRECTORY ? entry_look(s, parent, DIRTY_CONTENT | DIRTY_DEEP)
                                                          : -ENOTDIR;
    if (r < 0)
        return place_is_gone(r) ? 0 : r;
    return tree_find(s->tree, parent) != 0;
}

/* Nothing about it differs from what the peer holds. */
static bool is_unchanged(struct source *s, struct sync_bytes path, unsigned flags)
{
    const struct sight *sight = &s->found.sight;
    const tree_node node = tree_find(s->tree, path);
    struct tree_entry known;

    if (!node || flags & (DIRTY_FORCE | DIRTY_READ) ||
        (flags & DIRTY_DEEP && s->found.type == SYNC_DIRECTORY) ||
        (s->found.type == SYNC_FILE && sight->links > 1))
        return false;
    tree_get(s->tree, node, &known);
    return known.type != SYNC_HARDLINK && sight_is(sight, &known);
}

static int look_on(struct source *s, struct sync_bytes path, unsigned flags)
{
    const char *name;
    int directory;
    int r = moves_make_way(s, path);

    if (r == 0)
        r = entry_sight(s, path, &directory, &name); /* the way of others leads through the same place */
    if (r == 0 && sight_type(&s->found.sight) != s->found.type)
        r = CONTENT_CHANGED;
    if (r == 0)
        r = look_meta(s, directory, name);
    return r < 0 ? r : look_at_kind(s, path, flags, directory, name);
}

int entry_look(struct source *s, struct sync_bytes path, unsigned flags)
{
    const char *name;
    int directory;
    int r = parent_first(s, path);

    s->build.special = false;
    if (r == 1)
        r = entry_sight(s, path, &directory, &name);
    else if (r == 0)
        r = -ENOENT;
    if (r < 0)
        return place_is_gone(r) ? gone(s, path, flags) : r;
    s->found.type = sight_type(&s->found.sight);
    if (source_excluded(s, path, s->found.type == SYNC_DIRECTORY))
        return forget(s, path);
    s->build.special = s->found.type == 0;
    if (s->build.special)
        return gone(s, path, flags);
    if (is_unchanged(s, path, flags))
        return 0;
    r = look_on(s, path, flags);
    return place_is_gone(r) ? gone(s, path, flags) : r;
}
