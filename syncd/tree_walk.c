#include "syncd/tree_inside.h"

#include <string.h>

void tree_walk_begin(struct tree_walk *walk, const struct tree *tree, tree_node top)
{
    walk->tree = tree;
    walk->top = walk->node = top;
    walk->depth = 0;
    walk->size = tree_path(tree, top, walk->path);
}

struct sync_bytes tree_walk_path(const struct tree_walk *walk)
{
    return (struct sync_bytes){walk->path, walk->size};
}

static void append(struct tree_walk *walk, tree_node node)
{
    const struct sync_bytes name = tree_name(walk->tree, node);

    if (walk->size > 0)
        walk->path[walk->size++] = '/';
    memcpy(walk->path + walk->size, name.at, name.size);
    walk->size += name.size;
    walk->node = node;
}

static void cut(struct tree_walk *walk)
{
    walk->size -= tree_name(walk->tree, walk->node).size;
    if (walk->size > 0)
        walk->size--;
}

void tree_walk_next(struct tree_walk *walk)
{
    const tree_node child = tree_first_child(walk->tree, walk->node);

    if (child != 0) {
        walk->depth++;
        append(walk, child);
        return;
    }
    while (walk->node != walk->top) {
        const tree_node sibling = tree_next_sibling(walk->tree, walk->node);
        cut(walk);
        if (sibling != 0) {
            append(walk, sibling);
            return;
        }
        walk->node = tree_parent(walk->tree, walk->node);
        walk->depth--;
    }
    walk->node = 0;
}
