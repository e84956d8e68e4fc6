#include "superviserd/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OWN_VARIABLES = 4 };

struct environment {
    char own[OWN_VARIABLES][80];
    char **items;
};

/* What speaks of this daemon and would mislead another program. */
static bool is_private(const char *variable)
{
    static const char *const names[] = {"NOTIFY_SOCKET=",  "WATCHDOG_",      "LISTEN_",
                                        "JOURNAL_STREAM=", "INVOCATION_ID=", "DUET_NODE=",
                                        "DUET_ROLE=",      "DUET_EPOCH=",    "DUET_HOOK="};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static int environment_make(const struct command_role *role, struct environment *made)
{
    size_t count = 0, n = 0;

    while (environ[count])
        count++;
    made->items = calloc(count + OWN_VARIABLES + 1, sizeof *made->items);
    if (!made->items)
        return -ENOMEM;
    snprintf(made->own[0], sizeof made->own[0], "DUET_NODE=%s", role->node);
    snprintf(made->own[1], sizeof made->own[1], "DUET_ROLE=%s", role_names[role->role]);
    snprintf(made->own[2], sizeof made->own[2], "DUET_EPOCH=%lld", (long long)role->epoch);
    made->own[3][0] = '\0';
    if (role->hook)
        snprintf(made->own[3], sizeof made->own[3], "DUET_HOOK=%s", role->hook);
    for (size_t i = 0; i < count; i++)
        if (!is_private(environ[i]))
            made->items[n++] = environ[i];
    for (size_t i = 0; i < OWN_VARIABLES; i++)
        if (made->own[i][0] != '\0')
            made->items[n++] = made->own[i];
    return 0;
}

void command_find_user(const char *user, const char *group, struct command_user *found)
{
    const char *unknown;

    found->problem[0] = '\0';
    const int r = process_user_find(user, group, &found->user, &unknown);
    if (r < 0)
        snprintf(found->problem, sizeof found->problem, "cannot start: the %s %.64s: %s",
                 unknown == user ? "user" : "group", unknown, r == -ENOENT ? "not known" : strerror(-r));
}

int command_start(struct loop *loop, const struct config_strings *command, const struct command_user *user,
                  const struct command_role *role, const struct process_keep *keep,
                  const struct process_handlers *handlers, struct process **process,
                  char error[static PROCESS_TEXT_MAX])
{
    struct environment environment;

    if (user->problem[0] != '\0') {
        text_copy(error, PROCESS_TEXT_MAX, user->problem);
        return -ENOENT;
    }
    int r = environment_make(role, &environment);
    if (r == 0) {
        const struct process_request request = {
            .command = command->items, .environment = environment.items, .user = &user->user, .keep = keep};
        r = process_start(loop, &request, handlers, process);
        free(environment.items);
    }
    if (r < 0)
        snprintf(error, PROCESS_TEXT_MAX, "cannot start %.64s: %s", command->items[0], strerror(-r));
    return r;
}
