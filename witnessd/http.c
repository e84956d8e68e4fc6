#include "witnessd/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"

enum { BODY_MAX = 16384 };

struct http {
    struct loop *loop;
    struct http_settings set;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    struct loop_source *timer, *renew;
    char body[BODY_MAX];
    size_t size;
    bool running, too_long, renewed;
    char error[CURL_ERROR_SIZE];
};

/* A socket of libcurl's that the loop watches. */
struct watch {
    struct http *http;
    struct loop_source *source;
    int fd;
};

static void finish(struct http *h, CURLcode code)
{
    long status = 0;

    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(h->multi, h->easy);
    curl_slist_free_all(h->headers);
    h->headers = NULL;
    h->running = false;
    if (code == CURLE_OK)
        h->set.done(h->set.userdata, status, h->body, h->size, NULL);
    else
        h->set.done(h->set.userdata, 0, NULL, 0,
                    h->too_long   ? "the answer is longer than etcd's are"
                    : h->error[0] ? h->error
                                  : curl_easy_strerror(code));
}

static void take_ends(struct http *h)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(h->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            finish(h, message->data.result);
            return; /* there is one at a time */
        }
}

static void act(struct http *h, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(h->multi, fd, events, &running);
    take_ends(h);
}

static void on_socket(void *userdata, int fd, unsigned events)
{
    const struct watch *watch = userdata;
    const int told = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                     (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

    act(watch->http, fd, told);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static int want_timer(CURLM *multi, long timeout_ms, void *userdata)
{
    struct http *h = userdata;

    (void)multi;
    if (timeout_ms < 0)
        loop_stop_timer(h->timer);
    else
        loop_set_timer(h->timer, clock_now_ns() + timeout_ms * NS_PER_MS);
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket)
{
    struct http *h = userdata;
    struct watch *watch = socket;
    const unsigned events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

    (void)easy;
    if (watch)
        loop_remove(watch->source);
    if (what == CURL_POLL_REMOVE) {
        free(watch);
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (!watch && !(watch = calloc(1, sizeof *watch)))
        return -1;
    *watch = (struct watch){.http = h, .fd = fd};
    curl_multi_assign(h->multi, fd, watch);
    return loop_add_fd(h->loop, fd, events, on_socket, watch, &watch->source) < 0 ? -1 : 0;
}

static size_t take_body(char *data, size_t one, size_t count, void *userdata)
{
    struct http *h = userdata;
    const size_t size = one * count;

    if (size > sizeof h->body - h->size) {
        h->too_long = true;
        return 0;
    }
    memcpy(h->body + h->size, data, size);
    h->size += size;
    return size;
}

static void tear_down(struct http *h)
{
    curl_easy_cleanup(h->easy);
    curl_multi_cleanup(h->multi);
    h->easy = NULL;
    h->multi = NULL;
}

static int set_up(struct http *h)
{
    h->multi = curl_multi_init();
    h->easy = curl_easy_init();
    if (!h->multi || !h->easy)
        return -ENOMEM;
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->easy, CURLOPT_NOPROXY, "*"); /* whatever the environment says */
    curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(h->easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(h->easy, CURLOPT_MAXAGE_CONN, 300L);
    if (h->set.ca_file[0] != '\0')
        curl_easy_setopt(h->easy, CURLOPT_CAINFO, h->set.ca_file);
    return 0;
}

static void on_renew(void *userdata, int64_t now_ns)
{
    struct http *h = userdata;

    (void)now_ns;
    if (h->running) {
        snprintf(h->error, sizeof h->error, "this node's addresses have just changed");
        finish(h, CURLE_ABORTED_BY_CALLBACK);
    }
}

int http_open(struct loop *loop, const struct http_settings *settings, struct http **http)
{
    struct http *h = calloc(1, sizeof *h);

    *http = h;
    if (!h)
        return -ENOMEM;
    h->loop = loop;
    h->set = *settings;
    int r = loop_add_timer(loop, on_timer, h, &h->timer);
    if (r == 0)
        r = loop_add_timer(loop, on_renew, h, &h->renew);
    return r < 0 ? r : set_up(h);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    if (h->running)
        curl_multi_remove_handle(h->multi, h->easy);
    curl_slist_free_all(h->headers);
    tear_down(h);
    loop_remove(h->timer);
    loop_remove(h->renew);
    free(h);
}

bool http_renew(struct http *h)
{
    h->renewed = true;
    if (h->running)
        loop_set_timer(h->renew, 0);
    return h->running;
}

static bool add_header(struct http *h, const char *text)
{
    struct curl_slist *longer = curl_slist_append(h->headers, text);

    if (longer)
        h->headers = longer;
    return longer != NULL;
}

int http_post(struct http *h, const char *url, const char *token, const char *body, int64_t timeout_ns)
{
    char authorization[600];

    if (h->renewed) { /* no connection of before is left anywhere */
        tear_down(h);
        if (set_up(h) < 0)
            return -ENOMEM;
        h->renewed = false;
    }
    bool well = add_header(h, "Content-Type: application/json");

    if (token[0] != '\0') {
        snprintf(authorization, sizeof authorization, "Authorization: %s", token);
        well = well && add_header(h, authorization);
    }
    h->size = 0;
    h->too_long = false;
    h->error[0] = '\0';
    curl_easy_setopt(h->easy, CURLOPT_URL, url);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)MAX(timeout_ns / NS_PER_MS, 1));
    well = well && curl_easy_setopt(h->easy, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK;
    if (!well || curl_multi_add_handle(h->multi, h->easy) != CURLM_OK) {
        curl_slist_free_all(h->headers);
        h->headers = NULL;
        return -ENOMEM;
    }
    h->running = true;
    return 0;
}
