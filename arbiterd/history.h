/* history: what `duet why` shows. A ring of the last things that were seen; at a change of role, those that
 * led to it are copied into a record, and what follows from the change within a few seconds is added. The
 * last records are kept in a file, one JSON line each, so that they outlive the process and the machine. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

enum { HISTORY_CHANGES = 100, HISTORY_RING = 64 };

struct history {
    const char *path;
    struct step ring[HISTORY_RING];
    size_t ring_count; /* ever */
    size_t recorded;   /* of these, up to where the last record goes */
    struct change_message changes[HISTORY_CHANGES];
    size_t change_count; /* ever, the loaded ones included */
    bool open;           /* the last change still takes what follows */
    int64_t open_until_ns;
};

/* Reads the file, if there is one; lines that do not parse are skipped. `path` is kept by reference. */
void history_load(struct history *history, const char *path);

/* Something was seen or done. `cause` may be NULL. */
PRINTF_LIKE(4, 5)
void history_note(struct history *history, int64_t at_ns, const char *cause, const char *format, ...);

/* The role changed: opens a record, led by what was noted in the last five seconds. */
void history_change(struct history *history, const struct change_message *change);

/* Closes, and writes down, the record that has been open long enough. */
void history_tick(struct history *history, int64_t now_ns);

/* Closes, and writes down, the record that may be open, before the process or the machine ends. */
void history_finish(struct history *history);

/* Fills `recent` with the latest of what was noted since the last record was closed: what has led to no
 * change of role so far. */
void history_recent(const struct history *history, struct recent_message *recent);

/* The nth last change (0 = the last), or NULL. */
const struct change_message *history_get(const struct history *history, int64_t nth);
