/* place: where the paths of a set are on this disk, and what one look at an entry shows.
 *
 * A path is opened from its root on, and no symlink is followed below it: whoever exchanges a directory for a
 * link while it is looked at does not make this node's other files travel. */
#pragma once
#include "syncd/tree.h"

struct places;

/* What one look showed. */
struct sight {
    unsigned mode; /* with its type */
    uint32_t links, uid, gid;
    uint64_t size;
    int64_t mtime_ns;
    struct tree_stat stat;
};

int places_new(const char *const *roots, size_t count, struct places **places); /* 0 or -ENOMEM */
void places_free(struct places *places);
/* Opened directories are kept for as long as nothing is waited for, then let go of: in between, what they are
 * called may change. */
void places_release(struct places *places);

/* The open directory that `path` is in (stays this module's), and its name there, which stays readable until
 * the next call. 0; -ENOENT, -ENOTDIR, -ELOOP: there is no such thing; or another negative errno. */
int places_find(struct places *places, struct sync_bytes path, int *directory, const char **name);
/* The absolute path, for people. */
void places_print(const struct places *places, struct sync_bytes path, char *text, size_t size);
/* The directory that root `index` is in, opened for the caller. */
int places_open_above(const struct places *places, size_t index);
const char *places_root_name(const struct places *places, size_t index);

/* 0 or a negative errno. */
int sight_at(int directory, const char *name, struct sight *sight);
int sight_of(int fd, struct sight *sight);
/* At a moment when nobody is inside of write(2) on the file. `fresh`: so short after its last change that
 * another one might leave the same times. */
int sight_between(int fd, struct sight *sight, bool *fresh);
bool sight_same(const struct sight *a, const struct sight *b);
/* 0: what does not travel. */
enum sync_type sight_type(const struct sight *sight);
/* True where the entry is as the tree found it. */
bool sight_is(const struct sight *sight, const struct tree_entry *entry);

/* True if a look failed because nothing is there. */
bool place_is_gone(int error);
