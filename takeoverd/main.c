/* takeoverd: puts the active and passive addresses, and the routes that follow the role, on the adapters.
 *
 * takeoverd --let-go is the same program when its unit has ended and nobody will steer the addresses any
 * more. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"
#include "takeoverd/holder.h"

/* True if that was the first argument, which is then gone. */
static bool take_let_go(int *argc, char **argv)
{
    if (*argc < 2 || strcmp(argv[1], "--let-go") != 0)
        return false;
    memmove(argv + 1, argv + 2, (size_t)(*argc - 1) * sizeof *argv);
    (*argc)--;
    return true;
}

int main(int argc, char **argv)
{
    struct daemon daemon;
    struct holder *holder = NULL;
    const bool let_go = take_let_go(&argc, argv);
    int r = daemon_start(&daemon, "takeoverd", SYS_NETWORK_CONFIGURE | SYS_NETWORK_RAW, argc, argv);

    if (r == 0)
        r = holder_open(&daemon, &holder);
    if (r == 0 && let_go) /* by the way of every stop */
        kill(getpid(), SIGTERM);
    r = daemon_run(&daemon, r);
    holder_free(holder);
    return r;
}
