/* takeoverd: puts the active and passive addresses, and the routes that follow the role, on the adapters. */
#include "common/sys.h"
#include "takeoverd/holder.h"

int main(int argc, char **argv)
{
    struct daemon daemon;
    struct holder *holder = NULL;
    int r = daemon_start(&daemon, "takeoverd", SYS_NETWORK_CONFIGURE | SYS_NETWORK_RAW, argc, argv);

    if (r == 0)
        r = holder_open(&daemon, &holder);
    r = daemon_run(&daemon, r);
    holder_free(holder);
    return r;
}
