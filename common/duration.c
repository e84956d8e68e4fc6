#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/config.h"

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S}, {"ms", NS_PER_MS}, {"us", NS_PER_US}};

/* Longer ones are slips of the pen, and would bring sums of durations near their limits. */
static const int64_t most_ns = 10000 * 3600 * NS_PER_S;

void duration_print(int64_t duration_ns, char text[static DURATION_TEXT_MAX])
{
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        if (duration_ns != 0 && duration_ns % units[i].ns == 0) {
            snprintf(text, DURATION_TEXT_MAX, "%" PRId64 "%s", duration_ns / units[i].ns, units[i].name);
            return;
        }
    }
    snprintf(text, DURATION_TEXT_MAX, "%" PRId64 "%s", duration_ns, duration_ns == 0 ? "s" : "ns");
}

int duration_parse(const char *text, int64_t *duration_ns)
{
    int64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (*at - '0');
        if (number > most_ns)
            return -EINVAL;
    }
    if (at == text)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        if (strcmp(at, units[i].name) == 0) {
            if (number > most_ns / units[i].ns)
                return -EINVAL;
            *duration_ns = number * units[i].ns;
            return 0;
        }
    }
    return -EINVAL;
}
