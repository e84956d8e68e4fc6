/* Hashes of the blocks of bigger files, where they are known. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_inside.h"

const struct sync_hash *tree_blocks(const struct tree *tree, tree_node node, uint32_t *block, size_t *count)
{
    const struct node *n = &tree->nodes[node];

    if (node_type(n) != SYNC_FILE || n->blocks == 0)
        return NULL;
    const struct blocks *blocks = &tree->blocks[n->blocks];
    *block = blocks->block;
    *count = blocks->count;
    return blocks->hashes;
}

void tree_blocks_drop(struct tree *tree, tree_node node)
{
    struct node *n = &tree->nodes[node];

    if (node_type(n) != SYNC_FILE || n->blocks == 0)
        return;
    struct blocks *blocks = &tree->blocks[n->blocks];
    tree->block_hashes -= blocks->count;
    free(blocks->hashes);
    *blocks = (struct blocks){.count = tree->blocks_free};
    tree->blocks_free = n->blocks;
    n->blocks = 0;
}

static int add_blocks(struct tree *tree, uint32_t *number)
{
    if (tree->blocks_free != 0) {
        *number = tree->blocks_free;
        tree->blocks_free = tree->blocks[*number].count;
        return 0;
    }
    const uint32_t added = tree->blocks_count > 0 ? tree->blocks_count : 1;
    const int r = tree_grow(&tree->blocks, &tree->blocks_room, (uint64_t)added + 1, sizeof *tree->blocks);
    if (r < 0)
        return r;
    tree->blocks[0] = (struct blocks){0};
    tree->blocks_count = added + 1;
    *number = added;
    return 0;
}

int tree_set_blocks(struct tree *tree, tree_node node, uint32_t block, const struct sync_hash *hashes,
                    size_t count)
{
    uint32_t number;

    if (node_type(&tree->nodes[node]) != SYNC_FILE || count > SYNC_BLOCKS_MAX)
        return -EINVAL;
    if (count == 0) {
        tree_blocks_drop(tree, node);
        return 0;
    }
    struct sync_hash *copy = malloc(count * sizeof *copy);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, hashes, count * sizeof *copy); /* before the old ones go: they may be the same */
    tree_blocks_drop(tree, node);
    const int r = add_blocks(tree, &number);
    if (r < 0) {
        free(copy);
        return r;
    }
    tree->blocks[number] = (struct blocks){copy, block, (uint32_t)count};
    tree->nodes[node].blocks = number;
    tree->block_hashes += count;
    return 0;
}

void tree_blocks_clear(struct tree *tree)
{
    for (uint32_t i = 1; i < tree->blocks_count; i++)
        free(tree->blocks[i].hashes);
    free(tree->blocks);
    tree->blocks = NULL;
    tree->blocks_count = tree->blocks_room = tree->blocks_free = 0;
    tree->block_hashes = 0;
}
