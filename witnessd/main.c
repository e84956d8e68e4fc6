/* witnessd: asks a third party who may serve, while the two nodes do not hear each other. arbiterd says what
 * is to be asked, and decides what the answer means. */
#include <curl/curl.h>
#include <sodium.h>

#include "common/log.h"
#include "common/sys.h"
#include "witnessd/server.h"

int main(int argc, char **argv)
{
    struct daemon daemon;
    struct server *server = NULL;

    int r = daemon_start(&daemon, "witnessd", 0, argc, argv);
    if (r == 0 && (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)) {
        log_error("cannot set up libsodium and libcurl");
        r = -1;
    }
    if (r == 0)
        r = server_open(&daemon, &server);
    r = daemon_run(&daemon, r);
    server_free(server);
    curl_global_cleanup();
    return r;
}
