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
#include "superviserd/disk.h"
#include "superviserd/heir.h"
#include "superviserd/process.h"
#include "superviserd/restarts.h"

/* What each step of the preparation may take. */
static const int64_t release_limit_ns = 2 * NS_PER_S;
static const int64_t trap_limit_ns = 500 * NS_PER_MS;
static const int64_t disk_limit_ns = HEIR_SYNC_NS;

/* It publishes each second. One that is not heard for longer does not run, and is not waited for. */
static const int64_t trapd_silent_ns = 2500 * NS_PER_MS;

/* This one is waited for in the loop, which feeds the watchdog: well below any timeout. */
static const int64_t box_limit_ns = 500 * NS_PER_MS;

/* What is waited for; each ends by what it waits for, or by the timer. */
enum stage { STEP_NONE, STEP_PAUSE, STEP_RELEASE, STEP_TRAPS, STEP_DISK, STEP_GRACE, STEP_LAST_DISK };

struct reboot {
    struct daemon *daemon;
    struct watchdog *watchdog;
    struct recorder *recorder;
    bool wished;    /* by the latest role */
    bool heard;     /* a role was */
    int64_t change; /* the latest one of the role */
    enum hold_state hold;
    int64_t obeyed;                  /* the change that takeoverd had obeyed then */
    int64_t trapd_heard_ns, told_ns; /* its last message, and which restart it has told of */
    enum stage step;
    int64_t until; /* the end of the grace; 0: no command was started */
    bool paused;   /* this restart has waited */
    struct loop_source *timer, *calm_timer;
    struct disk *disk;
    int64_t job;                     /* of `disk`, the one that is waited for */
    struct restarts restarts;        /* as on the disk, or soon */
    struct restarts restarts_before; /* without the one that is being prepared */
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
    int r = heir_note(reboot->note, text);
    if (r < 0)
        log_warning("cannot write %s: %s; should superviserd restart now, the reboot command would run twice",
                    reboot->note, strerror(-r));
}

static void remove_note(const struct reboot *reboot)
{
    const int r = heir_void_note(reboot->note);

    if (r < 0)
        log_warning("cannot remove %s: %s; remove it, or the next reboot will not come about", reboot->note,
                    strerror(-r));
}

/* ----------------------------------------------------------------- counting */

static struct restarts_now now_here(const struct reboot *reboot)
{
    return (struct restarts_now){reboot->boot_id, clock_now_ns()};
}

static void expect_calm(struct reboot *reboot)
{
    const struct restarts_now now = now_here(reboot);

    if (reboot->restarts.row > 0)
        loop_set_timer(reboot->calm_timer, now.at_ns + restarts_calm_ns(&reboot->restarts, &now));
    else
        loop_stop_timer(reboot->calm_timer);
}

/* Nobody waits for it. */
static void set_count(struct reboot *reboot, const struct restarts *restarts)
{
    char text[STATEFILE_MAX];

    reboot->restarts = *restarts;
    expect_calm(reboot);
    restarts_print(restarts, text);
    const int64_t r = disk_write(reboot->disk, reboot->history, text);
    if (r < 0)
        log_warning("cannot write %s: %s; restarts of this node are not counted as they should",
                    reboot->history, strerror((int)-r));
}

/* While the machine is up: else a later boot could not know of it. */
static void on_calm(void *userdata, int64_t now_ns)
{
    struct reboot *reboot = userdata;

    (void)now_ns;
    if (reboot->message.state == REBOOT_STATE_NONE)
        set_count(reboot, &(struct restarts){0});
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

static bool is_forced(const struct reboot *reboot)
{
    return reboot->daemon->config->reboot_force;
}

/* From here on the machine has reboot-grace to go down. */
static void begin_grace(struct reboot *reboot)
{
    const int64_t grace_ns = reboot->daemon->config->timers.reboot_grace;

    note(reboot); /* anew: an heir that was made before has nothing to do any more */
    reboot->until = clock_now_ns() + grace_ns;
    wait_for(reboot, STEP_GRACE, grace_ns);
    set_state(reboot, REBOOT_STATE_RUNNING, reboot->until, "");
    if (!is_forced(reboot) || !sys_is_whole_machine())
        return;
    const int r = heir_start(reboot->note, reboot->until);
    if (r < 0)
        log_warning("superviserd has no heir (%s): once it was stopped, a shutdown that hangs is left to the "
                    "watchdog and to systemd",
                    strerror(-r));
}

static void run_command(struct reboot *reboot)
{
    const struct config_strings *command = &reboot->daemon->config->reboot_command;
    const struct process_request request = {
        .command = command->items, .environment = environ, .detached = true};
    const struct process_handlers handlers = {on_started, on_start_failed, on_ended, NULL, reboot};
    char error[PROCESS_TEXT_MAX];

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

/* Restarts that nobody can count must not follow upon each other without a pause: one that had none has one
 * now, and then tries again. */
static void go_on_uncounted(struct reboot *reboot, int error)
{
    const char *why = error == -EINPROGRESS ? "the disk takes too long" : strerror(-error);
    char text[sizeof reboot->message.error];

    reboot->restarts = reboot->restarts_before;
    if (reboot->paused) {
        log_error("this restart could not be counted: %s; restarting all the same", why);
        run_command(reboot);
        return;
    }
    snprintf(text, sizeof text, "this restart could not be counted: %s; it waits a minute", why);
    log_error("%s", text);
    wait_for(reboot, STEP_PAUSE, RESTARTS_PAUSE_NS);
    set_state(reboot, REBOOT_STATE_DELAYED, clock_now_ns() + RESTARTS_PAUSE_NS, text);
}

static void go_on(struct reboot *reboot)
{
    const int r = disk_result(reboot->disk, reboot->job);

    if (r < 0)
        go_on_uncounted(reboot, r);
    else
        run_command(reboot);
}

static void sync_disks(struct reboot *reboot)
{
    const struct restarts_now now = now_here(reboot);
    char text[STATEFILE_MAX], box_text[sizeof reboot->message.reason + 32];

    snprintf(box_text, sizeof box_text, "restarting this node: %s", reboot->message.reason);
    write_box(reboot, box_text);
    reboot->restarts_before = reboot->restarts;
    restarts_count(&reboot->restarts, reboot->message.reason, &now);
    restarts_print(&reboot->restarts, text);
    expect_calm(reboot);
    wait_for(reboot, STEP_DISK, disk_limit_ns);
    reboot->job = disk_sync(reboot->disk, reboot->history, text);
    if (reboot->job < 0)
        go_on_uncounted(reboot, (int)reboot->job);
}

/* trapd has sent all that it can of this restart. */
static bool is_told(const struct reboot *reboot)
{
    return reboot->told_ns == reboot->message.at_ns;
}

static void let_traps_go(struct reboot *reboot)
{
    if (clock_now_ns() - reboot->trapd_heard_ns < trapd_silent_ns && !is_told(reboot))
        wait_for(reboot, STEP_TRAPS, trap_limit_ns);
    else
        sync_disks(reboot);
}

/* A release that obeyed an older role says nothing of what was held since. */
static bool is_released(const struct reboot *reboot)
{
    return reboot->hold == HOLD_STATE_RELEASED && reboot->obeyed >= reboot->change;
}

static void prepare(struct reboot *reboot)
{
    log_warning("restarting this node: %s", reboot->message.reason);
    set_state(reboot, REBOOT_STATE_PREPARING, 0, "");
    if (is_released(reboot))
        let_traps_go(reboot);
    else
        wait_for(reboot, STEP_RELEASE, release_limit_ns);
}

/* ----------------------------------------------------------------- by force */

static void force(struct reboot *reboot)
{
    char error[sizeof reboot->message.error];

    wait_for_nothing(reboot); /* the disk and its limit both lead here */
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
    if (is_forced(reboot) && sys_is_whole_machine()) {
        log_error("%s", error);
        write_box(reboot, "restarting the machine by the kernel, since the reboot command did not");
        wait_for(reboot, STEP_LAST_DISK, disk_limit_ns);
        reboot->job = disk_sync(reboot->disk, NULL, NULL);
        if (reboot->job < 0)
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
        reboot->paused = true;
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
        log_error("the disks were not written in time");
        go_on(reboot);
        break;
    case STEP_GRACE:
        on_grace_over(reboot);
        break;
    case STEP_LAST_DISK:
        force(reboot);
        break;
    }
}

static void on_disk(void *userdata, int64_t done)
{
    struct reboot *reboot = userdata;

    if (done < reboot->job)
        return; /* of a restart that was taken back */
    if (reboot->step == STEP_DISK)
        go_on(reboot);
    else if (reboot->step == STEP_LAST_DISK)
        force(reboot);
}

void reboot_traps(struct reboot *reboot, const struct trap_message *traps)
{
    reboot->trapd_heard_ns = clock_now_ns();
    reboot->told_ns = traps->reboot_ns;
    if (reboot->step == STEP_TRAPS && is_told(reboot)) {
        wait_for_nothing(reboot);
        sync_disks(reboot);
    }
}

void reboot_address(struct reboot *reboot, const struct address_message *address)
{
    reboot->hold = address->state;
    reboot->obeyed = address->change;
    if (is_released(reboot) && reboot->step == STEP_RELEASE)
        let_traps_go(reboot);
}

/* --------------------------------------------------------------------- role */

static void wish_appeared(struct reboot *reboot, const struct role_message *role, const char *cause)
{
    const struct restarts_now now = now_here(reboot);
    char wait[DURATION_TEXT_MAX];

    text_copy(reboot->message.reason, sizeof reboot->message.reason, role->reboot_reason);
    text_copy(reboot->cause, sizeof reboot->cause, cause);
    reboot->message.row = restarts_row(&reboot->restarts, &now);
    const int64_t wait_ns = restarts_wait_ns(&reboot->restarts, &now);
    reboot->paused = false;
    if (reboot->process) {
        log_notice("this node is to restart (%s); the reboot command runs already", role->reboot_reason);
        begin_grace(reboot);
    } else if (is_noted(reboot)) {
        log_notice("this node is to restart (%s); an earlier superviserd started the reboot command already",
                   role->reboot_reason);
        begin_grace(reboot);
    } else if (wait_ns > 0) {
        duration_print(wait_ns, wait);
        log_error("this node is to restart (%s), and was restarted %lld times in a row: it stays passive, "
                  "and waits %s; mend the cause, then `duet clear`",
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
    if (reboot->step == STEP_DISK)
        set_count(reboot, &reboot->restarts_before); /* it did not come to that restart */
    wait_for_nothing(reboot);
    reboot->until = 0;
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
    reboot->change = role->change;
    if (role->reboot && !wished)
        wish_appeared(reboot, role, cause);
    else if (!role->reboot && (wished || !reboot->heard))
        wish_went(reboot);
    reboot->heard = true;
}

void reboot_clear(struct reboot *reboot)
{
    reboot->restarts_before = (struct restarts){0};
    set_count(reboot, &reboot->restarts_before);
}

int64_t reboot_left_ns(const struct reboot *reboot)
{
    if (reboot->until == 0 || !is_forced(reboot))
        return 0;
    return MAX(reboot->until + disk_limit_ns - clock_now_ns(), NS_PER_S);
}

/* -------------------------------------------------------------------- opening */

/* What is not there yet gets its place on the disk, as long as there is one. */
static void read_history(struct reboot *reboot)
{
    char text[STATEFILE_MAX];
    int r = statefile_read(reboot->history, text);

    if (r == 0)
        r = restarts_parse(text, &reboot->restarts);
    if (r < 0 && r != -ENOENT)
        log_warning("cannot read %s: %s; restarts begin to be counted anew", reboot->history, strerror(-r));
    if (r < 0)
        set_count(reboot, &(struct restarts){0});
    expect_calm(reboot);
}

int reboot_new(struct daemon *daemon, struct watchdog *watchdog, struct recorder *recorder,
               struct reboot **reboot)
{
    char directory[PATH_MAX];
    struct reboot *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->daemon = daemon;
    made->obeyed = -1; /* takeoverd was not heard */
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
        r = loop_add_timer(daemon->loop, on_calm, made, &made->calm_timer);
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
