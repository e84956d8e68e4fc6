/* roamd: the roaming client: keeps one of several profiles connected, tests their gateways, and switches. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "client/server.h"
#include "common/log.h"
#include "common/statefile.h"
#include "common/sys.h"

/* Two of them would undo each other's connections. The lock ends with the process. */
static int lock_run_dir(const char *run_dir)
{
    char file[PATH_MAX];
    int r = make_directories(run_dir, 0755);

    snprintf(file, sizeof file, "%s/roamd.lock", run_dir);
    const int fd = r < 0 ? -1 : open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (r == 0 && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0))
        r = -errno;
    if (r == -EWOULDBLOCK)
        log_error("another roamd runs in %s; end it first, or name another --run-dir", run_dir);
    else if (r < 0)
        log_error("cannot lock %s: %s", file, strerror(-r));
    return r;
}

/* Before the bus is opened: a second one must not take the first one's sockets. */
static int read_config(struct daemon *daemon, void *userdata)
{
    const int r = client_config_read(daemon->config_file, stderr, userdata);

    return r < 0 ? r : lock_run_dir(daemon->run_dir);
}

int main(int argc, char **argv)
{
    struct client_config *config = NULL;
    struct daemon daemon;
    struct server *server = NULL;

    int r = daemon_start_own(&daemon, "roamd", SYS_EVERYTHING | SYS_PATIENT, "/etc/duet/client.conf",
                             read_config, &config, argc, argv);
    if (r == 0)
        r = server_open(&daemon, config, &server);
    r = daemon_run(&daemon, r);
    server_free(server);
    client_config_free(config);
    return r;
}
