/* beneath: how the entries of a set are reached: below its roots and nowhere else, whatever a path says and
 * whatever lies there.
 *
 * A root's parent directory is opened by its path, as the configuration names it. Everything from the root's
 * own name on is opened by openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. */
#pragma once
#include <sys/stat.h>

#include "syncd/tree.h"

struct beneath;

/* Where an entry is: its name in an open directory, which stays the module's until beneath_forget(). */
struct place {
    int directory;
    char name[SYNC_NAME_MAX + 1];
};

/* `roots` are absolute; copied. 0, -EINVAL (a root that is not absolute, or "/") or -ENOMEM. */
int beneath_new(const char *const *roots, size_t count, struct beneath **beneath);
void beneath_free(struct beneath *beneath);

/* Finds the directory in which `path` is, which need not be there itself. 0; -ENOENT, -ENOTDIR, -ELOOP (a
 * symlink lies in the way); -EBADMSG (no such root, or not a clean path); or another negative errno. */
int beneath_find(struct beneath *beneath, struct sync_bytes path, struct place *place);
/* Opens the entry itself, never through a symlink. A descriptor or a negative errno. */
int beneath_open(struct beneath *beneath, struct sync_bytes path, int flags);
/* Directories that were found are kept open for the next time: closes them. Whoever moves, removes or
 * replaces a directory calls it. */
void beneath_forget(struct beneath *beneath);
/* Until it is taken back (`directory` < 0), what is below `path` is looked for in that directory, which is
 * closed then; all that was found is forgotten. */
void beneath_lay(struct beneath *beneath, struct sync_bytes path, int directory);

int mount_of(int directory, const char *name, uint64_t *mount); /* 0 or a negative errno; "": itself */

/* All that is known of an entry without opening it. */
struct look {
    mode_t mode;
    unsigned links;
    uint64_t size;
    int64_t mtime_ns;
    struct tree_stat stat;
};
int look_at(int directory, const char *name, struct look *look); /* 0 or a negative errno; "": itself */
