#include "common/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/liveness.h"
#include "common/log.h"
#include "common/reload.h"
#include "common/statefile.h"
#include "common/sys.h"

static const char *default_node(void)
{
    static char name[CONFIG_NAME_MAX];

    if (gethostname(name, sizeof name - 1) < 0)
        return "";
    name[strcspn(name, ".")] = '\0';
    return name;
}

/* "--name value" or "--name=value" at argv[*i]: sets `*value`, moves `*i` on. 1 if it was this option, 0 if
 * not. */
static int take_option(const char *name, int argc, char **argv, int *i, const char **value)
{
    const size_t length = strlen(name);

    if (strncmp(argv[*i], name, length) != 0)
        return 0;
    if (argv[*i][length] == '=') {
        *value = argv[*i] + length + 1;
        return 1;
    }
    if (argv[*i][length] != '\0')
        return 0;
    if (*i + 1 >= argc) {
        fprintf(stderr, "%s: %s needs a value\n", argv[0], name);
        return -EINVAL;
    }
    *value = argv[++*i];
    return 1;
}

int options_parse(struct options *options, int argc, char **argv)
{
    return options_parse_for(options, "/etc/duet/duet.conf", argc, argv);
}

int options_parse_for(struct options *options, const char *config, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = {{"--config", &options->config},
                 {"--node", &options->node},
                 {"--run-dir", &options->run_dir},
                 {"--state-dir", &options->state_dir}};
    int left = 1;

    *options = (struct options){config, NULL, "/run/duet", "/var/lib/duet"};
    for (int i = 1; i < argc; i++) {
        int r = 0;
        for (size_t k = 0; k < ARRAY_LENGTH(known) && r == 0; k++)
            r = take_option(known[k].name, argc, argv, &i, known[k].value);
        if (r < 0)
            return r;
        if (r == 0)
            argv[left++] = argv[i];
    }
    argv[left] = NULL;
    if (!options->node)
        options->node = default_node();
    return left;
}

static void on_stop_signal(void *userdata, int signal)
{
    struct daemon *daemon = userdata;

    log_info("stopping (%s)", strsignal(signal));
    sd_notify(0, "STOPPING=1");
    if (daemon->bus)
        bus_tell_stopping(daemon->bus);
    if (daemon->on_stop)
        daemon->on_stop(daemon->stop_userdata);
    else
        loop_exit(daemon->loop, 0);
}

static int read_options(struct daemon *daemon, const char *config, int argc, char **argv,
                        struct options *options)
{
    int left = options_parse_for(options, config, argc, argv);

    if (left < 0)
        return left;
    if (left > 1) {
        fprintf(stderr, "%s: unknown argument %s; known are --config, --node, --run-dir, --state-dir\n",
                argv[0], argv[1]);
        return -EINVAL;
    }
    daemon->config_file = options->config;
    text_copy(daemon->node, sizeof daemon->node, options->node);
    text_copy(daemon->run_dir, sizeof daemon->run_dir, options->run_dir);
    daemon->state_root = options->state_dir;
    snprintf(daemon->state_dir, sizeof daemon->state_dir, "%s/%s", options->state_dir, daemon->name);
    return 0;
}

static int open_loop(struct daemon *daemon)
{
    int r = loop_new(&daemon->loop);

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would have the kernel take the ends of children away */
    if (r == 0)
        r = loop_add_signal(daemon->loop, SIGTERM, on_stop_signal, daemon);
    if (r == 0)
        r = loop_add_signal(daemon->loop, SIGINT, on_stop_signal, daemon);
    return r;
}

/* The pair's configuration, for all daemons but the client's. */
static int read_config(struct daemon *daemon, void *userdata)
{
    (void)userdata;
    return config_read(daemon->config_file, daemon->node, stderr, &daemon->config);
}

int daemon_start(struct daemon *daemon, const char *name, unsigned privileges, int argc, char **argv)
{
    return daemon_start_own(daemon, name, privileges, "/etc/duet/duet.conf", read_config, NULL, argc, argv);
}

int daemon_start_own(struct daemon *daemon, const char *name, unsigned privileges, const char *config,
                     daemon_config_reader *read, void *userdata, int argc, char **argv)
{
    struct options options;
    const char *missing;

    *daemon = (struct daemon){.name = name};
    int r = read_options(daemon, config, argc, argv, &options);
    if (r < 0)
        return r;
    log_open(name, daemon->node);
    r = read(daemon, userdata);
    if (r < 0)
        return r;
    r = make_directories(daemon->state_dir, 0750);
    if (r < 0) {
        log_error("cannot make the directory %s: %s", daemon->state_dir, strerror(-r));
        return r;
    }
    r = privileges & SYS_PATIENT ? 0 : sys_enter_realtime(privileges & SYS_BEHIND, &missing);
    if (r < 0)
        log_warning("going on without %s: %s", missing, strerror(-r));
    if ((r = sys_drop_privileges(privileges)) < 0) {
        log_error("cannot give up privileges: %s", strerror(-r));
        return r;
    }
    r = open_loop(daemon);
    if (r == 0)
        r = bus_open(daemon->loop, daemon->run_dir, daemon->node, name, &daemon->bus);
    if (r < 0)
        log_error("cannot open the bus below %s: %s", daemon->run_dir, strerror(-r));
    return r;
}

/* systemd starts what ended at once again: what cannot start at all must not be tried a hundred times a
 * second. */
static void wait_before_next_try(void)
{
    if (getenv("NOTIFY_SOCKET"))
        sleep(1);
}

/* Long enough for the answer to who ordered it. */
static const int64_t again_after_ns = 20 * NS_PER_MS;

static void on_again(void *userdata, int64_t now_ns)
{
    struct daemon *daemon = userdata;

    (void)now_ns;
    daemon->again = true;
    loop_exit(daemon->loop, 0);
}

int daemon_start_again(struct daemon *daemon)
{
    struct loop_source *timer;
    int r = loop_add_timer(daemon->loop, on_again, daemon, &timer);

    if (r == 0)
        loop_set_timer(timer, clock_now_ns() + again_after_ns);
    return r;
}

int daemon_reload_again(struct daemon *daemon, bool same, char *text, size_t size)
{
    if (same)
        return 0;
    snprintf(text, size, "starts anew by it");
    return daemon_start_again(daemon);
}

/* Returns only if that failed: then whoever started this process starts it again. */
static void run_again(const struct daemon *daemon)
{
    char *const argv[] = {(char *)daemon->name,        (char *)"--config",
                          (char *)daemon->config_file, (char *)"--node",
                          (char *)daemon->node,        (char *)"--run-dir",
                          (char *)daemon->run_dir,     (char *)"--state-dir",
                          (char *)daemon->state_root,  NULL};

    char program[PATH_MAX] = "";
    if (readlink("/proc/self/exe", program, sizeof program - 1) > 0)
        execv(program, argv);      /* by its name, which people see in a list of processes */
    execv("/proc/self/exe", argv); /* it was replaced on the disk */
    log_error("cannot start anew: %s", strerror(errno));
}

int daemon_run(struct daemon *daemon, int r)
{
    if (r < 0)
        wait_before_next_try();
    if (r == 0 && (r = bus_start_pulse(daemon->bus)) == 0 && (r = liveness_start(daemon->loop)) == 0) {
        reload_open(daemon);
        sd_notify(0, "READY=1");
        r = loop_run(daemon->loop);
        if (r >= 0 && daemon->on_end)
            daemon->on_end(daemon->stop_userdata);
    }
    bus_free(daemon->bus);
    loop_free(daemon->loop);
    reload_close(daemon);
    config_free(daemon->config);
    if (daemon->again)
        run_again(daemon);
    return r < 0 ? EXIT_FAILURE : r;
}
