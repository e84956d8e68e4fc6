/* journal: what a set's generations are, on disk before anything is changed: a file of records.
 *
 *     header     magic, version, sequence, hash; at offset 0, written whole
 *     record     u32 length, u32 kind, u64 XXH3, bytes; from JOURNAL_FIRST on, at multiples of 8
 *
 * Each record's hash begins with the hash of the record before it, the first one's with the sequence: what
 * was left by an earlier use of the file, or by a generation that was given up, does not continue the chain.
 * The first record that is torn ends the journal.
 *
 * The file keeps its blocks when it begins anew, so that making a small generation durable is one flush of
 * data that changes nothing in the file system. Numbers are as this machine has them: nobody else reads
 * it. */
#pragma once
#include "common/base.h"

enum {
    JOURNAL_FIRST = 4096,
    JOURNAL_READY = 1 << 20, /* written with zeros beforehand */
    JOURNAL_KEPT = 1 << 26,  /* a longer one is cut when it begins anew */
    JOURNAL_RECORD_MAX = 1 << 22,
};

struct journal;

struct journal_record {
    uint32_t kind;
    uint32_t size; /* of its bytes */
    uint64_t at;   /* where these begin */
};

/* A place to go back to. */
struct journal_mark {
    uint64_t end, chain;
};

/* Opens `name` in `directory`, making it if needed (with sequence 0). 0; -EUCLEAN: its header is damaged (it
 * can be used after journal_reset()); or another negative errno. */
int journal_open(int directory, const char *name, struct journal **journal);
/* The same of an open file, which is then the journal's. */
int journal_open_file(int fd, struct journal **journal);
void journal_close(struct journal *journal);
uint64_t journal_sequence(const struct journal *journal);

/* After the opening: the next record. 1; 0 at the end, where the next one is appended; a negative errno. */
int journal_next(struct journal *journal, struct journal_record *record);
/* The bytes of a record, into `bytes`, which has room for them. 0 or a negative errno. */
int journal_read(const struct journal *journal, const struct journal_record *record, uint8_t *bytes);

/* 0 or a negative errno (-ENOSPC …): the journal then ends where it did. `record` may be NULL. */
int journal_append(struct journal *journal, uint32_t kind, const void *bytes, size_t size,
                   struct journal_record *record);
int journal_sync(const struct journal *journal); /* what was appended survives a power cut */
struct journal_mark journal_mark(const struct journal *journal);
void journal_return(struct journal *journal, const struct journal_mark *mark);

/* Begins anew, durably. */
int journal_reset(struct journal *journal, uint64_t sequence);
