/* replica_inside: what the files of the replica share, and nobody else.
 *
 *     replica.c          opening, recovery, positions, checkpoints
 *     replica_intake.c   operations as they come: checked, noted in the journal; big new files into staging
 *     replica_apply.c    one operation on the disk and in the tree
 *     replica_patch.c    … of a big file of which some blocks change
 *     replica_switch.c   through the operations of what is durable, step by step
 *     replica_redo.c     a generation once more, after a crash
 *     replica_view.c     the set as it will be, for `validate`
 *     replica_aside.c    what would be lost is kept as a conflict
 *     replica_history.c  what was replaced is kept, so that a generation can be had again */
#pragma once
#include <limits.h>
#include <sodium.h>

#include "common/sys.h"
#include "syncd/area.h"
#include "syncd/attributes.h"
#include "syncd/journal.h"
#include "syncd/linux_beneath.h"
#include "syncd/linux_files.h"
#include "syncd/paths.h"
#include "syncd/replica.h"

enum {
    IN_PLACE_MIN = 1 << 24,     /* smaller files are made anew beside the old one */
    CHECKPOINT_BYTES = 1 << 26, /* of the journal, after which it begins anew */
    STEP_OPERATIONS = 256,
    STEP_BYTES = 1 << 21,
    ERROR_MAX = 256,
};

enum record_kind {
    RECORD_BEGIN = 1,
    RECORD_OPERATIONS,
    RECORD_INODES,
    RECORD_COMMIT,
    RECORD_GO,
    RECORD_REFUSED,
    RECORD_TIMES,
    RECORD_APPLIED, /* the one before it; counts only in the boot in which it was written */
};

/* The bytes of BEGIN, COMMIT, GO and REFUSED. */
struct event {
    struct sync_generation generation;
    struct sync_hash tree;
    uint8_t partial, whole;
};

/* Of the files that a switch will make below one root. */
struct need {
    uint64_t bytes, files;
    bool touched; /* something of it changes */
};

struct applied {
    struct sync_generation generation;
    struct sync_hash tree;
    char boot_id[SYS_BOOT_ID_MAX];
};

struct buffer {
    uint8_t *bytes;
    size_t used, room;
};
int buffer_reserve(struct buffer *buffer, size_t more); /* 0 or -ENOMEM */
void buffer_free(struct buffer *buffer);

struct move {
    struct move *next;
    size_t from_size, to_size;
    uint8_t bytes[]; /* from, to */
};

/* So that a rename that was done already is not done again to what has come in its place. */
struct identity {
    uint64_t inode;
    int64_t birth_ns;
};

/* Block hashes of a staged file, for the tree, until it is switched to. */
struct staged {
    struct staged *next;
    uint32_t op, block, root;
    size_t count;
    struct sync_hash hashes[];
};

/* A new big file whose content is coming in (intake). */
struct incoming {
    bool open, patch;
    int fd; /* of the staging file; -1: a patch, whose blocks go into the journal */
    uint32_t op, block, root;
    uint64_t size, position;
    uint64_t written_out; /* up to there the disk has begun */
    struct staged *staged;
    size_t hashed; /* blocks */
    bool aligned;  /* all so far came in whole blocks */
};

/* A file that is being changed block by block (switch). */
struct patching {
    bool open, in_place, skip, passed;
    int fd, directory;
    char name[SYNC_NAME_MAX + 1], made[AREA_NAME_MAX];
    struct sync_meta meta; /* its bytes are in `held` */
    struct buffer held;
    size_t path_size;
    uint8_t path[SYNC_PATH_MAX];
    uint64_t size;
    uint32_t block, op;
    struct sync_hash *hashes;
    size_t count;
    uint8_t *touched; /* one a block */
    bool all_unknown; /* no block hashes were known */
};

/* Through the operations of a generation in the journal. */
struct walker {
    struct journal_record *records;
    size_t count, room, next;
    struct buffer buffer;
    struct sync_bytes rest;
    uint32_t op;  /* OPENs so far */
    size_t at;    /* operations so far */
    size_t bytes; /* in this step */
};

/* A rename, or a removal (`to` is empty). */
struct past {
    size_t op; /* its number in the generation */
    size_t from_size, to_size;
    uint8_t bytes[]; /* from, to */
};

/* Applying a generation once more: the first `done` operations were done before. */
struct redo {
    struct past **past;
    size_t count, capacity, done;
    uint8_t room[2][SYNC_PATH_MAX];
};

enum replica_phase { REPLICA_IDLE, REPLICA_RECEIVING, REPLICA_DURABLE, REPLICA_SWITCHING };

/* A directory that is made with all that is in it, elsewhere. */
struct fresh {
    bool laid;    /* what is below `path` is found there */
    bool past;    /* no more is made early */
    size_t early; /* operations, from number first_op on, that were carried out in it while they came */
    size_t first_op, at;   /* the switch has come to so many of them */
    uint64_t bytes, files; /* room that was taken by them */
    size_t size;
    uint8_t path[SYNC_PATH_MAX];
};

struct replica {
    struct replica_options options;
    char error[ERROR_MAX];
    int state; /* directory */
    struct beneath *beneath;
    struct area *areas;
    struct owners owners;
    struct journal *journal;
    uint64_t journal_bytes;
    enum replica_phase phase;
    bool diverged, redo;
    bool redo_due; /* recovery: a generation was committed, and the record after it tells whether it was
                      applied */
    char boot_id[SYS_BOOT_ID_MAX];
    struct replica *view_of; /* this is only a view, for `validate`, of what that one is about to switch to */
    struct replica_state public;
    struct sync_hash tree_hash; /* of public.generation */
    bool received;              /* … which came from the peer */

    struct event current;
    struct journal_mark mark;
    crypto_generichash_state *digest;
    uint32_t op;  /* OPENs so far: staging files are named by that */
    size_t taken; /* operations so far */
    struct incoming incoming;
    struct buffer kept;      /* operations on their way into the journal */
    struct move *moves;      /* of this generation, the latest first */
    struct identity *inodes; /* of what they move, in their order; {0}: it was made in this generation */
    size_t inode_count;
    struct need *needs; /* by root */
    struct paths made;  /* paths that it puts */
    bool moved;         /* it has renames */
    struct staged *staged;

    struct walker walker;
    struct redo again;
    struct patching patching;
    struct paths touched; /* directories whose time is to be set again */
    struct fresh fresh;
    int lock;
    int64_t refused_lock_since_ns; /* somebody reads for so long; 0: nobody */
    bool hurried, passed_reader;
    char aside[PATH_MAX];               /* directory for what is kept aside in this generation */
    int history, undo;                  /* directory and file of this generation's; -1: nothing is kept */
    struct buffer times;                /* of the directories that the generation works in */
    size_t times_last;                  /* bytes of the latest path in it */
    struct journal_record times_record; /* recovery: of the generation at hand; size 0: there is none */
    struct buffer groups;               /* of the history, not yet written */
    struct rest *rest;                  /* the file systems are being made durable */
    uint64_t rest_bytes;                /* of the journal, as last seen */
    int64_t rest_since_ns;              /* since when they are the same */
    struct restoring_state *restoring;
    struct buffer old_blocks; /* packed, of the file that is being patched in place */
    uint32_t history_at;
};

PRINTF_LIKE(3, 4) int replica_fail(struct replica *r, int error, const char *format, ...);

/* ---- replica.c */
int replica_log_event(struct replica *r, enum record_kind kind, const struct event *event, bool durable);
int replica_checkpoint(struct replica *r); /* the file systems hold everything: the journal begins anew */
int replica_begin_anew(struct replica *r); /* … as the caller has seen to */
int replica_settle(struct replica *r);     /* … up to the present generation; the journal stays */
struct area *replica_area(struct replica *r, struct sync_bytes path); /* of its root, opened; NULL */
void replica_forget(struct replica *r); /* what the generation at hand has in memory */

/* ---- replica_times.c */
int times_note(struct replica *r, const struct sync_op *op); /* 0 or -ENOMEM */
int times_write(struct replica *r);
int times_read(struct replica *r, const struct journal_record *record);
void times_clear(struct replica *r);

/* ---- replica_rest.c */
void rest_end(struct replica *r);

/* ---- replica_switch.c */
int walker_add(struct walker *walker, const struct journal_record *record);
void walker_clear(struct walker *walker);
int walker_next(struct replica *r, struct sync_op *op); /* 1; 0 after the last one; or a negative errno */
int replica_apply_all(struct replica *r);               /* of the walker; 1: more; 0; or an error */

void replica_arrive(struct replica *r); /* the generation at hand is the present one */
void replica_unlock(struct replica *r); /* generations may be read again */
int replica_lock(struct replica *r); /* 0; 1: somebody reads a whole generation just now, and is not late */

/* ---- replica_room.c */
void room_begin(struct replica *r); /* of a generation */
void room_add(struct replica *r, const struct sync_op *op);
int room_check(struct replica *r); /* 0, -ENOSPC or -EROFS */
uint64_t room_of(uint64_t bytes);  /* that a file of so many takes */

/* ---- replica_redo.c */
int redo_begin(struct replica *r);
void redo_end(struct replica *r);
/* Turns an operation into what is left to do of it; false: nothing is. */
bool redo_translate(struct replica *r, size_t at, struct sync_op *op);

/* ---- replica_apply.c: 0 or a negative errno, with the error told */
int apply_operation(struct replica *r, const struct sync_op *op);
/* The entry of a PUT (no hard link), where nothing is: -EEXIST. Tells no error, and leaves the tree as it is.
 */
int apply_make(struct replica *r, const struct sync_op *op);
int apply_settle(struct replica *r, struct sync_bytes path, const struct sync_meta *meta, uint64_t size,
                 const struct sync_hash *content, const struct place *place);
void apply_touch(struct replica *r, struct sync_bytes path); /* its directory */
int apply_install(struct replica *r, struct sync_bytes path, struct place *place, int from, const char *name,
                  const struct sync_hash *content);
/* After a crash: the tree has this directory, with this time. */
void apply_know(struct replica *r, struct sync_bytes directory, int64_t mtime_ns);
int apply_times(struct replica *r); /* of all directories touched */

/* ---- replica_fresh.c */
/* As operations come: one that does not go on ends what is made early; each is then taken, if it is clean. */
void fresh_stop(struct replica *r);
void fresh_take(struct replica *r, const struct sync_op *op);
void fresh_forget(struct replica *r);
/* `path` is not there, and will be a directory: `place` is where it is made first. 1; 0: in its own place; or
 * a negative errno. */
int fresh_begin(struct replica *r, struct sync_bytes path, struct place *place);
bool fresh_has(const struct replica *r, struct sync_bytes path); /* it is made in that one */
bool fresh_goes_on(const struct replica *r, const struct sync_op *op);
bool fresh_is_made(struct replica *r); /* the next operation that goes on was carried out early */
int fresh_end(struct replica *r);

/* ---- replica_patch.c */
int patch_open(struct replica *r, const struct sync_op *op);
int patch_block(struct replica *r, const struct sync_op *op);
int patch_close(struct replica *r, const struct sync_op *op);
void patch_drop(struct replica *r);
void patch_pass_over(struct replica *r);

/* ---- replica_history.c */
void history_begin(struct replica *r);
void history_end(struct replica *r);
void history_give_up(struct replica *r);
/* Before something changes at `path` (`below`: and below it). */
void history_keep(struct replica *r, struct sync_bytes path, bool below, int depth);
void history_keep_move(struct replica *r, const struct sync_op *op);
/* Blocks that are overwritten in place: as they come, and at the end. */
void history_keep_blocks(struct replica *r, int fd, uint64_t offset, uint64_t size);
void history_keep_patch(struct replica *r, struct sync_bytes path, const struct sync_hash *now);
size_t history_list(const struct replica *r, struct sync_log_entry *log,
                    size_t room); /* from the one before */
void history_prune(struct replica *r);

/* ---- replica_restore.c */
void restore_free(struct replica *r);

/* ---- replica_aside.c: before what is at `place` goes: `content` is what comes, or NULL. */
/* It is what the tree says, and was not written to since. */
bool aside_is_as_known(const struct replica *r, struct sync_bytes path, const struct look *look);
int aside_keep(struct replica *r, struct sync_bytes path, const struct place *place,
               const struct sync_hash *content);
