/* chronicle: records of changes of role, the last hundred, kept in a file, one JSON line each, so that they
 * outlive the process and the machine. A node has two: its own, and what its peer has told of its own
 * (exchange.h). */
#pragma once
#include "common/base.h"
#include "common/scribe.h"
#include "proto/topics.h"

enum { HISTORY_CHANGES = 100 };

struct chronicle {
    const char *path;
    struct scribe *scribe;                          /* who writes */
    struct change_message changes[HISTORY_CHANGES]; /* a ring */
    size_t count;                                   /* ever, the loaded ones included */
};

/* Reads the file, if there is one; lines that do not parse are skipped. `path` and `scribe` are kept by
 * reference. */
void chronicle_load(struct chronicle *chronicle, const char *path, struct scribe *scribe);

/* Adds a record, which is the last one from now on; in memory only. Of more than two restarts in a row that
 * changed nothing, the first and the last stay (which counts those between): an arbiterd that ends again and
 * again pushes out nothing that matters. Returns where it is. */
struct change_message *chronicle_add(struct chronicle *chronicle, const struct change_message *change);

/* Has the last one written down, soon: the disk must not hold up a lease. */
void chronicle_write(const struct chronicle *chronicle);

/* The nth last one (0 = the last), or NULL. */
const struct change_message *chronicle_get(const struct chronicle *chronicle, int64_t nth);

/* The number of the last one but the `skipped` latest; 0 = there is none. */
int64_t chronicle_newest(const struct chronicle *chronicle, size_t skipped);

/* The oldest one, but the `skipped` latest, whose number is higher than `number`; NULL: there is none. */
const struct change_message *chronicle_after(const struct chronicle *chronicle, int64_t number,
                                             size_t skipped);

/* The peer's record that belongs to this node's nth last change: the opposite one (who took the role, took it
 * from who gave it up), told under the name that the peer had then, between this node's changes before and
 * after, the nearest in time. NULL: there is none. */
const struct change_message *chronicle_match(const struct chronicle *own, int64_t nth,
                                             const struct chronicle *peers);
