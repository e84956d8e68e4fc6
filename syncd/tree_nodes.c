/* Nodes and their names: where they are, not what they say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_inside.h"

enum { NAMES_DEAD_MIN = 1 << 16 }; /* fewer dead bytes are not worth looking at all nodes */

/* ------------------------------------------------------ tables */

/* The parent's number spreads what has the same name in many directories. */
static uint64_t name_hash(const struct tree *tree, tree_node parent, struct sync_bytes name)
{
    const struct sync_hash hash = hash_bytes(tree->hasher, name.at, name.size);
    uint64_t number;

    memcpy(&number, &hash, sizeof number);
    return number + parent * UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t inode_hash(uint64_t inode, uint32_t device)
{
    const uint64_t mixed = (inode ^ (uint64_t)device << 40) * UINT64_C(0x9E3779B97F4A7C15);

    return mixed ^ mixed >> 32;
}

static uint64_t node_name_hash(const struct tree *tree, uint32_t node)
{
    return name_hash(tree, tree->nodes[node].parent, tree_name(tree, node));
}

static uint32_t node_name_next(const struct tree *tree, uint32_t node)
{
    return tree->nodes[node].name_next;
}

static void node_name_push(struct tree *tree, uint32_t node, uint32_t *head)
{
    tree->nodes[node].name_next = *head;
    *head = node;
}

static uint64_t node_inode_hash(const struct tree *tree, uint32_t node)
{
    return inode_hash(tree->nodes[node].inode, tree->nodes[node].device);
}

static uint32_t node_inode_next(const struct tree *tree, uint32_t node)
{
    return tree->nodes[node].inode_next;
}

static void node_inode_push(struct tree *tree, uint32_t node, uint32_t *head)
{
    tree->nodes[node].inode_next = *head;
    tree->nodes[node].inode_previous = 0;
    if (*head != 0)
        tree->nodes[*head].inode_previous = node;
    *head = node;
}

static const struct tree_table_kind by_name = {node_name_hash, node_name_next, node_name_push};
static const struct tree_table_kind by_inode = {node_inode_hash, node_inode_next, node_inode_push};

static void leave_names(struct tree *tree, tree_node node)
{
    uint32_t *at = tree_table_chain(&tree->by_name, node_name_hash(tree, node));

    while (*at != node)
        at = &tree->nodes[*at].name_next;
    *at = tree->nodes[node].name_next;
    tree->by_name.count--;
}

static void leave_inodes(struct tree *tree, tree_node node)
{
    const struct node *n = &tree->nodes[node];

    if (n->inode == 0)
        return;
    if (n->inode_next != 0)
        tree->nodes[n->inode_next].inode_previous = n->inode_previous;
    if (n->inode_previous != 0)
        tree->nodes[n->inode_previous].inode_next = n->inode_next;
    else
        *tree_table_chain(&tree->by_inode, node_inode_hash(tree, node)) = n->inode_next;
    tree->by_inode.count--;
}

/* Room for it was made when the node was: at most all nodes are in the table. */
void tree_nodes_set_inode(struct tree *tree, tree_node node, uint64_t inode, uint32_t device)
{
    struct node *n = &tree->nodes[node];

    if (n->inode == inode && n->device == device)
        return;
    leave_inodes(tree, node);
    n->inode = inode;
    n->device = device;
    n->inode_next = n->inode_previous = 0;
    if (inode != 0)
        tree_table_add(&tree->by_inode, &by_inode, tree, node);
}

/* ------------------------------------------------------ names */

struct sync_bytes tree_name(const struct tree *tree, tree_node node)
{
    if (node <= TREE_TOP)
        return (struct sync_bytes){(const uint8_t *)"", 0};
    const uint8_t *at = tree->names + tree->nodes[node].name;
    return (struct sync_bytes){at + 1, *at};
}

/* Names of what is gone are squeezed out. Without memory for that they stay. */
static void squeeze_names(struct tree *tree)
{
    const uint32_t room = tree->names_used - tree->names_dead;
    uint8_t *names = malloc(room > 0 ? room : 1);
    uint32_t used = 0;

    if (!names)
        return;
    for (tree_node i = TREE_TOP + 1; i < tree->node_count; i++) {
        struct node *n = &tree->nodes[i];
        if (n->kind == 0)
            continue;
        const uint32_t size = 1U + tree->names[n->name];
        memcpy(names + used, tree->names + n->name, size);
        n->name = used;
        used += size;
    }
    free(tree->names);
    tree->names = names;
    tree->names_used = used;
    tree->names_room = room > 0 ? room : 1;
    tree->names_dead = 0;
}

/* Room for one more name of this size. */
static int reserve_name(struct tree *tree, size_t size)
{
    if (tree->names_dead >= NAMES_DEAD_MIN && tree->names_dead > tree->names_used / 2)
        squeeze_names(tree);
    return tree_grow(&tree->names, &tree->names_room, (uint64_t)tree->names_used + 1 + size, 1);
}

/* A name that may lie in the arena itself, which moves. */
struct name {
    uint8_t size, bytes[SYNC_NAME_MAX];
};

static void copy_name(struct name *to, struct sync_bytes name)
{
    to->size = (uint8_t)name.size;
    memcpy(to->bytes, name.at, name.size);
}

static void set_name(struct tree *tree, tree_node node, const struct name *name)
{
    tree->nodes[node].name = tree->names_used;
    memcpy(tree->names + tree->names_used, name, 1U + name->size);
    tree->names_used += 1U + name->size;
}

static void drop_name(struct tree *tree, tree_node node)
{
    tree->names_dead += 1U + tree->names[tree->nodes[node].name];
}

/* ------------------------------------------------------ nodes */

static void link_sibling(struct tree *tree, tree_node node, tree_node parent)
{
    struct node *n = &tree->nodes[node], *p = &tree->nodes[parent];

    n->parent = parent;
    n->previous = 0;
    n->next = p->child;
    if (p->child != 0)
        tree->nodes[p->child].previous = node;
    p->child = node;
}

static void unlink_sibling(struct tree *tree, tree_node node)
{
    const struct node *n = &tree->nodes[node];

    if (n->next != 0)
        tree->nodes[n->next].previous = n->previous;
    if (n->previous != 0)
        tree->nodes[n->previous].next = n->next;
    else
        tree->nodes[n->parent].child = n->next;
}

int tree_nodes_reserve(struct tree *tree, uint64_t entries)
{
    int r = tree_grow(&tree->nodes, &tree->node_room, TREE_TOP + 1 + entries, sizeof *tree->nodes);

    if (r == 0)
        r = tree_table_begin(&tree->by_name, entries);
    return r < 0 ? r : tree_table_begin(&tree->by_inode, entries);
}

/* The table of inodes takes its chain at once: tree_nodes_set_inode() cannot fail. */
static int reserve(struct tree *tree, size_t name_size)
{
    int r = reserve_name(tree, name_size);

    if (r == 0)
        r = tree_table_reserve(&tree->by_name);
    if (r == 0 && tree->by_inode.room < tree->by_name.room)
        r = tree_grow(&tree->by_inode.heads, &tree->by_inode.room, tree->by_name.room, sizeof(uint32_t));
    if (r == 0 && tree->node_free == 0)
        r = tree_grow(&tree->nodes, &tree->node_room, (uint64_t)tree->node_count + 1, sizeof *tree->nodes);
    return r;
}

int tree_nodes_add(struct tree *tree, tree_node parent, struct sync_bytes name, enum sync_type type,
                   tree_node *node)
{
    struct name copy;
    copy_name(&copy, name);

    const int r = reserve(tree, name.size);
    if (r < 0)
        return r;
    const tree_node added = tree->node_free != 0 ? tree->node_free : tree->node_count++;
    if (added == tree->node_free)
        tree->node_free = tree->nodes[added].next;
    tree->nodes[added] = (struct node){.kind = (uint8_t)type};
    set_name(tree, added, &copy);
    link_sibling(tree, added, parent);
    tree_table_add(&tree->by_name, &by_name, tree, added);
    *node = added;
    return 0;
}

void tree_nodes_remove(struct tree *tree, tree_node node)
{
    leave_names(tree, node);
    leave_inodes(tree, node);
    unlink_sibling(tree, node);
    drop_name(tree, node);
    tree->nodes[node] = (struct node){.next = tree->node_free};
    tree->node_free = node;
}

int tree_nodes_rename(struct tree *tree, tree_node node, tree_node parent, struct sync_bytes name)
{
    struct name copy;
    copy_name(&copy, name);

    const int r = reserve_name(tree, name.size);
    if (r < 0)
        return r;
    leave_names(tree, node);
    unlink_sibling(tree, node);
    drop_name(tree, node);
    set_name(tree, node, &copy);
    link_sibling(tree, node, parent);
    tree_table_add(&tree->by_name, &by_name, tree, node);
    return 0;
}

int tree_nodes_init(struct tree *tree)
{
    const int r = tree_grow(&tree->nodes, &tree->node_room, TREE_TOP + 1, sizeof *tree->nodes);

    if (r == 0)
        tree_nodes_clear(tree);
    return r;
}

void tree_nodes_clear(struct tree *tree)
{
    tree_table_clear(&tree->by_name);
    tree_table_clear(&tree->by_inode);
    free(tree->names);
    tree->names = NULL;
    tree->names_used = tree->names_room = tree->names_dead = 0;

    struct node *fewer = reallocarray(tree->nodes, TREE_TOP + 1, sizeof *tree->nodes);
    if (fewer) {
        tree->nodes = fewer;
        tree->node_room = TREE_TOP + 1;
    }
    tree->nodes[0] = (struct node){0};
    tree->nodes[TREE_TOP] = (struct node){.kind = SYNC_DIRECTORY};
    tree->node_count = TREE_TOP + 1;
    tree->node_free = 0;
}

void tree_nodes_free(struct tree *tree)
{
    tree_table_clear(&tree->by_name);
    tree_table_clear(&tree->by_inode);
    free(tree->names);
    free(tree->nodes);
}

/* ------------------------------------------------------ looking */

tree_node tree_child(const struct tree *tree, tree_node parent, struct sync_bytes name)
{
    const uint32_t *head = tree_table_chain(&tree->by_name, name_hash(tree, parent, name));

    for (tree_node i = head ? *head : 0; i != 0; i = tree->nodes[i].name_next) {
        const uint8_t *own = tree->names + tree->nodes[i].name;
        if (tree->nodes[i].parent == parent && *own == name.size && memcmp(own + 1, name.at, name.size) == 0)
            return i;
    }
    return 0;
}

/* Inode 0 is in no chain. */
tree_node tree_by_inode(const struct tree *tree, const struct tree_stat *stat, tree_node after)
{
    tree_node i = after;

    if (after != 0) {
        i = tree->nodes[after].inode_next;
    } else {
        const uint32_t *head = tree_table_chain(&tree->by_inode, inode_hash(stat->inode, stat->device));
        i = head ? *head : 0;
    }
    while (i != 0 && (tree->nodes[i].inode != stat->inode || tree->nodes[i].device != stat->device))
        i = tree->nodes[i].inode_next;
    return i;
}
