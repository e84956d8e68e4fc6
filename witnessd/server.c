#include "witnessd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "witnessd/ballot.h"
#include "witnessd/etcd_text.h"
#include "witnessd/http.h"

enum { URL_MAX = 256, PASSWORD_MAX = 256 };

/* With nothing asked there is time. A password is checked slowly, on purpose: the token is there before it is
 * needed. */
static const int64_t idle_timeout_ns = 2 * NS_PER_S, login_timeout_ns = 10 * NS_PER_S;

struct server {
    struct daemon *daemon;
    struct ballot ballot;
    struct http *http;
    struct loop_source *timer, *pulse;
    struct ballot_question question; /* that is on its way */
    size_t endpoint;                 /* where it went */
    bool logging_in, again;
    enum phase phase;
    char token[ETCD_TOKEN_MAX];
    enum witness_state told;
    char trouble[sizeof((struct witness_message *)0)->text];
};

/* ------------------------------------------------------------------- telling */

static void log_news(struct server *s)
{
    const struct witness_message *view = &s->ballot.view;

    if (view->state == WITNESS_STATE_UNREACHABLE && strcmp(view->text, s->trouble) != 0)
        log_warning("the witness is not reached at %s: %s", view->endpoint, view->text);
    else if (view->state != WITNESS_STATE_UNREACHABLE && view->state != WITNESS_STATE_ASKING &&
             s->trouble[0] != '\0')
        log_notice("the witness answers again, at %s", view->endpoint);
    if (view->state == WITNESS_STATE_UNREACHABLE || view->state != WITNESS_STATE_ASKING)
        text_copy(s->trouble, sizeof s->trouble, view->state == WITNESS_STATE_UNREACHABLE ? view->text : "");
    if (view->state == s->told)
        return;
    if (view->state == WITNESS_STATE_GRANTED)
        log_notice("the witness grants epoch %lld to this node", (long long)view->granted_epoch);
    else if (view->state == WITNESS_STATE_DENIED)
        log_notice("the witness says no: %s holds epoch %lld", view->holder, (long long)view->epoch);
    s->told = view->state;
}

static void publish(struct server *s)
{
    log_news(s);
    bus_publish(s->daemon->bus, &witness_type, NULL, &s->ballot.view, NULL);
}

/* -------------------------------------------------------------------- asking */

static void go_on(struct server *s);

static void fail(struct server *s, const char *text)
{
    const size_t count = s->daemon->config->witness.endpoints.count;

    s->endpoint = (s->endpoint + 1) % MAX(count, (size_t)1);
    ballot_fail(&s->ballot, text, clock_now_ns());
    publish(s);
    go_on(s);
}

/* At each login anew, so that it can be changed. Refused if others can read it. */
static int read_password(const struct config *config, char password[static PASSWORD_MAX], char *error,
                         size_t size)
{
    const char *file = config->witness.password_file;
    const int fd AUTO_CLOSE = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        snprintf(
            error, size,
            "cannot read the password-file %.80s: %s; it has to be the file of witnessd's user, mode 600",
            file, strerror(errno));
        return -EIO;
    }
    if ((st.st_mode & 077) != 0) {
        snprintf(error, size, "others can read %.80s: chmod 600 it", file);
        return -EACCES;
    }
    const ssize_t n = read(fd, password, PASSWORD_MAX - 1);
    if (n <= 0 || n == PASSWORD_MAX - 1) {
        snprintf(error, size, "%.100s has no password of one line", file);
        return -EINVAL;
    }
    password[n] = '\0';
    password[strcspn(password, "\r\n")] = '\0';
    return 0;
}

static int post(struct server *s, const char *path, const char *body)
{
    const struct config *config = s->daemon->config;
    const char *endpoint = config->witness.endpoints.items[s->endpoint];
    const int64_t timeout = s->logging_in                    ? login_timeout_ns
                            : s->ballot.ask == QUESTION_NONE ? idle_timeout_ns
                                                             : config->timers.isolation_after / 2;
    char url[URL_MAX];

    snprintf(url, sizeof url, "%s%s", endpoint, path);
    text_copy(s->ballot.view.endpoint, sizeof s->ballot.view.endpoint, endpoint);
    return http_post(s->http, url, s->logging_in ? "" : s->token, body, timeout);
}

static int log_in(struct server *s, char *error, size_t size)
{
    char password[PASSWORD_MAX];

    s->logging_in = true;
    int r = read_password(s->daemon->config, password, error, size);
    char *body = r == 0 ? etcd_print_login(s->daemon->config->witness.user, password) : NULL;
    if (body) {
        r = post(s, "/v3/auth/authenticate", body);
        sodium_memzero(body, strlen(body));
    }
    sodium_memzero(password, sizeof password);
    free(body);
    return r;
}

static void send_question(struct server *s)
{
    const struct config *config = s->daemon->config;
    char error[sizeof s->trouble] = "out of memory";
    int r;

    if (config->witness.user[0] != '\0' && s->token[0] == '\0') {
        r = log_in(s, error, sizeof error);
    } else {
        char *body = etcd_print_question(&s->question, s->daemon->node, config->witness.key);
        s->logging_in = false;
        r = body ? post(s, "/v3/kv/txn", body) : -ENOMEM;
        free(body);
    }
    if (r < 0)
        fail(s, error);
}

static void go_on(struct server *s)
{
    const int64_t now = clock_now_ns();

    if (ballot_next(&s->ballot, now, &s->question)) {
        send_question(s);
        return;
    }
    const int64_t due = ballot_due(&s->ballot, now);
    if (due < INT64_MAX)
        loop_set_timer(s->timer, due);
}

static void take_token(struct server *s, const char *body, size_t size)
{
    char error[ETCD_ERROR_MAX];

    if (etcd_parse_token(body, size, s->token, error) < 0)
        fail(s, error);
    else
        send_question(s);
}

static void take_answer(struct server *s, const char *body, size_t size)
{
    char error[ETCD_ERROR_MAX];
    struct ballot_answer answer;
    const int r = etcd_parse_answer(body, size, &s->question, &answer, error);

    if (r == -EACCES)
        s->token[0] = '\0'; /* the next question logs in first */
    if (r < 0) {
        fail(s, error);
        return;
    }
    if (answer.swapped)
        text_copy(answer.record.holder, sizeof answer.record.holder, s->daemon->node);
    ballot_take(&s->ballot, &answer, clock_now_ns());
    publish(s);
    go_on(s);
}

static void on_done(void *userdata, long status, const char *body, size_t size, const char *error)
{
    struct server *s = userdata;
    const bool again = s->again;

    s->again = false;
    (void)status; /* the body says more */
    if (error && again)
        send_question(
            s); /* at once, by a new connection; what it grants counts from when it was asked first */
    else if (error)
        fail(s, error);
    else if (s->logging_in)
        take_token(s, body, size);
    else
        take_answer(s, body, size);
}

/* ----------------------------------------------------------------------- bus */

static void on_role(void *userdata, const struct bus_message *message)
{
    struct server *s = userdata;
    const struct role_message *role = message->body;

    /* In the mode `exchange` a claim takes the passive address away, and connections with it. */
    if (role->phase != s->phase)
        s->again = http_renew(s->http);
    s->phase = role->phase;
    if (!ballot_ask(&s->ballot, role->ask, role->ask_number, role->ask_epoch, clock_now_ns()))
        return;
    publish(s);
    if (!s->ballot.waiting)
        go_on(s);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    go_on(userdata);
}

/* ------------------------------------------------------------------ lifetime */

static void on_end(void *userdata)
{
    struct server *s = userdata;

    http_close(s->http);
    s->http = NULL;
}

static int open_parts(struct server *s)
{
    const struct config *config = s->daemon->config;
    const struct http_settings settings = {
        .ca_file = config->witness.ca_file, .done = on_done, .userdata = s};
    struct ballot_settings ballot = {.after = config->timers.isolation_after};

    randombytes_buf(&ballot.salt, sizeof ballot.salt);
    text_copy(ballot.node, sizeof ballot.node, s->daemon->node);
    ballot_init(&s->ballot, &ballot);
    int r = loop_add_timer(s->daemon->loop, on_timer, s, &s->timer);
    if (r == 0)
        r = http_open(s->daemon->loop, &settings, &s->http);
    if (r == 0)
        r = bus_subscribe(s->daemon->bus, &role_type, "arbiterd", on_role, s);
    if (r == 0)
        r = bus_hear_renewals(s->daemon->bus, &role_type);
    return r;
}

int server_open(struct daemon *daemon, struct server **server)
{
    struct server *s = calloc(1, sizeof *s);

    *server = s;
    if (!s)
        return -ENOMEM;
    s->daemon = daemon;
    daemon->on_end = on_end;
    daemon->stop_userdata = s;
    const int r = open_parts(s);
    if (r < 0) {
        log_error("cannot open the witness: %s", strerror(-r));
        return r;
    }
    if (!config_has_witness(daemon->config)) {
        log_notice("no witness section is configured: there is nothing to do");
        s->ballot.view.state = WITNESS_STATE_OFF;
        publish(s);
        return 0;
    }
    publish(s);
    loop_set_timer(s->timer, 0);
    return 0;
}

void server_free(struct server *s)
{
    free(s);
}
