/* source: what the active node does with a set: it sees what changes, and yields generations.
 *
 * It watches the set's paths (inotify; after an overflow, a lost watch or too few watches: a new scan), keeps
 * what is dirty, and says when something is due: a file when it was closed by its writer, renamed, or quiet
 * for a while, and in any case `max-delay` after its first change. A generation takes everything that is due
 * at that moment; changes that come later belong to the next. It is yielded as batches of operations, each
 * made from what the tree says that the peer holds: only changed blocks of big files, renames as renames.
 *
 * A file is read between two looks at it that must agree (size, mtime, ctime, inode); one so fresh that the
 * clock of its ctime has not yet moved on is read twice. What changes while it is read is read again, later;
 * meanwhile the peer keeps the state before. So the peer never gets a mixture.
 *
 * Works in small steps in the caller's loop: no call reads more than about a megabyte or looks at more than
 * some hundred entries. The same scan brings a passive node's tree up to what is on its disk. */
#pragma once
#include "common/config.h"
#include "common/loop.h"
#include "syncd/tree.h"

struct source;

struct source_options {
    struct loop *loop;
    const struct config_sync *set; /* kept by reference, as the rest */
    const struct hasher *hasher;
    struct tree *tree;        /* shared with the replica of the set: never both at work */
    const char *const *roots; /* absolute paths; root_count of them. Of a database: where its snapshot lies */
    size_t root_count;
    uint32_t block; /* SYNC_BLOCK, or SYNC_BLOCK_SMALL */
    bool watch;     /* false: the caller says what changed (source_touch()) */
};

enum source_mode {
    SOURCE_OFF,    /* nothing watched */
    SOURCE_LEARN,  /* scan once: what differs from the tree is put into the tree (passive node) */
    SOURCE_FOLLOW, /* scan, then watch: what differs from the tree is dirty (active node) */
};

struct source_lag {
    uint64_t files, bytes; /* dirty entries; bytes of those files */
    int64_t oldest_ns;     /* since when the oldest change waits; 0 = none */
};

struct source_events {
    void (*ready)(void *userdata); /* something may be due, or the scan has ended; at most once a turn */
    /* An entry that does not travel, and why (a socket, permission denied, changes faster than it can be read
     * …); text NULL: one of them is over. */
    void (*trouble)(void *userdata, const char *path, const char *text);
};

int source_new(const struct source_options *options, const struct source_events *events, void *userdata,
               struct source **source);
void source_free(struct source *source);
void source_set_mode(struct source *source, enum source_mode mode);
/* Looks at everything again (also after a file system was changed behind inotify's back). */
void source_rescan(struct source *source);
bool source_scanning(const struct source *source);    /* the scan that the mode began with has not ended */
uint64_t source_scanned(const struct source *source); /* entries looked at in this scan */

/* What has happened up to now is known when this returns (but for what a scan is still to find). */
void source_look(struct source *source);
/* Something has changed there, and nobody watches (a database's snapshot). */
void source_changed(struct source *source, struct sync_bytes path);
/* The peer does not hold `path` as the tree says, or (`absent`) not at all: the tree forgets it, and it is
 * dirty at once. */
void source_touch(struct source *source, struct sync_bytes path, bool absent);
/* The peer holds an entry that this node does not have: deleted in the next generation. */
void source_surplus(struct source *source, struct sync_bytes path);
/* The peer holds this content there, in blocks of this size: the base for the next patch. */
int source_peer_blocks(struct source *source, struct sync_bytes path, uint32_t block,
                       const struct sync_hash *blocks, size_t count);

/* One of the entries that are in trouble now: its path, and why; NULL: none is. */
const char *source_trouble(const struct source *source, char *path, size_t size);

struct source_lag source_lag(const struct source *source);
/* When the next generation is due: 0 nothing waits; a point in time, maybe past. `urgent`: all that waits is
 * due. */
int64_t source_due_ns(const struct source *source, bool urgent);

/* Begins a generation: what is due at `now_ns` (everything, if `urgent`). 0, or -EALREADY. */
int source_begin(struct source *source, int64_t now_ns, bool urgent);
/* Appends operations to `bytes` until SYNC_BATCH_FULL or a step's work is done. 1: more will come; 0: that
 * was all. The tree is changed as operations are yielded. Nothing at all may come of a generation (*used
 * stays 0). */
int source_fill(struct source *source, uint8_t *bytes, size_t room, size_t *used);
/* For a first sync: true if the generation may end here (the tree is what the operations so far make). */
bool source_can_split(const struct source *source);
/* All that was told by source_touch() and source_surplus() was yielded, and no name is left whose file is
 * gone: with that the peer has the tree. */
bool source_is_sure(const struct source *source);
/* The generation is at its end. What it has not come to is dirty again. What it has yielded is in the tree:
 * if the peer did not take it, comparing the trees finds that, and source_touch() and source_surplus() tell.
 */
void source_end(struct source *source);
