#include "arbiterd/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t leads_for_ns = 5 * NS_PER_S, follows_for_ns = 3 * NS_PER_S;

void history_load(struct history *h, const char *path, struct scribe *scribe)
{
    h->ring_count = h->recorded = 0;
    h->open = false;
    chronicle_load(&h->own, path, scribe);
}

/* The record that still takes what follows. */
static struct change_message *open_record(struct history *h)
{
    return &h->own.changes[(h->own.count - 1) % HISTORY_CHANGES];
}

static void close_record(struct history *h)
{
    if (h->open)
        chronicle_write(&h->own);
    h->open = false;
}

static void add_step(struct change_message *change, const struct step *step)
{
    if (change->steps_count < ARRAY_LENGTH(change->steps))
        change->steps[change->steps_count++] = *step;
}

static void note(struct history *h, const struct step *step)
{
    h->ring[h->ring_count++ % HISTORY_RING] = *step;
    if (!h->open || open_record(h)->steps_count == ARRAY_LENGTH(h->own.changes[0].steps))
        return; /* a record that is full: it is told as what came since */
    add_step(open_record(h), step);
    h->recorded = h->ring_count;
}

void history_note(struct history *h, int64_t at_ns, const char *cause, const char *format, ...)
{
    struct step step = {.at_ns = at_ns};
    va_list args;

    text_copy(step.cause, sizeof step.cause, cause ? cause : "");
    va_start(args, format);
    vsnprintf(step.text, sizeof step.text, format, args);
    va_end(args);
    text_make_printable(step.text);
    note(h, &step);
}

void history_consider(struct history *h, int64_t at_ns, const char *rule, const char *text)
{
    struct step step = {.at_ns = at_ns};

    text_copy(step.considered, sizeof step.considered, rule);
    text_copy(step.text, sizeof step.text, text);
    text_make_printable(step.text);
    note(h, &step);
}

/* What led to it gets at most two thirds of the room: what follows must fit, too. */
static void copy_lead(const struct history *h, struct change_message *change, int64_t began_ns)
{
    const size_t most = ARRAY_LENGTH(change->steps) * 2 / 3;
    const size_t have = MIN(h->ring_count, (size_t)HISTORY_RING);
    size_t first = h->ring_count - MIN(have, most);

    for (; first < h->ring_count; first++) {
        const struct step *step = &h->ring[first % HISTORY_RING];
        if (began_ns - step->at_ns <= leads_for_ns)
            add_step(change, step);
    }
}

void history_change(struct history *h, const struct change_message *change, int64_t began_ns)
{
    const int64_t last_number = chronicle_newest(&h->own, 0);

    close_record(h);
    struct change_message *kept = chronicle_add(&h->own, change);
    kept->ok = true;
    kept->number = MAX(change->number, last_number + 1);
    kept->steps_count = 0;
    copy_lead(h, kept, began_ns);
    h->recorded = h->ring_count;
    h->open = true;
    h->open_until_ns = change->at_ns + follows_for_ns;
}

void history_tick(struct history *h, int64_t now_ns)
{
    if (h->open && now_ns >= h->open_until_ns)
        close_record(h);
}

void history_finish(struct history *h)
{
    close_record(h);
}

void history_recent(const struct history *h, struct recent_message *recent)
{
    const size_t have = MIN(h->ring_count - h->recorded, (size_t)HISTORY_RING);
    size_t first = h->ring_count - MIN(have, ARRAY_LENGTH(recent->steps));

    *recent = (struct recent_message){.ok = true};
    for (; first < h->ring_count; first++)
        recent->steps[recent->steps_count++] = h->ring[first % HISTORY_RING];
}
