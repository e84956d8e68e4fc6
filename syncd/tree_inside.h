/* tree_inside: what the files of the tree share, and nobody else.
 *
 * Every entry is a node of fixed size in one array; all that links nodes are numbers. Names lie one after the
 * other in an arena, each behind its length. What many entries have in common (owner, group, extended
 * attributes) is a *look*, kept once. */
#pragma once
#include "syncd/tree.h"
#include "syncd/tree_table.h"

enum {
    NODE_TYPE = 0x07, /* in node.kind; 0: free */
    NODE_RACY = 0x80,
};

struct node {
    int64_t mtime_ns, ctime_ns, birth_ns;
    uint64_t size, inode;
    struct sync_hash content;
    uint32_t parent, next, previous; /* siblings; a free node: the next free one */
    union {
        uint32_t child;  /* of a directory: the first one */
        uint32_t blocks; /* of a file; 0: not known */
    };
    uint32_t name; /* where in the arena */
    uint32_t name_next;
    uint32_t inode_next, inode_previous; /* not linked, if the inode is 0 */
    uint32_t bucket_next, bucket_previous;
    uint32_t look;
    uint32_t device;
    int32_t watch;
    uint16_t mode;
    uint8_t kind, mark;
};
_Static_assert(sizeof(struct node) == 112, "an entry's fixed part has grown");

/* Number 0 is none, here and of the blocks and texts. */
struct look {
    struct sync_hash xattrs;
    uint32_t uid, gid;
    uint32_t owner, group; /* texts */
    uint32_t references;   /* 0: free */
    uint32_t next;
};

struct text {
    char *text;
    uint32_t next;
};

struct blocks {
    struct sync_hash *hashes; /* NULL: free */
    uint32_t block, count;    /* count of a free one: the next free one */
};

/* A sum of hashes, modulo 2^128. */
struct sum {
    uint64_t high, low;
};

struct tree {
    const struct hasher *hasher;

    struct node *nodes;
    uint32_t node_count, node_room, node_free; /* count: used ever, with number 0 */
    struct tree_table by_name, by_inode;

    uint8_t *names;
    uint32_t names_used, names_room, names_dead;

    struct look *looks;
    uint32_t look_count, look_room, look_free;
    struct tree_table by_look;
    struct text *texts;
    uint32_t text_count, text_room;
    struct tree_table by_text;
    size_t text_bytes;

    struct blocks *blocks;
    uint32_t blocks_count, blocks_room, blocks_free;
    uint64_t block_hashes;

    uint64_t entries, bytes;
    struct sum root, groups[SYNC_FANOUT], buckets[SYNC_BUCKETS];
    uint32_t bucket_heads[SYNC_BUCKETS];
};

static inline enum sync_type node_type(const struct node *node)
{
    return (enum sync_type)(node->kind & NODE_TYPE);
}

/* ---- tree_nodes.c: nodes and names */
int tree_nodes_init(struct tree *tree); /* 0 or -ENOMEM */
void tree_nodes_clear(struct tree *tree);
void tree_nodes_free(struct tree *tree);
/* Makes room for so many in an empty tree. 0, -ENOMEM, -EOVERFLOW. */
int tree_nodes_reserve(struct tree *tree, uint64_t entries);
/* A node with this name below `parent`, in no sums yet. 0, -ENOMEM, -EOVERFLOW. */
int tree_nodes_add(struct tree *tree, tree_node parent, struct sync_bytes name, enum sync_type type,
                   tree_node *node);
void tree_nodes_remove(struct tree *tree, tree_node node); /* which has no children and no blocks */
/* Another parent and name. 0, -ENOMEM, -EOVERFLOW: nothing is changed. */
int tree_nodes_rename(struct tree *tree, tree_node node, tree_node parent, struct sync_bytes name);
void tree_nodes_set_inode(struct tree *tree, tree_node node, uint64_t inode, uint32_t device);

/* ---- tree_looks.c: what entries have in common */
/* Adds a reference. 0, -ENOMEM, -EOVERFLOW. */
int tree_looks_take(struct tree *tree, const struct tree_entry *entry, uint32_t *look);
void tree_looks_drop(struct tree *tree, uint32_t look);
void tree_looks_clear(struct tree *tree);

/* ---- tree_sums.c: the hash tree */
/* The entry of `node`, which has this path, joins its bucket, or leaves it. */
void tree_sums_join(struct tree *tree, tree_node node, struct sync_bytes path);
void tree_sums_leave(struct tree *tree, tree_node node, struct sync_bytes path);
/* It stays, and what it says has changed; `before` is what its hash was. */
struct sync_hash tree_sums_hash(const struct tree *tree, tree_node node, struct sync_bytes path);
void tree_sums_change(struct tree *tree, tree_node node, struct sync_bytes path, struct sync_hash before);
void tree_sums_clear(struct tree *tree);

/* ---- tree_blocks.c */
void tree_blocks_drop(struct tree *tree, tree_node node);
void tree_blocks_clear(struct tree *tree);

/* ---- tree.c */
/* Adds an entry that is not there, below a directory. `path` is its path, clean, and ends with `name`. */
int tree_add(struct tree *tree, tree_node parent, struct sync_bytes path, struct sync_bytes name,
             const struct tree_entry *entry, tree_node *node);

/* ---- tree_walk.c: an entry and all below it, directories before what is in them */
struct tree_walk {
    const struct tree *tree;
    tree_node top, node; /* node: where the walk is; 0: at its end */
    unsigned depth;      /* below the top */
    size_t size;
    uint8_t path[SYNC_PATH_MAX];
};
void tree_walk_begin(struct tree_walk *walk, const struct tree *tree, tree_node top);
void tree_walk_next(struct tree_walk *walk);
struct sync_bytes tree_walk_path(const struct tree_walk *walk);
