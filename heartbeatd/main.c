/* heartbeatd: hears and is heard. Publishes the topics peer, path, link, router, search and peer_record;
 * carries role and record to the peer. */
#include "common/sys.h"
#include "heartbeatd/shell.h"

int main(int argc, char **argv)
{
    static struct shell shell;
    struct daemon daemon;

    int r = daemon_start(&daemon, "heartbeatd", SYS_NETWORK_RAW, argc, argv);
    if (r == 0)
        r = shell_open(&shell, &daemon);
    const int code = daemon_run(&daemon, r);
    shell_close(&shell);
    return code;
}
