/* trapd: SNMP notifications of what happens, to the sinks that an SNMP configuration file names.
 *
 * trapd --sink and trapd --check FILE are the same program at other work (child.h). */
#include <string.h>

#include "trapd/child.h"
#include "trapd/server.h"

int main(int argc, char **argv)
{
    struct daemon daemon;
    struct server *server = NULL;

    if (argc == 2 && strcmp(argv[1], "--sink") == 0)
        return child_run();
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return child_check(argv[2]);
    int r = daemon_start(&daemon, "trapd", SYS_PATIENT, argc, argv);
    if (r == 0)
        r = server_open(&daemon, &server);
    r = daemon_run(&daemon, r);
    server_free(server);
    return r;
}
