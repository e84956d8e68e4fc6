/* roamd: the roaming client: keeps one of several profiles connected, tests their gateways, and switches. */
#include "client/server.h"
#include "common/sys.h"

static int read_config(struct daemon *daemon, void *userdata)
{
    return client_config_read(daemon->config_file, stderr, userdata);
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
