/* snapshot: a consistent copy of a database that is being written to, as one file that a source can read.
 *
 * `sqlite = PATH`: as seen by one read transaction, in WAL mode by SQLite's backup API (which keeps no writer
 * waiting), in rollback mode as the bytes of the file (sqlite.h); the copy is checked (size, header) and put
 * in the place of the last one by rename. The database's owner, mode and mtime are given to it. Seen by
 * inotify on the database and its -wal and -journal; taken after a quiet moment, at the latest `max-delay`
 * after the first change.
 *
 * `dump` (any other): a command whose standard output is the copy, which only its owner can read. Nothing
 * tells of changes, so it runs every `max-delay`; one that is the same as the last one is no new copy.
 *
 * Never so often that more than a fifth of the time goes into it. Runs in a thread (SQLite) or a process
 * (dump): never holds the loop up. After a failure it is tried again, after 200 ms and up to 10 s. */
#pragma once
#include "common/config.h"
#include "common/loop.h"

struct snapshot;

struct snapshot_events {
    /* A new copy lies at the path given to snapshot_new(); the next one waits for snapshot_taken(). */
    void (*made)(void *userdata);
    void (*failed)(void *userdata, const char *text); /* tried again; text NULL: that is over */
    /* After snapshot_settle(); `text`: what a person should know of, or NULL. */
    void (*settled)(void *userdata, const char *text);
};

/* `to`: path of the copy; its directory must be there, and on this node alone (`to`.new is used as well).
 * `set` is kept by reference. 0 or a negative errno. */
int snapshot_new(struct loop *loop, const struct config_sync *set, const char *to,
                 const struct snapshot_events *events, void *userdata, struct snapshot **snapshot);
void snapshot_free(struct snapshot *snapshot);  /* not from an event of its own */
void snapshot_start(struct snapshot *snapshot); /* active: watch, and make one now */
void snapshot_stop(struct snapshot *snapshot);
void snapshot_taken(struct snapshot *snapshot); /* the copy was read */
void snapshot_now(struct snapshot *snapshot);   /* at once, whatever the pace (drain) */
/* Since when a change waits that is in no copy, or in one that was not taken; 0 = none. Of a dump: since when
 * one is under way, asked for by snapshot_now(), or failing. */
int64_t snapshot_oldest_ns(const struct snapshot *snapshot);

/* This node gave the role up (snapshot_stop() was called): its database is brought to the last copy, if it is
 * that database still, in a thread (sqlite_settle() says how and what is waited for); then `settled`. Of a
 * dump, at the next turn. snapshot_start() ends it. */
void snapshot_settle(struct snapshot *snapshot);
