/* blackbox: `duet blackbox [--boot -N] [--json]`: what passed on the bus before the end (common/blackbox.h),
 * read from the files: no daemon need run. */
#pragma once
#include "cli/command.h"
#include "cli/text.h"
#include "common/blackbox.h"

int blackbox_command(struct invocation *invocation);

/* "-1" as 1: how many boots ago. 0, or -EINVAL unless a whole number from -99 to 0. */
int blackbox_parse_boot(const char *text, unsigned *ago);

/* How a recording ends, as far as it tells. */
enum blackbox_end {
    BLACKBOX_GOES_ON, /* superviserd records */
    BLACKBOX_ENDED,   /* superviserd was told to end, and did */
    BLACKBOX_CUT,     /* it does not say: power cut, crash, watchdog, or a kill */
};

/* `now_ns` is CLOCK_BOOTTIME if it is the recording of this boot, else 0. */
enum blackbox_end blackbox_end(const struct blackbox_reading *reading, int64_t now_ns);

/* The time that all others are told relative to: the last one that is known. */
int64_t blackbox_end_ns(const struct blackbox_reading *reading);

/* For people, and as one JSON object a line. */
void blackbox_print(const struct paper *paper, const struct blackbox_reading *reading, enum blackbox_end end);
void blackbox_print_json(FILE *out, const struct blackbox_reading *reading, enum blackbox_end end);

/* A crash record of the kernel's, of any bytes; what is not printable is escaped. */
void blackbox_print_crash(const struct paper *paper, const char *name, const unsigned char *bytes,
                          size_t size);
void blackbox_print_crash_json(FILE *out, const char *name, const unsigned char *bytes, size_t size);
