#include "superviserd/keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 6, PART_MAX = 48 };

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

const char *keep_name(uint32_t number, const char *name, unsigned again, char kept[static BLACKBOX_NAME_MAX])
{
    char plain[PART_MAX], tail[16] = "";

    text_copy(plain, sizeof plain, name);
    for (char *c = plain; *c; c++)
        if (!is_plain(*c))
            *c = '_';
    if (again > 0)
        snprintf(tail, sizeof tail, ".%u", again % 1000 + 1);
    snprintf(kept, BLACKBOX_NAME_MAX, "%06u-%s%s", number % 1000000, plain, tail);
    return kept;
}

int64_t keep_number(const char *kept)
{
    int64_t number = 0;

    for (int i = 0; i < DIGITS; i++) {
        if (kept[i] < '0' || kept[i] > '9')
            return -1;
        number = number * 10 + (kept[i] - '0');
    }
    return kept[DIGITS] == '-' ? number : -1;
}

size_t keep_room(const uint64_t sizes[], size_t count, uint64_t size)
{
    uint64_t sum = size;
    size_t go = 0;

    for (size_t i = 0; i < count; i++)
        sum += sizes[i];
    for (; go < count && (sum > KEEP_SIZE || count - go >= KEEP_FILES); go++)
        sum -= sizes[go];
    return go;
}
