/* sqlite: copies of SQLite databases, taken while others write. These calls block, and so run in a thread.
 *
 * The copy is what one read transaction sees. In WAL mode it is taken by the backup API, which keeps no
 * writer waiting. In rollback mode a writer cannot commit while somebody reads, and one without busy timeout
 * gets SQLITE_BUSY then: so a copy begins when no transaction is under way, takes the bytes of the file as
 * they are, and writes those of a database of up to 32 MiB out after the transaction's end. */
#pragma once
#include <stdatomic.h>

#include "common/base.h"

struct sqlite_job {
    const char *database, *to; /* `to`.new is used as well */
    atomic_bool *cancelled;    /* looked at every few milliseconds */
};

enum { SQLITE_ERROR_MAX = 512 };

/* Puts a copy, with the database's owner, mode and mtime, at `to`. 0; 1: somebody was in the middle of a
 * transaction for longer than was waited, which the copy may lack though all of it is written; -ENOENT (there
 * is no database), -ECANCELED, -EUCLEAN (it is no database, or damaged), -EBUSY (locked for ten seconds), or
 * another negative errno; with `error` in words. */
int sqlite_copy(const struct sqlite_job *job, char error[static SQLITE_ERROR_MAX]);

/* This node gave the role up: the database is brought to the bytes and the mtime of the last copy at `to`, if
 * it is the same database still (they differ in nothing but what SQLite counts in the header). Waits for
 * those who have it open in WAL mode, ten seconds at most, and folds a leftover -wal or hot -journal into it,
 * so that what may have to be kept aside is whole. The copy is removed. 1: it is the copy now; 0: it is
 * another, or there was no copy or no database; or as sqlite_copy(). */
int sqlite_settle(const struct sqlite_job *job, char error[static SQLITE_ERROR_MAX]);
