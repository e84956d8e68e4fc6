#include "syncd/lineage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/statefile.h"

bool lineage_has(const struct lineage *lineage, uint64_t epoch)
{
    for (size_t i = 0; i < lineage->count; i++)
        if (lineage->epochs[i] == epoch)
            return true;
    return false;
}

/* In order; the oldest one falls off the end. */
bool lineage_add(struct lineage *lineage, uint64_t epoch)
{
    size_t at = 0;

    if (epoch == 0 || lineage_has(lineage, epoch))
        return false;
    while (at < lineage->count && lineage->epochs[at] > epoch)
        at++;
    if (at == LINEAGE_MAX)
        return false;
    const size_t after = MIN(lineage->count, (size_t)LINEAGE_MAX - 1) - at;
    memmove(&lineage->epochs[at + 1], &lineage->epochs[at], after * sizeof lineage->epochs[0]);
    lineage->epochs[at] = epoch;
    lineage->count = MIN(lineage->count + 1, (size_t)LINEAGE_MAX);
    return true;
}

void lineage_print(const struct lineage *lineage, char *text, size_t room)
{
    size_t used = (size_t)snprintf(text, room, "epochs");

    for (size_t i = 0; i < lineage->count && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, " %" PRIu64, lineage->epochs[i]);
    if (used < room)
        snprintf(text + used, room - used, "\n");
}

int lineage_parse(struct lineage *lineage, const char *text)
{
    struct lineage read = {0};

    if (strncmp(text, "epochs", 6) != 0)
        return -EBADMSG;
    for (text += 6; *text == ' ';) {
        char *end;
        errno = 0;
        const uint64_t epoch = strtoull(text + 1, &end, 10);
        if (errno != 0 || text[1] < '1' || text[1] > '9' || !lineage_add(&read, epoch))
            return -EBADMSG;
        text = end;
    }
    if (strcmp(text, "\n") != 0)
        return -EBADMSG;
    *lineage = read;
    return 0;
}

void lineage_load(struct lineage *lineage, const char *path)
{
    char text[STATEFILE_MAX];

    *lineage = (struct lineage){0};
    if (statefile_read(path, text) == 0 && lineage_parse(lineage, text) < 0)
        *lineage = (struct lineage){0};
}

int lineage_save(const struct lineage *lineage, const char *path)
{
    char text[STATEFILE_MAX];

    lineage_print(lineage, text, sizeof text - 100);
    return statefile_write(path, text);
}
