/* log: one line, one fact. Under systemd a line goes to the journal with fields (`DUET_ROLE=…`); elsewhere it
 * goes to stderr as `alpha arbiterd: text`, warnings and errors marked.
 *
 * Libraries return errors; programs log them, each once. Nothing secret is ever handed to this module. */
#pragma once
#include <syslog.h>

#include "common/base.h"

/* Call once, before the first line. `daemon` and `node` are kept by reference. */
void log_open(const char *daemon, const char *node);

/* Priorities are syslog's (LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG); debug is shown only if
 * DUET_DEBUG is set in the environment. */
PRINTF_LIKE(2, 3) void log_line(int priority, const char *format, ...);

/* The same with journal fields: `fields` is a NULL-ended list of "NAME=value". */
PRINTF_LIKE(3, 4) void log_fields(int priority, const char *const fields[], const char *format, ...);

/* "MESSAGE_ID=…", the journal's name for a kind of line, by which `journalctl -x` finds what the catalog says
 * of it (deploy/systemd/duet.catalog). It follows from `event`, such as "alarm/peer-lost", so that no list of
 * numbers has to be kept. Returns `field`. */
enum { LOG_MESSAGE_ID_MAX = 48 };
const char *log_message_id(const char *event, char field[static LOG_MESSAGE_ID_MAX]);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Lets a line that could flood through at most `burst` times in ten seconds; tells how many it held back when
 * it opens again. One `struct log_limit` a call site, zeroed at first. */
struct log_limit {
    int64_t since_ns;
    int passed, held_back;
};
bool log_allowed(struct log_limit *limit, int burst);
