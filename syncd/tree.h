/* tree: the index of a set: every entry that it has, with what is known of it.
 *
 * On the active node it says what the peer holds once the generations sent have arrived; on the passive one,
 * what is on the disk. Differences between the two nodes are found by a hash tree of a fixed shape: entries
 * fall into 4096 buckets by a hash of their path, a bucket's hash is the sum of its entries' hashes, 64
 * buckets make a group, 64 groups the root. Sums are kept up with each change, so equal trees cost one
 * comparison.
 *
 * Memory: a few bytes more than an entry's fixed part (at most 112 bytes) and its name; 1,000,000 files of
 * usual names stay under 200 MiB with everything. Nodes are numbers, valid until the entry is removed. No
 * I/O. */
#pragma once
#include "syncd/hash.h"

struct tree;
typedef uint32_t tree_node; /* 0: none */
enum { TREE_TOP = 1 };      /* the set itself: its children are the roots "0", "1" …; it is no entry */

/* How the entry was found on this node's disk: as long as this is the same, so is its content. */
struct tree_stat {
    uint64_t inode;
    uint32_t device; /* folded */
    int64_t ctime_ns;
    int64_t birth_ns; /* 0: the file system does not know */
};

struct tree_entry {
    enum sync_type type;
    uint16_t mode;
    int64_t mtime_ns;
    uint32_t uid, gid;
    const char *owner, *group; /* the name, or "#number"; kept by the tree */
    uint64_t size;
    struct sync_hash content, xattrs; /* content of a symlink: of its target; of a hard link: of the path that
                                         it is another name of */
    bool racy; /* looked at so soon after its last change that another one may have gone unseen */
    struct tree_stat stat;
};

/* `hasher` is kept by reference. 0 or -ENOMEM. */
int tree_new(const struct hasher *hasher, struct tree **tree);
void tree_free(struct tree *tree);

tree_node tree_find(const struct tree *tree, struct sync_bytes path);
tree_node tree_child(const struct tree *tree, tree_node parent, struct sync_bytes name);
tree_node tree_parent(const struct tree *tree, tree_node node);
tree_node tree_first_child(const struct tree *tree, tree_node node);
tree_node tree_next_sibling(const struct tree *tree, tree_node node);
/* Valid until the next entry is added, moved or removed. */
struct sync_bytes tree_name(const struct tree *tree, tree_node node);
/* The path, at most SYNC_PATH_MAX bytes, into `path`; its length. */
size_t tree_path(const struct tree *tree, tree_node node, uint8_t *path);
/* Fills `entry`; its strings stay the tree's, until it is cleared. */
void tree_get(const struct tree *tree, tree_node node, struct tree_entry *entry);
/* Another entry with this inode and device; `after` 0: the first one. Inode 0 (not known) has none. */
tree_node tree_by_inode(const struct tree *tree, const struct tree_stat *stat, tree_node after);

/* Adds or changes an entry; its parent must be there. 0, -ENOENT (no parent), -ENOTDIR, -EEXIST (of another
 * type: tree_remove() first), -EINVAL (a path that is not clean, no type), -ENOMEM, -EOVERFLOW (four thousand
 * million entries, or so many bytes of names). Block hashes go when the content changes. `node` may be NULL.
 */
int tree_put(struct tree *tree, struct sync_bytes path, const struct tree_entry *entry, tree_node *node);
/* Only where it is on the disk, which is in no hash. */
void tree_set_stat(struct tree *tree, tree_node node, const struct tree_stat *stat, bool racy);
/* With all below it. */
void tree_remove(struct tree *tree, tree_node node);
/* Renames with all below it; 0, -EEXIST (`to` is there), -ENOENT (its parent is not), -ENOTDIR, -EINVAL (into
 * itself; not clean), -ENAMETOOLONG (a path below it would be), -ENOMEM, -EOVERFLOW. After an error nothing
 * has changed. */
int tree_move(struct tree *tree, tree_node node, struct sync_bytes to);
void tree_clear(struct tree *tree);

/* A mark of 8 bits for whoever walks the tree (scan: seen); 0 for a new entry. */
uint8_t tree_mark(const struct tree *tree, tree_node node);
void tree_set_mark(struct tree *tree, tree_node node, uint8_t mark);
/* A number for whoever watches directories (the inotify watch); 0 for a new entry; kept over moves. */
int32_t tree_watch(const struct tree *tree, tree_node node);
void tree_set_watch(struct tree *tree, tree_node node, int32_t watch);

/* Block hashes of a file of more than one block; NULL: not known. Copied by the setter (none: forgotten); 0,
 * -EINVAL (no file; too many), -ENOMEM. */
const struct sync_hash *tree_blocks(const struct tree *tree, tree_node node, uint32_t *block, size_t *count);
int tree_set_blocks(struct tree *tree, tree_node node, uint32_t block, const struct sync_hash *blocks,
                    size_t count);

uint64_t tree_entries(const struct tree *tree);
uint64_t tree_bytes(const struct tree *tree); /* of all files */
size_t tree_memory(const struct tree *tree);  /* that it takes itself */

struct sync_hash tree_entry_hash(const struct tree *tree, tree_node node);
struct sync_hash tree_root_hash(const struct tree *tree);
/* The hashes of the 64 groups (`group` < 0), or of a group's 64 buckets. */
void tree_hashes(const struct tree *tree, int group, struct sync_hash hashes[SYNC_FANOUT]);
unsigned tree_bucket_of(const struct tree *tree, struct sync_bytes path);
/* Nodes of a bucket, one after the other; `after` 0: the first one. */
tree_node tree_in_bucket(const struct tree *tree, unsigned bucket, tree_node after);

/* The tree as a file: a cache that spares reading all contents again after a start. Written whole beside the
 * old one, then renamed; a damaged one reads as -EUCLEAN, one of another key, version or machine as -ESTALE;
 * the tree is then empty. tree_file_parse() is the reader without I/O, for the fuzzer. */
int tree_file_save(const struct tree *tree, const char *path);
int tree_file_load(struct tree *tree, const char *path);
int tree_file_parse(struct tree *tree, const uint8_t *bytes, size_t size);
