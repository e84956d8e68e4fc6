#include "arbiterd/history.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static const int64_t leads_for_ns = 5 * NS_PER_S, follows_for_ns = 3 * NS_PER_S;

static struct change_message *change_at(struct history *h, size_t number)
{
    return &h->changes[number % HISTORY_CHANGES];
}

/* Shorter again; whole, or as it was. */
static void rewrite(const struct history *h)
{
    const size_t first = h->change_count > HISTORY_CHANGES ? h->change_count - HISTORY_CHANGES : 0;
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.new", h->path) >= PATH_MAX)
        return;
    FILE *file = fopen(temporary, "we");
    if (!file)
        return;
    for (size_t i = first; i < h->change_count; i++) {
        AUTO_FREE char *json = message_pack(&change_type, NULL, &h->changes[i % HISTORY_CHANGES]);
        if (json)
            fprintf(file, "%s\n", json);
    }
    if (fclose(file) == 0)
        rename(temporary, h->path);
}

void history_load(struct history *h, const char *path)
{
    static char line[1 << 16];
    char error[CODEC_ERROR_MAX];
    FILE *file;

    *h = (struct history){.path = path};
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (message_parse(&change_type, line, strlen(line), NULL, change_at(h, h->change_count), error) == 0)
            h->change_count++;
    fclose(file);
    if (h->change_count > HISTORY_CHANGES)
        rewrite(h);
}

static void append_to_file(const struct history *h, const struct change_message *change)
{
    AUTO_FREE char *json = message_pack(&change_type, NULL, change);
    FILE *file = json ? fopen(h->path, "ae") : NULL;

    if (!file) {
        log_warning("cannot keep the record of a change in %s: %s", h->path, strerror(errno));
        return;
    }
    fprintf(file, "%s\n", json);
    fclose(file);
}

static void close_record(struct history *h)
{
    if (h->open)
        append_to_file(h, change_at(h, h->change_count - 1));
    h->open = false;
}

static void add_step(struct change_message *change, const struct step *step)
{
    if (change->steps_count < ARRAY_LENGTH(change->steps))
        change->steps[change->steps_count++] = *step;
}

void history_note(struct history *h, int64_t at_ns, const char *cause, const char *format, ...)
{
    struct step *step = &h->ring[h->ring_count++ % HISTORY_RING];
    va_list args;

    *step = (struct step){.at_ns = at_ns};
    text_copy(step->cause, sizeof step->cause, cause ? cause : "");
    va_start(args, format);
    vsnprintf(step->text, sizeof step->text, format, args);
    va_end(args);
    if (!h->open || change_at(h, h->change_count - 1)->steps_count == ARRAY_LENGTH(h->changes[0].steps))
        return; /* a record that is full: it is told as what came since */
    add_step(change_at(h, h->change_count - 1), step);
    h->recorded = h->ring_count;
}

/* What led to it gets at most two thirds of the room: what follows must fit, too. */
static void copy_lead(const struct history *h, struct change_message *change)
{
    const size_t most = ARRAY_LENGTH(change->steps) * 2 / 3;
    const size_t have = MIN(h->ring_count, (size_t)HISTORY_RING);
    size_t first = h->ring_count - MIN(have, most);

    for (; first < h->ring_count; first++) {
        const struct step *step = &h->ring[first % HISTORY_RING];
        if (change->at_ns - step->at_ns <= leads_for_ns)
            add_step(change, step);
    }
}

void history_change(struct history *h, const struct change_message *change)
{
    close_record(h);
    struct change_message *kept = change_at(h, h->change_count++);
    *kept = *change;
    kept->ok = true;
    kept->steps_count = 0;
    copy_lead(h, kept);
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

const struct change_message *history_get(const struct history *h, int64_t nth)
{
    if (nth < 0 || nth >= (int64_t)h->change_count || nth >= HISTORY_CHANGES)
        return NULL;
    return &h->changes[(h->change_count - 1 - (size_t)nth) % HISTORY_CHANGES];
}
