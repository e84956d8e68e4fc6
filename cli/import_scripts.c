#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

/* ---- notify scripts: hooks */

static bool hook_exists(const struct import *import, enum hook_event event, const char *command)
{
    for (size_t i = 0; i < import->hook_count; i++)
        if (import->hooks[i].event == event && strcmp(import->hooks[i].command, command) == 0)
            return true;
    return false;
}

static void name_hook(const struct import *import, const char *name, enum hook_event event,
                      char to[static CONFIG_NAME_MAX])
{
    char text[2 * CONFIG_NAME_MAX];

    snprintf(text, sizeof text, "%.18s-%s", name, hook_event_names[event]);
    import_name(text, "hook", to);
    for (size_t n = 2, i = 0; i < import->hook_count; i++)
        if (strcmp(import->hooks[i].name, to) == 0) {
            snprintf(text, sizeof text, "%.15s-%s-%zu", name, hook_event_names[event], n++);
            import_name(text, "hook", to);
            i = (size_t)-1; /* from the beginning */
        }
}

static void add_hook(struct import *import, struct statement *statement, const char *name,
                     enum hook_event event, const char *const more[])
{
    char command[IMPORT_COMMAND_MAX];
    bool shell;

    if (!import_script(statement->words[1], more, command, &shell)) {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "the command cannot be written down");
        return;
    }
    if (hook_exists(import, event, command)) {
        import_tell(import, REMARK_NOTE, statement->line,
                    "%s: the same command is there already; it runs once", statement->words[0]);
        return;
    }
    if (import->hook_count == CONFIG_HOOKS_MAX) {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "there are more than %d hooks",
                              CONFIG_HOOKS_MAX);
        return;
    }
    struct import_hook *hook = &import->hooks[import->hook_count];
    name_hook(import, name, event, hook->name);
    hook->line = statement->line;
    hook->event = event;
    text_copy(hook->command, sizeof hook->command, command);
    text_copy(hook->user, sizeof hook->user,
              statement->word_count > 2 ? statement->words[2] : import->script_user);
    text_copy(hook->group, sizeof hook->group,
              statement->word_count > 3 ? statement->words[3] : import->script_group);
    import->hook_count++;
    if (shell)
        import_tell(import, REMARK_NOTE, statement->line, "%s: its text needs a shell, so /bin/sh -c runs it",
                    statement->words[0]);
}

/* `notify`: one script for all, which is told by arguments what has happened. */
static void add_hooks(struct import *import, struct statement *statement, const char *type, const char *name)
{
    static const struct {
        enum hook_event event;
        const char *word;
    } events[] = {{HOOK_EVENT_ACTIVE, "MASTER"}, {HOOK_EVENT_PASSIVE, "BACKUP"}, {HOOK_EVENT_FAULT, "FAULT"}};

    for (size_t i = 0; i < ARRAY_LENGTH(events); i++) {
        const char *const more[] = {type, name, events[i].word, "100", NULL};
        add_hook(import, statement, name, events[i].event, more);
    }
    import_tell(import, REMARK_NOTE, statement->line,
                "notify: the script gets %s, %s, the state, and 100 for the priority as its arguments", type,
                name);
}

bool import_notify(struct import *import, struct statement *statement, const char *type, const char *name)
{
    static const struct {
        const char *word;
        enum hook_event event;
    } hooks[] = {{"notify_master", HOOK_EVENT_ACTIVE},
                 {"notify_backup", HOOK_EVENT_PASSIVE},
                 {"notify_fault", HOOK_EVENT_FAULT}};
    const char *word = statement->words[0];

    if (strncmp(word, "notify", 6) != 0)
        return false;
    statement->fate = FATE_USED;
    if (strcmp(word, "notify_stop") == 0)
        import_tell_statement(
            import, REMARK_LEFT_OUT, statement,
            "there is no hook for the end of the daemons; those of `passive` run when the role goes, "
            "also before a stop");
    else if (statement->word_count < 2)
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "it names no script");
    else if (strcmp(word, "notify") == 0)
        add_hooks(import, statement, type, name);
    else {
        for (size_t i = 0; i < ARRAY_LENGTH(hooks); i++)
            if (strcmp(word, hooks[i].word) == 0) {
                add_hook(import, statement, name, hooks[i].event, NULL);
                return true;
            }
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "duet has no such event");
    }
    return true;
}

/* ---- tracked scripts and processes: services */

static struct statement *find_named(struct statement *statements, const char *kind, const char *name)
{
    for (struct statement *s = statements; s; s = s->next)
        if (s->word_count > 1 && strcmp(s->words[0], kind) == 0 && strcmp(s->words[1], name) == 0)
            return s;
    return NULL;
}

/* What could be the name of a unit, without its type. */
static bool is_daemon_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@";

    return isalnum((unsigned char)name[0]) && strlen(name) <= 40 && name[strspn(name, allowed)] == '\0';
}

/* The daemon that a script does nothing but look for. */
static bool daemon_of(const char *script, char *daemon, size_t size)
{
    static const char *const lookers[] = {"killall -0 ",
                                          "/usr/bin/killall -0 ",
                                          "pidof ",
                                          "/bin/pidof ",
                                          "/usr/bin/pidof ",
                                          "/sbin/pidof ",
                                          "pgrep -x ",
                                          "pgrep ",
                                          "/usr/bin/pgrep -x ",
                                          "/usr/bin/pgrep ",
                                          "systemctl is-active --quiet ",
                                          "systemctl is-active ",
                                          "/bin/systemctl is-active --quiet ",
                                          "/bin/systemctl is-active ",
                                          "/usr/bin/systemctl is-active --quiet ",
                                          "/usr/bin/systemctl is-active "};

    for (size_t i = 0; i < ARRAY_LENGTH(lookers); i++) {
        const char *name = script + strlen(lookers[i]);
        if (strncmp(script, lookers[i], strlen(lookers[i])) != 0)
            continue;
        text_copy(daemon, size, name);
        return is_daemon_name(name);
    }
    return false;
}

static void set_unit(struct import *import, struct import_service *service, int line, const char *daemon)
{
    const bool whole = strstr(daemon, ".service") != NULL;

    snprintf(service->unit, sizeof service->unit, "%.50s%s", daemon, whole ? "" : ".service");
    import_tell(import, REMARK_NOTE, line,
                "%s: guarded as the systemd unit %s: it is started on both nodes and restarted when it ends; "
                "only what "
                "stays down is a fault. Is that the unit's name?",
                service->name, service->unit);
}

/* `user NAME [GROUP]`, `interval`, `timeout`, `fall` and the like of a vrrp_script. */
static void take_detail(struct import *import, struct import_service *service, struct statement *s)
{
    const char *word = s->words[0], *value = s->word_count > 1 ? s->words[1] : "";

    s->fate = FATE_USED;
    if (strcmp(word, "interval") == 0 && import_seconds(value) > 0)
        service->interval_ns = import_seconds(value);
    else if (strcmp(word, "timeout") == 0 && import_seconds(value) > 0)
        service->timeout_ns = import_seconds(value);
    else if (strcmp(word, "fall") == 0 && atoi(value) > 0 && atoi(value) <= 1000)
        service->failures = atoi(value);
    else if (strcmp(word, "user") == 0 && *value) {
        text_copy(service->user, sizeof service->user, value);
        text_copy(service->group, sizeof service->group, s->word_count > 2 ? s->words[2] : "");
    } else if (strcmp(word, "rise") == 0)
        import_tell_statement(
            import, REMARK_LEFT_OUT, s,
            "a service that has failed counts as failed until `duet clear`, or a successful start");
    else if (strcmp(word, "weight") == 0)
        import_tell_statement(
            import, REMARK_LEFT_OUT, s,
            "there are no priorities: a service that fails for good hands the role over, if the peer "
            "is better off");
    else if (strcmp(word, "init_fail") == 0)
        import_tell_statement(import, REMARK_NOT_NEEDED, s,
                              "a service counts as running only once it was seen to");
    else
        import_tell_statement(import, REMARK_LEFT_OUT, s, "it has no counterpart");
}

static struct import_service *new_service(struct import *import, struct statement *statement)
{
    if (import->service_count == CONFIG_SERVICES_MAX) {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "there are more than %d services",
                              CONFIG_SERVICES_MAX);
        return NULL;
    }
    struct import_service *service = &import->services[import->service_count];
    *service = (struct import_service){.line = statement->line};
    import_name(statement->words[1], "script", service->name);
    text_copy(service->user, sizeof service->user, import->script_user);
    text_copy(service->group, sizeof service->group, import->script_group);
    return service;
}

/* The same daemon, or the same name, twice would be refused. */
static bool service_exists(const struct import *import, const struct import_service *service)
{
    for (size_t i = 0; i < import->service_count; i++)
        if (strcmp(import->services[i].name, service->name) == 0 ||
            (service->unit[0] != '\0' && strcmp(import->services[i].unit, service->unit) == 0))
            return true;
    return false;
}

static void add_service(struct import *import, struct import_service *service, struct statement *statement)
{
    if (service_exists(import, service))
        import_tell_statement(import, REMARK_LEFT_OUT, statement,
                              "a service of its name, or of its unit, is there already");
    else
        import->service_count++;
}

static const char *script_of(struct statement *statement)
{
    for (struct statement *s = statement->block; s; s = s->next)
        if (strcmp(s->words[0], "script") == 0 && s->word_count > 1) {
            s->fate = FATE_USED;
            return s->words[1];
        }
    return NULL;
}

static void convert_script(struct import *import, struct statement *statement)
{
    struct import_service *service = new_service(import, statement);
    const char *script = script_of(statement);
    char daemon[64];
    bool shell;

    statement->fate = FATE_USED;
    if (!service)
        return;
    if (!script) {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "it has no script");
        return;
    }
    for (struct statement *s = statement->block; s; s = s->next)
        if (s->fate == FATE_OPEN)
            take_detail(import, service, s);
    if (daemon_of(script, daemon, sizeof daemon)) {
        set_unit(import, service, statement->line, daemon);
    } else if (import_script(script, NULL, service->check, &shell)) {
        import_tell(import, REMARK_NOTE, statement->line,
                    "%s: duet guards services, not scripts: this one is the check of a stand-in that does "
                    "nothing. If it "
                    "looks after a daemon, name that one instead, and it is also restarted",
                    service->name);
    } else {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "its script cannot be written down");
        return;
    }
    add_service(import, service, statement);
}

static void convert_process(struct import *import, struct statement *statement)
{
    struct import_service *service = new_service(import, statement);
    const char *program = NULL;

    statement->fate = FATE_USED;
    for (struct statement *s = statement->block; s; s = s->next)
        if (strcmp(s->words[0], "process") == 0 && s->word_count > 1) {
            s->fate = FATE_USED;
            program = s->words[1];
        } else {
            import_tell_statement(import, REMARK_LEFT_OUT, s, "it has no counterpart");
        }
    if (!service)
        return;
    const char *slash = program ? strrchr(program, '/') : NULL;
    program = slash ? slash + 1 : program;
    if (!program || !is_daemon_name(program)) {
        import_tell_statement(import, REMARK_LEFT_OUT, statement, "it names no process that could be a unit");
        return;
    }
    set_unit(import, service, statement->line, program);
    add_service(import, service, statement);
}

static void track(struct import *import, struct statement *statements, struct statement *s, bool script)
{
    struct statement *found =
        find_named(statements, script ? "vrrp_script" : "vrrp_track_process", s->words[0]);

    s->fate = FATE_USED;
    if (!found)
        import_tell_statement(import, REMARK_LEFT_OUT, s, "the file has no %s of this name",
                              script ? "vrrp_script" : "vrrp_track_process");
    else if (found->fate == FATE_OPEN && script)
        convert_script(import, found);
    else if (found->fate == FATE_OPEN)
        convert_process(import, found);
    if (found && s->word_count > 1)
        import_tell_statement(
            import, REMARK_LEFT_OUT, s,
            strcmp(s->words[1], "weight") == 0
                ? "there are no priorities: a service that fails for good hands the role over, if "
                  "the peer is better off"
                : "only its first word is taken for a name");
}

void import_tracked(struct import *import, struct statement *statements, struct statement *statement)
{
    const bool script = strcmp(statement->words[0], "track_script") == 0;

    statement->fate = FATE_USED;
    for (struct statement *s = statement->block; s; s = s->next)
        track(import, statements, s, script);
}

void import_untracked(struct import *import, struct statement *statements)
{
    for (struct statement *s = statements; s; s = s->next)
        if (s->fate == FATE_OPEN &&
            (strcmp(s->words[0], "vrrp_script") == 0 || strcmp(s->words[0], "vrrp_track_process") == 0))
            import_tell_statement(import, REMARK_LEFT_OUT, s, "no instance tracks it");
}
