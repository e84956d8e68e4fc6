#include "proto/measure.h"

#include <string.h>

#include "common/base.h"

static bool ends_with(const char *name, size_t length, const char *end)
{
    const size_t end_length = strlen(end);

    return length >= end_length && memcmp(name + length - end_length, end, end_length) == 0;
}

bool field_is_measure(const char *name, size_t length)
{
    static const char *const ends[] = {"_ns", "_us", "_ms", "_permille", "_us_max", "_us_ever"};
    static const char *const tallies[] = {"sent", "received", "unanswered", "announced"};

    for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
        if (ends_with(name, length, ends[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LENGTH(tallies); i++)
        if (length == strlen(tallies[i]) && memcmp(name, tallies[i], length) == 0)
            return true;
    return false;
}
