#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/belongings.h"
#include "cli/handover.h"
#include "cli/lines.h"
#include "cli/program.h"
#include "cli/reaper.h"
#include "cli/respawn.h"
#include "cli/text.h"
#include "common/clock.h"
#include "common/liveness.h"
#include "common/model.h"
#include "common/statefile.h"
#include "common/sys.h"

enum { HELPER = MODEL_DAEMONS, CHILDREN };

enum stage { STAGE_RUNNING, STAGE_HANDING_OVER, STAGE_STOPPING };

struct child {
    struct run *run;
    const char *name;
    char program[PATH_MAX];
    int output_fd;
    int pid; /* 0: does not run */
    int pid_fd;
    int64_t started_ns;
    struct loop_source *end, *restart;
    struct respawn respawn;
};

struct run {
    struct options options;
    struct loop *loop;
    struct lines *lines;
    struct loop_source *deadline;    /* of the handover, or of the daemon that is being stopped */
    struct child children[CHILDREN]; /* the daemons, and the process that hands over */
    enum stage stage;
    size_t stopping; /* index into stop_order */
    int64_t handover_limit_ns, hooks_ns, services_stop_ns;
    bool without_sync, without_snmp, without_monitor,
        without_witness; /* not configured: the daemon has nothing to do */
};

/* Indices into model_daemons: services end while the addresses are still up; their last changes are sent
 * while the peer is still heard; addresses go while the arbiter still renews nothing behind their back; the
 * peer hears of it until the last, and the sinks and monitoring tools of all of it. */
static const size_t stop_order[MODEL_DAEMONS] = {3, MODEL_SYNCD,    2,           1,
                                                 0, MODEL_WITNESSD, MODEL_TRAPD, MODEL_MONITORD};

static void end_handover(struct run *run);
static void stop_next(struct run *run);

/* ----------------------------------------------------------------- children */

/* Of a container's first process also those are children that others left behind. */
static void collect_strangers(const struct run *run)
{
    int own[CHILDREN];

    if (getpid() != 1)
        return;
    for (size_t i = 0; i < CHILDREN; i++)
        own[i] = run->children[i].pid;
    reaper_collect(own, CHILDREN);
}

static void on_sigchld(void *userdata, int signal)
{
    (void)signal;
    collect_strangers(userdata);
}

static void on_child_end(void *userdata, int fd, unsigned events);

static int watch_child(struct child *child, int pid)
{
    child->pid = pid;
    child->started_ns = clock_now_ns();
    child->pid_fd = sys_process_open(pid);
    if (child->pid_fd < 0)
        return child->pid_fd;
    return loop_add_fd(child->run->loop, child->pid_fd, EPOLLIN, on_child_end, child, &child->end);
}

static void schedule_restart(struct child *child, int64_t started_ns, const char *how)
{
    const int64_t now = clock_now_ns(), pause_ns = respawn_pause(&child->respawn, started_ns, now);
    char pause[SPAN_TEXT_MAX];

    span_print(pause_ns, pause);
    lines_say(child->run->lines, "warning: %s %s; it is started again %s%s", child->name, how,
              pause_ns ? "in " : "at once", pause_ns ? pause : "");
    loop_set_timer(child->restart, now + pause_ns);
}

static void start_daemon(struct child *child)
{
    const struct options *options = &child->run->options;
    char *const argv[] = {child->program,
                          (char *)"--config",
                          (char *)options->config,
                          (char *)"--node",
                          (char *)options->node,
                          (char *)"--run-dir",
                          (char *)options->run_dir,
                          (char *)"--state-dir",
                          (char *)options->state_dir,
                          NULL};
    char how[160];
    int r = program_start(argv, child->output_fd);

    if (r > 0)
        r = watch_child(child, r);
    if (r < 0) {
        snprintf(how, sizeof how, "cannot be started (%s)", strerror(-r));
        schedule_restart(child, clock_now_ns(), how);
    }
}

static void on_restart(void *userdata, int64_t now_ns)
{
    struct child *child = userdata;

    (void)now_ns;
    if (child->run->stage != STAGE_STOPPING && child->pid == 0)
        start_daemon(child);
}

static void describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
}

static int reap(struct child *child)
{
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    loop_remove(child->end);
    close(child->pid_fd);
    child->end = NULL;
    child->pid = 0;
    collect_strangers(child->run);  /* it may have been in their way */
    lines_drain(child->run->lines); /* its last words come before the line on its end */
    return status;
}

static bool is_wanted(const struct run *run, size_t daemon)
{
    return (daemon != MODEL_SYNCD || !run->without_sync) && (daemon != MODEL_TRAPD || !run->without_snmp) &&
           (daemon != MODEL_MONITORD || !run->without_monitor) &&
           (daemon != MODEL_WITNESSD || !run->without_witness);
}

static void on_child_end(void *userdata, int fd, unsigned events)
{
    struct child *child = userdata;
    struct run *run = child->run;
    char how[160];

    (void)fd;
    (void)events;
    describe_end(reap(child), how, sizeof how);
    if (child == &run->children[HELPER])
        end_handover(run);
    else if (run->stage != STAGE_STOPPING && !is_wanted(run, (size_t)(child - run->children)))
        lines_say(run->lines, "%s %s; it has nothing to do any more", child->name, how);
    else if (run->stage != STAGE_STOPPING)
        schedule_restart(child, child->started_ns, how);
    else if (child == &run->children[stop_order[run->stopping]])
        stop_next(run);
}

/* ---------------------------------------------------------------- stopping */

static int64_t stop_limit_ns(const struct run *run, size_t daemon)
{
    static const int64_t usual_ns = 3 * NS_PER_S;

    if (strcmp(model_daemons[daemon], "superviserd") != 0)
        return usual_ns;
    return run->hooks_ns + run->services_stop_ns + usual_ns; /* the one after the other */
}

/* The first of those not yet stopped that still runs; the end when there is none. */
static void stop_next(struct run *run)
{
    while (run->stopping < MODEL_DAEMONS && run->children[stop_order[run->stopping]].pid == 0)
        run->stopping++;
    if (run->stopping == MODEL_DAEMONS) {
        lines_say(run->lines, "stopped");
        loop_exit(run->loop, 0);
        return;
    }
    const size_t daemon = stop_order[run->stopping];
    kill(run->children[daemon].pid, SIGTERM);
    loop_set_timer(run->deadline, clock_now_ns() + stop_limit_ns(run, daemon));
}

static void end_handover(struct run *run)
{
    if (run->stage != STAGE_HANDING_OVER)
        return;
    run->stage = STAGE_STOPPING;
    lines_say(run->lines, "stopping the daemons");
    stop_next(run);
}

static void on_deadline(void *userdata, int64_t now_ns)
{
    struct run *run = userdata;
    struct child *late =
        &run->children[run->stage == STAGE_STOPPING ? stop_order[run->stopping] : (size_t)HELPER];

    (void)now_ns;
    if (late->pid == 0)
        return;
    lines_say(run->lines, "warning: %s takes too long; it is killed", late->name);
    kill(late->pid, SIGKILL);
}

/* Forked, not run anew: the helper knows all that it needs, and libzmq was not yet used in this process. */
static int start_helper(struct run *run)
{
    struct child *helper = &run->children[HELPER];
    const int pid = fork();

    if (pid != 0)
        return pid < 0 ? -errno : watch_child(helper, pid);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    sys_die_with_parent(SIGKILL);
    dup2(helper->output_fd, STDOUT_FILENO);
    dup2(helper->output_fd, STDERR_FILENO);
    _exit(handover_run(&run->options, run->handover_limit_ns) < 0);
}

static void begin_handover(struct run *run)
{
    run->stage = STAGE_HANDING_OVER;
    lines_say(run->lines, "handing over before the end; once more to skip that");
    loop_set_timer(run->deadline, clock_now_ns() + run->handover_limit_ns + NS_PER_S);
    int r = start_helper(run);
    if (r < 0) {
        lines_say(run->lines, "error: cannot hand over: %s", strerror(-r));
        end_handover(run);
    }
}

static void on_signal(void *userdata, int signal)
{
    struct run *run = userdata;

    (void)signal;
    switch (run->stage) {
    case STAGE_RUNNING:
        begin_handover(run);
        break;
    case STAGE_HANDING_OVER:
        if (run->children[HELPER].pid > 0)
            kill(run->children[HELPER].pid, SIGKILL);
        end_handover(run);
        break;
    case STAGE_STOPPING:
        on_deadline(run, clock_now_ns());
        break;
    }
}

/* ---------------------------------------------------------------- starting */

static int find_programs(const struct invocation *invocation, struct run *run)
{
    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        if (!is_wanted(run, i))
            continue;
        int r = program_find(model_daemons[i], run->children[i].program);
        if (r < 0) {
            command_error(invocation, "cannot find the program %s, neither in %s nor in %s", model_daemons[i],
                          run->children[i].program, DUET_LIBEXECDIR);
            return r;
        }
    }
    return 0;
}

/* One that was not wanted when this process began. */
static void start_found(struct run *run, size_t i)
{
    struct child *child = &run->children[i];

    if (program_find(model_daemons[i], child->program) == 0)
        start_daemon(child);
    else
        lines_say(run->lines, "error: cannot find the program %s", model_daemons[i]);
}

static int read_config(struct run *run)
{
    struct config *config;
    int r = config_read(run->options.config, run->options.node, stderr, &config);

    if (r < 0)
        return r;
    run->hooks_ns = run->services_stop_ns = 0;
    run->handover_limit_ns = config->timers.handover_time + 2 * NS_PER_S;
    run->without_sync = config->sync_count == 0;
    run->without_snmp = config->snmp_config[0] == '\0';
    run->without_monitor = !config_has_monitor(config);
    run->without_witness = !config_has_witness(config);
    for (size_t i = 0; i < config->service_count; i++)
        run->services_stop_ns += config->services[i].stop_timeout; /* one after the other, if they say so */
    for (size_t event = 0; event < HOOK_EVENT_COUNT; event++)
        run->hooks_ns += config_hooks_ns(config, (enum hook_event)event);
    config_free(config);
    return 0;
}

/* `duet reload` has checked the changed file: what it gives something to do now is started, what it does not
 * any more is ended. */
static void on_changed_config(void *userdata, int signal)
{
    struct run *run = userdata;

    (void)signal;
    if (run->stage != STAGE_RUNNING || read_config(run) < 0)
        return;
    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        struct child *child = &run->children[i];
        if (!is_wanted(run, i)) {
            loop_stop_timer(child->restart);
            if (child->pid > 0)
                kill(child->pid, SIGTERM);
        } else if (child->pid == 0 && child->program[0] == '\0') {
            start_found(run, i);
        } else if (child->pid == 0) {
            start_daemon(child);
        }
    }
}

/* Held until this process ends, and by nothing that it starts. The number in it is for people. */
static int take_lock(const struct invocation *invocation, const char *run_dir, int *lock)
{
    char path[PATH_MAX], holder[32] = "";
    int r = make_directories(run_dir, 0755);

    snprintf(path, sizeof path, "%s/duet.lock", run_dir);
    *lock = r < 0 ? r : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*lock < 0) {
        command_error(invocation, "cannot make %s: %s", path, strerror(r < 0 ? -r : errno));
        return r < 0 ? r : -errno;
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return ftruncate(*lock, 0) < 0 || dprintf(*lock, "%d\n", getpid()) < 0 ? -errno : 0;
    if (pread(*lock, holder, sizeof holder - 1, 0) < 0)
        holder[0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    command_error(
        invocation,
        "another duet run (pid %s) already works in %s; stop that one, or give this one a --run-dir "
        "of its own",
        holder[0] ? holder : "unknown", run_dir);
    return -EBUSY;
}

static int take_belongings(const struct invocation *invocation, const struct options *options)
{
    const char *daemon;
    const int r = belongings_take(options->run_dir, options->state_dir, &daemon);

    if (r == -EBUSY)
        command_error(invocation,
                      "%s already works in %s, started by systemd; run: systemctl stop duet.target, and wait "
                      "until it has ended",
                      daemon, options->run_dir);
    else if (r < 0)
        command_error(invocation, "cannot take over the files in %s and %s: %s", options->run_dir,
                      options->state_dir, strerror(-r));
    return r;
}

static int add_child(struct run *run, size_t i, const char *name)
{
    struct child *child = &run->children[i];

    child->run = run;
    child->name = name;
    child->output_fd = lines_add(run->lines, i == HELPER ? "duet" : name);
    if (child->output_fd < 0)
        return child->output_fd;
    return loop_add_timer(run->loop, on_restart, child, &child->restart);
}

static int open_loop(struct run *run)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    int r = loop_new(&run->loop);

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LENGTH(signals) && r == 0; i++)
        r = loop_add_signal(run->loop, signals[i], on_signal, run);
    if (r == 0)
        r = loop_add_signal(run->loop, SIGUSR1, on_changed_config, run);
    if (r == 0 && getpid() == 1)
        r = loop_add_signal(run->loop, SIGCHLD, on_sigchld, run);
    if (r == 0)
        r = loop_add_timer(run->loop, on_deadline, run, &run->deadline);
    if (r == 0)
        r = lines_new(run->loop, run->options.node, &run->lines);
    if (r == 0)
        r = liveness_start(run->loop);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        r = add_child(run, i, model_daemons[i]);
    return r < 0 ? r : add_child(run, HELPER, "the handover");
}

static int run_daemons(struct run *run)
{
    int r = open_loop(run);

    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        if (is_wanted(run, i))
            start_daemon(&run->children[i]);
    if (r == 0)
        r = loop_run(run->loop);
    if (run->lines)
        lines_drain(run->lines);
    loop_free(run->loop);
    lines_free(run->lines);
    return r;
}

int run_command(struct invocation *invocation)
{
    struct run run = {.options = invocation->options};
    AUTO_CLOSE int lock = -1;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    if (read_config(&run) < 0 || find_programs(invocation, &run) < 0 ||
        take_lock(invocation, run.options.run_dir, &lock) < 0 ||
        take_belongings(invocation, &run.options) < 0)
        return COMMAND_REFUSED;
    int r = run_daemons(&run);
    if (r < 0)
        command_error(invocation, "cannot go on: %s", strerror(-r));
    return r < 0 ? COMMAND_REFUSED : COMMAND_DONE;
}
