/* backlog: what sinks have not got yet, on the disk, and the number of the last notification. SQLite keeps it
 * whole whenever this daemon ends; the last few may be lost when the power does (nothing waits for the disk).
 * All calls are fast: a few writes into the page cache. */
#pragma once
#include "trapd/event.h"

struct backlog;

/* 0; or -EIO with `error` (an unreadable file is moved aside first, and told by a return of 1). The caller
 * frees with backlog_close(). */
enum { BACKLOG_ERROR_MAX = 160 };
int backlog_open(const char *path, struct backlog **backlog, char error[static BACKLOG_ERROR_MAX]);
void backlog_close(struct backlog *backlog);

uint32_t backlog_number(const struct backlog *backlog); /* of the last notification */
/* The rest: 0 or -EIO. `sink` is its key, the same over restarts. */
int backlog_set_number(struct backlog *backlog, uint32_t number);
int backlog_put(struct backlog *backlog, const char *sink, const struct event *event);
int backlog_remove(struct backlog *backlog, const char *sink, uint32_t number);
/* Everything of sinks that are not among these. */
int backlog_keep(struct backlog *backlog, const char *const *sinks, size_t count);
/* In the order in which they were put. */
typedef void backlog_found(void *userdata, const struct event *event);
int backlog_load(struct backlog *backlog, const char *sink, backlog_found *found, void *userdata);
