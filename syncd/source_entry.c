/* One entry: what it is on the disk against what the tree says that the peer holds. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/source_inside.h"

/* ------------------------------------------------------------------------ what is there */

static int look(struct source *s, struct sync_bytes path, int *directory, const char **name)
{
    const int r = places_find(s->places, path, directory, name);

    return r < 0 ? r : sight_at(*directory, *name, &s->found.sight);
}

/* All that travels beside a content. */
static int look_meta(struct source *s, int directory, const char *name)
{
    struct found *f = &s->found;
    const struct sight *sight = &f->sight;
    const int r = xattrs_read(-1, directory, name, &s->xattrs);

    if (r < 0)
        return r;
    const struct sync_bytes xattrs = {s->xattrs.bytes, s->xattrs.size};
    f->type = sight_type(sight);
    f->entry = (struct tree_entry){
        .type = f->type,
        .mode = f->type == SYNC_SYMLINK ? 0777 : sight->mode & 07777,
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

/* A name of this inode is no more: its other names are looked at, since nobody tells of them. */
static void links_leave(struct source *s, const struct tree_stat *stat)
{
    uint8_t path[SYNC_PATH_MAX];

    for (tree_node node = 0; (node = tree_by_inode(s->tree, stat, node)) != 0;) {
        const size_t size = tree_path(s->tree, node, path);
        paths_add(&s->build.extra, (struct sync_bytes){path, size}, DIRTY_CONTENT | DIRTY_FORCE);
    }
}

/* The tree has it now as it was found. */
void entry_settle(struct source *s, struct sync_bytes path, tree_node node)
{
    struct tree_entry known = {0};

    node = node ? node : tree_find(s->tree, path);
    if (node)
        tree_get(s->tree, node, &known);
    tree_put(s->tree, path, &s->found.entry, NULL);
    if (known.stat.inode != 0 && known.type != SYNC_DIRECTORY &&
        known.stat.inode != s->found.entry.stat.inode)
        links_leave(s, &known.stat);
    build_touched(s, path);
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
        tree_set_stat(s->tree, node, &s->found.entry.stat, s->found.entry.racy);
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
    const int r = build_emit(s, &op);

    if (r == 0)
        build_touched(s, path);
    return r;
}

/* All inodes that have a name below: their other names are looked at afterwards. */
static void names_leave(struct source *s, tree_node node, int depth)
{
    struct tree_entry entry;

    tree_get(s->tree, node, &entry);
    if (entry.type != SYNC_DIRECTORY) {
        tree_set_stat(s->tree, node, &(struct tree_stat){0}, false); /* it is none of them any more */
        links_leave(s, &entry.stat);
        return;
    }
    for (tree_node child = tree_first_child(s->tree, node); child && depth < SYNC_PATH_MAX / 2;
         child = tree_next_sibling(s->tree, child))
        names_leave(s, child, depth + 1);
}

static int remove_known(struct source *s, struct sync_bytes path, tree_node node)
{
    const int r = emit_delete(s, path);

    if (r == 0) {
        names_leave(s, node, 0);
        tree_remove(s->tree, node);
    }
    return r;
}

static bool is_there(struct source *s, struct sync_bytes path)
{
    const char *name;
    int directory;

    places_release(s->places);
    if (look(s, path, &directory, &name) < 0)
        return false;
    s->found.type = sight_type(&s->found.sight);
    return s->found.type != 0 && !source_excluded(s, path, s->found.type == SYNC_DIRECTORY);
}

int entry_delete(struct source *s, struct sync_bytes path)
{
    const tree_node node = tree_find(s->tree, path);

    if (node == 0 || is_there(s, path))
        return 0;
    return remove_known(s, path, node);
}

static int gone(struct source *s, struct sync_bytes path, unsigned flags)
{
    /* The peer has it, and this node never had: there is nothing that it could have been renamed from. */
    if (tree_find(s->tree, path) == 0)
        return flags & DIRTY_FORCE ? emit_delete(s, path) : 0;
    return paths_add(&s->build.gone, path, 0);
}

/* -------------------------------------------------------------------------- moved */

/* The entry that the tree knows under this inode, if it is not where it was. */
static tree_node moved_from(struct source *s, struct sync_bytes path, const struct sight *sight,
                            uint8_t *from, size_t *from_size)
{
    struct tree_entry entry;
    struct sight there;
    const char *name;
    int directory;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, &sight->stat, node)) != 0;) {
        *from_size = tree_path(s->tree, node, from);
        const struct sync_bytes old = {from, *from_size};
        tree_get(s->tree, node, &entry);
        if (entry.type != sight_type(sight) || path_parent(old).size == 0 || path_below(path, old))
            continue;
        if (entry.stat.birth_ns != sight->stat.birth_ns)
            continue; /* the number came again */
        if (places_find(s->places, old, &directory, &name) == 0 && sight_at(directory, name, &there) == 0 &&
            there.stat.inode == sight->stat.inode && there.stat.device == sight->stat.device)
            continue; /* another name of it */
        return node;
    }
    return 0;
}

/* 1: it was renamed, in the tree as well; 0: it was not. */
static int try_move(struct source *s, struct sync_bytes path, const struct sight *sight)
{
    uint8_t from[SYNC_PATH_MAX];
    size_t from_size;

    if (path_parent(path).size == 0)
        return 0;
    const tree_node node = moved_from(s, path, sight, from, &from_size);
    if (node == 0)
        return 0;
    const struct sync_bytes old = {from, from_size};
    const struct sync_op op = {.kind = SYNC_OP_MOVE, .path = old, .content = path};
    const tree_node there = tree_find(s->tree, path);
    int r = there ? remove_known(s, path, there) : 0;
    if (r == 0 && tree_find(s->tree, old) != node)
        return 0; /* it was below what was replaced */
    if (r == 0)
        r = build_emit(s, &op);
    if (r < 0)
        return r == -EINVAL ? 0 : r;
    if (tree_move(s->tree, node, path) < 0)
        return -ENOMEM;
    build_touched(s, old);
    build_touched(s, path);
    const struct sync_bytes parent = path_parent(old);
    if (parent.size > 0)
        paths_add(&s->build.parents, parent, 0);
    return 1;
}

/* -------------------------------------------------------------------- kinds of entries */

static int look_directory(struct source *s, struct sync_bytes path, tree_node node, unsigned flags)
{
    struct tree_entry known;

    if (node)
        tree_get(s->tree, node, &known);
    if (node && !(flags & DIRTY_FORCE) && same_meta(&known, &s->found.entry)) {
        tree_set_stat(s->tree, node, &s->found.entry.stat, false);
        return 0;
    }
    /* It was thought to be renamed, and what it was before has been replaced: all in it is new. */
    if (!node && (flags & DIRTY_DEEP) && !s->build.quiet)
        scan_directory(s, path);
    return entry_put(s, path, (struct sync_bytes){0});
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
        tree_set_stat(s->tree, node, &s->found.entry.stat, false);
        return 0;
    }
    return entry_put(s, path, (struct sync_bytes){s->target, (size_t)size});
}

static bool is_name_of(struct source *s, struct sync_bytes path, const struct tree_stat *stat)
{
    struct sight there;
    const char *name;
    int directory;

    return places_find(s->places, path, &directory, &name) == 0 && sight_at(directory, name, &there) == 0 &&
           there.stat.inode == stat->inode && there.stat.device == stat->device;
}

/* Of the names of an inode in the set the one that sorts first is the file. */
static bool link_target(struct source *s, struct sync_bytes path, uint8_t *target, size_t *size)
{
    const struct tree_stat stat = s->found.sight.stat;
    uint8_t other[SYNC_PATH_MAX];
    bool found = false;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, &stat, node)) != 0;) {
        const struct sync_bytes name = {other, tree_path(s->tree, node, other)};
        const struct sync_bytes best = {found ? target : path.at, found ? *size : path.size};
        if (path_compare(name, best) >= 0 || !is_name_of(s, name, &stat))
            continue;
        memcpy(target, other, name.size);
        *size = name.size;
        found = true;
    }
    return found;
}

/* What had this file's other names: they are said again when it has changed. */
static int put_link(struct source *s, struct sync_bytes path, struct sync_bytes target, tree_node node,
                    unsigned flags)
{
    struct tree_entry known;

    s->found.entry.type = s->found.meta.type = SYNC_HARDLINK;
    s->found.entry.size = 0;
    s->found.entry.content = hash_bytes(s->hasher, target.at, target.size);
    if (node)
        tree_get(s->tree, node, &known);
    if (node && known.type == SYNC_HARDLINK && !(flags & DIRTY_FORCE) &&
        hash_equal(&known.content, &s->found.entry.content)) {
        /* Something was done to the file by this name: nobody tells of its other names. */
        if (known.stat.ctime_ns != s->found.entry.stat.ctime_ns)
            paths_add(&s->build.extra, target, DIRTY_CONTENT);
        tree_set_stat(s->tree, node, &s->found.entry.stat, false);
        return 0;
    }
    return entry_put(s, path, target);
}

static int look_file(struct source *s, struct sync_bytes path, tree_node node, unsigned flags, int directory,
                     const char *name)
{
    uint8_t target[SYNC_PATH_MAX];
    struct tree_entry known = {0};
    size_t size;

    if (node)
        tree_get(s->tree, node, &known);
    const bool link = s->found.sight.links > 1 && link_target(s, path, target, &size);
    if (node && (known.type == SYNC_HARDLINK) != link) {
        const int r = remove_known(s, path, node);
        if (r < 0)
            return r;
        node = 0;
    }
    if (link)
        return put_link(s, path, (struct sync_bytes){target, size}, node, flags);
    /* Looking for other names led to other directories. */
    const int again = s->found.sight.links > 1 ? look(s, path, &directory, &name) : 0;
    if (again < 0)
        return again;
    if (node && !(flags & (DIRTY_FORCE | DIRTY_READ)) && sight_is(&s->found.sight, &known) && !known.racy) {
        s->found.entry.content = known.content;
        return entry_meta(s, path, node);
    }
    return file_look(s, path, directory, name, flags);
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

    if (parent.size == 0 || tree_find(s->tree, parent) != 0)
        return 1;
    const int r = entry_look(s, parent, DIRTY_NAME | DIRTY_CONTENT);
    return r < 0 ? r : tree_find(s->tree, parent) != 0;
}

static enum sync_type kind_of(const struct tree_entry *entry)
{
    return entry->type == SYNC_HARDLINK ? SYNC_FILE : entry->type;
}

/* Something of another kind is in the way; or it is another thing, that was elsewhere before. */
static int make_way(struct source *s, struct sync_bytes path)
{
    const tree_node node = tree_find(s->tree, path);
    struct tree_entry known = {0};
    int r = 0;

    if (node)
        tree_get(s->tree, node, &known);
    const struct sight sight = s->found.sight;
    if (node == 0 || known.stat.inode != sight.stat.inode) {
        r = sight.links > 1 && s->found.type == SYNC_FILE ? 0 : try_move(s, path, &sight);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    if (node && kind_of(&known) != s->found.type)
        r = remove_known(s, path, node);
    s->found.sight = sight;
    return r;
}

int entry_look(struct source *s, struct sync_bytes path, unsigned flags)
{
    const char *name;
    int directory;
    int r = parent_first(s, path);

    if (r <= 0)
        return r < 0 ? r : gone(s, path, flags);
    r = look(s, path, &directory, &name);
    if (place_is_gone(r))
        return gone(s, path, flags);
    if (r < 0)
        return r;
    s->found.type = sight_type(&s->found.sight);
    if (s->found.type == 0 || source_excluded(s, path, s->found.type == SYNC_DIRECTORY))
        return gone(s, path, flags);
    r = make_way(s, path);
    if (r == 0)
        r = look(s, path, &directory, &name); /* the way of others leads through the same place */
    if (r == 0)
        r = look_meta(s, directory, name);
    if (r < 0)
        return place_is_gone(r) ? gone(s, path, flags) : r;
    return look_at_kind(s, path, flags, directory, name);
}
