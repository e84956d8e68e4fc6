#include "takeoverd/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "duet lease 1 epoch … until … boot … sum …\n"; the numbers have a fixed width, so the line has too. */
static const char body_format[] = "duet lease 1 epoch %016" PRIx64 " until %016" PRIx64 " boot %-36.36s sum ";
enum { SUM_DIGITS = 8, BODY_SIZE = LEASE_LINE_SIZE - SUM_DIGITS - 1 };

/* FNV-1a: against accidents, not against people, who could write the whole file anew. */
static uint32_t sum_of(const char *text, size_t size)
{
    uint32_t sum = UINT32_C(2166136261);

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (uint8_t)text[i]) * UINT32_C(16777619);
    return sum;
}

void lease_print(const struct lease_record *record, char line[static LEASE_LINE_SIZE])
{
    char text[LEASE_LINE_SIZE + 1];
    int size = snprintf(text, sizeof text, body_format, (uint64_t)record->epoch, (uint64_t)record->lease_ns,
                        record->boot_id);

    memset(text + size, ' ', (size_t)(BODY_SIZE - size));
    snprintf(text + BODY_SIZE, sizeof text - BODY_SIZE, "%08" PRIx32 "\n", sum_of(text, BODY_SIZE));
    memcpy(line, text, LEASE_LINE_SIZE);
}

int lease_parse(const char *text, size_t size, struct lease_record *record)
{
    char line[LEASE_LINE_SIZE + 1], sum[SUM_DIGITS + 2];
    uint64_t epoch, lease;

    if (size != LEASE_LINE_SIZE)
        return -EBADMSG;
    memcpy(line, text, LEASE_LINE_SIZE);
    line[LEASE_LINE_SIZE] = '\0';
    snprintf(sum, sizeof sum, "%08" PRIx32 "\n", sum_of(line, BODY_SIZE));
    *record = (struct lease_record){0};
    if (memcmp(line + BODY_SIZE, sum, SUM_DIGITS + 1) != 0 ||
        sscanf(line, "duet lease 1 epoch %16" SCNx64 " until %16" SCNx64 " boot %36s sum", &epoch, &lease,
               record->boot_id) != 3 ||
        epoch > INT64_MAX || lease > INT64_MAX)
        return -EBADMSG;
    record->epoch = (int64_t)epoch;
    record->lease_ns = (int64_t)lease;
    return 0;
}

bool lease_stands(const struct lease_record *record, const char *boot_id, int64_t now_ns)
{
    return record->lease_ns > now_ns && strcmp(record->boot_id, boot_id) == 0;
}
