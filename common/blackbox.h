/* blackbox: what passed on the bus, in a file that can be read after whatever ended the writer.
 *
 * The file is mapped by its writer (superviserd) and read by `duet blackbox`. It has a head and two rings.
 * The ring of changes keeps each message that said something new, and notes; the ring of renewals keeps, of
 * each topic now and then, what only times and tallies changed in, so that the numbers are there without
 * washing the changes away. Each ring counts its own records from 1.
 *
 *     0       head: who wrote it, in which boot; never changed after the file got its name
 *     1024    mark, in two copies that are written in turn: when the writer was last alive,
 *     2048    and when it last heard each daemon
 *     4096    ring of changes
 *     …       ring of renewals
 *
 * Head, mark and record begin with a checksum (SipHash-2-4 under a key of zeros, never 0) of the rest. A
 * record begins at a multiple of 16 bytes and does not cross the end of its ring:
 *
 *     0  u64 checksum    8  u32 magic    12 u32 size of the record    16 u64 number in its ring
 *     24 i64 at_ns       32 i64 wall_ns  40 u16 kind                  42 u16 size of the topic
 *     44 u32 0           48 topic, then body
 *
 * All numbers are little-endian. The checksum is zeroed before anything else of a record is written and
 * stored last, so a writer that dies at any instruction loses the record it was writing and those that it was
 * overwriting. A power cut keeps some sectors of the last second and not others: what is not whole is not
 * read, and the numbers tell how many are missing. The magic has control characters in it, which no JSON text
 * can have: no message can hold a record.
 *
 * No function here does I/O; reading is total: any bytes give records, or an error. */
#pragma once
#include "common/base.h"
#include "common/sys.h"

enum {
    BLACKBOX_HEAD_SIZE = 4096,
    BLACKBOX_CHANGES_SIZE = 1 << 20,
    BLACKBOX_RENEWALS_SIZE = 1 << 17,
    BLACKBOX_SIZE = BLACKBOX_HEAD_SIZE + BLACKBOX_CHANGES_SIZE + BLACKBOX_RENEWALS_SIZE,
    BLACKBOX_ALIGNMENT = 16,
    BLACKBOX_TOPIC_MAX = 96,     /* bytes, without an end */
    BLACKBOX_BODY_MAX = 1 << 14, /* bytes */
    BLACKBOX_NODE_MAX = 32,
    BLACKBOX_DAEMONS_MAX = 8,
    BLACKBOX_DAEMON_MAX = 16,
};

enum blackbox_kind {
    BLACKBOX_BEGIN = 1,   /* superviserd began; the body says more */
    BLACKBOX_END = 2,     /* it was told to end, and did */
    BLACKBOX_NOTE = 3,    /* a text of superviserd's own */
    BLACKBOX_CHANGE = 4,  /* a message that says something new: topic, and JSON as it came */
    BLACKBOX_RENEWAL = 5, /* one in which only times and tallies are new */
};

struct blackbox_about {
    uint32_t number; /* of the boot, as far as black boxes were kept: grows by one with each */
    char boot_id[SYS_BOOT_ID_MAX];
    char node[BLACKBOX_NODE_MAX];
    int64_t begun_ns, begun_wall_ns; /* CLOCK_BOOTTIME and UTC when the file was made */
};

struct blackbox_record {
    enum blackbox_kind kind;
    uint64_t number;        /* in its ring; the writer counts by itself */
    int64_t at_ns, wall_ns; /* CLOCK_BOOTTIME and UTC */
    const char *topic;      /* not terminated */
    size_t topic_size;
    const char *body;
    size_t body_size;
};

struct blackbox_mark {
    int64_t alive_ns; /* CLOCK_BOOTTIME; 0: there is no mark */
    size_t count;
    struct blackbox_heard {
        char daemon[BLACKBOX_DAEMON_MAX];
        int64_t heard_ns;
    } daemons[BLACKBOX_DAEMONS_MAX];
};

/* ------------------------------------------------------------------ writing */

struct blackbox_ring {
    size_t begin, size, at; /* at: where the next record goes, if it fits before the end */
    uint64_t number;        /* of the latest one */
};

struct blackbox_writer {
    unsigned char *bytes; /* BLACKBOX_SIZE of them */
    struct blackbox_ring changes, renewals;
    uint64_t marks;
    uint64_t written; /* bytes of the ring of changes so far, by this writer */
};

/* Writes the head into `bytes`, BLACKBOX_SIZE zeros. */
void blackbox_format(unsigned char *bytes, const struct blackbox_about *about);

/* Looks for the place where an earlier writer ended. `bytes` stays the caller's, and must be aligned to
 * BLACKBOX_ALIGNMENT. */
void blackbox_resume(struct blackbox_writer *writer, unsigned char *bytes);

/* Adds a record to the ring of its kind. A topic or body that is too long is left out, and a note says so. */
void blackbox_append(struct blackbox_writer *writer, const struct blackbox_record *record);

void blackbox_mark(struct blackbox_writer *writer, const struct blackbox_mark *mark);

/* ------------------------------------------------------------------ reading */

struct blackbox_reading {
    bool has_about; /* the head is whole */
    struct blackbox_about about;
    struct blackbox_mark mark;
    struct blackbox_record *records; /* in the order of time, pointing into the bytes that were read */
    size_t count;
    uint64_t missing; /* records of the rings that should be between those that are there */
};

/* Only the head. 0, or -EUCLEAN if it is not whole. */
int blackbox_read_about(const void *bytes, size_t size, struct blackbox_about *about);

/* Everything that is whole, wherever it is. `bytes` must stay as they are as long as the reading is used:
 * read a file that is being written into memory first. 0; -EUCLEAN (neither a head nor any record); -ENOMEM.
 * The caller frees with blackbox_forget(), which ignores a zeroed reading. */
int blackbox_read(const void *bytes, size_t size, struct blackbox_reading *reading);
void blackbox_forget(struct blackbox_reading *reading);
