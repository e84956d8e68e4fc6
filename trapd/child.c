#include "trapd/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sys.h"
#include "trapd/config_file.h"

enum { TO_PARENT = 0 };

static int reply(const struct session *session, uint32_t number, int result, const char *text)
{
    struct child_reply reply = {.number = number, .result = result};

    if (session) {
        reply.kind = session_kind(session);
        text_copy(reply.address, sizeof reply.address, session_address(session));
    }
    text_copy(reply.text, sizeof reply.text, result < 0 ? text : "");
    return send(TO_PARENT, &reply, sizeof reply, MSG_NOSIGNAL) == (ssize_t)sizeof reply ? 0 : -errno;
}

static int open_session(const struct child_setup *setup, struct session **session,
                        char error[static SESSION_ERROR_MAX])
{
    int r = 0;

    session_setup(&setup->engine_id, setup->boots, &setup->base);
    for (size_t i = 0; i < setup->user_count && r == 0; i++)
        r = session_add_user(setup->users[i], error);
    return r < 0 ? r : session_new(&setup->directive, session, error);
}

int child_run(void)
{
    static struct child_setup setup;
    struct session *session = NULL;
    struct event event;
    char error[SESSION_ERROR_MAX] = "";

    sys_die_with_parent(SIGTERM);
    if (recv(TO_PARENT, &setup, sizeof setup, 0) != (ssize_t)sizeof setup)
        return EXIT_FAILURE;
    sys_drop_privileges(0);
    const int opened = open_session(&setup, &session, error);
    explicit_bzero(setup.users, sizeof setup.users);
    if (reply(session, 0, opened, error) < 0 || opened < 0)
        return EXIT_FAILURE;
    while (recv(TO_PARENT, &event, sizeof event, 0) == (ssize_t)sizeof event) {
        error[0] = '\0';
        const int result = session_send(session, &event, error);
        if (reply(session, event.number, result, error) < 0)
            break;
    }
    session_free(session);
    return EXIT_SUCCESS;
}

/* ----------------------------------------------------------------------------- checking */

struct check {
    const char *file;
    int problems;
};

static void on_problem(void *userdata, int line, const char *text)
{
    struct check *check = userdata;

    check->problems++;
    if (line > 0)
        printf("%s:%d: %s\n", check->file, line, text);
    else
        printf("%s: %s\n", check->file, text);
}

int child_check(const char *file)
{
    static const struct engine_id engine_id = {6, {0x80, 0, 0x1f, 0x88, 4, 'x'}};
    static struct directives directives;
    struct check check = {.file = file};
    char error[SESSION_ERROR_MAX];
    struct session *session;

    if (config_file_read(file, &directives, on_problem, &check) < 0)
        return EXIT_FAILURE;
    (void)!freopen("/dev/null", "w",
                   stderr); /* some of the library's words go there, and say less than ours */
    session_setup(&engine_id, 1, &(struct config_oid){0});
    for (size_t i = 0; i < directives.user_count; i++)
        if (session_add_user(directives.users[i].text, error) < 0)
            on_problem(&check, directives.users[i].line, error);
    for (size_t i = 0; i < directives.count; i++) {
        if (session_new(&directives.sinks[i], &session, error) < 0)
            on_problem(&check, directives.sinks[i].line, error);
        else
            session_free(session);
    }
    explicit_bzero(&directives, sizeof directives);
    return check.problems > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
