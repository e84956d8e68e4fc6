/* sync: what the two nodes' syncd tell each other over the reserved line (proto/sync.md has the grammar,
 * every offset, and the rules).
 *
 * A message is a frozen header and a body of the version that the header names; numbers in network byte
 * order, names and contents as bytes with their length before them. A *batch* carries *operations*: the
 * changes that make one generation of a set out of the one before. The receiver's journal on disk keeps the
 * very same bytes, so what is redone after a crash goes through the same parser as what came from the
 * network.
 *
 * This module is the codec alone: structs to bytes and back, without allocation and I/O. What it parses
 * points into the bytes that were parsed. What parses can be used without a second look: kinds and types are
 * in range, paths are clean (sync_path_clean()), lengths lie within the message. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SYNC_VERSION = 1,
    SYNC_PORT = 5572, /* TCP, on the reserved line */
    SYNC_HEADER_BYTES = 24,
    SYNC_MESSAGE_MAX = 1 << 20, /* a whole message, header included */
    SYNC_RAW_MAX = 1 << 19,     /* the operations of one batch, before they are compressed */
    SYNC_BATCH_FULL = 1 << 18,  /* a batch of this size is sent */
    SYNC_PATH_MAX = 4096,       /* with the root's number; without NUL */
    SYNC_NAME_MAX = 255,
    SYNC_OWNER_MAX = 33,
    SYNC_XATTRS_MAX = 1 << 16, /* all extended attributes of an entry together */
    SYNC_INLINE_MAX = 1 << 16, /* a file up to this size travels within its PUT */
    SYNC_BLOCK_SMALL = 4096,   /* a database's pages */
    SYNC_BLOCK = 16384,        /* everything else; doubled until BLOCKS_MAX suffice */
    SYNC_BLOCKS_MAX = 1 << 18, /* of a file */
    SYNC_HASH_BYTES = 16,      /* keyed XXH3, 128 bits: local looking, and the hash tree */
    SYNC_DIGEST_BYTES = 32,    /* BLAKE2b, end to end */
    SYNC_KEY_BYTES = 32,       /* what hashes are keyed with */
    SYNC_SETS_MAX = 64,
    SYNC_FANOUT = 64, /* of the hash tree: a root, 64 groups, 64 buckets each */
    SYNC_BUCKETS = SYNC_FANOUT * SYNC_FANOUT,
    SYNC_LOG_MAX = 64, /* generations that a SET tells of */
    SYNC_TEXT_MAX = 256,
    SYNC_WORD_MAX = 31,     /* names of nodes and sets: letters, digits, '-', '_', '.' */
    SYNC_TARGET_MAX = 4095, /* of a symlink */
    SYNC_ROOT_DIGITS = 4,   /* a root's number: 0 … 9999 */
    SYNC_BLOCK_MAX = 1 << 30,
};

/* The largest number that a message carries for people (epochs, counters, counts of files and bytes): JSON
 * readers take no larger ones exactly. */
#define SYNC_NUMBER_MAX (UINT64_C(1) << 53)
/* The largest file that travels: SYNC_BLOCKS_MAX of the largest blocks. */
#define SYNC_SIZE_MAX (UINT64_C(1) << 48)

struct sync_hash {
    uint8_t bytes[SYNC_HASH_BYTES];
};

/* Bytes that lie in somebody else's memory. */
struct sync_bytes {
    const uint8_t *at;
    size_t size;
};

/* A generation of a set. Order: epoch, then counter. {0, 0}: none yet. */
struct sync_generation {
    uint64_t epoch, counter;
};

enum sync_type { SYNC_FILE = 1, SYNC_DIRECTORY, SYNC_SYMLINK, SYNC_HARDLINK };

/* What travels beside a content. */
struct sync_meta {
    enum sync_type type;
    uint16_t mode;                  /* 07777 */
    int64_t mtime_ns;               /* since 1970 */
    uint32_t uid, gid;              /* used where the receiver does not know the name */
    struct sync_bytes owner, group; /* names; empty if there are none */
    struct sync_bytes
        xattrs; /* u16 name length, name, u32 value length, value; sorted by name. ACLs are xattrs. */
};

enum sync_op_kind {
    SYNC_OP_PUT = 1, /* path, meta, content: a whole small file, a directory, a symlink (content: its target)
                        or a hard link (content: the path in the set that it is another name of) */
    SYNC_OP_META,    /* path, meta: the same content as before, named by `hash` */
    SYNC_OP_OPEN,    /* path, meta, size, block, patch, base: a file's content follows in BLOCKs */
    SYNC_OP_BLOCK,   /* offset, content: of the file last opened; ascending, inside its size */
    SYNC_OP_HOLE,    /* offset, size: zeros, not stored where the file system can */
    SYNC_OP_CLOSE,   /* hash: of the whole content that there must be now */
    SYNC_OP_MOVE,    /* path, content: the path to which it is renamed, with all below it; nothing is there */
    SYNC_OP_DELETE,  /* path: with all below it */
};

/* One operation. Paths are "ROOT" or "ROOT/NAME/NAME…": ROOT is the number (from 0) of the set's `path` in
 * the configuration. Operations are in order: a directory before what is in it. */
struct sync_op {
    enum sync_op_kind kind;
    struct sync_bytes path;
    struct sync_meta meta;
    struct sync_hash
        hash;        /* PUT, CLOSE: the content that it is now; META, and OPEN if `patch`: that it was */
    bool patch;      /* OPEN: blocks that do not follow stay as they are in the file that is there */
    uint64_t size;   /* OPEN: of the content; HOLE: its length */
    uint32_t block;  /* OPEN: block size that `hash` of CLOSE is made with */
    uint64_t offset; /* BLOCK, HOLE */
    struct sync_bytes content;
};

enum sync_kind {
    SYNC_HELLO = 1, /* first, from both; again whenever role or epoch change */
    SYNC_SET,     /* both: a set as the sender of this message has it; ends with the log of its generations */
    SYNC_ASK,     /* active: hashes of the tree, a bucket's entries, or a file's blocks */
    SYNC_HASHES,  /* passive: the answer, for the root (its 64 groups) or a group (its 64 buckets) */
    SYNC_ENTRIES, /* passive: a bucket's entries; more = another message follows */
    SYNC_BLOCKS,  /* passive: a file's block hashes from `offset` on; more = another message follows */
    SYNC_BEGIN,   /* active: a generation of a set begins */
    SYNC_BATCH,   /* active: operations, compressed or not */
    SYNC_COMMIT,  /* active: that was all of it; with BLAKE2b over all of its operations */
    SYNC_ABORT,   /* active: forget what BEGIN began */
    SYNC_ACK,     /* passive: what became of a generation */
    SYNC_CREDIT,  /* passive: so many more bytes of BATCH may be sent */
    SYNC_RESTORE, /* active: send me, as a generation, what `generation` was (rollback); answered by BEGIN …
                     COMMIT in the other direction, or by an ACK with `refused` */
    SYNC_VERIFY,  /* both: BLAKE2b over the whole set, read from the disk anew; from the active one: do it */
    SYNC_NOW,     /* passive: the operator wants everything sent at once */
    SYNC_LAG,     /* active: what of this set has changed and is not applied on the passive node yet */
    SYNC_KEY,     /* passive: the hashes of the two do not fit together, asks for the key that they are made
                     with; active: that key */
};

enum sync_ask { SYNC_ASK_ROOT = 1, SYNC_ASK_GROUP, SYNC_ASK_BUCKET, SYNC_ASK_BLOCKS };

enum sync_fate {
    SYNC_DURABLE = 1, /* survives a power cut; is being switched to */
    SYNC_APPLIED,     /* is what the paths show */
    SYNC_REFUSED,     /* by `validate`, or it cannot be applied; `text` says why. The one before it stays. */
    SYNC_AGAIN,       /* a base was not as thought: compare again (SET), send again */
    SYNC_FULL,        /* no room on the disk; tell again later */
};

/* In front of every message. */
struct sync_header {
    uint8_t version, version_min, version_max;
    enum sync_kind kind;
    uint16_t set;     /* number of the set in the HELLO of the sender of this message */
    uint64_t session; /* sync_session() of the two HELLOs' sessions; 0 in a HELLO itself */
    uint32_t size;    /* of the body */
};

struct sync_message {
    struct sync_header header;
    union {
        struct {
            uint64_t session; /* random, new with each start */
            uint64_t answers; /* the session of the HELLO that this one answers; 0 = none */
            bool active;
            uint64_t epoch;
            struct sync_bytes node; /* name */
            uint16_t sets;          /* SET messages that follow */
        } hello;
        struct {
            struct sync_bytes name;
            struct sync_hash roots; /* of the paths and options of the configuration: must be equal */
            struct sync_generation generation; /* the last one applied (passive) or sent (active) */
            struct sync_hash tree;             /* the root of its hash tree */
            uint64_t entries, bytes;
            bool whole;            /* its first sync has ended */
            size_t log_count;      /* the latest generations and their trees, the newest first */
            struct sync_bytes log; /* log_count × SYNC_LOG_BYTES: see sync_log_at() */
        } set;
        struct {
            enum sync_ask what;
            uint16_t index;         /* of the group or bucket */
            struct sync_bytes path; /* BLOCKS */
        } ask;
        struct {
            bool root;
            uint16_t group;
            struct sync_bytes hashes; /* SYNC_FANOUT × SYNC_HASH_BYTES */
        } hashes;
        struct {
            uint16_t bucket;
            bool more;
            size_t count;
            struct sync_bytes list; /* u16 path length, path, entry hash; see sync_entry_next() */
        } entries;
        struct {
            struct sync_bytes path;
            struct sync_hash hash; /* of the content that they are of */
            uint32_t block;
            uint32_t first; /* number of the first one here */
            bool more;
            struct sync_bytes hashes;
        } blocks;
        struct {
            struct sync_generation generation, base; /* base: what it is made from */
            bool partial;          /* of a first sync: applied as it comes, not whole before the last part */
            bool restore;          /* the answer to a RESTORE */
            uint64_t files, bytes; /* about what is to come, for the progress line */
        } begin;
        struct {
            bool compressed;   /* zstd */
            uint32_t raw_size; /* at most SYNC_RAW_MAX */
            struct sync_bytes operations;
        } batch;
        struct {
            struct sync_generation generation;
            uint8_t digest[SYNC_DIGEST_BYTES];
            struct sync_hash tree; /* what the receiver's hash tree must be then */
            bool whole;            /* the set is whole with this */
        } commit;
        struct {
            struct sync_generation generation;
            enum sync_fate fate;
            struct sync_bytes text;
        } ack;
        uint64_t credit; /* bytes, of operations before they are compressed */
        struct {
            uint64_t files, bytes;
            uint64_t age_us; /* of the oldest change; 0 = none waits */
        } lag;
        struct sync_generation restore;
        struct sync_bytes key; /* SYNC_KEY_BYTES; none: asks for it */
        struct {
            bool asked; /* else it is the answer */
            uint64_t files, bytes;
            uint8_t digest[SYNC_DIGEST_BYTES];
        } verify;
    };
};

struct sync_log_entry {
    struct sync_generation generation;
    struct sync_hash tree;
};
enum { SYNC_LOG_BYTES = 32 };
/* What is not there, or not clean, reads as {0, 0}. */
void sync_log_put(uint8_t bytes[SYNC_LOG_BYTES], const struct sync_log_entry *entry);
struct sync_log_entry sync_log_at(struct sync_bytes log, size_t index);

/* The session of the messages between two syncd, from those of their HELLOs, in either order. */
uint64_t sync_session(uint64_t one, uint64_t other);

/* Writes a message into `bytes`, which has room for SYNC_MESSAGE_MAX; versions and size in the header are
 * filled in by it. Its length; -EMSGSIZE; -EINVAL: sync_parse() would refuse it. */
long sync_pack(const struct sync_message *message, uint8_t *bytes);

/* 0; -EBADMSG (cut off, not clean, a value out of range); -ENOTSUP (a version that this code does not speak:
 * the header is filled, for the log; its kind may be an unknown one). What parses packs to the same bytes,
 * but for the versions that the header offers. */
int sync_parse(const uint8_t *bytes, size_t size, struct sync_message *message);

/* Length of an operation, packed. */
size_t sync_op_size(const struct sync_op *op);
/* Appends to bytes[*used], where `room` is the size of all of `bytes`. 0; -ENOBUFS: not enough room is left;
 * -EINVAL: sync_op_next() would refuse it, wherever it stands. `*used` grows only if it is 0. */
int sync_op_pack(const struct sync_op *op, uint8_t *bytes, size_t room, size_t *used);
/* Takes the next operation from the front of `batch`. 1, 0 at its end, -EBADMSG (`batch` stays). What parses
 * packs to the same bytes. Whether a BLOCK follows an OPEN, and lies in its file, is for the receiver to see.
 */
int sync_op_next(struct sync_bytes *batch, struct sync_op *op);

/* Takes the next entry of an ENTRIES list. 1, 0 at its end, -EBADMSG. */
int sync_entry_next(struct sync_bytes *list, struct sync_bytes *path, struct sync_hash *hash);
/* As sync_op_pack(). */
int sync_entry_pack(struct sync_bytes path, const struct sync_hash *hash, uint8_t *bytes, size_t room,
                    size_t *used);

/* Takes the next attribute of `xattrs`. 1, 0 at its end, -EBADMSG (also where names are not ascending). */
int sync_xattr_next(struct sync_bytes *xattrs, struct sync_bytes *name, struct sync_bytes *value);
/* As sync_op_pack(); the caller keeps the order. */
int sync_xattr_pack(struct sync_bytes name, struct sync_bytes value, uint8_t *bytes, size_t room,
                    size_t *used);

/* A root's number and names between slashes: no empty name, no ".", no "..", no NUL, none longer than
 * SYNC_NAME_MAX, and none that begins with ".duet~", which are our own. */
bool sync_path_clean(struct sync_bytes path);

/* The root's number of a clean path. The bytes behind the path are never looked at: they may be digits, too. */
uint32_t sync_path_root(struct sync_bytes path);

int sync_generation_compare(struct sync_generation a, struct sync_generation b); /* <0, 0, >0 */

/* The block size for a file of this size (at most SYNC_SIZE_MAX), beginning with `block`. */
uint32_t sync_block_size(uint64_t size, uint32_t block);
