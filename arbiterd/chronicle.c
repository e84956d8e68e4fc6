#include "arbiterd/chronicle.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

/* The index of the oldest one that is still known. */
static size_t oldest(const struct chronicle *c)
{
    return c->count > HISTORY_CHANGES ? c->count - HISTORY_CHANGES : 0;
}

/* Shorter again; whole, or as it was. */
static void rewrite(const struct chronicle *c)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.new", c->path) >= PATH_MAX)
        return;
    FILE *file = fopen(temporary, "we");
    if (!file)
        return;
    for (size_t i = oldest(c); i < c->count; i++) {
        AUTO_FREE char *json = message_pack(&change_type, NULL, &c->changes[i % HISTORY_CHANGES]);
        if (json)
            fprintf(file, "%s\n", json);
    }
    const bool whole = !ferror(file) && fflush(file) == 0 && fdatasync(fileno(file)) == 0;
    if (fclose(file) == 0 && whole)
        rename(temporary, c->path);
    else
        unlink(temporary);
}

void chronicle_load(struct chronicle *c, const char *path, struct scribe *scribe)
{
    static char line[1 << 16];
    static struct change_message change; /* one that does not parse leaves what is there */
    char error[CODEC_ERROR_MAX];
    size_t lines = 0;
    FILE *file;

    c->path = path;
    c->scribe = scribe;
    c->count = 0; /* the ring is not touched: most of a megabyte, which would stay in locked memory */
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (message_parse(&change_type, line, strlen(line), NULL, &change, error) == 0) {
            chronicle_add(c, &change);
            lines++;
        }
    fclose(file);
    if (lines > HISTORY_CHANGES)
        rewrite(c);
}

/* An arbiter was restarted, and the role stayed as it was. */
static bool kept_role(const struct change_message *change)
{
    return change && strcmp(change->rule, "R1-resume") == 0;
}

static bool repeats(const struct chronicle *c, const struct change_message *change)
{
    const struct change_message *last = chronicle_get(c, 0), *before = chronicle_get(c, 1);

    return kept_role(change) && kept_role(last) && kept_role(before) && change->epoch == last->epoch &&
           change->epoch == before->epoch;
}

struct change_message *chronicle_add(struct chronicle *c, const struct change_message *change)
{
    const bool again = repeats(c, change);
    const int64_t count = again ? chronicle_get(c, 0)->repeats + 1 : 0;

    if (!again)
        c->count++;
    struct change_message *kept = &c->changes[(c->count - 1) % HISTORY_CHANGES];
    *kept = *change;
    kept->repeats = MAX(kept->repeats, count);
    return kept;
}

void chronicle_write(const struct chronicle *c)
{
    const struct change_message *change = chronicle_get(c, 0);
    char *json = change ? message_pack(&change_type, NULL, change) : NULL;

    if (json)
        scribe_add(c->scribe, c->path, json);
    else
        log_warning("the record of a change cannot be kept in %s: it is no JSON", c->path);
}

const struct change_message *chronicle_get(const struct chronicle *c, int64_t nth)
{
    if (nth < 0 || nth >= (int64_t)c->count || nth >= HISTORY_CHANGES)
        return NULL;
    return &c->changes[(c->count - 1 - (size_t)nth) % HISTORY_CHANGES];
}

int64_t chronicle_newest(const struct chronicle *c, size_t skipped)
{
    const struct change_message *change = chronicle_get(c, (int64_t)skipped);

    return change ? change->number : 0;
}

const struct change_message *chronicle_after(const struct chronicle *c, int64_t number, size_t skipped)
{
    for (size_t i = oldest(c); i + skipped < c->count; i++)
        if (c->changes[i % HISTORY_CHANGES].number > number)
            return &c->changes[i % HISTORY_CHANGES];
    return NULL;
}

/* ----------------------------------------------------------------------- match */

/* A handover's claim is heard, and told, before the other node gives up; a clock may be off by more. */
static const int64_t before_ns = 60 * NS_PER_S;

static bool takes(const struct change_message *change)
{
    return change->to == PHASE_CLAIMING || change->to == PHASE_ACTIVE;
}

/* From the first to the second: by the clock that nobody sets, if both were recorded in one boot. */
static int64_t between(const struct change_message *first, const struct change_message *second)
{
    int64_t a, b;

    if (first->boot[0] && strcmp(first->boot, second->boot) == 0)
        return second->at_ns - first->at_ns;
    if (utc_parse(first->at, &a) < 0 || utc_parse(second->at, &b) < 0)
        return INT64_MAX;
    return b - a;
}

static int64_t distance(const struct change_message *a, const struct change_message *b)
{
    const int64_t span = between(a, b);

    return span < 0 ? -span : span;
}

/* This node's next change in that direction (-1: later), but what a restart of its arbiter kept as it was. */
static const struct change_message *neighbour(const struct chronicle *own, int64_t nth, int64_t direction)
{
    const struct change_message *change;

    do
        change = chronicle_get(own, nth += direction);
    while (kept_role(change));
    return change;
}

/* Whether it can belong to `change`, which has these neighbours. */
static bool may_belong(const struct change_message *theirs, const struct change_message *change,
                       const struct change_message *before, const struct change_message *after)
{
    if (takes(theirs) == takes(change) || distance(change, theirs) == INT64_MAX)
        return false;
    if (change->other[0] && strcmp(change->other, theirs->node) != 0)
        return false; /* the other node had another name then, or was another one */
    if (takes(change) && between(theirs, change) > before_ns)
        return false; /* it gave up long before: that was another story */
    /* Two like changes in a row (a power cut was in between): it belongs to the nearer one. */
    if (before && takes(before) == takes(change) && between(theirs, change) > 0 &&
        distance(before, theirs) < distance(change, theirs))
        return false;
    return (!before || between(before, theirs) > 0) && (!after || between(theirs, after) > 0);
}

const struct change_message *chronicle_match(const struct chronicle *own, int64_t nth,
                                             const struct chronicle *peers)
{
    const struct change_message *change = chronicle_get(own, nth), *best = NULL;

    for (int64_t i = 0; change && chronicle_get(peers, i); i++) {
        const struct change_message *theirs = chronicle_get(peers, i);
        if (may_belong(theirs, change, neighbour(own, nth, 1), neighbour(own, nth, -1)) &&
            (!best || distance(change, theirs) < distance(change, best)))
            best = theirs;
    }
    return best;
}
