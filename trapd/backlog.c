#include "trapd/backlog.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

/* Another build may lay an event out in another way. */
enum { LAYOUT = 1000000 * 1 + (int)sizeof(struct event) };

enum statement { PUT, REMOVE, LOAD, SET_NUMBER, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [PUT] = "INSERT OR REPLACE INTO waiting (sink, number, event) VALUES (?1, ?2, ?3)",
    [REMOVE] = "DELETE FROM waiting WHERE sink = ?1 AND number = ?2",
    [LOAD] = "SELECT event FROM waiting WHERE sink = ?1 ORDER BY place",
    [SET_NUMBER] = "UPDATE last SET number = ?1",
};

struct backlog {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    uint32_t number;
};

static int prepare(struct backlog *backlog)
{
    char text[512];
    sqlite3_stmt *ask = NULL;

    snprintf(text, sizeof text,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA user_version;"
             "CREATE TABLE IF NOT EXISTS waiting (place INTEGER PRIMARY KEY, sink TEXT NOT NULL, number "
             "INTEGER NOT NULL,"
             " event BLOB NOT NULL, UNIQUE (sink, number));"
             "CREATE TABLE IF NOT EXISTS last (number INTEGER NOT NULL);"
             "INSERT INTO last SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM last);"
             "DELETE FROM waiting WHERE length(event) != %zu",
             sizeof(struct event));
    int code = sqlite3_exec(backlog->db, text, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(backlog->db, "SELECT number FROM last", -1, &ask, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(ask)) == SQLITE_ROW) {
        backlog->number = (uint32_t)sqlite3_column_int64(ask, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(ask);
    for (size_t i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(backlog->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &backlog->statements[i],
                                  NULL);
    return code;
}

static int open_once(const char *path, struct backlog *backlog, char error[static BACKLOG_ERROR_MAX])
{
    int code = sqlite3_open_v2(path, &backlog->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK)
        code = prepare(backlog);
    if (code == SQLITE_OK)
        return 0;
    snprintf(error, BACKLOG_ERROR_MAX, "%.120s: %s", path, sqlite3_errstr(code));
    return (code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_ERROR
               ? -EUCLEAN
               : -EIO;
}

static void shut(struct backlog *backlog)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(backlog->statements[i]);
    sqlite3_close(backlog->db);
    *backlog = (struct backlog){0};
}

static void move_aside(const char *path)
{
    char other[4096 + 16];

    snprintf(other, sizeof other, "%.4000s.damaged", path);
    rename(path, other);
    snprintf(other, sizeof other, "%.4000s-wal", path);
    remove(other);
    snprintf(other, sizeof other, "%.4000s-shm", path);
    remove(other);
}

int backlog_open(const char *path, struct backlog **backlog, char error[static BACKLOG_ERROR_MAX])
{
    struct backlog *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    int r = open_once(path, made, error);
    const bool damaged = r == -EUCLEAN;
    if (damaged) {
        shut(made);
        move_aside(path);
        char again[BACKLOG_ERROR_MAX];
        r = open_once(path, made, again);
    }
    if (r < 0) {
        shut(made);
        free(made);
        return -EIO;
    }
    *backlog = made;
    return damaged;
}

void backlog_close(struct backlog *backlog)
{
    if (!backlog)
        return;
    shut(backlog);
    free(backlog);
}

uint32_t backlog_number(const struct backlog *backlog)
{
    return backlog->number;
}

static int run(struct backlog *backlog, enum statement statement)
{
    sqlite3_stmt *s = backlog->statements[statement];
    const int code = sqlite3_step(s);

    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return code == SQLITE_DONE ? 0 : -EIO;
}

int backlog_set_number(struct backlog *backlog, uint32_t number)
{
    backlog->number = number;
    sqlite3_bind_int64(backlog->statements[SET_NUMBER], 1, number);
    return run(backlog, SET_NUMBER);
}

int backlog_put(struct backlog *backlog, const char *sink, const struct event *event)
{
    sqlite3_stmt *s = backlog->statements[PUT];

    sqlite3_bind_text(s, 1, sink, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, event->number);
    sqlite3_bind_blob(s, 3, event, sizeof *event, SQLITE_STATIC);
    return run(backlog, PUT);
}

int backlog_remove(struct backlog *backlog, const char *sink, uint32_t number)
{
    sqlite3_stmt *s = backlog->statements[REMOVE];

    sqlite3_bind_text(s, 1, sink, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, number);
    return run(backlog, REMOVE);
}

int backlog_load(struct backlog *backlog, const char *sink, backlog_found *found, void *userdata)
{
    sqlite3_stmt *s = backlog->statements[LOAD];
    struct event event;
    int code;

    sqlite3_bind_text(s, 1, sink, -1, SQLITE_STATIC);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        memcpy(&event, sqlite3_column_blob(s, 0), sizeof event);
        if (event.kind < MIB_NOTIFICATIONS && event.value_count <= EVENT_VALUES_MAX)
            found(userdata, &event);
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE ? 0 : -EIO;
}

int backlog_keep(struct backlog *backlog, const char *const *sinks, size_t count)
{
    sqlite3_stmt *all = NULL, *drop = NULL;
    int code = sqlite3_prepare_v2(backlog->db, "SELECT DISTINCT sink FROM waiting", -1, &all, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(backlog->db, "DELETE FROM waiting WHERE sink = ?1", -1, &drop, NULL);
    while (code == SQLITE_OK && sqlite3_step(all) == SQLITE_ROW) {
        const char *sink = (const char *)sqlite3_column_text(all, 0);
        bool kept = false;
        for (size_t i = 0; i < count; i++)
            kept = kept || strcmp(sinks[i], sink) == 0;
        if (kept)
            continue;
        sqlite3_bind_text(drop, 1, sink, -1, SQLITE_STATIC);
        code = sqlite3_step(drop) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
        sqlite3_reset(drop);
    }
    sqlite3_finalize(all);
    sqlite3_finalize(drop);
    return code == SQLITE_OK ? 0 : -EIO;
}
