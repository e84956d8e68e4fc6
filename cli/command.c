#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void drop(struct invocation *invocation, int at, int count)
{
    for (int i = at; i + count <= invocation->argc; i++)
        invocation->argv[i] = invocation->argv[i + count]; /* the NULL at the end moves along */
    invocation->argc -= count;
}

bool command_take_flag(struct invocation *invocation, const char *flag)
{
    bool found = false;

    for (int i = 0; i < invocation->argc;) {
        if (strcmp(invocation->argv[i], flag) != 0) {
            i++;
            continue;
        }
        drop(invocation, i, 1);
        found = true;
    }
    return found;
}

int command_take_value(struct invocation *invocation, const char *flag, const char **value)
{
    const size_t length = strlen(flag);

    for (int i = 0; i < invocation->argc; i++) {
        const char *word = invocation->argv[i];
        if (strncmp(word, flag, length) != 0 || (word[length] != '=' && word[length] != '\0'))
            continue;
        if (word[length] == '=') {
            *value = word + length + 1;
            drop(invocation, i, 1);
            return 1;
        }
        if (i + 1 == invocation->argc) {
            command_error(invocation, "%s needs a value", flag);
            return -EINVAL;
        }
        *value = invocation->argv[i + 1];
        drop(invocation, i, 2);
        return 1;
    }
    return 0;
}

bool command_all_taken(const struct invocation *invocation)
{
    if (invocation->argc == 0)
        return true;
    command_error(invocation, "does not understand \"%s\"; see `duet help` or duet(8)", invocation->argv[0]);
    return false;
}

void command_error(const struct invocation *invocation, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "duet %s: ", invocation->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

unsigned command_distance(const char *a, const char *b)
{
    enum { MOST = 31 };
    const size_t a_length = strnlen(a, MOST), b_length = strnlen(b, MOST);
    unsigned row[MOST + 1];

    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            const unsigned changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}
