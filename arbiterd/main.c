/* arbiterd: the tiny arbiter that alone decides who is active. */
#include <string.h>

#include "arbiterd/server.h"
#include "common/log.h"

int main(int argc, char **argv)
{
    static struct server server;
    struct daemon daemon;
    int r = daemon_start(&daemon, "arbiterd", 0, argc, argv);

    if (r == 0 && (r = server_open(&server, &daemon)) < 0)
        log_error("cannot start: %s", strerror(-r));
    return daemon_run(&daemon, r);
}
