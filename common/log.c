#include "common/log.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "common/clock.h"

static const char *log_daemon = "duet", *log_node = "";
static bool log_to_journal, log_debugging;

/* systemd tells a service which device and inode its stderr is, if that is the journal (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *daemon, const char *node)
{
    log_daemon = daemon;
    log_node = node;
    log_to_journal = stderr_is_journal();
    log_debugging = getenv("DUET_DEBUG") != NULL;
}

static void to_journal(int priority, const char *const fields[], const char *text)
{
    enum { MOST = 16 };
    char message[1100], level[16], daemon[64], node[64];
    struct iovec iov[MOST];
    int n = 0;

    snprintf(message, sizeof message, "MESSAGE=%s", text);
    snprintf(level, sizeof level, "PRIORITY=%d", priority);
    snprintf(daemon, sizeof daemon, "DUET_DAEMON=%s", log_daemon);
    snprintf(node, sizeof node, "DUET_NODE=%s", log_node);
    const char *const own[] = {message, level, daemon, node};
    for (size_t i = 0; i < ARRAY_LENGTH(own); i++)
        iov[n++] = (struct iovec){(void *)own[i], strlen(own[i])};
    for (; fields && *fields && n < MOST; fields++)
        iov[n++] = (struct iovec){(void *)*fields, strlen(*fields)};
    sd_journal_sendv(iov, n);
}

PRINTF_LIKE(3, 0)
static void write_line(int priority, const char *const fields[], const char *format, va_list args)
{
    char text[1024], line[1200];

    if (priority == LOG_DEBUG && !log_debugging)
        return;
    vsnprintf(text, sizeof text, format, args);
    if (log_to_journal) {
        to_journal(priority, fields, text);
        return;
    }
    const char *mark = priority <= LOG_ERR ? "error: " : priority == LOG_WARNING ? "warning: " : "";
    int n = snprintf(line, sizeof line, "%s %s: %s%s\n", log_node, log_daemon, mark, text);
    if (write(STDERR_FILENO, line, (size_t)MIN(n, (int)sizeof line - 1)) < 0)
        return; /* nobody is left to be told */
}

void log_line(int priority, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(priority, NULL, format, args);
    va_end(args);
}

void log_fields(int priority, const char *const fields[], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(priority, fields, format, args);
    va_end(args);
}

const char *log_message_id(const char *event, char field[static LOG_MESSAGE_ID_MAX])
{
    static const char area[] = "duet/";
    unsigned char digest[16];
    char name[128], hex[2 * sizeof digest + 1];

    const int length = snprintf(name, sizeof name, "%s%s", area, event);
    crypto_generichash(digest, sizeof digest, (const unsigned char *)name, (size_t)length, NULL, 0);
    digest[6] =
        (unsigned char)((digest[6] & 0x0f) | 0x40); /* as systemd makes its ids: a random UUID's marks */
    digest[8] = (unsigned char)((digest[8] & 0x3f) | 0x80);
    snprintf(field, LOG_MESSAGE_ID_MAX, "MESSAGE_ID=%s",
             sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
    return field;
}

bool log_allowed(struct log_limit *limit, int burst)
{
    const int64_t now = clock_now_ns();

    if (limit->since_ns == 0 || now - limit->since_ns > 10 * NS_PER_S) {
        if (limit->held_back > 0)
            log_notice("%d lines like the next one were held back", limit->held_back);
        *limit = (struct log_limit){.since_ns = now};
    }
    if (limit->passed >= burst) {
        limit->held_back++;
        return false;
    }
    limit->passed++;
    return true;
}
