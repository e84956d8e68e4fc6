/* replica: what the passive node does with a set: it moves from one whole generation to the next, or stays.
 *
 * Operations are written into the set's journal as they come; contents of big files, and patched copies of
 * them, into staging files beside their place. At the commit the journal is made durable by one fsync (and
 * the staging files by theirs, or one syncfs): that is the moment at which the generation exists. Then it is
 * switched to: every operation is applied, by rename where it is a whole file, in place where it is a few
 * blocks of a big one. A crash between is healed at the next start, by applying the journal again: every step
 * can be repeated. When the file systems have what was applied (syncfs, in the background of the next ones),
 * the journal begins anew.
 *
 * Who wants to read a whole generation while it may be switched holds a shared flock(2) on
 * STATE/syncd/switch.
 *
 * Nothing is written outside the roots of the configuration: every path is opened with
 * openat2(RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS) below its root, whatever the operation says. An entry that
 * this node changed itself since the tree knew it (or anything different, while `diverged`) is kept below
 * STATE/conflicts before it is replaced or removed. Setuid and setgid bits, and security.* attributes, are
 * dropped unless the set allows them.
 *
 * What was replaced is kept for the last `keep` generations, so that each of them can be yielded again. */
#pragma once
#include "common/config.h"
#include "syncd/tree.h"

struct replica;

struct replica_options {
    const struct config_sync *set; /* kept by reference, as the rest */
    const struct hasher *hasher;
    struct tree *tree;
    const char *const *roots;
    size_t root_count;
    uint32_t block;
    bool database;         /* always whole by rename; -wal, -shm and -journal of the one before go with it */
    const char *state_dir; /* the set's own: journal, history, tree; made if needed */
    const char *conflicts; /* where to keep what would be lost: a directory that need not exist */
    const char *switch_lock;
    const char *node;
};

struct replica_state {
    struct sync_generation generation; /* applied */
    struct sync_generation durable;    /* in the journal; the same, but while switching */
    bool whole;                        /* the first sync has ended */
    uint64_t conflicts;                /* entries kept aside since the start */
    char conflict_dir[PATH_MAX];       /* where the latest was kept; empty: none */
};

/* Opens the set's state, redoes a committed generation, drops an unfinished one. 0; -EUCLEAN: the state is
 * damaged (said in `error`; the set starts as if new); another negative errno. */
int replica_open(const struct replica_options *options, struct replica **replica, char *error, size_t size);
void replica_close(struct replica *replica);
struct replica_state replica_state(const struct replica *replica);

/* This node became active, or its tree was sent: the position is `generation` (not waiting for the disk if
 * `quick`). */
int replica_set_position(struct replica *replica, struct sync_generation generation, bool whole, bool quick);

/* What is on the disk and not in the sender's past is kept aside before the next generation replaces it. */
void replica_set_diverged(struct replica *replica, bool diverged);

/* One generation. Errors: -EBADMSG (the operations are not clean: nothing of it is kept), -ESTALE (a base is
 * not as thought), -ENOSPC, -EILSEQ (the digest or the tree is not what COMMIT says), or another; `error`
 * says on what. After any of them the generation is gone and the one before it stands. */
int replica_begin(struct replica *replica, struct sync_generation generation, bool partial);
int replica_batch(struct replica *replica, const uint8_t *operations, size_t size);
int replica_commit(struct replica *replica, const uint8_t digest[SYNC_DIGEST_BYTES],
                   const struct sync_hash *tree, bool whole); /* durable when it returns 0 */
/* Applies what is durable, some hundred operations a call. 1: more to do; 0: done; negative: refused. */
int replica_switch(struct replica *replica);
/* The switch at hand waits no longer than 200 ms for somebody who reads a whole generation; else it is 10 s. */
void replica_hurry(struct replica *replica);
void replica_abort(struct replica *replica);
/* Now and then: what was applied is made durable in the background when nothing has come for a while, and the
 * journal begins anew. 0, or a negative errno (told by replica_error(), and tried again). */
int replica_rest(struct replica *replica, int64_t now_ns);
const char *replica_error(const struct replica *replica);

/* A view of the whole set as it will be after the switch, for `validate`: made below `directory` (each root
 * by its absolute path), from copies. After replica_commit(), before replica_switch(). 0 or a negative errno.
 */
int replica_stage_view(struct replica *replica, const char *directory);
/* Gives a durable generation up that `validate` refused. */
int replica_refuse(struct replica *replica);

/* The generations that can be had again, the newest first; their number. */
size_t replica_log(const struct replica *replica, struct sync_log_entry *log, size_t room);
/* Yields, as operations, what makes `generation` out of the present one. As source_begin() and source_fill();
 * -ENOENT: not kept. */
int replica_restore_begin(struct replica *replica, struct sync_generation generation);
int replica_restore_fill(struct replica *replica, uint8_t *bytes, size_t room, size_t *used);
