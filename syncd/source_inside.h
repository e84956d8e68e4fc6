/* source_inside: what the files of the source share, and nobody else. */
#pragma once
#include "syncd/content.h"
#include "syncd/dirs.h"
#include "syncd/dirty.h"
#include "syncd/linux_inotify.h"
#include "syncd/linux_xattrs.h"
#include "syncd/owners.h"
#include "syncd/source.h"
#include "syncd/walk.h"

enum {
    SOURCE_QUIET_MS = 100, /* a file that is being written is taken when it was quiet for so long */
    SOURCE_STEP_BYTES = 1 << 20,
    SOURCE_STEP_ENTRIES = 512,
    SOURCE_RETRY_MS = 20,  /* the first pause before what changed while it was read is read again; doubled */
    SOURCE_RETRY_MOST = 8, /* doublings */
    SOURCE_TROUBLE_MS = 10000, /* what cannot be read at all is tried again */
};

/* A flag of an item beside those of the dirty set: it was found by listing the directory that it is in. */
enum { ITEM_LISTED = 1 << 8 };

/* What is on the disk at a path. Valid until the next one is looked at. */
struct found {
    struct sight sight;
    enum sync_type type;
    struct tree_entry entry;
    struct sync_meta meta;
};

/* Where an inode is now. */
struct going {
    uint64_t inode;
    uint32_t device;
    size_t taken;
};

/* A generation that is being made. */
struct build {
    bool begun, quiet; /* quiet: nothing is yielded, only the tree learns */
    struct dirty_entry **taken;
    size_t taken_count, taken_at;
    struct paths gone;    /* not on the disk any more: deleted at the end, unless they were renamed by then */
    struct paths parents; /* directories in which names came or went: their mtime */
    size_t last_parent_size;
    uint8_t last_parent[SYNC_PATH_MAX];
    struct paths extra; /* to be looked at in this generation because of what it did, with their flags */
    struct walk walk;   /* of directories that are looked at with all in them */
    uint8_t mark;
    struct going *going; /* names that have come, by inode */
    size_t going_count;
    bool going_known;
    int moving;   /* renames that wait for one another */
    bool special; /* the item is something that does not travel */
    uint64_t files, bytes;
    int64_t oldest_ns;

    struct content content; /* of the big file that is being read */
    bool reading, opened, forced;
    unsigned call,
        opened_in; /* calls are counted: the one in which OPEN was yielded, and what was before it */
    size_t opened_at;
    bool hashed;                 /* all of it, so that the blocks that differ are known */
    int64_t fresh_until_ns;      /* > 0: waits until it is fresh no more, but no longer */
    bool once;                   /* it is hashed while it is sent */
    size_t at, part;             /* the next block to look at; so many bytes from there on were sent */
    uint64_t hole_at, hole_size; /* zeros not yet told */
    struct sync_hash *base;      /* of the peer's content, block by block; NULL: not known */
    size_t base_count;
    struct sync_hash base_hash;
    struct dirty_entry *item; /* in hand; NULL: none */
    size_t path_size;
    uint8_t path[SYNC_PATH_MAX];

    uint8_t *out; /* of the present call */
    size_t room, *used;
    size_t read, looked;
};

struct leaving {
    bool there, directory;
    uint32_t cookie;
    size_t size;
    uint8_t path[SYNC_PATH_MAX];
};

struct peer_blocks {
    struct peer_blocks *next;
    uint32_t block;
    size_t count;
    struct sync_hash *hashes;
    size_t size;
    uint8_t path[];
};

struct trouble {
    struct trouble *next;
    char text[96];
    size_t size;
    uint8_t path[];
};

struct source {
    struct source_options options;
    struct source_events events;
    void *userdata;
    enum source_mode mode;
    struct tree *tree;
    const struct hasher *hasher;
    struct places *places;
    struct owners *owners;
    struct dirty *dirty;
    struct xattrs xattrs;
    struct found found;
    uint8_t target[SYNC_PATH_MAX + 1], small[SYNC_INLINE_MAX];

    struct {
        bool unwatched;             /* something that it came to could not be watched */
        bool running, again, first; /* first: the scan that the mode began with has not ended */
        struct walk walk;
        uint8_t mark;
        uint64_t looked;
        /* The directory that is listed is not in the tree: a generation looks at it with all in it. */
        bool covered;
        uint64_t covered_files, covered_bytes;
    } scan;

    struct inotify *inotify;
    struct dirs *dirs;
    struct leaving leaving;
    /* A directory was watched since all events were known: a rename that is told later may be of what was
     * there before, and is not to take the new watch along. */
    bool unsure;
    int above[64];  /* watches of the directories that the roots are in, by root */
    bool unwatched; /* not all is watched: looks at everything again, now and then, and tries to watch it */
    struct loop_source *inotify_source, *step_timer, *due_timer, *rescan_timer;
    bool told;

    struct build build;
    struct peer_blocks *peer_blocks;
    struct trouble *troubles;
};

/* ---- source.c */
void source_mark(struct source *source, struct sync_bytes path, unsigned flags, enum dirty_when when);
void source_poke(struct source *source);
void source_drop_blocks(struct source *source, struct sync_bytes path);
void source_tell_trouble(struct source *source, struct sync_bytes path, const char *text);
void source_end_trouble(struct source *source, struct sync_bytes path);
bool source_excluded(const struct source *source, struct sync_bytes path, bool directory);
struct sync_bytes source_root_path(char text[static 8], size_t root);

/* What of the mode travels: setuid and setgid bits only where the set says so. */
uint16_t source_mode(const struct source *source, const struct sight *sight);

/* ---- source_scan.c */
void scan_begin(struct source *source);
void scan_directory(struct source *source,
                    struct sync_bytes directory); /* watch it, and look at what is in it */
void scan_stop(struct source *source);
bool scan_step(struct source *source); /* some hundred entries; true: more to do */

/* ---- source_watch.c */
int watch_start(struct source *source);
void watch_stop(struct source *source);
void watch_directory(struct source *source, struct sync_bytes path, int fd);
void watch_drain(struct source *source);
void watch_scanned(
    struct source *source); /* everything was looked at, and watched as far as that is possible */

/* ---- source_build.c */
void build_init(struct source *source);
void build_free(struct source *source);
int build_begin(struct source *source, int64_t now_ns, bool urgent);
int build_fill(struct source *source, uint8_t *bytes, size_t room, size_t *used);
void build_end(struct source *source);
int build_emit(struct source *source, const struct sync_op *op); /* 0, -ENOBUFS, -EINVAL */
/* Something was renamed: what this generation has taken at and below it and not yet looked at is dirty there.
 */
void build_moved(struct source *source, struct sync_bytes from, struct sync_bytes to);
void build_tree_moved(struct source *source, struct sync_bytes from, struct sync_bytes to);
/* Names came or went in the directory of `path`. */
void build_parent(struct source *source, struct sync_bytes path);
/* What is in a directory is looked at as well. 0 or -ENOMEM. */
int build_walk(struct source *source, struct sync_bytes directory);
struct sync_bytes build_path(const struct source *source); /* of the item in hand */

enum { ROOT_IS_MISSING = -ENOMEDIUM }; /* of an entry: what the peer has stays */

/* ---- source_entry.c: 0: done; 1: its content is being read; -ENOBUFS: once more with an empty buffer; or
 * another error of this entry. */
int entry_look(struct source *source, struct sync_bytes path, unsigned flags);
int entry_delete(struct source *source, struct sync_bytes path, unsigned flags); /* if it still is gone */
int entry_remove(struct source *source, struct sync_bytes path, tree_node node);
int entry_sight(struct source *source, struct sync_bytes path, int *directory, const char **name);
int entry_put(struct source *source, struct sync_bytes path, struct sync_bytes content);
int entry_meta(struct source *source, struct sync_bytes path, tree_node node);
void entry_stat(struct source *source, tree_node node);
void entry_settle(struct source *source, struct sync_bytes path, tree_node node);

/* ---- source_moves.c */
/* The place of what source->found shows at `path` is made free of what else the tree has there, and if it was
 * elsewhere before, it is renamed. 0; -ENOBUFS; -ENOMEM. */
int moves_make_way(struct source *source, struct sync_bytes path);

/* ---- source_links.c */
bool links_is_name(struct source *source, struct sync_bytes path, const struct tree_stat *stat);
void links_leave(struct source *source, const struct tree_stat *stat);
void links_leave_below(struct source *source, tree_node node, int depth);
void links_doubt_below(struct source *source, tree_node node, int depth);
void links_moved_below(struct source *source, tree_node node, int depth);
bool links_target(struct source *source, struct sync_bytes path, uint8_t *target, size_t *size);
int links_put(struct source *source, struct sync_bytes path, struct sync_bytes target, tree_node node,
              unsigned flags);
void links_said_again(struct source *source, struct sync_bytes path);

/* ---- source_file.c: as above */
int file_look(struct source *source, struct sync_bytes path, int directory, const char *name, unsigned flags);
int file_step(struct source *source);
void file_drop(struct source *source);
