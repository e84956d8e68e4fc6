#include "superviserd/procfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STAT_MAX = 1024, COMM_BYTES = 15 };

/* The name stands between the first '(' and the last ')', and may hold both, and blanks. */
static const char *take_name(const char *text, char name[static PROCFS_NAME_MAX])
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');

    if (!open || !close || close < open || close - open - 1 >= PROCFS_NAME_MAX)
        return NULL;
    memcpy(name, open + 1, (size_t)(close - open - 1));
    name[close - open - 1] = '\0';
    return close + 1;
}

int procfs_parse_stat(const char *text, size_t size, struct procfs_stat *stat)
{
    char copy[STAT_MAX];
    long long started;

    if (size >= sizeof copy)
        return -EBADMSG;
    memcpy(copy, text, size);
    copy[size] = '\0';
    *stat = (struct procfs_stat){0};
    const char *rest = take_name(copy, stat->name);
    if (!rest || sscanf(copy, "%9d", &stat->pid) != 1)
        return -EBADMSG;
    /* tty, tpgid, flags, the faults, the times, priority, nice, threads, itrealvalue; then starttime */
    const int n =
        sscanf(rest, " %c %9d %9d %9d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %18lld",
               &stat->state, &stat->parent, &stat->group, &stat->session, &started);
    if (n != 5 || stat->pid <= 0 || started < 0)
        return -EBADMSG;
    stat->started_ticks = started;
    return 0;
}

bool procfs_is_dead(const struct procfs_stat *stat)
{
    return stat->state == 'Z' || stat->state == 'X' || stat->state == 'x';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

int procfs_parse_pidfile(const char *text, size_t size, int *pid)
{
    size_t i = 0;
    int value = 0, digits = 0;

    while (i < size && is_blank(text[i]))
        i++;
    for (; i < size && text[i] >= '0' && text[i] <= '9' && value <= PROCFS_PID_MAX; i++, digits++)
        value = 10 * value + (text[i] - '0');
    while (i < size && is_blank(text[i]))
        i++;
    if (digits == 0 || value < 2 || value > PROCFS_PID_MAX || (i < size && text[i] != '\n'))
        return -EBADMSG;
    *pid = value;
    return 0;
}

static bool is_file_name(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, name) == 0;
}

static bool is_among_words(const char *words, size_t size, const char *name)
{
    size_t i = 0;

    for (int k = 0; k < 2 && i < size; k++) {
        const size_t length = strnlen(words + i, size - i);
        if (i + length < size && is_file_name(words + i, name)) /* whole */
            return true;
        i += length + 1;
    }
    return false;
}

bool procfs_is_called(const struct procfs_stat *stat, const char *program, const char *words, size_t size,
                      const char *name)
{
    if (is_file_name(program, name))
        return true;
    if (strncmp(stat->name, name, COMM_BYTES) != 0)
        return false;
    return strlen(name) < COMM_BYTES || is_among_words(words, size, name);
}
