/* dirty: which paths of a set have changed since they were last looked at, and when each is due.
 *
 * Bursts coalesce: a path that was closed, renamed or deleted is due at once; one that is being written, when
 * it was quiet for a while, and in any case `max_delay` after its first change. One that could not be read
 * is due again at a time of its own, whatever hurry there is, unless something happens to it.
 *
 * Pure but for its memory: the time comes from the caller. */
#pragma once
#include "proto/sync.h"

enum dirty_flag {
    DIRTY_NAME = 1,    /* its name came or went: its directory's mtime has changed, too */
    DIRTY_CONTENT = 2, /* its content may have changed: where its ctime differs, it is read */
    DIRTY_READ = 4,    /* it is read even if nothing about it differs: mapped memory leaves no trace */
    DIRTY_DEEP = 8,    /* all below it is to be looked at */
    DIRTY_FORCE = 16,  /* the peer does not hold what the tree says */
};

enum dirty_when {
    DIRTY_NOW,   /* its writer has done with it */
    DIRTY_SOFT,  /* now, unless it is being written */
    DIRTY_QUIET, /* it is being written */
};

struct dirty_entry {
    struct dirty_entry *next, *before, *after; /* in its table; in the order of first_ns */
    int64_t first_ns, due_ns;
    uint64_t files, bytes; /* below it, if that is known; its own size */
    size_t heap_at;
    uint16_t flags;
    uint8_t tries;
    bool writing, held;
    uint32_t size;
    uint8_t path[];
};

struct dirty;

int dirty_new(int64_t quiet_ns, int64_t max_delay_ns, struct dirty **dirty); /* 0 or -ENOMEM */
void dirty_free(struct dirty *dirty);

/* 0 or -ENOMEM. */
int dirty_mark(struct dirty *dirty, struct sync_bytes path, unsigned flags, enum dirty_when when,
               int64_t now_ns);
/* What could not be read, `tries` times so far; has waited since `first_ns`; due at `at_ns`. */
int dirty_retry(struct dirty *dirty, struct sync_bytes path, unsigned flags, unsigned tries, int64_t first_ns,
                int64_t at_ns);
struct dirty_entry *dirty_find(const struct dirty *dirty, struct sync_bytes path); /* or NULL */
/* Adds to what is known to be below an entry. */
void dirty_weigh(struct dirty *dirty, struct dirty_entry *entry, uint64_t files, uint64_t bytes);
/* All at or below `from` is now at or below `to`; what the peer has there is looked at in both places. 0 or
 * -ENOMEM. */
int dirty_rename(struct dirty *dirty, struct sync_bytes from, struct sync_bytes to);
/* The peer renames `from` to `to`: what it has there that the tree does not say comes along. 0 or -ENOMEM. */
int dirty_force_moved(struct dirty *dirty, struct sync_bytes from, struct sync_bytes to, int64_t now_ns);

size_t dirty_count(const struct dirty *dirty);
bool dirty_is_forced(const struct dirty *dirty); /* one of them has DIRTY_FORCE */
uint64_t dirty_files(const struct dirty *dirty);
uint64_t dirty_bytes(const struct dirty *dirty);
int64_t dirty_oldest_ns(const struct dirty *dirty); /* 0: there is none */
/* When the next one is due; 0: there is none. `urgent`: all are due, but for those that are held. */
int64_t dirty_due_ns(const struct dirty *dirty, bool urgent);

/* Takes what is due, in the order of paths; the caller frees the entries and the array. Their number, or
 * -ENOMEM (nothing is taken). */
long dirty_take(struct dirty *dirty, int64_t now_ns, bool urgent, struct dirty_entry ***taken);

static inline struct sync_bytes dirty_path(const struct dirty_entry *entry)
{
    return (struct sync_bytes){.at = entry->path, .size = entry->size};
}
