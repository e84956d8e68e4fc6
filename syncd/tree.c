#include "syncd/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_inside.h"

int tree_new(const struct hasher *hasher, struct tree **tree)
{
    struct tree *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    t->hasher = hasher;
    const int r = tree_nodes_init(t);
    if (r < 0) {
        free(t);
        return r;
    }
    *tree = t;
    return 0;
}

void tree_clear(struct tree *tree)
{
    tree_blocks_clear(tree);
    tree_looks_clear(tree);
    tree_sums_clear(tree);
    tree_nodes_clear(tree);
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    tree_blocks_clear(tree);
    tree_looks_clear(tree);
    tree_nodes_free(tree);
    free(tree);
}

/* ------------------------------------------------------ looking */

/* Takes the name before the next slash from the front of `rest`. */
static struct sync_bytes next_name(struct sync_bytes *rest)
{
    const uint8_t *slash = memchr(rest->at, '/', rest->size);
    const size_t size = slash ? (size_t)(slash - rest->at) : rest->size;
    const struct sync_bytes name = {rest->at, size};

    rest->at += size + (slash != NULL);
    rest->size -= size + (slash != NULL);
    return name;
}

tree_node tree_find(const struct tree *tree, struct sync_bytes path)
{
    tree_node node = path.size > 0 && path.at[path.size - 1] != '/' ? TREE_TOP : 0;

    while (path.size > 0 && node != 0)
        node = tree_child(tree, node, next_name(&path));
    return node;
}

/* The directory that holds, or would hold, what `path` names. */
static tree_node find_above(const struct tree *tree, struct sync_bytes path, struct sync_bytes *name)
{
    const uint8_t *slash = memrchr(path.at, '/', path.size);

    if (!slash) {
        *name = path;
        return TREE_TOP;
    }
    const size_t above = (size_t)(slash - path.at);
    *name = (struct sync_bytes){slash + 1, path.size - above - 1};
    return tree_find(tree, (struct sync_bytes){path.at, above});
}

tree_node tree_parent(const struct tree *tree, tree_node node)
{
    return tree->nodes[node].parent;
}

tree_node tree_first_child(const struct tree *tree, tree_node node)
{
    const struct node *n = &tree->nodes[node];

    return node_type(n) == SYNC_DIRECTORY ? n->child : 0;
}

tree_node tree_next_sibling(const struct tree *tree, tree_node node)
{
    return tree->nodes[node].next;
}

size_t tree_path(const struct tree *tree, tree_node node, uint8_t *path)
{
    size_t size = 0;

    for (tree_node i = node; i > TREE_TOP; i = tree->nodes[i].parent)
        size += tree_name(tree, i).size + 1;
    if (size == 0)
        return 0;
    size_t at = --size; /* no slash at the end */
    for (tree_node i = node; i > TREE_TOP; i = tree->nodes[i].parent) {
        const struct sync_bytes name = tree_name(tree, i);
        at -= name.size;
        memcpy(path + at, name.at, name.size);
        if (at > 0)
            path[--at] = '/';
    }
    return size;
}

void tree_get(const struct tree *tree, tree_node node, struct tree_entry *entry)
{
    const struct node *n = &tree->nodes[node];
    const struct look *look = node > TREE_TOP ? &tree->looks[n->look] : &(const struct look){0};

    *entry = (struct tree_entry){
        .type = node_type(n),
        .mode = n->mode,
        .mtime_ns = n->mtime_ns,
        .uid = look->uid,
        .gid = look->gid,
        .owner = look->owner != 0 ? tree->texts[look->owner].text : "",
        .group = look->group != 0 ? tree->texts[look->group].text : "",
        .size = n->size,
        .content = n->content,
        .xattrs = look->xattrs,
        .racy = n->kind & NODE_RACY,
        .stat = {n->inode, n->device, n->ctime_ns, n->birth_ns},
    };
}

uint8_t tree_mark(const struct tree *tree, tree_node node)
{
    return tree->nodes[node].mark;
}

void tree_set_mark(struct tree *tree, tree_node node, uint8_t mark)
{
    tree->nodes[node].mark = mark;
}

int32_t tree_watch(const struct tree *tree, tree_node node)
{
    return tree->nodes[node].watch;
}

void tree_set_watch(struct tree *tree, tree_node node, int32_t watch)
{
    tree->nodes[node].watch = watch;
}

size_t tree_memory(const struct tree *tree)
{
    return sizeof *tree + tree->node_room * sizeof *tree->nodes + tree->names_room +
           ((size_t)tree->by_name.room + tree->by_inode.room + tree->by_look.room + tree->by_text.room) *
               sizeof(uint32_t) +
           tree->look_room * sizeof *tree->looks + tree->text_room * sizeof *tree->texts + tree->text_bytes +
           tree->blocks_room * sizeof *tree->blocks + (size_t)tree->block_hashes * sizeof(struct sync_hash);
}

/* ------------------------------------------------------ changing */

static void set_stat(struct tree *tree, tree_node node, const struct tree_stat *stat, bool racy)
{
    struct node *n = &tree->nodes[node];

    n->ctime_ns = stat->ctime_ns;
    n->birth_ns = stat->birth_ns;
    n->kind = (uint8_t)((n->kind & NODE_TYPE) | (racy ? NODE_RACY : 0));
    tree_nodes_set_inode(tree, node, stat->inode, stat->device);
}

/* All but the type, which stays. */
static void set_entry(struct tree *tree, tree_node node, const struct tree_entry *entry, uint32_t look)
{
    struct node *n = &tree->nodes[node];

    n->mode = entry->mode;
    n->mtime_ns = entry->mtime_ns;
    n->size = entry->size;
    n->content = entry->content;
    n->look = look;
    set_stat(tree, node, &entry->stat, entry->racy);
}

int tree_add(struct tree *tree, tree_node parent, struct sync_bytes path, struct sync_bytes name,
             const struct tree_entry *entry, tree_node *node)
{
    uint32_t look;
    int r = tree_looks_take(tree, entry, &look);

    if (r < 0)
        return r;
    r = tree_nodes_add(tree, parent, name, entry->type, node);
    if (r < 0) {
        tree_looks_drop(tree, look);
        return r;
    }
    set_entry(tree, *node, entry, look);
    tree_sums_join(tree, *node, path);
    return 0;
}

static int change(struct tree *tree, tree_node node, struct sync_bytes path, const struct tree_entry *entry)
{
    struct node *n = &tree->nodes[node];
    const uint32_t old_look = n->look;
    const uint64_t old_size = n->size;
    uint32_t look;

    if (node_type(n) != entry->type)
        return -EEXIST;
    const int r = tree_looks_take(tree, entry, &look);
    if (r < 0)
        return r;
    const struct sync_hash before = tree_sums_hash(tree, node, path);
    if (n->size != entry->size || !hash_equal(&n->content, &entry->content))
        tree_blocks_drop(tree, node);
    set_entry(tree, node, entry, look);
    tree_sums_change(tree, node, path, before);
    if (entry->type == SYNC_FILE)
        tree->bytes += entry->size - old_size;
    tree_looks_drop(tree, old_look);
    return 0;
}

int tree_put(struct tree *tree, struct sync_bytes path, const struct tree_entry *entry, tree_node *node)
{
    struct sync_bytes name;
    tree_node found;

    if (!sync_path_clean(path) || entry->type < SYNC_FILE || entry->type > SYNC_HARDLINK)
        return -EINVAL;
    const tree_node parent = find_above(tree, path, &name);
    if (parent == 0)
        return -ENOENT;
    if (node_type(&tree->nodes[parent]) != SYNC_DIRECTORY)
        return -ENOTDIR;
    found = tree_child(tree, parent, name);
    const int r =
        found != 0 ? change(tree, found, path, entry) : tree_add(tree, parent, path, name, entry, &found);
    if (r == 0 && node)
        *node = found;
    return r;
}

void tree_set_stat(struct tree *tree, tree_node node, const struct tree_stat *stat, bool racy)
{
    set_stat(tree, node, stat, racy);
}

static void remove_one(struct tree *tree, tree_node node)
{
    uint8_t path[SYNC_PATH_MAX];
    const size_t size = tree_path(tree, node, path);

    tree_sums_leave(tree, node, (struct sync_bytes){path, size});
    tree_blocks_drop(tree, node);
    tree_looks_drop(tree, tree->nodes[node].look);
    tree_nodes_remove(tree, node);
}

/* From the leaves upwards. */
void tree_remove(struct tree *tree, tree_node node)
{
    tree_node at = node, above;

    if (node <= TREE_TOP)
        return;
    do {
        for (tree_node child; (child = tree_first_child(tree, at)) != 0;)
            at = child;
        above = tree_parent(tree, at);
        remove_one(tree, at);
    } while (at != node && (at = above) != 0);
}

static bool is_within(const struct tree *tree, tree_node node, tree_node top)
{
    while (node != 0 && node != top)
        node = tree->nodes[node].parent;
    return node != 0;
}

/* Would the longest path below `node` still be one, were the node's own to grow by so much? */
static bool path_can_grow(const struct tree *tree, tree_node node, size_t from, size_t to)
{
    struct tree_walk walk;

    if (to <= from)
        return true;
    for (tree_walk_begin(&walk, tree, node); walk.node != 0; tree_walk_next(&walk))
        if (walk.size - from + to > SYNC_PATH_MAX)
            return false;
    return true;
}

int tree_move(struct tree *tree, tree_node node, struct sync_bytes to)
{
    struct tree_walk walk;
    struct sync_bytes name;

    if (node <= TREE_TOP || !sync_path_clean(to))
        return -EINVAL;
    const tree_node parent = find_above(tree, to, &name);
    if (parent == 0)
        return -ENOENT;
    if (node_type(&tree->nodes[parent]) != SYNC_DIRECTORY)
        return -ENOTDIR;
    if (is_within(tree, parent, node))
        return -EINVAL;
    if (tree_child(tree, parent, name) != 0)
        return -EEXIST;
    tree_walk_begin(&walk, tree, node);
    if (!path_can_grow(tree, node, walk.size, to.size))
        return -ENAMETOOLONG;

    for (; walk.node != 0; tree_walk_next(&walk))
        tree_sums_leave(tree, walk.node, tree_walk_path(&walk));
    const int r = tree_nodes_rename(tree, node, parent, name);
    for (tree_walk_begin(&walk, tree, node); walk.node != 0; tree_walk_next(&walk))
        tree_sums_join(tree, walk.node, tree_walk_path(&walk));
    return r;
}
