/* daemon: what every daemon does in the same way before its own work begins, and when it ends.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct daemon daemon;
 *         int r = daemon_start(&daemon, "arbiterd", 0, argc, argv);
 *         …open what is its own…
 *         return daemon_run(&daemon, r);
 *     }
 */
#pragma once
#include "common/bus.h"
#include "common/config.h"
#include "common/loop.h"

/* How a daemon takes a changed configuration while it works (reload.h). */
struct daemon_reload {
    /* Whether it can go from daemon->config to `next`. False with the reason, and what to do instead, in
     * `text`. NULL: it always can. */
    bool (*check)(void *userdata, const struct config *next, char *text, size_t size);
    /* daemon->config is the new one by now; `before`, the one before, lives as long as the process. 0 with
     * what was done in `text`, or a negative errno with what could not. */
    int (*apply)(void *userdata, const struct config *before, char *text, size_t size);
    void *userdata;
};

struct daemon {
    const char *name;
    char node[CONFIG_NAME_MAX];
    char run_dir[PATH_MAX - 64];
    char state_dir[PATH_MAX - 64]; /* this daemon's own, below the common one */
    const char *config_file;       /* as it was named */
    struct config *config;
    struct config *staged;   /* checked, and to be applied; or NULL */
    struct config **earlier; /* what daemon->config was before: things may still point into it */
    size_t earlier_count;
    struct daemon_reload reload;
    const char *state_root; /* the common state directory, as it was named */
    bool again;             /* after the loop this process starts its program anew */
    struct loop *loop;
    struct bus *bus;
    void (*on_stop)(void *userdata); /* SIGTERM or SIGINT; NULL: loop_exit(0) */
    void (*on_end)(void *userdata);  /* the loop was ended by loop_exit(); the last words can be published */
    void *stop_userdata;
};

/* Ends the loop in a moment, and has the process start its own program anew, with the configuration as it is
 * then: for a daemon that loses nothing by it. Same process id, same options. 0 or a negative errno. */
int daemon_start_again(struct daemon *daemon);

/* The whole answer to a changed configuration of a daemon that starts again if `same` is false: for
 * daemon_reload.apply. */
int daemon_reload_again(struct daemon *daemon, bool same, char *text, size_t size);

/* The options that all of duet's programs share. Strings point into argv or are constants. */
struct options {
    const char *config, *node, *run_dir, *state_dir;
};

/* Takes `--config F --node N --run-dir D --state-dir D` (also `--x=y`) out of argv and fills `options`, with
 * the defaults of DESIGN §5 for the rest; the hostname (cut at its first dot) for the node. Leaves argv[0]
 * and what it does not know in argv, and returns their number; -EINVAL when a value is missing (said on
 * stderr). */
int options_parse(struct options *options, int argc, char **argv);

/* The same with another file than /etc/duet/duet.conf where --config is not given. */
int options_parse_for(struct options *options, const char *config, int argc, char **argv);

/* Reads options and configuration, opens log, real-time scheduling, loop and bus, makes the directories.
 * Before the first thread is started it drops every privilege but `privileges` (enum sys_privilege). Says on
 * stderr what is wrong. 0 or a negative errno; either way daemon_run() follows. */
int daemon_start(struct daemon *daemon, const char *name, unsigned privileges, int argc, char **argv);

/* The same for a daemon with a configuration of its own: `read` reads daemon->config_file, says what is wrong
 * on stderr, and returns 0 or a negative errno; `config` is the file without --config. daemon->config stays
 * NULL. */
typedef int daemon_config_reader(struct daemon *daemon, void *userdata);
int daemon_start_own(struct daemon *daemon, const char *name, unsigned privileges, const char *config,
                     daemon_config_reader *read, void *userdata, int argc, char **argv);

/* Tells systemd READY=1, publishes the pulse, answers systemd's WatchdogSec=, and turns the loop until it
 * ends; then frees everything. `r` < 0: does nothing of it but freeing. Returns main()'s exit code. */
int daemon_run(struct daemon *daemon, int r);
