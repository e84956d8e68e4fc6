#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SOURCES_MAX = 12, LINE_MAX_BYTES = 2048, LEAD_MAX = 96 };

struct source {
    struct lines *lines;
    const char *daemon;
    int reading, writing;
    size_t length;
    char text[LINE_MAX_BYTES]; /* the line that is not whole yet */
};

struct lines {
    struct loop *loop;
    const char *node;
    bool color;
    size_t source_count, held_back;
    struct source sources[SOURCES_MAX];
};

int lines_new(struct loop *loop, const char *node, struct lines **lines)
{
    struct lines *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->loop = loop;
    made->node = node;
    made->color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    *lines = made;
    return 0;
}

void lines_free(struct lines *lines)
{
    if (!lines)
        return;
    for (size_t i = 0; i < lines->source_count; i++) {
        close(lines->sources[i].reading);
        close(lines->sources[i].writing);
    }
    free(lines);
}

/* One write a line, and only if that does not wait. */
static bool put(const char *line, int length)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
           write(STDOUT_FILENO, line, (size_t)length) == length;
}

static void tell_held_back(struct lines *lines)
{
    char line[128];

    if (lines->held_back == 0)
        return;
    int n =
        snprintf(line, sizeof line, "%s duet: %zu lines could not be shown\n", lines->node, lines->held_back);
    if (put(line, MIN(n, (int)sizeof line - 1)))
        lines->held_back = 0;
}

static const char *tint_of(const struct lines *lines, const char *text)
{
    if (!lines->color)
        return "";
    return strncmp(text, "error: ", 7) == 0     ? "\033[1;31m"
           : strncmp(text, "warning: ", 9) == 0 ? "\033[33m"
                                                : "";
}

/* `text` has no newline; it may lead with "NODE DAEMON: " or not. */
static void show(struct lines *lines, const char *daemon, const char *text)
{
    char lead[LEAD_MAX], line[LINE_MAX_BYTES + LEAD_MAX + 32];

    snprintf(lead, sizeof lead, "%s %s: ", lines->node, daemon);
    if (strncmp(text, lead, strlen(lead)) == 0)
        text += strlen(lead);
    const char *tint = tint_of(lines, text);
    int n = snprintf(line, sizeof line, "%s%s%s%s%s%s\n", lines->color ? "\033[36m" : "", lead,
                     lines->color ? "\033[0m" : "", tint, text, tint[0] ? "\033[0m" : "");
    tell_held_back(lines);
    if (lines->held_back > 0 || !put(line, MIN(n, (int)sizeof line - 1)))
        lines->held_back++;
}

void lines_say(struct lines *lines, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    show(lines, "duet", text);
}

/* Shows every whole line of what has come, and one that is longer than any should be. */
static void show_whole_lines(struct source *source)
{
    char *at = source->text, *const end = source->text + source->length, *newline;

    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        *newline = '\0';
        if (newline > at)
            show(source->lines, source->daemon, at);
        at = newline + 1;
    }
    source->length = (size_t)(end - at);
    memmove(source->text, at, source->length);
    if (source->length == sizeof source->text - 1) {
        source->text[source->length] = '\0';
        show(source->lines, source->daemon, source->text);
        source->length = 0;
    }
}

static bool take(struct source *source)
{
    ssize_t n =
        read(source->reading, source->text + source->length, sizeof source->text - 1 - source->length);

    if (n <= 0)
        return false;
    source->length += (size_t)n;
    show_whole_lines(source);
    return true;
}

static void on_readable(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    take(userdata);
}

void lines_drain(struct lines *lines)
{
    for (size_t i = 0; i < lines->source_count; i++)
        for (int turns = 0; turns < 64 && take(&lines->sources[i]); turns++)
            ;
}

int lines_add(struct lines *lines, const char *daemon)
{
    int ends[2];

    if (lines->source_count == SOURCES_MAX)
        return -ENOBUFS;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    struct source *source = &lines->sources[lines->source_count++];
    source->lines = lines;
    source->daemon = daemon;
    source->reading = ends[0];
    source->writing = ends[1];
    int r = loop_add_fd(lines->loop, source->reading, EPOLLIN, on_readable, source, NULL);
    return r < 0 ? r : source->writing;
}
