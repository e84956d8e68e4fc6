/* The hash tree: sums of the hashes of entries, by bucket, group and altogether, kept up with every change.
 */
#include <string.h>

#include "syncd/tree_inside.h"

/* ------------------------------------------------------ sums */

static struct sum sum_of(const struct sync_hash *hash)
{
    struct sum sum = {0};

    for (size_t i = 0; i < 8; i++) {
        sum.high = sum.high << 8 | hash->bytes[i];
        sum.low = sum.low << 8 | hash->bytes[8 + i];
    }
    return sum;
}

static struct sync_hash sum_hash(struct sum sum)
{
    struct sync_hash hash;

    for (unsigned i = 0; i < 8; i++) {
        hash.bytes[i] = (uint8_t)(sum.high >> (56 - 8 * i));
        hash.bytes[8 + i] = (uint8_t)(sum.low >> (56 - 8 * i));
    }
    return hash;
}

static void sum_add(struct sum *to, struct sum sum)
{
    to->low += sum.low;
    to->high += sum.high + (to->low < sum.low);
}

static void sum_subtract(struct sum *from, struct sum sum)
{
    from->high -= sum.high + (from->low < sum.low);
    from->low -= sum.low;
}

static void add(struct tree *tree, unsigned bucket, struct sum sum)
{
    sum_add(&tree->buckets[bucket], sum);
    sum_add(&tree->groups[bucket / SYNC_FANOUT], sum);
    sum_add(&tree->root, sum);
}

static void subtract(struct tree *tree, unsigned bucket, struct sum sum)
{
    sum_subtract(&tree->buckets[bucket], sum);
    sum_subtract(&tree->groups[bucket / SYNC_FANOUT], sum);
    sum_subtract(&tree->root, sum);
}

/* ------------------------------------------------------ entries in their buckets */

unsigned tree_bucket_of(const struct tree *tree, struct sync_bytes path)
{
    const struct sync_hash hash = hash_bytes(tree->hasher, path.at, path.size);

    return ((unsigned)hash.bytes[0] << 8 | hash.bytes[1]) % SYNC_BUCKETS;
}

struct sync_hash tree_sums_hash(const struct tree *tree, tree_node node, struct sync_bytes path)
{
    struct tree_entry e;

    tree_get(tree, node, &e);
    return hash_entry(tree->hasher, &(struct hash_entry){.path = path,
                                                         .type = e.type,
                                                         .mode = e.mode,
                                                         .mtime_ns = e.mtime_ns,
                                                         .owner = e.owner,
                                                         .group = e.group,
                                                         .xattrs = e.xattrs,
                                                         .content = e.content,
                                                         .size = e.size});
}

void tree_sums_join(struct tree *tree, tree_node node, struct sync_bytes path)
{
    const unsigned bucket = tree_bucket_of(tree, path);
    const struct sync_hash hash = tree_sums_hash(tree, node, path);
    struct node *n = &tree->nodes[node];
    uint32_t *head = &tree->bucket_heads[bucket];

    n->bucket_previous = 0;
    n->bucket_next = *head;
    if (*head != 0)
        tree->nodes[*head].bucket_previous = node;
    *head = node;
    add(tree, bucket, sum_of(&hash));
    tree->entries++;
    tree->bytes += node_type(n) == SYNC_FILE ? n->size : 0;
}

void tree_sums_leave(struct tree *tree, tree_node node, struct sync_bytes path)
{
    const unsigned bucket = tree_bucket_of(tree, path);
    const struct sync_hash hash = tree_sums_hash(tree, node, path);
    const struct node *n = &tree->nodes[node];

    if (n->bucket_next != 0)
        tree->nodes[n->bucket_next].bucket_previous = n->bucket_previous;
    if (n->bucket_previous != 0)
        tree->nodes[n->bucket_previous].bucket_next = n->bucket_next;
    else
        tree->bucket_heads[bucket] = n->bucket_next;
    subtract(tree, bucket, sum_of(&hash));
    tree->entries--;
    tree->bytes -= node_type(n) == SYNC_FILE ? n->size : 0;
}

void tree_sums_change(struct tree *tree, tree_node node, struct sync_bytes path, struct sync_hash before)
{
    const struct sync_hash after = tree_sums_hash(tree, node, path);

    if (hash_equal(&before, &after))
        return;
    const unsigned bucket = tree_bucket_of(tree, path);
    subtract(tree, bucket, sum_of(&before));
    add(tree, bucket, sum_of(&after));
}

void tree_sums_clear(struct tree *tree)
{
    tree->entries = tree->bytes = 0;
    tree->root = (struct sum){0};
    memset(tree->groups, 0, sizeof tree->groups);
    memset(tree->buckets, 0, sizeof tree->buckets);
    memset(tree->bucket_heads, 0, sizeof tree->bucket_heads);
}

/* ------------------------------------------------------ looking */

struct sync_hash tree_entry_hash(const struct tree *tree, tree_node node)
{
    uint8_t path[SYNC_PATH_MAX];
    const size_t size = tree_path(tree, node, path);

    return tree_sums_hash(tree, node, (struct sync_bytes){path, size});
}

struct sync_hash tree_root_hash(const struct tree *tree)
{
    return sum_hash(tree->root);
}

void tree_hashes(const struct tree *tree, int group, struct sync_hash hashes[SYNC_FANOUT])
{
    for (unsigned i = 0; i < SYNC_FANOUT; i++)
        hashes[i] = sum_hash(group < 0 ? tree->groups[i] : tree->buckets[(unsigned)group * SYNC_FANOUT + i]);
}

tree_node tree_in_bucket(const struct tree *tree, unsigned bucket, tree_node after)
{
    return after != 0 ? tree->nodes[after].bucket_next : tree->bucket_heads[bucket];
}

uint64_t tree_entries(const struct tree *tree)
{
    return tree->entries;
}

uint64_t tree_bytes(const struct tree *tree)
{
    return tree->bytes;
}
