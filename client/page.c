#include "client/page.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/guard.h"
#include "client/page_text.h"
#include "common/clock.h"
#include "common/log.h"

enum { CONNECTIONS_MAX = 16, SECONDS_MAX = 15, FORM_BYTES_MAX = 1024 };

struct page {
    struct loop *loop;
    struct page_handlers handlers;
    struct MHD_Daemon *server;
    struct loop_source *source, *timer;
    struct guard guard;
    struct log_limit log;
};

/* One request under way. */
struct request {
    struct MHD_PostProcessor *form;
    size_t bytes;
    bool bad;
    char token[GUARD_TOKEN_MAX], profile[CONFIG_NAME_MAX];
};

/* ---- answers */

static enum MHD_Result send_answer(struct MHD_Connection *connection, unsigned status, char *text,
                                   size_t size, const char *type, const char *nonce)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    char policy[256];

    if (!response)
        return MHD_NO;
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
             "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
             nonce, nonce);
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (status == MHD_HTTP_SEE_OTHER)
        MHD_add_response_header(response, "Location", "/");
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char *copy = NULL;
    const int size = asprintf(&copy, "%s\n", text);

    return size < 0
               ? MHD_NO
               : send_answer(connection, status, copy, (size_t)size, "text/plain; charset=utf-8", "none");
}

static void random_hex(char *text, size_t size)
{
    unsigned char bytes[16];

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(text, size, bytes, sizeof bytes);
}

static enum MHD_Result send_page(struct page *page, struct MHD_Connection *connection, bool whole)
{
    struct view *view AUTO_FREE = calloc(1, sizeof *view);
    char *text = NULL, nonce[GUARD_TOKEN_MAX];
    size_t size;
    FILE *out = view ? open_memstream(&text, &size) : NULL;

    if (!out)
        return MHD_NO;
    random_hex(nonce, sizeof nonce);
    page->handlers.view(page->handlers.userdata, view);
    if (whole)
        page_print(out, view, page->guard.token, nonce, clock_now_ns());
    else
        page_print_state(out, view, page->guard.token, clock_now_ns());
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    return send_answer(connection, MHD_HTTP_OK, text, size, "text/html; charset=utf-8", nonce);
}

/* ---- requests */

/* libmicrohttpd gives a value in pieces if it likes. */
static void append(char *to, size_t size, const char *data, uint64_t offset, size_t count, bool *bad)
{
    if (offset >= size || count >= size - offset || memchr(data, '\0', count)) {
        *bad = true;
        return;
    }
    memcpy(to + offset, data, count);
    to[offset + count] = '\0';
}

static enum MHD_Result on_field(void *userdata, enum MHD_ValueKind kind, const char *key,
                                const char *filename, const char *content_type, const char *encoding,
                                const char *data, uint64_t offset, size_t size)
{
    struct request *request = userdata;

    (void)kind;
    (void)filename;
    (void)content_type;
    (void)encoding;
    if (strcmp(key, "token") == 0)
        append(request->token, sizeof request->token, data, offset, size, &request->bad);
    else if (strcmp(key, "profile") == 0)
        append(request->profile, sizeof request->profile, data, offset, size, &request->bad);
    return MHD_YES;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result refuse(struct page *page, struct MHD_Connection *connection, const char *why)
{
    if (log_allowed(&page->log, 5))
        log_warning("a request to the page was refused: %s", why);
    return send_text(connection, MHD_HTTP_FORBIDDEN, why);
}

static enum MHD_Result answer(struct page *page, struct MHD_Connection *connection, const char *url,
                              const char *method, const struct request *request)
{
    const bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0,
               get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    const struct guard_request asked = {.host = header(connection, "Host"),
                                        .origin = header(connection, "Origin"),
                                        .fetch_site = header(connection, "Sec-Fetch-Site"),
                                        .changes = !get,
                                        .token = request->token};
    const char *why = guard_refuses(&page->guard, &asked);

    if (why)
        return refuse(page, connection, why);
    if (get && strcmp(url, "/") == 0)
        return send_page(page, connection, true);
    if (get && strcmp(url, "/state") == 0)
        return send_page(page, connection, false);
    if (!post || strcmp(url, "/use") != 0)
        return send_text(connection, MHD_HTTP_NOT_FOUND, "there is / and /state to get, and /use to post to");
    why = request->bad ? "the form cannot be read"
                       : page->handlers.use(page->handlers.userdata, request->profile);
    return why ? send_text(connection, MHD_HTTP_BAD_REQUEST, why)
               : send_text(connection, MHD_HTTP_SEE_OTHER, "switching");
}

static struct request *request_new(struct MHD_Connection *connection, const char *method)
{
    struct request *request = calloc(1, sizeof *request);

    /* NULL for other types of content: nothing of these is read. */
    if (request && strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        request->form = MHD_create_post_processor(connection, FORM_BYTES_MAX, on_field, request);
    return request;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
    struct request *request = *context;

    (void)version;
    if (!request) {
        *context = request_new(connection, method);
        return *context ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        request->bytes += *upload_size;
        if (request->bytes > FORM_BYTES_MAX)
            return MHD_NO; /* no form of this page is that long */
        if (request->form && MHD_post_process(request->form, upload, *upload_size) != MHD_YES)
            request->bad = true;
        *upload_size = 0;
        return MHD_YES;
    }
    if (request->form)
        MHD_destroy_post_processor(request->form); /* the last value may come only now */
    request->form = NULL;
    return answer(userdata, connection, url, method, request);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;

    (void)userdata;
    (void)connection;
    (void)code;
    if (request && request->form)
        MHD_destroy_post_processor(request->form);
    free(request);
    *context = NULL;
}

/* ---- in the loop */

static void run(struct page *page)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(page->server);
    if (MHD_get_timeout(page->server, &ms) == MHD_YES)
        loop_set_timer(page->timer, clock_now_ns() + (int64_t)MIN(ms, 1000ULL * SECONDS_MAX) * NS_PER_MS);
    else
        loop_stop_timer(page->timer);
}

static void on_ready(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    run(userdata);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    run(userdata);
}

static void set_hosts(struct guard *guard, const struct client_config *config)
{
    char address[ADDRESS_TEXT_MAX];

    net_address_print(&config->page, false, address);
    snprintf(guard->hosts[0], GUARD_HOST_MAX, config->page.family == AF_INET6 ? "[%.64s]:%d" : "%.64s:%d",
             address, config->page_port);
    snprintf(guard->hosts[1], GUARD_HOST_MAX, "localhost:%d", config->page_port);
    random_hex(guard->token, sizeof guard->token);
}

static struct MHD_Daemon *start_server(struct page *page, const struct client_config *config)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)config->page_port), .sin_addr = config->page.v4};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)config->page_port),
                              .sin6_addr = config->page.v6};
    const bool is_v6 = config->page.family == AF_INET6;

    errno = 0;
    return MHD_start_daemon(
        MHD_USE_EPOLL | (is_v6 ? MHD_USE_IPv6 : 0), (uint16_t)config->page_port, NULL, NULL, on_request, page,
        MHD_OPTION_SOCK_ADDR, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SECONDS_MAX, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
}

int page_open(struct loop *loop, const struct client_config *config, const struct page_handlers *handlers,
              struct page **result)
{
    struct page *page = *result = calloc(1, sizeof *page);

    if (!page)
        return -ENOMEM;
    page->loop = loop;
    page->handlers = *handlers;
    set_hosts(&page->guard, config);
    page->server = start_server(page, config);
    if (!page->server)
        return errno > 0 ? -errno : -EADDRNOTAVAIL;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(page->server, MHD_DAEMON_INFO_EPOLL_FD);
    int r = loop_add_timer(loop, on_timer, page, &page->timer);
    if (r == 0)
        r = loop_add_fd(loop, info->epoll_fd, EPOLLIN, on_ready, page, &page->source);
    return r;
}

void page_close(struct page *page)
{
    if (!page)
        return;
    loop_remove(page->source);
    loop_remove(page->timer);
    if (page->server)
        MHD_stop_daemon(page->server);
    free(page);
}
