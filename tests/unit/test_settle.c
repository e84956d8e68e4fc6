/* The database of a node that gave the role up, by real SQLite, with others that have it open. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/clock.h"
#include "syncd/sqlite.h"

static char directory[64], database[128], copy[128];
static char error[SQLITE_ERROR_MAX];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-settle-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(database, sizeof database, "%s/db", directory);
    snprintf(copy, sizeof copy, "%s/copy", directory);
    return 0;
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *text = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static sqlite3 *open_database(const char *mode)
{
    sqlite3 *db;
    char sql[64];

    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
    assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    run_sql(db, sql);
    return db;
}

static void make_database(const char *mode)
{
    sqlite3 *db = open_database(mode);

    run_sql(db, "CREATE TABLE log (x BLOB); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                "WHERE i < 400)"
                "INSERT INTO log SELECT randomblob(1000) FROM n");
    sqlite3_close(db);
}

static int64_t rows(void)
{
    sqlite3 *db;
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM log", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static int make_copy(void)
{
    atomic_bool cancelled = false;
    const struct sqlite_job job = {.database = database, .to = copy, .cancelled = &cancelled};

    return sqlite_copy(&job, error);
}

static int settle(void)
{
    atomic_bool cancelled = false;
    const struct sqlite_job job = {.database = database, .to = copy, .cancelled = &cancelled};

    return sqlite_settle(&job, error);
}

static char *read_whole(const char *path, size_t *size, struct stat *st)
{
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, st), 0);
    *size = (size_t)st->st_size;
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, *size), *size);
    return bytes;
}

/* The database is, byte for byte and by its time, what the copy was. */
static void assert_settles(int (*before)(void))
{
    struct stat of_copy, of_database;
    size_t size, now;

    char *bytes = read_whole(copy, &size, &of_copy);
    assert_int_equal(before(), 0);
    assert_int_equal(settle(), 1);
    char *settled = read_whole(database, &now, &of_database);
    assert_int_equal(now, size);
    assert_memory_equal(settled, bytes, size);
    assert_true(of_database.st_mtim.tv_sec == of_copy.st_mtim.tv_sec &&
                of_database.st_mtim.tv_nsec == of_copy.st_mtim.tv_nsec);
    assert_int_equal(access(copy, F_OK), -1);
    free(bytes);
    free(settled);
}

static const char *const modes[] = {"WAL", "DELETE"};

static int nothing(void)
{
    return 0;
}

static int touch(void)
{
    return utimensat(AT_FDCWD, database, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0);
}

static sqlite3 *held;

static int close_held(void)
{
    return sqlite3_close(held);
}

/* Nothing was written since the copy: what the peer has is all there is. */
static void test_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        make_database(modes[i]);
        assert_int_equal(make_copy(), 0);
        assert_settles(nothing);
        assert_int_equal(make_copy(), 0);
        assert_settles(touch);
        assert_int_equal(rows(), 400);
        unlink(database);
    }
}

/* A WAL that is folded into the database after the copy changes its bytes and its time, and no data. */
static void test_same_in_the_wal(void **state)
{
    (void)state;
    make_database("WAL");
    held = open_database("WAL");
    run_sql(held,
            "INSERT INTO log VALUES ('one more'); CREATE TABLE other (x); DELETE FROM log WHERE rowid < 50");
    assert_int_equal(make_copy(), 0);
    assert_settles(close_held);
    assert_int_equal(rows(), 352);
    unlink(database);
}

static void test_changed_since(void **state)
{
    struct stat before, after;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        make_database(modes[i]);
        assert_int_equal(make_copy(), 0);
        sqlite3 *db = open_database(modes[i]);
        run_sql(db, "UPDATE log SET x = zeroblob(1000) WHERE rowid = 7");
        sqlite3_close(db);
        assert_int_equal(stat(database, &before), 0);
        assert_int_equal(settle(), 0);
        assert_int_equal(stat(database, &after), 0);
        assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
        assert_int_equal(rows(), 400);
        assert_int_equal(access(copy, F_OK), -1);
        unlink(database);
    }
}

static pid_t hold_open(int64_t for_ns)
{
    const pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sqlite3 *db = open_database("WAL");
        run_sql(db, "INSERT INTO log VALUES ('late')");
        nanosleep(&(struct timespec){.tv_nsec = (long)for_ns}, NULL);
        run_sql(db, "INSERT INTO log VALUES ('later')");
        sqlite3_close(db);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

/* A service that still has it open is waited for: what it writes last is seen as a change. */
static void test_others_are_waited_for(void **state)
{
    (void)state;
    make_database("WAL");
    assert_int_equal(make_copy(), 0);
    const pid_t pid = hold_open(700 * NS_PER_MS);
    while (rows() == 400)
        ;
    assert_int_equal(settle(), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), pid);
    assert_int_equal(rows(), 402);
    unlink(database);
}

static void *cancel(void *cancelled)
{
    nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_MS}, NULL);
    atomic_store((atomic_bool *)cancelled, true);
    return NULL;
}

static void test_cancelled(void **state)
{
    atomic_bool cancelled = false;
    const struct sqlite_job job = {.database = database, .to = copy, .cancelled = &cancelled};
    pthread_t thread;

    (void)state;
    make_database("WAL");
    assert_int_equal(make_copy(), 0);
    const pid_t pid = hold_open(900 * NS_PER_MS);
    while (rows() == 400)
        ;
    assert_int_equal(pthread_create(&thread, NULL, cancel, &cancelled), 0);
    assert_int_equal(sqlite_settle(&job, error), -ECANCELED);
    assert_int_equal(access(copy, F_OK), 0); /* for the next time */
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
    unlink(database);
}

/* A writer that dies leaves a WAL, or a hot journal. */
static void leave_hot(const char *mode)
{
    const pid_t pid = fork();

    if (pid == 0) {
        sqlite3 *db = open_database(mode);
        run_sql(db, "INSERT INTO log VALUES (1)");
        /* Enough for pages to be written into the database before the commit. */
        run_sql(db, "PRAGMA cache_size = 5; BEGIN; INSERT INTO log SELECT randomblob(4000) FROM log");
        kill(getpid(), SIGKILL);
    }
    assert_true(pid > 0);
    waitpid(pid, NULL, 0);
}

static void test_left_hot(void **state)
{
    char beside[160];
    struct stat st;

    (void)state;
    assert_int_equal(settle(), 0); /* there is none */
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        make_database(modes[i]);
        leave_hot(modes[i]);
        snprintf(beside, sizeof beside, "%s%s", database, i == 0 ? "-wal" : "-journal");
        assert_int_equal(stat(beside, &st), 0);
        assert_true(st.st_size > 0);
        assert_int_equal(settle(), 0);
        assert_true(stat(beside, &st) < 0 || st.st_size == 0);
        assert_int_equal(rows(), 401);
        unlink(database);
    }
}

static void test_no_database(void **state)
{
    int fd;

    (void)state;
    fd = open(database, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "this is no database, and long enough to be read", 47), 47);
    close(fd);
    char beside[160];
    snprintf(beside, sizeof beside, "%s-wal", database);
    fd = open(beside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "garbage", 7), 7);
    close(fd);
    assert_true(settle() < 0);
    assert_non_null(strstr(error, database));
    unlink(beside);
    unlink(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),          cmocka_unit_test(test_same_in_the_wal),
        cmocka_unit_test(test_changed_since), cmocka_unit_test(test_others_are_waited_for),
        cmocka_unit_test(test_cancelled),     cmocka_unit_test(test_left_hot),
        cmocka_unit_test(test_no_database),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
