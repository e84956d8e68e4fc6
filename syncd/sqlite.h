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

/* Puts a copy, with the database's owner, mode and mtime, at `to`. 0; -ENOENT (there is no database),
 * -ECANCELED, -EUCLEAN (it is no database, or damaged), -EBUSY (locked for ten seconds), or another negative
 * errno; with `error` in words. */
int sqlite_copy(const struct sqlite_job *job, char error[static SQLITE_ERROR_MAX]);
