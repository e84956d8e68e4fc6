/* Files with several names. Of the names that are in the set, the one that sorts first is the file, and the
 * others are said to be names of it. */
#include <string.h>

#include "syncd/source_inside.h"

bool links_is_name(struct source *s, struct sync_bytes path, const struct tree_stat *stat)
{
    struct sight there;
    const char *name;
    int directory;

    return places_find(s->places, path, &directory, &name) == 0 && sight_at(directory, name, &there) == 0 &&
           there.stat.inode == stat->inode && there.stat.device == stat->device &&
           there.stat.birth_ns == stat->birth_ns;
}

/* A name of this inode is no more, or another one: what is said to be names of it is said again, and the file
 * is looked at, which may have been written to by that name; nobody tells of either. */
void links_leave(struct source *s, const struct tree_stat *stat)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry entry;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, stat, node)) != 0;) {
        tree_get(s->tree, node, &entry);
        const struct sync_bytes name = {path, tree_path(s->tree, node, path)};
        if (entry.type != SYNC_DIRECTORY)
            paths_add(&s->build.extra, name, DIRTY_CONTENT | (entry.type == SYNC_HARDLINK ? DIRTY_FORCE : 0));
    }
}

void links_leave_below(struct source *s, tree_node node, int depth)
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
        links_leave_below(s, child, depth + 1);
}

/* Between generations: the tree is about to forget what it knows of these, also which other names they have.
 * Those are said again, since nobody tells of them when the file goes. */
void links_doubt_below(struct source *s, tree_node node, int depth)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry entry, other;

    tree_get(s->tree, node, &entry);
    for (tree_node child = tree_first_child(s->tree, node); child && depth < SYNC_PATH_MAX / 2;
         child = tree_next_sibling(s->tree, child))
        links_doubt_below(s, child, depth + 1);
    if (entry.type == SYNC_DIRECTORY)
        return;
    for (tree_node one = 0; (one = tree_by_inode(s->tree, &entry.stat, one)) != 0;) {
        tree_get(s->tree, one, &other);
        const struct sync_bytes name = {path, tree_path(s->tree, one, path)};
        if (one != node && other.type != SYNC_DIRECTORY)
            source_mark(s, name, DIRTY_CONTENT | (other.type == SYNC_HARDLINK ? DIRTY_FORCE : 0), DIRTY_NOW);
    }
}

/* Those below a directory that was renamed are said to be names of what is called otherwise now, and another
 * one may sort first. */
void links_moved_below(struct source *s, tree_node node, int depth)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry entry;

    tree_get(s->tree, node, &entry);
    if (entry.type != SYNC_DIRECTORY) {
        const tree_node one = tree_by_inode(s->tree, &entry.stat, 0);
        if (one == 0 || (one == node && tree_by_inode(s->tree, &entry.stat, one) == 0))
            return;
        const struct sync_bytes name = {path, tree_path(s->tree, node, path)};
        paths_add(&s->build.extra, name, DIRTY_CONTENT);
        links_leave(s, &entry.stat);
        return;
    }
    for (tree_node child = tree_first_child(s->tree, node); child && depth < SYNC_PATH_MAX / 2;
         child = tree_next_sibling(s->tree, child))
        links_moved_below(s, child, depth + 1);
}

/* The file that `path` is another name of. False: `path` is the file. */
bool links_target(struct source *s, struct sync_bytes path, uint8_t *target, size_t *size)
{
    const struct tree_stat stat = s->found.sight.stat;
    uint8_t other[SYNC_PATH_MAX];
    bool found = false;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, &stat, node)) != 0;) {
        const struct sync_bytes name = {other, tree_path(s->tree, node, other)};
        const struct sync_bytes best = {found ? target : path.at, found ? *size : path.size};
        if (path_compare(name, best) >= 0 || !links_is_name(s, name, &stat))
            continue;
        memcpy(target, other, name.size);
        *size = name.size;
        found = true;
    }
    return found;
}

/* A write by this name is one to the file, and nobody tells it of the other name. */
static void look_at_file(struct source *s, struct sync_bytes target)
{
    const tree_node node = tree_find(s->tree, target);
    struct tree_entry file;

    if (!node)
        return;
    tree_get(s->tree, node, &file);
    if (file.type != SYNC_FILE || !sight_is(&s->found.sight, &file))
        paths_add(&s->build.extra, target, DIRTY_CONTENT);
}

int links_put(struct source *s, struct sync_bytes path, struct sync_bytes target, tree_node node,
              unsigned flags)
{
    struct tree_entry known;

    look_at_file(s, target);
    s->found.entry.type = s->found.meta.type = SYNC_HARDLINK;
    s->found.entry.size = 0;
    s->found.entry.content = hash_bytes(s->hasher, target.at, target.size);
    if (node)
        tree_get(s->tree, node, &known);
    if (node && known.type == SYNC_HARDLINK && !(flags & DIRTY_FORCE) &&
        hash_equal(&known.content, &s->found.entry.content)) {
        entry_stat(s, node);
        return 0;
    }
    return entry_put(s, path, target);
}

/* What had this file's other names: they are said again when it has another content, because a receiver may
 * have put that in the place of what they are names of. Also those that are gone by now, of which it is yet
 * to be told. */
void links_said_again(struct source *s, struct sync_bytes path)
{
    uint8_t other[SYNC_PATH_MAX];
    struct tree_entry entry;

    for (tree_node node = 0; (node = tree_by_inode(s->tree, &s->found.sight.stat, node)) != 0;) {
        tree_get(s->tree, node, &entry);
        const struct sync_bytes name = {other, tree_path(s->tree, node, other)};
        if (entry.type != SYNC_DIRECTORY && !path_equal(name, path))
            paths_add(&s->build.extra, name, DIRTY_FORCE);
    }
}
