/* text: how duet writes for people: colour where a terminal is, durations and points in time in their words.
 */
#pragma once
#include <stdio.h>

#include "common/base.h"
#include "common/clock.h"

/* Where to write, and whether that may be in colour. */
struct paper {
    FILE *out;
    bool color;
};

/* stdout; in colour if it is a terminal and NO_COLOR is not set. */
struct paper paper_stdout(void);

enum tint { TINT_NONE, TINT_BOLD, TINT_FAINT, TINT_GOOD, TINT_WARN, TINT_BAD };

/* Prints in that tint; plain where there is no colour. */
PRINTF_LIKE(3, 4) void paper_print(const struct paper *paper, enum tint tint, const char *format, ...);

enum { SPAN_TEXT_MAX = 48 };

/* "6.2 ms", "3.4 s", "5 min 12 s", "3 h 10 min", "12 d 4 h". */
void span_print(int64_t span_ns, char text[static SPAN_TEXT_MAX]);

/* "2026-11-22 12:11:16 UTC" of a CLOCK_BOOTTIME point in time. Returns `text`. */
const char *moment_print(int64_t boottime_ns, char text[static CLOCK_UTC_MAX]);
