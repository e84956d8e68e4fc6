/* What becomes of the database of a node that gave the role up (sqlite.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "syncd/sqlite.h"

enum { CHUNK = 1 << 16, HEADER = 100 };

/* Where SQLite's locks lie: whoever has a database in WAL mode open holds a shared one on these bytes
 * (https://www.sqlite.org/src/file/src/os.h). */
enum { SHARED_FIRST = 0x40000002, SHARED_SIZE = 510 };

static const int64_t others_ns = 10 * NS_PER_S, nap_ns = 20 * NS_PER_MS;

struct settle {
    const struct sqlite_job *job;
    int64_t until_ns; /* others are waited for */
    char *error;
};

/* The fields of the header that differ between equal databases: the journal mode, how often it was changed
 * and by which version of SQLite, and a number that only says "read the schema again"
 * (https://www.sqlite.org/fileformat.html, 1.3). */
static void blank_counters(uint8_t header[static HEADER])
{
    static const struct {
        size_t at, size;
    } fields[] = {{18, 2}, {24, 4}, {40, 4}, {92, 8}};

    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++)
        memset(header + fields[i].at, 0, fields[i].size);
}

static int fail(const struct settle *settle, int error, const char *what)
{
    snprintf(settle->error, SQLITE_ERROR_MAX, "%s %.400s: %s", what, settle->job->database, strerror(-error));
    return error;
}

static int is_late(const struct settle *settle)
{
    if (atomic_load(settle->job->cancelled))
        return fail(settle, -ECANCELED, "no longer looked at:");
    return clock_now_ns() > settle->until_ns ? fail(settle, -EBUSY, "somebody still has it open:") : 0;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
}

/* Services end when the role does, and fold their WAL when they close the database. */
static int wait_for_others(const struct settle *settle)
{
    int fd AUTO_CLOSE = open(settle->job->database, O_RDWR | O_CLOEXEC);
    int r = fd < 0 ? fail(settle, -errno, "cannot open") : 0;

    while (r == 0) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE};
        if (fcntl(fd, F_GETLK, &lock) < 0)
            return fail(settle, -errno, "cannot ask for the locks of");
        if (lock.l_type == F_UNLCK)
            return 0;
        nap();
        r = is_late(settle);
    }
    return r;
}

static bool is_beside(const char *database, const char *suffix)
{
    char path[PATH_MAX];
    struct stat st;

    return (size_t)snprintf(path, sizeof path, "%s%s", database, suffix) < sizeof path &&
           stat(path, &st) == 0 && st.st_size > 0;
}

static int fold_once(const char *database)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(database, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK) /* a hot journal is rolled back */
        code = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    const int end = sqlite3_close(db);
    return code == SQLITE_OK ? end : code;
}

static int fold(const struct settle *settle)
{
    int r = 0, code = SQLITE_OK;

    if (!is_beside(settle->job->database, "-wal") && !is_beside(settle->job->database, "-journal"))
        return 0;
    while (((code = fold_once(settle->job->database)) & 0xff) == SQLITE_BUSY && (r = is_late(settle)) == 0)
        nap();
    if (r == 0 && code != SQLITE_OK) {
        snprintf(settle->error, SQLITE_ERROR_MAX, "cannot fold the write-ahead log of %.400s into it: %s",
                 settle->job->database, sqlite3_errstr(code));
        r = -EUCLEAN;
    }
    return r;
}

/* 1: the same database; 0: not. */
static int compare(const struct settle *settle, int database, int copy)
{
    uint8_t buffers[2][CHUNK];

    for (off_t at = 0;; at += CHUNK) {
        const ssize_t size = pread(database, buffers[0], CHUNK, at),
                      other = pread(copy, buffers[1], CHUNK, at);
        if (size < 0 || other < 0)
            return fail(settle, -errno, "cannot read");
        if (at == 0 && size >= HEADER && other >= HEADER) {
            blank_counters(buffers[0]);
            blank_counters(buffers[1]);
        }
        if (size != other || memcmp(buffers[0], buffers[1], (size_t)size) != 0)
            return 0;
        if (size < CHUNK)
            return 1;
        if (atomic_load(settle->job->cancelled))
            return fail(settle, -ECANCELED, "no longer looked at:");
    }
}

/* In place, and under the lock of a writer: somebody may open it at this moment, and whoever had opened a
 * file that was renamed over would write into the void. It is one small write into one sector. */
static int dress(const struct settle *settle, int database, int copy, const struct stat *like)
{
    const struct timespec times[2] = {like->st_mtim, like->st_mtim};
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE};
    uint8_t header[HEADER];

    if (fcntl(database, F_SETLK, &lock) < 0)
        return fail(settle, -EBUSY, "somebody has just opened");
    if (pread(copy, header, HEADER, 0) != HEADER)
        return like->st_size == 0 ? 1 : fail(settle, -EIO, "cannot read the copy of");
    if (pwrite(database, header, HEADER, 0) != HEADER || futimens(database, times) < 0)
        return fail(settle, -errno, "cannot write to");
    return 1;
}

static int is_unchanged(int fd, const struct stat *before)
{
    struct stat now;

    return fstat(fd, &now) == 0 && now.st_size == before->st_size &&
           now.st_mtim.tv_sec == before->st_mtim.tv_sec && now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

static int become_copy(const struct settle *settle)
{
    int copy AUTO_CLOSE = open(settle->job->to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int database AUTO_CLOSE = copy < 0 ? -1 : open(settle->job->database, O_RDWR | O_CLOEXEC);
    struct stat before, like;

    if (copy < 0 || database < 0)
        return errno == ENOENT ? 0 : fail(settle, -errno, "cannot open");
    if (fstat(database, &before) < 0 || fstat(copy, &like) < 0)
        return fail(settle, -errno, "cannot look at");
    if (before.st_size != like.st_size)
        return 0;
    const int same = compare(settle, database, copy);
    return same == 1 && is_unchanged(database, &before) ? dress(settle, database, copy, &like) : MIN(same, 0);
}

int sqlite_settle(const struct sqlite_job *job, char error[static SQLITE_ERROR_MAX])
{
    const struct settle settle = {.job = job, .until_ns = clock_now_ns() + others_ns, .error = error};
    int r = 0;

    error[0] = '\0';
    if (access(job->database, F_OK) < 0)
        return 0;
    if (access(job->to, F_OK) == 0)
        r = wait_for_others(&settle);
    if (r == 0 || r == -EBUSY)
        r = fold(&settle);
    if (r == 0)
        r = become_copy(&settle);
    if (r != -ECANCELED)
        unlink(job->to);
    return r;
}
