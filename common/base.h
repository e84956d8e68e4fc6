/* base: the few words that every file uses. Depends on nothing but the bounds of a character. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof *(a))

/* Durations and points in time are int64_t nanoseconds; points in time are CLOCK_BOOTTIME, and 0 means never.
 */
#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Runs `function(&variable)` when the variable goes out of scope, so that every early return is right. */
#define CLEANUP(function) __attribute__((cleanup(function)))

#define PRINTF_LIKE(text_at, first) __attribute__((format(printf, text_at, first)))

/* A variable that frees, or closes, what it holds when it goes out of scope. */
#define AUTO_FREE CLEANUP(auto_free)
#define AUTO_CLOSE CLEANUP(auto_close)
void auto_free(void *pointer_to_pointer);
void auto_close(const int *fd); /* ignores negative ones; keeps errno */

/* Copies as much of `text` as fits, always terminated. */
void text_copy(char *to, size_t size, const char *text);

/* Makes one line for people of it: controls (C0, DEL, C1) become blanks, so that nobody's terminal obeys what
 * somebody else wrote, and bytes that are no UTF-8 (a format may have cut a character) become question marks,
 * since JSON takes none. */
void text_make_printable(char *text);

/* The pause before try number `nth` (from 1) of something that keeps failing: `first_ns`, doubled each time,
 * and at most `most_ns`, unless the first one is longer. */
int64_t backoff_ns(int64_t first_ns, int64_t nth, int64_t most_ns);
