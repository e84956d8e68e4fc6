/* history: what `duet why` shows. A ring of the last things that were seen; at a change of role, those that
 * led to it are copied into a record, and what follows from the change within a few seconds is added. The
 * records are kept in this node's chronicle. */
#pragma once
#include "arbiterd/chronicle.h"

enum { HISTORY_RING = 64 };

struct history {
    struct chronicle own;
    struct step ring[HISTORY_RING];
    size_t ring_count; /* ever */
    size_t recorded;   /* of these, up to where the last record goes */
    bool open;         /* the last record still takes what follows */
    int64_t open_until_ns;
};

/* As chronicle_load(). */
void history_load(struct history *history, const char *path, struct scribe *scribe);

/* Something was seen or done. `cause` may be NULL. */
PRINTF_LIKE(4, 5)
void history_note(struct history *history, int64_t at_ns, const char *cause, const char *format, ...);

/* A rule was considered and did not decide: `text` says why not. */
void history_consider(struct history *history, int64_t at_ns, const char *rule, const char *text);

/* The role changed: opens a record, led by what was noted in the five seconds before `began_ns`, when the row
 * applied that began the change, and since. Its number is the given one, or higher: they grow. */
void history_change(struct history *history, const struct change_message *change, int64_t began_ns);

/* Closes, and writes down, the record that has been open long enough. */
void history_tick(struct history *history, int64_t now_ns);

/* Closes, and writes down, the record that may be open, before the process or the machine ends. */
void history_finish(struct history *history);

/* Fills `recent` with the latest of what was noted since the last record was closed: what has led to no
 * change of role so far. */
void history_recent(const struct history *history, struct recent_message *recent);
