#include "monitord/web.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"

enum { CONNECTION_MEMORY = 32 << 10 };

struct web {
    struct MHD_Daemon *http;
    struct loop_source *readable, *timer;
    web_render *render;
    void *userdata;
};

static const char front_page[] = "duet: the metrics of this node are at /metrics; see duet-monitor(7)\n";

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, size_t size, char *text,
                              enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, text, mode);

    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type",
                            mode == MHD_RESPMEM_MUST_FREE ? "text/plain; version=0.0.4; charset=utf-8"
                                                          : "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    const enum MHD_Result r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return answer(connection, status, strlen(text), (char *)text, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer_metrics(struct web *web, struct MHD_Connection *connection)
{
    size_t size;
    char *text = web->render(web->userdata, &size);

    if (!text)
        return answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "the metrics cannot be made now\n");
    return answer(connection, MHD_HTTP_OK, size, text, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    static char seen;

    (void)version;
    (void)upload;
    if (!*state) { /* only the headers are there; the answer comes with the next call */
        *state = &seen;
        return MHD_YES;
    }
    *upload_size = 0;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(userdata, connection);
    if (strcmp(url, "/") == 0)
        return answer_text(connection, MHD_HTTP_OK, front_page);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
}

/* libmicrohttpd tells when it wants to run for its connections, but not when it listens again after it had as
 * many as it may: so it runs now and then in any case. */
static const int64_t run_again_ns = NS_PER_S;

static void turn(struct web *web)
{
    MHD_UNSIGNED_LONG_LONG left_ms;
    int64_t pause_ns = run_again_ns;

    MHD_run(web->http);
    if (MHD_get_timeout(web->http, &left_ms) == MHD_YES &&
        left_ms < (MHD_UNSIGNED_LONG_LONG)(pause_ns / NS_PER_MS))
        pause_ns = (int64_t)left_ms * NS_PER_MS;
    loop_set_timer(web->timer, clock_now_ns() + pause_ns);
}

static void on_readable(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    turn(userdata);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    turn(userdata);
}

static struct MHD_Daemon *start(struct web *web, const struct net_address *address, int port)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = address->v4};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = address->v6};
    const bool is_v6 = address->family == AF_INET6;
    const void *where = is_v6 ? (const void *)&v6 : &v4;

    return MHD_start_daemon(MHD_USE_EPOLL | (is_v6 ? MHD_USE_IPv6 : 0), (uint16_t)port, NULL, NULL,
                            on_request, web, MHD_OPTION_SOCK_ADDR, where, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)WEB_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_TIMEOUT_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
}

static int open_parts(struct web *web, struct loop *loop, const struct net_address *address, int port)
{
    errno = 0;
    web->http = start(web, address, port);
    if (!web->http)
        return errno > 0 ? -errno : -EADDRNOTAVAIL;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(web->http, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return -ENOSYS;
    int r = loop_add_timer(loop, on_timer, web, &web->timer);
    return r < 0 ? r : loop_add_fd(loop, info->epoll_fd, EPOLLIN, on_readable, web, &web->readable);
}

int web_open(struct loop *loop, const struct net_address *address, int port, web_render *render,
             void *userdata, struct web **web)
{
    struct web *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->render = render;
    made->userdata = userdata;
    const int r = open_parts(made, loop, address, port);
    if (r < 0) {
        web_close(made);
        return r;
    }
    turn(made);
    *web = made;
    return 0;
}

void web_close(struct web *web)
{
    if (!web)
        return;
    loop_remove(web->readable);
    loop_remove(web->timer);
    if (web->http)
        MHD_stop_daemon(web->http);
    free(web);
}
