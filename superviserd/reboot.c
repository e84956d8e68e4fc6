#include "superviserd/reboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"
#include "common/sys.h"
#include "superviserd/process.h"

struct reboot {
    struct daemon *daemon;
    bool wished; /* by the latest role */
    bool heard;  /* a role was */
    struct reboot_message message;
    char cause[CAUSE_MAX];
    char note[PATH_MAX]; /* file */
    char boot_id[SYS_BOOT_ID_MAX];
    struct process *process;
};

extern char **environ;

static void set_state(struct reboot *reboot, enum reboot_state state, const char *error)
{
    reboot->message.state = state;
    reboot->message.at_ns = clock_now_ns();
    snprintf(reboot->message.error, sizeof reboot->message.error, "%s", error);
    for (char *c = reboot->message.error; *c; c++)
        if ((unsigned char)*c >= 0x7f || (unsigned char)*c < ' ')
            *c = '?'; /* the codec takes UTF-8 only, and a program's name may be any bytes */
    int r = bus_publish(reboot->daemon->bus, &reboot_type, NULL, &reboot->message,
                        reboot->cause[0] ? reboot->cause : NULL);
    if (r < 0)
        log_error("cannot publish reboot: %s", strerror(-r));
}

/* --------------------------------------------------------------------- note */

static bool is_noted(const struct reboot *reboot)
{
    char text[STATEFILE_MAX];

    if (statefile_read(reboot->note, text) < 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, reboot->boot_id) == 0;
}

static void note(const struct reboot *reboot)
{
    char text[SYS_BOOT_ID_MAX + 1];

    snprintf(text, sizeof text, "%s\n", reboot->boot_id);
    int r = statefile_write(reboot->note, text);
    if (r < 0)
        log_warning("cannot write %s: %s; should superviserd restart now, the reboot command would run twice",
                    reboot->note, strerror(-r));
}

/* ------------------------------------------------------------------ command */

static void fail(struct reboot *reboot, const char *error)
{
    log_error("the reboot did not come about: %s; check reboot-command in %s, and restart this node by hand",
              error, reboot->daemon->config->file);
    set_state(reboot, REBOOT_STATE_FAILED, error);
}

static void on_started(void *userdata, int pid)
{
    (void)userdata;
    log_notice("the reboot command runs as process %d", pid);
}

static void on_start_failed(void *userdata, const char *text)
{
    struct reboot *reboot = userdata;

    reboot->process = NULL;
    fail(reboot, text);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct reboot *reboot = userdata;
    char error[sizeof reboot->message.error];

    reboot->process = NULL;
    if (!end->well) {
        snprintf(error, sizeof error, "%.30s %s", reboot->daemon->config->reboot_command.items[0], end->text);
        fail(reboot, error);
        return;
    }
    log_notice("the reboot command %s", end->text);
    if (!reboot->wished)
        set_state(reboot, REBOOT_STATE_NONE, "");
}

static void run_command(struct reboot *reboot)
{
    const struct config_strings *command = &reboot->daemon->config->reboot_command;
    const struct process_request request = {
        .command = command->items, .environment = environ, .detached = true};
    const struct process_handlers handlers = {on_started, on_start_failed, on_ended, NULL, reboot};
    char error[PROCESS_TEXT_MAX];

    if (command->count == 0) {
        fail(reboot, "no reboot-command is configured");
        return;
    }
    note(reboot);
    set_state(reboot, REBOOT_STATE_RUNNING, "");
    int r = process_start(reboot->daemon->loop, &request, &handlers, &reboot->process);
    if (r < 0) {
        snprintf(error, sizeof error, "cannot start %.64s: %s", command->items[0], strerror(-r));
        fail(reboot, error);
    }
}

/* --------------------------------------------------------------------- role */

static void wish_appeared(struct reboot *reboot, const struct role_message *role, const char *cause)
{
    text_copy(reboot->message.reason, sizeof reboot->message.reason, role->reboot_reason);
    text_copy(reboot->cause, sizeof reboot->cause, cause);
    if (reboot->process) {
        log_notice("this node is to restart (%s); the reboot command runs already", role->reboot_reason);
    } else if (is_noted(reboot)) {
        log_notice("this node is to restart (%s); an earlier superviserd started the reboot command already",
                   role->reboot_reason);
        set_state(reboot, REBOOT_STATE_RUNNING, "");
    } else {
        log_warning("restarting this node: %s", role->reboot_reason);
        run_command(reboot);
    }
}

static void wish_went(struct reboot *reboot)
{
    if (unlink(reboot->note) < 0 && errno != ENOENT)
        log_warning("cannot remove %s: %s; remove it, or the next reboot will not come about", reboot->note,
                    strerror(errno));
    reboot->cause[0] = '\0';
    if (reboot->message.state == REBOOT_STATE_NONE)
        return;
    log_notice("the arbiter takes the reboot back%s", reboot->process ? "; its command still runs" : "");
    if (!reboot->process)
        set_state(reboot, REBOOT_STATE_NONE, "");
}

void reboot_role(struct reboot *reboot, const struct role_message *role, const char *cause)
{
    const bool wished = reboot->wished;

    reboot->wished = role->reboot;
    if (role->reboot && !wished)
        wish_appeared(reboot, role, cause);
    else if (!role->reboot && (wished || !reboot->heard))
        wish_went(reboot);
    reboot->heard = true;
}

int reboot_new(struct daemon *daemon, struct reboot **reboot)
{
    char directory[PATH_MAX];
    struct reboot *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    snprintf(directory, sizeof directory, "%s/%s", daemon->run_dir, daemon->name);
    snprintf(made->note, sizeof made->note, "%s/%s/reboot", daemon->run_dir, daemon->name);
    int r = make_directories(directory, 0750);
    if (r == 0)
        r = sys_boot_id(made->boot_id);
    if (r < 0) {
        free(made);
        return r;
    }
    set_state(made, REBOOT_STATE_NONE, "");
    *reboot = made;
    return 0;
}
