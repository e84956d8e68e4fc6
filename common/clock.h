/* clock: the two clocks of duet. Decisions go by CLOCK_BOOTTIME, which no one sets and which counts a
 * suspend; the wall clock is for people's eyes only. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* CLOCK_BOOTTIME in nanoseconds. */
int64_t clock_now_ns(void);

/* CLOCK_REALTIME minus CLOCK_BOOTTIME, in nanoseconds: turns the kernel's wall clock receive stamps, and for
 * people points in time, from one clock into the other. Read anew each time: somebody may set the clock. */
int64_t clock_wall_offset_ns(void);

enum { CLOCK_UTC_MAX = 32 };

/* RFC 3339 in UTC with microseconds ("2026-11-22T12:11:16.123456Z") of a CLOCK_BOOTTIME point in time. */
void clock_utc(int64_t boottime_ns, char text[static CLOCK_UTC_MAX]);

/* The same of a time of CLOCK_REALTIME. */
void utc_print(int64_t wall_ns, char text[static CLOCK_UTC_MAX]);

/* The other way round, of such a text alone: CLOCK_REALTIME. 0 or -EINVAL. */
int utc_parse(const char *text, int64_t *wall_ns);
