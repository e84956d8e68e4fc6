/* Nothing is changed before all have agreed: the file is checked here, then each daemon reads that same text
 * (by its hash), checks it and says whether it can go there; only then each one is told to. What a daemon of
 * the lease chain cannot do, none does. Daemons that the changed file gives something to do for the first
 * time, or no more, are started or stopped by whoever runs them: duet run, or systemd. */
#include "cli/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/model.h"

static const int64_t answer_timeout_ns = 5 * NS_PER_S;

/* In the order in which they are told: addresses are there before what needs them is started, and a channel
 * is heard of before it is counted on. Indices into model_daemons. */
static const size_t tell_order[MODEL_DAEMONS] = {
    2, 0, 1, 3, MODEL_SYNCD, MODEL_TRAPD, MODEL_MONITORD, MODEL_WITNESSD};

struct reload {
    struct invocation *invocation;
    struct config *config;
    struct model model; /* which daemons the changed file wants */
    bool runs[MODEL_DAEMONS];
};

/* Whether anybody listens to commands for that daemon. */
static bool is_running(const char *run_dir, const char *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/ctl/%s/ctl", run_dir, daemon);

    if (fd < 0 || n >= (int)sizeof address.sun_path)
        return true; /* then the order itself tells */
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EACCES;
}

static int send_order(const struct reload *reload, const char *daemon, bool check,
                      struct reply_message *reply)
{
    struct command_message command = {.command = "reload", .check = check};

    text_copy(command.hash, sizeof command.hash, reload->config->hash);
    return bus_request(reload->invocation->options.run_dir, daemon, &command, answer_timeout_ns, &reply_type,
                       reply);
}

/* COMMAND_DONE, or says why not. */
static int ask(struct reload *reload, size_t i)
{
    const char *daemon = model_daemons[i], *run_dir = reload->invocation->options.run_dir;
    struct reply_message reply;

    reload->runs[i] = is_running(run_dir, daemon);
    if (!reload->runs[i] && i >= MODEL_SYNCD)
        return COMMAND_DONE; /* it may have had nothing to do */
    if (!reload->runs[i]) {
        command_error(
            reload->invocation,
            "%s is not to be found below %s: has it not started yet, is duet running, and is this its "
            "--run-dir? Nothing was changed",
            daemon, run_dir);
        return COMMAND_NO_ANSWER;
    }
    const int r = send_order(reload, daemon, true, &reply);
    if (r < 0) {
        command_error(reload->invocation,
                      "%s does not answer below %s (%s); is duet running, and is this its --run-dir? Nothing "
                      "was changed",
                      daemon, run_dir, strerror(-r));
        return r == -ETIMEDOUT ? COMMAND_NO_ANSWER : COMMAND_REFUSED;
    }
    if (!reply.ok) {
        command_error(reload->invocation, "%s: %s; nothing was changed", daemon, reply.error);
        return COMMAND_REFUSED;
    }
    return COMMAND_DONE;
}

static int ask_all(struct reload *reload)
{
    int code = COMMAND_DONE;

    for (size_t k = 0; k < MODEL_DAEMONS && code == COMMAND_DONE; k++)
        code = ask(reload, tell_order[k]);
    return code;
}

static bool tell(struct reload *reload, size_t i)
{
    struct reply_message reply;

    if (!reload->runs[i])
        return true;
    const int r = send_order(reload, model_daemons[i], false, &reply);
    if (r == 0 && reply.ok) {
        printf("%-11s %s\n", model_daemons[i], reply.text);
        return true;
    }
    command_error(reload->invocation, "%s: %s; restart it to have it read the file: see duet status",
                  model_daemons[i], r < 0 ? strerror(-r) : reply.error);
    return false;
}

static bool tell_all(struct reload *reload)
{
    bool all = true;

    for (size_t k = 0; k < MODEL_DAEMONS; k++)
        all = tell(reload, tell_order[k]) && all;
    return all;
}

/* ------------------------------------- daemons that start, or have nothing to do any more */

static int run_systemctl(const char *verb, const char *daemon)
{
    char unit[64];
    int status = 0;
    pid_t pid;

    snprintf(unit, sizeof unit, "duet-%s.service", daemon);
    char *const argv[] = {(char *)"systemctl", (char *)"--no-block", (char *)verb, unit, NULL};
    int r = posix_spawnp(&pid, "systemctl", NULL, NULL, argv, environ);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* The process of the duet run that holds the lock of this run directory; 0: there is none. */
static pid_t find_runner(const char *run_dir)
{
    char path[PATH_MAX], number[32] = "";

    snprintf(path, sizeof path, "%s/duet.lock", run_dir);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0 || pread(fd, number, sizeof number - 1, 0) <= 0)
        return 0;
    return (pid_t)strtol(number, NULL, 10);
}

static bool start_or_stop(struct reload *reload, size_t i, bool wanted)
{
    const int r = run_systemctl(wanted ? "start" : "stop", model_daemons[i]);

    if (r == 0) {
        printf("%-11s is %s\n", model_daemons[i],
               wanted ? "started" : "stopped: it has nothing to do any more");
        return true;
    }
    command_error(reload->invocation, "%s has to be %s: systemctl %s duet-%s", model_daemons[i],
                  wanted ? "started" : "stopped", wanted ? "start" : "stop", model_daemons[i]);
    return false;
}

/* Those that are not of every configuration. */
static bool call_the_roll(struct reload *reload)
{
    const pid_t runner = find_runner(reload->invocation->options.run_dir);
    bool all = true, change = false;

    for (size_t i = MODEL_SYNCD; i < MODEL_DAEMONS; i++) {
        const bool wanted = model_wants(&reload->model, i);
        if (wanted == reload->runs[i])
            continue;
        change = true;
        if (runner == 0)
            all = start_or_stop(reload, i, wanted) && all;
        else
            printf("%-11s is %s\n", model_daemons[i],
                   wanted ? "started" : "stopped: it has nothing to do any more");
    }
    if (change && runner > 0 && kill(runner, SIGUSR1) < 0) {
        command_error(reload->invocation, "cannot tell duet run (process %d): %s", (int)runner,
                      strerror(errno));
        return false;
    }
    return all;
}

/* Both nodes must have the same: the other one is another machine. */
static void remind(const struct reload *reload)
{
    const struct config *config = reload->config;

    printf("now the same on %s: the same file there, and duet reload; until then the pair is not ready\n",
           config->nodes[!config->self].name);
}

static int apply(struct reload *reload)
{
    int code = ask_all(reload);

    if (code != COMMAND_DONE)
        return code;
    const bool all = tell_all(reload);
    const bool started = call_the_roll(reload);
    remind(reload);
    return all && started ? COMMAND_DONE : COMMAND_REFUSED;
}

int reload_command(struct invocation *invocation)
{
    struct reload *reload AUTO_FREE = calloc(1, sizeof *reload);
    const bool check = command_take_flag(invocation, "--check");

    if (!reload)
        return COMMAND_REFUSED;
    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    reload->invocation = invocation;
    if (config_read(invocation->options.config, invocation->options.node, stderr, &reload->config) < 0) {
        command_error(invocation, "nothing was changed");
        return COMMAND_REFUSED;
    }
    model_expect(&reload->model, reload->config);
    const int code = check ? ask_all(reload) : apply(reload);
    if (check && code == COMMAND_DONE)
        puts("every daemon can take it; nothing was changed");
    model_clear(&reload->model);
    config_free(reload->config);
    return code;
}
