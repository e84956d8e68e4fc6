#include "superviserd/service_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void service_record_print(const struct service_record *record, char text[static STATEFILE_MAX])
{
    snprintf(text, STATEFILE_MAX, "boot %s\npid %d\nstarted %" PRId64 "\ncommand %016" PRIx64 "\n",
             record->boot_id, record->pid, record->started_ticks, record->command);
}

int service_record_parse(const char *text, struct service_record *record)
{
    int end = 0;

    *record = (struct service_record){0};
    const int n = sscanf(text, "boot %36s\npid %9d\nstarted %18" SCNd64 "\ncommand %16" SCNx64 "%n",
                         record->boot_id, &record->pid, &record->started_ticks, &record->command, &end);
    const bool whole = n == 4 && strcmp(text + end, "\n") == 0;
    return whole && record->pid > 1 && record->started_ticks >= 0 ? 0 : -EBADMSG;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (size_t i = 0; i <= strlen(text); i++) /* the NUL, too: it keeps words apart */
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

uint64_t service_record_hash(char *const *words, const char *user, const char *group)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *words; words++)
        hash = hash_text(hash, *words);
    return hash_text(hash_text(hash, user), group);
}
