#include "cli/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct paper paper_stdout(void)
{
    return (struct paper){.out = stdout, .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
}

void paper_print(const struct paper *paper, enum tint tint, const char *format, ...)
{
    static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[1;31m"};
    const bool tinted = paper->color && tint != TINT_NONE;
    va_list args;

    if (tinted)
        fputs(codes[tint], paper->out);
    va_start(args, format);
    vfprintf(paper->out, format, args);
    va_end(args);
    if (tinted)
        fputs("\033[0m", paper->out);
}

/* Two neighbouring units say enough. */
static void print_pair(int64_t seconds, int64_t unit, const char *name, int64_t lesser,
                       const char *lesser_name, char *text)
{
    snprintf(text, SPAN_TEXT_MAX, "%" PRId64 " %s %" PRId64 " %s", seconds / unit, name,
             seconds % unit / lesser, lesser_name);
}

void span_print(int64_t span_ns, char text[static SPAN_TEXT_MAX])
{
    const int64_t seconds = span_ns / NS_PER_S;

    if (span_ns < NS_PER_S)
        snprintf(text, SPAN_TEXT_MAX, "%.1f ms", (double)span_ns / 1e6);
    else if (seconds < 60)
        snprintf(text, SPAN_TEXT_MAX, "%.1f s", (double)span_ns / 1e9);
    else if (seconds < 3600)
        print_pair(seconds, 60, "min", 1, "s", text);
    else if (seconds < 86400)
        print_pair(seconds, 3600, "h", 60, "min", text);
    else
        print_pair(seconds, 86400, "d", 3600, "h", text);
}

const char *moment_print(int64_t boottime_ns, char text[static CLOCK_UTC_MAX])
{
    char utc[CLOCK_UTC_MAX];

    clock_utc(boottime_ns, utc);
    snprintf(text, CLOCK_UTC_MAX, "%.10s %.8s UTC", utc, utc + 11);
    return text;
}
