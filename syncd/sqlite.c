#include "syncd/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "syncd/snapshot.h"

enum {
    WRITE_LOCK_AT = 120,
    WAL_AT = 18,
    IS_WAL = 2,
    STEP_PAGES = 512,
    CHUNK = 1 << 20,
    IN_MEMORY_MAX = 32 << 20
};

/* How long to wait for the end of a transaction of others before the copy begins all the same, and how long
 * for a lock. */
static const int64_t gap_ns = 100 * NS_PER_MS, lock_ns = 10 * NS_PER_S, nap_ns = 200 * NS_PER_US;

struct copy {
    const struct sqlite_job *job;
    char temporary[PATH_MAX];
    sqlite3 *source;
    bool wal;
    uint8_t *buffer; /* of a database in rollback mode that fits, all of it; else of one chunk */
    int64_t room;
    int64_t page_size, pages;
    struct stat st; /* of the database */
    char *error;
};

/* ----------------------------------------------------------------- errors */

static int errno_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
        return 0;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    default:
        return -EIO;
    }
}

static int fail(struct copy *copy, int code, const char *what, const char *path)
{
    snprintf(copy->error, SQLITE_ERROR_MAX, "%s %.400s: %s", what, path, sqlite3_errstr(code));
    return errno_of(code);
}

static int fail_errno(struct copy *copy, const char *what, const char *path)
{
    const int r = -errno;

    snprintf(copy->error, SQLITE_ERROR_MAX, "%s %.400s: %s", what, path, strerror(-r));
    return r;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
}

static int cancelled(const struct copy *copy)
{
    if (!atomic_load(copy->job->cancelled))
        return 0;
    snprintf(copy->error, SQLITE_ERROR_MAX, "it was ended");
    return -ECANCELED;
}

/* ---------------------------------------------------------------- reading */

static int ask_number(sqlite3 *db, const char *pragma, int64_t *number)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);

    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    const int end = sqlite3_finalize(statement);
    return code == SQLITE_ROW ? end : code == SQLITE_DONE ? SQLITE_ERROR : code;
}

static int ask_wal(sqlite3 *db, bool *wal)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL);

    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    const char *mode = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    *wal = mode && strcmp(mode, "wal") == 0;
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static sqlite3_file *file_of(sqlite3 *db)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
        return NULL;
    return file && file->pMethods ? file : NULL;
}

/* In WAL mode a transaction is written (which inotify tells), then made durable, and then it can be seen. A
 * copy that begins in between lacks it, and nothing more is told of it. Whoever writes holds this lock for as
 * long (WAL_WRITE_LOCK, https://www.sqlite.org/walformat.html, 2.3.1). Asked before this process has the
 * database open, whose locks the close() would drop. */
static bool being_written_in_wal(const char *database)
{
    char name[PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK_AT, .l_len = 1};

    if ((size_t)snprintf(name, sizeof name, "%s-shm", database) >= sizeof name)
        return false;
    int fd AUTO_CLOSE = open(name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* 0; 1: a transaction was under way all the time. */
static int wait_for_gap(const struct copy *copy)
{
    const int64_t began = clock_now_ns();

    while (being_written_in_wal(copy->job->database)) {
        if (clock_now_ns() - began > gap_ns || cancelled(copy))
            return 1;
        nap();
    }
    return 0;
}

/* Somebody else has begun to write, and will commit. Never so in WAL mode. */
static bool being_written(sqlite3 *db)
{
    sqlite3_file *file = file_of(db);
    int reserved = 0;

    return file && file->pMethods->xCheckReservedLock(file, &reserved) == SQLITE_OK && reserved;
}

/* By its header, before any lock is held. */
static bool seems_wal(sqlite3 *db)
{
    uint8_t header[WAL_AT + 1];
    sqlite3_file *file = file_of(db);

    return file && file->pMethods->xRead(file, header, sizeof header, 0) == SQLITE_OK &&
           header[WAL_AT] == IS_WAL;
}

/* Memory for the bytes of a database in rollback mode, all touched before the lock is taken. */
static int make_buffer(struct copy *copy)
{
    copy->room = copy->st.st_size <= IN_MEMORY_MAX ? copy->st.st_size + CHUNK : CHUNK;
    copy->buffer = malloc((size_t)copy->room);
    if (!copy->buffer) {
        snprintf(copy->error, SQLITE_ERROR_MAX, "no memory for a copy");
        return -ENOMEM;
    }
    memset(copy->buffer, 1, (size_t)copy->room);
    return 0;
}

/* Begins the transaction that the copy is a view of. Its first look also rolls a hot journal back. */
static int begin_reading(struct copy *copy)
{
    const int64_t began = clock_now_ns();
    int64_t version;
    int code;

    while (being_written(copy->source) && clock_now_ns() - began < gap_ns && !cancelled(copy))
        nap();
    code = sqlite3_exec(copy->source, "BEGIN", NULL, NULL, NULL);
    while (code == SQLITE_OK &&
           ((code = ask_number(copy->source, "PRAGMA schema_version", &version)) & 0xff) == SQLITE_BUSY &&
           clock_now_ns() - began < lock_ns && !cancelled(copy)) {
        nap();
        code = SQLITE_OK;
    }
    if (code == SQLITE_OK)
        code = ask_wal(copy->source, &copy->wal);
    if (code == SQLITE_OK)
        code = ask_number(copy->source, "PRAGMA page_size", &copy->page_size);
    if (code == SQLITE_OK)
        code = ask_number(copy->source, "PRAGMA page_count", &copy->pages);
    if (cancelled(copy))
        return -ECANCELED;
    return code == SQLITE_OK ? 0 : fail(copy, code, "cannot read the database", copy->job->database);
}

static int open_source(struct copy *copy)
{
    if (stat(copy->job->database, &copy->st) < 0)
        return fail_errno(copy, "there is no database", copy->job->database);
    /* For writing, as a hot journal must be rolled back; nothing is made. */
    const int code = sqlite3_open_v2(copy->job->database, &copy->source,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(copy, code, "cannot open the database", copy->job->database);
    /* Otherwise the last one to close a database in WAL mode folds the WAL into it, under an exclusive lock:
     * who comes at that moment would find it locked, and we see a change that we made ourselves. */
    sqlite3_db_config(copy->source, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!seems_wal(copy->source) && make_buffer(copy) < 0)
        return -ENOMEM;
    return begin_reading(copy);
}

static void close_source(struct copy *copy)
{
    sqlite3_close(copy->source); /* rolls the read transaction back */
    copy->source = NULL;
}

/* ---------------------------------------------------------------- copying */

static int copy_pages(struct copy *copy, sqlite3 *to)
{
    int code = SQLITE_OK, r = 0;
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", copy->source, "main");

    if (!backup)
        return fail(copy, sqlite3_extended_errcode(to), "cannot copy", copy->job->database);
    while (r == 0 && (code = sqlite3_backup_step(backup, STEP_PAGES)) == SQLITE_OK)
        r = cancelled(copy);
    sqlite3_backup_finish(backup);
    if (r == 0 && code != SQLITE_DONE)
        r = fail(copy, code, "cannot copy", copy->job->database);
    return r;
}

/* Not durable, which nobody asks of a copy that is made again after a crash; nor is a journal needed. */
static int open_target(struct copy *copy, const char *path, sqlite3 **db)
{
    int code =
        sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_exec(*db,
                            "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
                            "PRAGMA locking_mode = EXCLUSIVE",
                            NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : fail(copy, code, "cannot write", path);
}

/* Whoever opens the copy after a takeover is to find it in the mode that its maker chose: SQLite keeps that
 * in the header (https://www.sqlite.org/fileformat.html, 1.3.3), and the backup API makes it a rollback
 * journal. */
static int set_wal(struct copy *copy)
{
    static const uint8_t versions[2] = {IS_WAL, IS_WAL};
    int fd AUTO_CLOSE = open(copy->temporary, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || pwrite(fd, versions, sizeof versions, WAL_AT) != (ssize_t)sizeof versions)
        return fail_errno(copy, "cannot write", copy->temporary);
    return 0;
}

static int copy_by_backup(struct copy *copy)
{
    sqlite3 *to = NULL;

    int r = open_target(copy, copy->temporary, &to);
    if (r == 0)
        r = copy_pages(copy, to);
    const int code = sqlite3_close(to);
    if (r == 0 && code != SQLITE_OK)
        r = fail(copy, code, "cannot write", copy->temporary);
    return r == 0 && copy->pages > 0 ? set_wal(copy) : r;
}

static int write_all(struct copy *copy, int fd, const uint8_t *bytes, int64_t size)
{
    while (size > 0) {
        const ssize_t n = write(fd, bytes, (size_t)size);
        if (n < 0 && errno != EINTR)
            return fail_errno(copy, "cannot write", copy->temporary);
        bytes += MAX(n, 0);
        size -= MAX(n, 0);
    }
    return 0;
}

/* Out of rollback mode. While the read transaction lasts nobody writes to the file, and there is no journal:
 * its bytes are the database. They are read by SQLite's own descriptor, since closing another one would drop
 * this process's locks. Much faster than the backup API, and so
 * writers are kept out for a shorter time. */
static int copy_bytes(struct copy *copy)
{
    const int64_t size = copy->pages * copy->page_size;

    if (!copy->buffer && make_buffer(copy) < 0)
        return -ENOMEM;
    const bool fits = size <= copy->room;
    sqlite3_file *file = file_of(copy->source);
    int fd AUTO_CLOSE = open(copy->temporary, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? fail_errno(copy, "cannot open", copy->temporary) : 0;

    for (int64_t at = 0; r == 0 && at < size; at += CHUNK) {
        uint8_t *to = copy->buffer + (fits ? at : 0);
        const int n = (int)MIN(size - at, (int64_t)CHUNK);
        const int code = file ? file->pMethods->xRead(file, to, n, at) : SQLITE_ERROR;
        if (code != SQLITE_OK)
            r = fail(copy, code, "cannot read the database", copy->job->database);
        else if (!fits)
            r = write_all(copy, fd, to, n);
        if (r == 0)
            r = cancelled(copy);
    }
    close_source(copy);
    return r == 0 && fits ? write_all(copy, fd, copy->buffer, size) : r;
}

/* ------------------------------------------------------------ putting there */

static int check_copy(struct copy *copy, int fd)
{
    static const char magic[16] = "SQLite format 3";
    char header[sizeof magic];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(copy, "cannot look at", copy->temporary);
    if (st.st_size == copy->pages * copy->page_size &&
        (copy->pages == 0 || (pread(fd, header, sizeof header, 0) == (ssize_t)sizeof header &&
                              memcmp(header, magic, sizeof magic) == 0)))
        return 0;
    snprintf(copy->error, SQLITE_ERROR_MAX, "the copy of %.400s is not whole", copy->job->database);
    return -EUCLEAN;
}

/* A database in WAL mode is as new as its WAL. */
static struct timespec newest_mtime(const struct copy *copy)
{
    char wal[PATH_MAX];
    struct stat st;

    snprintf(wal, sizeof wal, "%s-wal", copy->job->database);
    if (!copy->wal || stat(wal, &st) < 0 || st.st_size == 0 || st.st_mtim.tv_sec < copy->st.st_mtim.tv_sec ||
        (st.st_mtim.tv_sec == copy->st.st_mtim.tv_sec && st.st_mtim.tv_nsec < copy->st.st_mtim.tv_nsec))
        return copy->st.st_mtim;
    return st.st_mtim;
}

static int dress_copy(struct copy *copy, int fd)
{
    const struct timespec mtime = newest_mtime(copy), times[2] = {mtime, mtime};

    if (fchown(fd, copy->st.st_uid, copy->st.st_gid) < 0 || fchmod(fd, copy->st.st_mode & 07777) < 0 ||
        futimens(fd, times) < 0)
        return fail_errno(copy, "cannot set owner, mode and time of", copy->temporary);
    return 0;
}

static int put_copy(struct copy *copy)
{
    int fd AUTO_CLOSE = open(copy->temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return fail_errno(copy, "cannot open", copy->temporary);
    int r = check_copy(copy, fd);
    if (r == 0)
        r = dress_copy(copy, fd);
    if (r == 0 && rename(copy->temporary, copy->job->to) < 0)
        r = fail_errno(copy, "cannot make", copy->job->to);
    return r;
}

/* The copy is nobody else's before it has the owner and mode of the database. */
static int make_temporary(struct copy *copy)
{
    unlink(copy->temporary);
    const int fd = open(copy->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_errno(copy, "cannot make", copy->temporary);
    close(fd);
    return 0;
}

int sqlite_copy(const struct sqlite_job *job, char error[static SQLITE_ERROR_MAX])
{
    struct copy copy = {.job = job, .error = error};

    if ((size_t)snprintf(copy.temporary, sizeof copy.temporary, "%s.new", job->to) >= sizeof copy.temporary)
        return -ENAMETOOLONG;
    const int uncertain = wait_for_gap(&copy);
    int r = make_temporary(&copy);
    if (r == 0)
        r = open_source(&copy);
    if (r == 0)
        r = copy.wal ? copy_by_backup(&copy) : copy_bytes(&copy);
    close_source(&copy);
    free(copy.buffer);
    if (r == 0)
        r = put_copy(&copy);
    if (r < 0)
        unlink(copy.temporary);
    return r < 0 ? r : uncertain;
}
