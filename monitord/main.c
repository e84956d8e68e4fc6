/* monitord: shows this node's bus to monitoring tools on other hosts, and its state to Prometheus. Nothing
 * that decides, or serves, waits for it or hears it. */
#include <sys/resource.h>

#include "common/sys.h"
#include "monitord/server.h"

enum { NICE = 10 };

int main(int argc, char **argv)
{
    struct daemon daemon;
    struct server *server = NULL;

    setpriority(PRIO_PROCESS, 0, NICE); /* what tools ask for comes after all else */
    int r = daemon_start(&daemon, "monitord", SYS_PATIENT, argc, argv);
    if (r == 0)
        r = server_open(&daemon, &server);
    r = daemon_run(&daemon, r);
    server_free(server);
    return r;
}
