#include "monitord/readers.h"

#include <string.h>

static bool is_idle(const struct reader *reader, int64_t now_ns)
{
    return now_ns >= reader->barred_until_ns && now_ns - reader->window_ns >= READER_WINDOW_NS;
}

static struct reader *find(const struct readers *readers, const char *name)
{
    for (size_t i = 0; i < readers->count; i++)
        if (strcmp(readers->list[i].name, name) == 0)
            return (struct reader *)&readers->list[i];
    return NULL;
}

/* A place for a new one: free, or that of one that has been quiet; else the last, which is then forgotten. */
static struct reader *place(struct readers *readers, int64_t now_ns)
{
    if (readers->count < READERS_MAX)
        return &readers->list[readers->count++];
    for (size_t i = 0; i < readers->count; i++)
        if (is_idle(&readers->list[i], now_ns))
            return &readers->list[i];
    return &readers->list[READERS_MAX - 1];
}

static void bar(struct reader *reader, int64_t now_ns)
{
    reader->barred_until_ns = now_ns + READER_BAR_NS;
    reader->frames = 0;
}

bool readers_count(struct readers *readers, const char *name, int64_t now_ns)
{
    struct reader *reader = find(readers, name);

    if (!reader) {
        reader = place(readers, now_ns);
        *reader = (struct reader){.window_ns = now_ns};
        text_copy(reader->name, sizeof reader->name, name);
    }
    if (now_ns < reader->barred_until_ns)
        return false; /* sent before it was shut out */
    if (now_ns - reader->window_ns >= READER_WINDOW_NS) {
        reader->window_ns = now_ns;
        reader->frames = 0;
    }
    if (++reader->frames <= READER_FRAMES_MAX)
        return false;
    bar(reader, now_ns);
    return true;
}

const char *readers_bar_worst(struct readers *readers, int64_t now_ns)
{
    struct reader *worst = NULL;

    for (size_t i = 0; i < readers->count; i++) {
        struct reader *reader = &readers->list[i];
        if (reader->frames > 0 && (!worst || reader->frames > worst->frames))
            worst = reader;
    }
    if (!worst)
        return NULL;
    bar(worst, now_ns);
    return worst->name;
}

bool readers_barred(const struct readers *readers, const char *name, int64_t now_ns)
{
    const struct reader *reader = find(readers, name);

    return reader && now_ns < reader->barred_until_ns;
}
