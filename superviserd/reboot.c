#include "superviserd/reboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"
#include "common/sys.h"
#include "superviserd/disk.h"
#include "superviserd/process.h"
#include "superviserd/restarts.h"

/* What each step of the preparation may take. */
static const int64_t release_limit_ns = 2 * NS_PER_S;
static const int64_t trap_time_ns = 300 * NS_PER_MS;
static const int64_t disk_limit_ns = 5 * NS_PER_S;

/* This one is waited for in the loop, which feeds the watchdog: well below any timeout. */
static const int64_t box_limit_ns = 500 * NS_PER_MS;

/* What is waited for; each ends by what it waits for, or by the timer. */
enum stage { STEP_NONE, STEP_PAUSE, STEP_RELEASE, STEP_TRAPS, STEP_DISK, STEP_GRACE, STEP_LAST_DISK };

struct reboot {
    struct daemon *daemon;
    struct watchdog *watchdog;
    struct recorder *recorder;
    bool wished; /* by the latest role */
    bool heard;  /* a role was */
    bool released;
    enum stage step;
    struct loop_source *timer;
    struct disk *disk;
    struct restarts restarts; /* as on the disk, or soon */
    struct reboot_message message;
    char cause[CAUSE_MAX];
    char note[PATH_MAX], history[PATH_MAX]; /* files */
    char boot_id[SYS_BOOT_ID_MAX];
    struct process *process;
};

extern char **environ;

static void wait_for(struct reboot *reboot, enum stage step, int64_t limit_ns)
{
    reboot->step = step;
    loop_set_timer(reboot->timer, clock_now_ns() + limit_ns);
}

static void wait_for_nothing(struct reboot *reboot)
{
    reboot->step = STEP_NONE;
    loop_stop_timer(reboot->timer);
}

static void set_state(struct reboot *reboot, enum reboot_state state, int64_t until_ns, const char *error)
{
    reboot->message.state = state;
    reboot->message.at_ns = clock_now_ns();
    reboot->message.until_ns = until_ns;
    snprintf(reboot->message.error, sizeof reboot->message.error, "%s", error);
    for (char *c = reboot->message.error; *c; c++)
        if ((unsigned char)*c >= 0x7f || (unsigned char)*c < ' ')
            *c = '?'; /* the codec takes UTF-8 only, and a program's name may be any bytes */
    int r = bus_publish(reboot->daemon->bus, &reboot_type, NULL, &reboot->message,
                        reboot->cause[0] ? reboot->cause : NULL);
    if (r < 0)
        log_error("cannot publish reboot: %s", strerror(-r));
}

static void fail(struct reboot *reboot, const char *error)
{
    log_error("the reboot did not come about: %s; check reboot-command in %s, and restart this node by hand",
              error, reboot->daemon->config->file);
    set_state(reboot, REBOOT_STATE_FAILED, reboot->message.until_ns, error);
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
    int r = statefile_write_quick(reboot->note, text);
    if (r < 0)
        log_warning("cannot write %s: %s; should superviserd restart now, the reboot command would run twice",
                    reboot->note, strerror(-r));
}

static void remove_note(const struct reboot *reboot)
{
    if (unlink(reboot->note) < 0 && errno != ENOENT)
        log_warning("cannot remove %s: %s; remove it, or the next reboot will not come about", reboot->note,
                    strerror(errno));
}

/* ------------------------------------------------------------------ command */

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
        set_state(reboot, REBOOT_STATE_NONE, 0, "");
}

/* From here on the machine has reboot-grace to go down. */
static void begin_grace(struct reboot *reboot)
{
    const int64_t grace_ns = reboot->daemon->config->timers.reboot_grace;

    wait_for(reboot, STEP_GRACE, grace_ns);
    set_state(reboot, REBOOT_STATE_RUNNING, clock_now_ns() + grace_ns, "");
}

static void run_command(struct reboot *reboot)
{
    const struct config_strings *command = &reboot->daemon->config->reboot_command;
    const struct process_request request = {
        .command = command->items, .environment = environ, .detached = true};
    const struct process_handlers handlers = {on_started, on_start_failed, on_ended, NULL, reboot};
    char error[PROCESS_TEXT_MAX];

    note(reboot);
    begin_grace(reboot);
    if (command->count == 0) {
        fail(reboot, "no reboot-command is configured");
        return;
    }
    int r = process_start(reboot->daemon->loop, &request, &handlers, &reboot->process);
    if (r < 0) {
        snprintf(error, sizeof error, "cannot start %.64s: %s", command->items[0], strerror(-r));
        fail(reboot, error);
    }
}

/* -------------------------------------------------------------- preparation */

static void write_box(struct reboot *reboot, const char *text)
{
    recorder_note(reboot->recorder, text);
    const int r = recorder_flush(reboot->recorder, box_limit_ns);
    if (r < 0 && r != -ENODEV)
        log_warning("the black box is not all on the disk: %s", strerror(-r));
}

static void sync_disks(struct reboot *reboot)
{
    char text[STATEFILE_MAX], box_text[sizeof reboot->message.reason + 32];

    snprintf(box_text, sizeof box_text, "restarting this node: %s", reboot->message.reason);
    write_box(reboot, box_text);
    restarts_count(&reboot->restarts, reboot->message.reason, time(NULL));
    restarts_print(&reboot->restarts, text);
    wait_for(reboot, STEP_DISK, disk_limit_ns);
    if (disk_sync(reboot->disk, reboot->history, text) < 0)
        run_command(reboot); /* without */
}

static void let_traps_go(struct reboot *reboot)
{
    if (reboot->daemon->config->snmp_config[0])
        wait_for(reboot, STEP_TRAPS, trap_time_ns);
    else
        sync_disks(reboot);
}

static void prepare(struct reboot *reboot)
{
    log_warning("restarting this node: %s", reboot->message.reason);
    set_state(reboot, REBOOT_STATE_PREPARING, 0, "");
    if (reboot->released)
        let_traps_go(reboot);
    else
        wait_for(reboot, STEP_RELEASE, release_limit_ns);
}

/* ----------------------------------------------------------------- by force */

static void force(struct reboot *reboot)
{
    char error[sizeof reboot->message.error];

    log_error("restarting the machine by the kernel");
    const int r = sys_restart();
    const bool starved = watchdog_starve(reboot->watchdog, "the kernel refused to restart the machine");
    snprintf(error, sizeof error, "the kernel refused to restart the machine: %s%s", strerror(-r),
             starved ? "; the watchdog will, since it is not fed any more" : "");
    fail(reboot, error);
}

static void on_grace_over(struct reboot *reboot)
{
    char grace[DURATION_TEXT_MAX], error[sizeof reboot->message.error];

    duration_print(reboot->daemon->config->timers.reboot_grace, grace);
    snprintf(error, sizeof error, "the machine still runs %s after the reboot command", grace);
    reboot->message.until_ns = 0;
    if (reboot->daemon->config->reboot_force && sys_is_whole_machine()) {
        log_error("%s", error);
        write_box(reboot, "restarting the machine by the kernel, since the reboot command did not");
        wait_for(reboot, STEP_LAST_DISK, disk_limit_ns);
        if (disk_sync(reboot->disk, NULL, NULL) < 0)
            force(reboot);
    } else if (reboot->message.state != REBOOT_STATE_FAILED) {
        fail(reboot, error);
    }
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct reboot *reboot = userdata;
    const enum stage step = reboot->step;

    (void)now_ns;
    reboot->step = STEP_NONE;
    switch (step) {
    case STEP_NONE:
        break;
    case STEP_PAUSE:
        prepare(reboot);
        break;
    case STEP_RELEASE:
        log_error("takeoverd did not confirm that the active addresses are gone; restarting all the same");
        let_traps_go(reboot);
        break;
    case STEP_TRAPS:
        sync_disks(reboot);
        break;
    case STEP_DISK:
        log_error("the disks were not written in time; restarting all the same");
        run_command(reboot);
        break;
    case STEP_GRACE:
        on_grace_over(reboot);
        break;
    case STEP_LAST_DISK:
        force(reboot);
        break;
    }
}

static void on_disk(void *userdata)
{
    struct reboot *reboot = userdata;

    if (reboot->step == STEP_DISK)
        run_command(reboot);
    else if (reboot->step == STEP_LAST_DISK)
        force(reboot);
}

void reboot_address(struct reboot *reboot, const struct address_message *address)
{
    reboot->released = address->state == HOLD_STATE_RELEASED;
    if (reboot->released && reboot->step == STEP_RELEASE)
        let_traps_go(reboot);
}

/* --------------------------------------------------------------------- role */

static void wish_appeared(struct reboot *reboot, const struct role_message *role, const char *cause)
{
    const int64_t now_s = time(NULL);
    char wait[DURATION_TEXT_MAX];

    text_copy(reboot->message.reason, sizeof reboot->message.reason, role->reboot_reason);
    text_copy(reboot->cause, sizeof reboot->cause, cause);
    reboot->message.row = restarts_row(&reboot->restarts, role->reboot_reason, now_s);
    const int64_t wait_ns = restarts_wait_ns(&reboot->restarts, role->reboot_reason, now_s);
    if (reboot->process) {
        log_notice("this node is to restart (%s); the reboot command runs already", role->reboot_reason);
        note(reboot);
        begin_grace(reboot);
    } else if (is_noted(reboot)) {
        log_notice("this node is to restart (%s); an earlier superviserd started the reboot command already",
                   role->reboot_reason);
        begin_grace(reboot);
    } else if (wait_ns > 0) {
        duration_print(wait_ns, wait);
        log_error("this node is to restart (%s), and was restarted for that %lld times in a row: it stays "
                  "passive, and waits %s; mend the cause, then `duet clear`",
                  role->reboot_reason, (long long)reboot->message.row, wait);
        wait_for(reboot, STEP_PAUSE, wait_ns);
        set_state(reboot, REBOOT_STATE_DELAYED, clock_now_ns() + wait_ns, "");
    } else {
        prepare(reboot);
    }
}

static void wish_went(struct reboot *reboot)
{
    remove_note(reboot);
    wait_for_nothing(reboot);
    watchdog_feed_again(reboot->watchdog);
    reboot->cause[0] = '\0';
    if (reboot->message.state == REBOOT_STATE_NONE)
        return;
    log_notice("the arbiter takes the reboot back%s", reboot->process ? "; its command still runs" : "");
    if (!reboot->process)
        set_state(reboot, REBOOT_STATE_NONE, 0, "");
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

void reboot_clear(struct reboot *reboot)
{
    reboot->restarts = (struct restarts){0};
    if (unlink(reboot->history) < 0 && errno != ENOENT)
        log_warning("cannot remove %s: %s; earlier restarts still count after a boot", reboot->history,
                    strerror(errno));
}

/* -------------------------------------------------------------------- opening */

static void read_history(struct reboot *reboot)
{
    char text[STATEFILE_MAX];
    int r = statefile_read(reboot->history, text);

    if (r == 0)
        r = restarts_parse(text, &reboot->restarts);
    if (r < 0 && r != -ENOENT)
        log_warning("cannot read %s: %s; restarts begin to be counted anew", reboot->history, strerror(-r));
}

int reboot_new(struct daemon *daemon, struct watchdog *watchdog, struct recorder *recorder,
               struct reboot **reboot)
{
    char directory[PATH_MAX];
    struct reboot *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    made->watchdog = watchdog;
    made->recorder = recorder;
    snprintf(directory, sizeof directory, "%s/%s", daemon->run_dir, daemon->name);
    snprintf(made->note, sizeof made->note, "%s/%s/reboot", daemon->run_dir, daemon->name);
    snprintf(made->history, sizeof made->history, "%s/restarts", daemon->state_dir);
    int r = make_directories(directory, 0750);
    if (r == 0)
        r = sys_boot_id(made->boot_id);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_timer, made, &made->timer);
    if (r == 0)
        r = disk_open(daemon->loop, on_disk, made, &made->disk);
    if (r < 0) {
        free(made);
        return r;
    }
    read_history(made);
    set_state(made, REBOOT_STATE_NONE, 0, "");
    *reboot = made;
    return 0;
}
