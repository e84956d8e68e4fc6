/* Copies of databases that are being written to, by real SQLite in another process. */
#include <errno.h>
#include <fcntl.h>
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
#include "syncd/snapshot.h"

enum { FAST_PER_S = 200 };

static char directory[64];

static void path_of(const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
}

static int make_directory(void **state)
{
    char path[PATH_MAX];

    (void)state;
    strcpy(directory, "/tmp/duet-snapshot-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    path_of("state", path);
    return mkdir(path, 0700);
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* ---- the database */

static void run_sql(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t number = -1;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    return number;
}

/* Every transaction adds a row, and counts it in two places; `pages` more lie there for weight. */
static void make_database(const char *path, const char *mode, int pages)
{
    sqlite3 *db;
    char sql[256];

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
    run_sql(db, sql);
    run_sql(db, "CREATE TABLE log (id INTEGER PRIMARY KEY, x BLOB); CREATE TABLE sum (rows INTEGER);"
                "CREATE TABLE weight (x BLOB); INSERT INTO sum VALUES (0)");
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO weight SELECT randomblob(4000) FROM n",
             pages);
    if (pages > 0)
        run_sql(db, sql);
    sqlite3_close(db);
}

static bool add_row(sqlite3 *db)
{
    static const char sql[] = "BEGIN IMMEDIATE; INSERT INTO log (x) VALUES (randomblob(300));"
                              "UPDATE sum SET rows = rows + 1; COMMIT";

    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* What the writer in another process tells. */
struct writer {
    pid_t pid;
    int from;
};
struct tally {
    int64_t rows, busy;
};

static volatile sig_atomic_t told_to_stop;

static void on_term(int signal)
{
    (void)signal;
    told_to_stop = 1;
}

static _Noreturn void write_rows(const char *path, int per_s, int to)
{
    struct tally tally = {0};
    sqlite3 *db;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, on_term);
    sqlite3_open(path, &db); /* no busy timeout */
    sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    int64_t next = clock_now_ns();
    while (!told_to_stop) {
        if (add_row(db))
            tally.rows++;
        else
            tally.busy++;
        next += NS_PER_S / per_s;
        const int64_t left = next - clock_now_ns();
        if (left > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)left}, NULL);
    }
    sqlite3_close(db);
    _exit(write(to, &tally, sizeof tally) == sizeof tally ? 0 : 1);
}

static struct writer start_writer(const char *path, int per_s)
{
    struct writer writer;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    writer.pid = fork();
    assert_true(writer.pid >= 0);
    if (writer.pid == 0)
        write_rows(path, per_s, ends[1]);
    close(ends[1]);
    writer.from = ends[0];
    return writer;
}

static struct tally end_writer(struct writer *writer)
{
    struct tally tally;

    kill(writer->pid, SIGTERM);
    assert_int_equal(read(writer->from, &tally, sizeof tally), sizeof tally);
    close(writer->from);
    waitpid(writer->pid, NULL, 0);
    return tally;
}

/* A writer that dies leaves a WAL, or a hot journal. */
static void leave_hot(const char *path)
{
    const pid_t pid = fork();

    if (pid == 0) {
        sqlite3 *db;
        sqlite3_open(path, &db);
        for (int i = 0; i < 20; i++)
            add_row(db);
        /* Enough for pages to be written into the database before the commit. */
        sqlite3_exec(db,
                     "PRAGMA cache_size = 5; BEGIN; INSERT INTO log (x) SELECT randomblob(4000) FROM weight",
                     NULL, NULL, NULL);
        kill(getpid(), SIGKILL);
    }
    assert_true(pid > 0);
    waitpid(pid, NULL, 0);
}

/* ---- copies */

struct watcher {
    struct loop *loop;
    struct config_sync set;
    struct snapshot *snapshot;
    char to[PATH_MAX];
    int made, failed, over;
    bool holds;   /* does not say that the copy was taken */
    int64_t rows; /* in the last copy; never fewer in a later one */
    char text[512];
};

/* The copy is whole, and has the rows of the first so many transactions. */
static int64_t check_copy(const char *path)
{
    sqlite3 *db;
    char uri[PATH_MAX + 32];
    sqlite3_stmt *statement;

    snprintf(uri, sizeof uri, "file:%s?immutable=1", path); /* it has no WAL, and needs none */
    assert_int_equal(sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    const int64_t rows = number_of(db, "SELECT count(*) FROM log");
    assert_int_equal(number_of(db, "SELECT rows FROM sum"), rows);
    if (rows > 0)
        assert_int_equal(number_of(db, "SELECT max(id) FROM log"), rows);
    sqlite3_close(db);
    return rows;
}

static void on_made(void *userdata)
{
    struct watcher *watcher = userdata;

    watcher->made++;
    if (watcher->set.sqlite[0] != '\0') {
        const int64_t rows = check_copy(watcher->to);
        assert_true(rows >= watcher->rows);
        watcher->rows = rows;
    }
    if (!watcher->holds)
        snapshot_taken(watcher->snapshot);
}

static void on_failed(void *userdata, const char *text)
{
    struct watcher *watcher = userdata;

    if (text) {
        watcher->failed++;
        text_copy(watcher->text, sizeof watcher->text, text);
    } else {
        watcher->over++;
    }
}

static const struct snapshot_events events = {.made = on_made, .failed = on_failed};

static void open_watcher(struct watcher *watcher, const char *database, int64_t max_delay)
{
    watcher->set.max_delay = max_delay;
    if (database)
        text_copy(watcher->set.sqlite, sizeof watcher->set.sqlite, database);
    path_of("state/copy", watcher->to);
    assert_int_equal(loop_new(&watcher->loop), 0);
    assert_int_equal(
        snapshot_new(watcher->loop, &watcher->set, watcher->to, &events, watcher, &watcher->snapshot), 0);
}

static void close_watcher(struct watcher *watcher)
{
    char path[PATH_MAX];

    snapshot_free(watcher->snapshot);
    loop_free(watcher->loop);
    unlink(watcher->to);
    path_of("state", path);
    assert_int_equal(rmdir(path), 0); /* nothing else is left there */
    assert_int_equal(mkdir(path, 0700), 0);
}

#define TURN_UNTIL(watcher, condition, limit_ms)                                                             \
    do {                                                                                                     \
        const int64_t limit = clock_now_ns() + (limit_ms)*NS_PER_MS;                                         \
        while (!(condition) && clock_now_ns() < limit)                                                       \
            assert_int_equal(loop_turn((watcher)->loop, NS_PER_MS), 0);                                      \
        if (!(condition))                                                                                    \
            print_message("made %d failed %d over %d: %s\n", (watcher)->made, (watcher)->failed,             \
                          (watcher)->over, (watcher)->text);                                                 \
        assert_true(condition);                                                                              \
    } while (0)

static void turn_for(struct watcher *watcher, int ms)
{
    const int64_t end = clock_now_ns() + ms * NS_PER_MS;

    while (clock_now_ns() < end)
        loop_turn(watcher->loop, NS_PER_MS);
}

static void remove_database(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[PATH_MAX + 16];

    for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

/* ---- tests */

static void copies_under_load(const char *mode, int pages)
{
    struct watcher watcher = {0};
    char path[PATH_MAX];

    path_of("db", path);
    make_database(path, mode, pages);
    open_watcher(&watcher, path, 100 * NS_PER_MS);
    struct writer writer = start_writer(path, FAST_PER_S);
    snapshot_start(watcher.snapshot);
    turn_for(&watcher, 4000);
    const struct tally tally = end_writer(&writer);
    TURN_UNTIL(&watcher, snapshot_oldest_ns(watcher.snapshot) == 0 && watcher.rows == tally.rows, 2000);
    print_message("%s, %d pages: %d copies; %d transactions, of which %d found it locked\n", mode, pages,
                  watcher.made, (int)(tally.rows + tally.busy), (int)tally.busy);
    assert_int_equal(watcher.failed, 0);
    assert_true(watcher.made >= 5);
    assert_true(tally.rows > FAST_PER_S);
    /* On a busy machine the reader, too, is stopped while it holds its lock; most still go through at once. */
    assert_true(tally.busy <= (strcmp(mode, "WAL") == 0 ? 0 : tally.rows / 2));
    /* Reading changes nothing: now there is quiet. */
    turn_for(&watcher, 300);
    const int made = watcher.made;
    turn_for(&watcher, 500);
    assert_int_equal(watcher.made, made);
    close_watcher(&watcher);
    remove_database(path);
}

static void test_wal_under_load(void **state)
{
    (void)state;
    copies_under_load("WAL", 100);
}

static void test_rollback_journal_under_load(void **state)
{
    (void)state;
    copies_under_load("DELETE", 100);
    copies_under_load("TRUNCATE", 2000);
}

static void test_the_copy_looks_like_the_database(void **state)
{
    struct watcher watcher = {0};
    char path[PATH_MAX];
    struct stat a, b;

    (void)state;
    path_of("db", path);
    make_database(path, "DELETE", 10);
    assert_int_equal(chmod(path, 0640), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 123, 456), 0);
    const struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000, .tv_nsec = 123456789}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    open_watcher(&watcher, path, NS_PER_S);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.made == 1, 1000);
    assert_int_equal(stat(path, &a), 0);
    assert_int_equal(stat(watcher.to, &b), 0);
    assert_int_equal(b.st_mode, a.st_mode);
    assert_int_equal(b.st_uid, a.st_uid);
    assert_int_equal(b.st_gid, a.st_gid);
    assert_int_equal(b.st_mtim.tv_sec, 1000000);
    assert_int_equal(b.st_mtim.tv_nsec, 123456789);
    assert_int_equal(b.st_size, a.st_size);
    close_watcher(&watcher);
    remove_database(path);
}

static void test_a_change_is_copied_at_once(void **state)
{
    static const char *const modes[] = {"WAL", "DELETE", "TRUNCATE", "PERSIST"};
    char path[PATH_MAX];

    (void)state;
    path_of("db", path);
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        struct watcher watcher = {0};
        sqlite3 *db;
        char mode[64];
        make_database(path, modes[i], 0);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        snprintf(mode, sizeof mode, "PRAGMA journal_mode = %s", modes[i]);
        run_sql(db, mode);
        open_watcher(&watcher, path, 10 * NS_PER_S);
        snapshot_start(watcher.snapshot);
        assert_true(snapshot_oldest_ns(watcher.snapshot) > 0);
        TURN_UNTIL(&watcher, watcher.made == 1, 1000);
        turn_for(&watcher, 200);
        assert_int_equal(snapshot_oldest_ns(watcher.snapshot), 0);
        for (int k = 1; k <= 3; k++) {
            const int64_t since = clock_now_ns();
            assert_true(add_row(db));
            TURN_UNTIL(&watcher, watcher.rows == k, 1000);
            print_message("%s: copied after %d ms\n", modes[i], (int)((clock_now_ns() - since) / NS_PER_MS));
            turn_for(&watcher, 100);
        }
        /* Not in the middle: the writer has not committed. */
        const int made = watcher.made;
        run_sql(db, "BEGIN IMMEDIATE; INSERT INTO log (x) VALUES (1)");
        turn_for(&watcher, 300);
        assert_int_equal(watcher.failed, 0);
        assert_true(watcher.rows == 3 && watcher.made <= made + 1);
        run_sql(db, "UPDATE sum SET rows = rows + 1; COMMIT");
        TURN_UNTIL(&watcher, watcher.rows == 4, 1000);
        /* At once, without waiting for quiet, and with what was written just now. */
        assert_true(add_row(db));
        snapshot_now(watcher.snapshot);
        assert_true(snapshot_oldest_ns(watcher.snapshot) > 0);
        TURN_UNTIL(&watcher, watcher.rows == 5, 500);
        sqlite3_close(db);
        close_watcher(&watcher);
        remove_database(path);
    }
}

static void test_missing_then_made_then_replaced(void **state)
{
    struct watcher watcher = {0};
    char path[PATH_MAX], other[PATH_MAX], below[PATH_MAX];
    sqlite3 *db;

    (void)state;
    path_of("later", below);
    path_of("later/db", path);
    path_of("other", other);
    open_watcher(&watcher, path, 100 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.failed > 0, 1000);
    assert_non_null(strstr(watcher.text, "there is no database"));
    assert_int_equal(mkdir(below, 0755), 0);
    turn_for(&watcher, 1200);
    make_database(path, "WAL", 5);
    TURN_UNTIL(&watcher, watcher.made > 0 && watcher.over == 1, 3000);
    /* Another one in its place, which the old one's writer does not know of. */
    turn_for(&watcher, 300);
    make_database(other, "DELETE", 5);
    assert_int_equal(sqlite3_open(other, &db), SQLITE_OK);
    for (int i = 0; i < 7; i++)
        assert_true(add_row(db));
    sqlite3_close(db);
    remove_database(path);
    assert_int_equal(rename(other, path), 0);
    TURN_UNTIL(&watcher, watcher.rows == 7, 3000);
    /* Its directory goes, and comes back. */
    path_of("away", other);
    assert_int_equal(rename(below, other), 0);
    const int failed = watcher.failed;
    TURN_UNTIL(&watcher, watcher.failed > failed, 2000);
    watcher.rows = 0;
    assert_int_equal(rename(other, below), 0);
    TURN_UNTIL(&watcher, watcher.rows == 7, 3000);
    close_watcher(&watcher);
    remove_database(path);
    rmdir(below);
}

static void write_garbage(const char *path, const char *at, size_t size)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, at, size), size);
    close(fd);
}

static void test_garbage_is_told(void **state)
{
    struct watcher watcher = {0};
    char path[PATH_MAX], good[PATH_MAX], bytes[8192];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    path_of("db", path);
    path_of("good", good);
    write_garbage(path, bytes, sizeof bytes);
    open_watcher(&watcher, path, 100 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.failed > 0, 1000);
    assert_non_null(strstr(watcher.text, "not a database"));
    assert_true(snapshot_oldest_ns(watcher.snapshot) > 0);
    turn_for(&watcher, 1000);
    assert_int_equal(watcher.made, 0);
    assert_int_equal(watcher.over, 0);
    assert_true(watcher.failed < 10); /* not as fast as it can */
    turn_for(&watcher, 50);
    path_of("state/copy.new", good);
    assert_int_equal(access(good, F_OK), -1);
    path_of("good", good);
    make_database(good, "WAL", 5);
    assert_int_equal(rename(good, path), 0);
    TURN_UNTIL(&watcher, watcher.made == 1 && watcher.over == 1, 3000);
    close_watcher(&watcher);
    remove_database(path);
}

static void test_one_that_is_locked_is_told(void **state)
{
    struct watcher watcher = {0};
    char path[PATH_MAX];
    sqlite3 *db;

    (void)state;
    path_of("db", path);
    make_database(path, "DELETE", 5);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    run_sql(db, "BEGIN EXCLUSIVE");
    open_watcher(&watcher, path, 100 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    turn_for(&watcher, 500);
    assert_int_equal(watcher.failed + watcher.made, 0); /* it waits */
    run_sql(db, "COMMIT");
    TURN_UNTIL(&watcher, watcher.made == 1, 500);
    run_sql(db, "BEGIN EXCLUSIVE; INSERT INTO log (x) VALUES (1)");
    const int64_t since = clock_now_ns();
    snapshot_stop(watcher.snapshot); /* and stopping does not wait */
    snapshot_start(watcher.snapshot);
    turn_for(&watcher, 100);
    snapshot_stop(watcher.snapshot);
    snapshot_start(watcher.snapshot);
    assert_true(clock_now_ns() - since < 300 * NS_PER_MS);
    run_sql(db, "UPDATE sum SET rows = rows + 1; COMMIT");
    TURN_UNTIL(&watcher, watcher.rows == 1, 1000);
    assert_int_equal(watcher.failed, 0);
    sqlite3_close(db);
    close_watcher(&watcher);
    remove_database(path);
}

/* Another process is in the middle of a transaction for a second, and says nothing of it. */
static pid_t begin_elsewhere(const char *path, int *begun)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        if (sqlite3_open(path, &db) == SQLITE_OK &&
            sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK && write(ends[1], "x", 1) == 1)
            sleep(1);
        sqlite3_close(db);
        _exit(0);
    }
    close(ends[1]);
    *begun = ends[0];
    return child;
}

/* What it has written may be all there, and not to be seen yet. */
static void test_a_transaction_under_way_is_copied_again(void **state)
{
    struct watcher watcher = {0};
    char path[PATH_MAX], byte;
    int begun;

    (void)state;
    path_of("db", path);
    make_database(path, "WAL", 5);
    const pid_t child = begin_elsewhere(path, &begun);
    assert_int_equal(read(begun, &byte, 1), 1);
    open_watcher(&watcher, path, 50 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.made == 2, 1000);
    assert_true(snapshot_oldest_ns(watcher.snapshot) > 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    TURN_UNTIL(&watcher, snapshot_oldest_ns(watcher.snapshot) == 0, 3000);
    const int made = watcher.made;
    turn_for(&watcher, 1500);
    assert_int_equal(watcher.made, made);
    close(begun);
    close_watcher(&watcher);
    remove_database(path);
}

static void test_the_next_one_waits_until_it_is_taken(void **state)
{
    struct watcher watcher = {.holds = true};
    char path[PATH_MAX];
    sqlite3 *db;

    (void)state;
    path_of("db", path);
    make_database(path, "WAL", 5);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    open_watcher(&watcher, path, 50 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.made == 1, 1000);
    assert_true(snapshot_oldest_ns(watcher.snapshot) > 0); /* what is in a copy that nobody took waits */
    assert_true(add_row(db));
    turn_for(&watcher, 300);
    assert_int_equal(watcher.made, 1);
    assert_true(snapshot_oldest_ns(watcher.snapshot) > 0); /* and it is known that it waits */
    snapshot_taken(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.rows == 1, 500);
    watcher.holds = false;
    snapshot_taken(watcher.snapshot);
    /* Stopped: nothing is seen. */
    snapshot_stop(watcher.snapshot);
    assert_true(add_row(db));
    snapshot_now(watcher.snapshot);
    turn_for(&watcher, 200);
    assert_int_equal(watcher.rows, 1);
    assert_int_equal(snapshot_oldest_ns(watcher.snapshot), 0);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.rows == 2, 500);
    sqlite3_close(db);
    close_watcher(&watcher);
    remove_database(path);
}

/* A copy is no change: neither the empty WAL that reading makes, nor is one left by others folded. */
static void test_reading_changes_nothing(void **state)
{
    char path[PATH_MAX], wal[PATH_MAX];
    struct stat before, after;

    (void)state;
    path_of("db", path);
    path_of("db-wal", wal);
    for (int hot = 0; hot < 2; hot++) {
        struct watcher watcher = {0};
        make_database(path, "WAL", 50);
        if (hot)
            leave_hot(path);
        assert_int_equal(stat(wal, &before), hot ? 0 : -1);
        open_watcher(&watcher, path, 100 * NS_PER_MS);
        snapshot_start(watcher.snapshot);
        TURN_UNTIL(&watcher, watcher.made == 1, 1000);
        assert_int_equal(watcher.rows, hot ? 20 : 0);
        turn_for(&watcher, 400);
        assert_int_equal(watcher.made, 1);
        assert_int_equal(stat(wal, &after), 0);
        assert_int_equal(after.st_size, hot ? before.st_size : 0);
        close_watcher(&watcher);
        remove_database(path);
    }
}

/* ---- dumps */

static void set_command(struct config_strings *command, char **words, size_t count)
{
    command->items = words;
    command->count = count;
}

static void test_dumps(void **state)
{
    struct watcher watcher = {0};
    char source[PATH_MAX], script[PATH_MAX + 128], got[64] = "", shell[] = "/bin/sh", c[] = "-c";
    char *words[] = {shell, c, script, NULL};
    struct stat before, after;

    (void)state;
    path_of("source", source);
    snprintf(script, sizeof script, "cat %s; read x", source); /* its input is empty, its end not awaited */
    set_command(&watcher.set.dump, words, 3);
    open_watcher(&watcher, NULL, 200 * NS_PER_MS);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.failed > 0, 1000);
    assert_non_null(strstr(watcher.text, "/bin/sh failed with exit status 1"));
    assert_int_equal(stat(watcher.to, &after), -1);
    snprintf(script, sizeof script, "cat %s", source);
    write_garbage(source, "one", 3);
    TURN_UNTIL(&watcher, watcher.made == 1 && watcher.over == 1, 2000);
    assert_int_equal(stat(watcher.to, &before), 0);
    turn_for(&watcher, 1000); /* the same again is no new one */
    assert_int_equal(watcher.made, 1);
    assert_int_equal(stat(watcher.to, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    TURN_UNTIL(&watcher, snapshot_oldest_ns(watcher.snapshot) == 0, 1000); /* none is being made just now */
    write_garbage(source, "two", 3);
    TURN_UNTIL(&watcher, watcher.made == 2, 1000);
    const int fd = open(watcher.to, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof got), 3);
    close(fd);
    assert_string_equal(got, "two");
    assert_int_equal(after.st_mode & 07777, 0600);
    /* At once; and what is under way when it stops is ended. */
    watcher.set.max_delay = 100 * NS_PER_S;
    turn_for(&watcher, 500);
    write_garbage(source, "three", 5);
    snapshot_now(watcher.snapshot);
    assert_true(snapshot_oldest_ns(watcher.snapshot) > 0);
    TURN_UNTIL(&watcher, watcher.made == 3, 500);
    snprintf(script, sizeof script, "echo four; sleep 100 & sleep 100");
    snapshot_now(watcher.snapshot);
    turn_for(&watcher, 100);
    const int64_t since = clock_now_ns();
    snapshot_stop(watcher.snapshot);
    assert_true(clock_now_ns() - since < 100 * NS_PER_MS);
    /* What it leaves running is ended too. */
    snprintf(script, sizeof script, "echo five; (sleep 0.3; echo too late > %s) &", source);
    snapshot_start(watcher.snapshot);
    TURN_UNTIL(&watcher, watcher.made == 4, 1000);
    turn_for(&watcher, 600);
    assert_int_equal(stat(source, &after), 0);
    assert_int_equal(after.st_size, 5);
    assert_int_equal(watcher.failed, 1);
    close_watcher(&watcher);
    unlink(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wal_under_load),
        cmocka_unit_test(test_rollback_journal_under_load),
        cmocka_unit_test(test_the_copy_looks_like_the_database),
        cmocka_unit_test(test_a_change_is_copied_at_once),
        cmocka_unit_test(test_missing_then_made_then_replaced),
        cmocka_unit_test(test_garbage_is_told),
        cmocka_unit_test(test_one_that_is_locked_is_told),
        cmocka_unit_test(test_a_transaction_under_way_is_copied_again),
        cmocka_unit_test(test_the_next_one_waits_until_it_is_taken),
        cmocka_unit_test(test_reading_changes_nothing),
        cmocka_unit_test(test_dumps),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
