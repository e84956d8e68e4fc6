#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "common/base.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_offset_ns(void)
{
    return read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME);
}

void clock_utc(int64_t boottime_ns, char text[static CLOCK_UTC_MAX])
{
    utc_print(boottime_ns + clock_wall_offset_ns(), text);
}

void utc_print(int64_t wall_ns, char text[static CLOCK_UTC_MAX])
{
    const time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm utc;
    char date[20];

    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    const unsigned microseconds = (unsigned)(wall_ns / NS_PER_US % 1000000) % 1000000u;
    snprintf(text, CLOCK_UTC_MAX, "%s.%06uZ", date, microseconds);
}

int utc_parse(const char *text, int64_t *wall_ns)
{
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    unsigned microseconds;
    int length = 0;

    if (!rest || sscanf(rest, ".%6uZ%n", &microseconds, &length) != 1 || length != 8 || rest[length])
        return -EINVAL;
    *wall_ns = timegm(&utc) * NS_PER_S + (int64_t)microseconds * NS_PER_US;
    return 0;
}
