#include "superviserd/watchdog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/watchdog_times.h"
#include "superviserd/feeder.h"
#include "superviserd/watchdog_device.h"

struct watchdog {
    struct daemon *daemon;
    struct feeder feeder;
    struct watchdog_facts facts;
    struct watchdog_message message;
    struct loop_source *timer;
    int fd; /* -1: not armed */
};

/* Another process may let it go at any moment; a driver is not loaded so soon. */
static const int64_t retry_busy_ns = NS_PER_S, retry_ns = 5 * NS_PER_S;

static void publish(struct watchdog *w)
{
    int r = bus_publish(w->daemon->bus, &watchdog_type, NULL, &w->message, NULL);

    if (r < 0)
        log_error("cannot publish watchdog: %s", strerror(-r));
}

static int seconds(int64_t ns)
{
    return (int)(ns / NS_PER_S);
}

/* ------------------------------------------------------------------ arming */

static const char *remedy(int error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return "; load its driver (softdog, where there is no hardware)";
    case EPERM:
        return ": this node runs in a namespace of its own, and is not the whole machine that it would "
               "restart";
    case EBUSY:
        return ": another program has it; stop that one, or systemd's RuntimeWatchdogSec";
    case ENOTTY:
        return ": that is no watchdog; name one, such as /dev/watchdog";
    }
    return "";
}

/* Told once for each new reason. */
static void become_absent(struct watchdog *w, const char *what, int error)
{
    char text[sizeof w->message.text];

    snprintf(text, sizeof text, "cannot %s %s: %s%s", what, w->message.device, strerror(error),
             remedy(error));
    if (w->message.state != WATCHDOG_STATE_ABSENT || strcmp(text, w->message.text) != 0)
        log_error("no watchdog guards this machine: %s", text);
    w->message.state = WATCHDOG_STATE_ABSENT;
    w->message.timeout_ms = w->message.starving_since_ns = 0;
    text_copy(w->message.text, sizeof w->message.text, text);
    publish(w);
    loop_set_timer(w->timer, clock_now_ns() + (error == EBUSY ? retry_busy_ns : retry_ns));
}

static void tell_facts(const struct watchdog *w)
{
    const struct watchdog_facts *facts = &w->facts;
    const int wanted = seconds(w->daemon->config->watchdog.timeout), have = seconds(facts->timeout_ns);
    const char *device = w->message.device;

    log_notice("watchdog %s (%s) is armed: it restarts this machine after %d s without being fed%s", device,
               facts->identity, have, facts->pretimeout_ns > 0 ? ", and tells the kernel before" : "");
    if (!facts->timeout_confirmed)
        log_warning("watchdog %s does not tell its timeout: %d s are assumed", device, have);
    else if (have != wanted)
        log_warning("watchdog %s does not take a timeout of %d s: it has %d s, and that counts", device,
                    wanted, have);
    if (facts->stops_on_close)
        log_warning("watchdog %s stops whenever it is closed: if superviserd is killed, nothing guards this "
                    "machine until it runs again",
                    device);
    if (facts->never_stops)
        log_warning("watchdog %s cannot be stopped again (nowayout): when duet is stopped, it restarts this "
                    "machine %d s later unless another program feeds it",
                    device, have);
}

static void arm(struct watchdog *w)
{
    const int64_t now = clock_now_ns();
    const int fd = watchdog_device_open(w->message.device, w->daemon->config->watchdog.timeout, &w->facts);

    if (fd < 0) {
        become_absent(w, "arm", -fd);
        return;
    }
    w->fd = fd;
    w->message.state = WATCHDOG_STATE_ARMED;
    w->message.timeout_ms = w->facts.timeout_ns / NS_PER_MS;
    w->message.fed_ns = now; /* to open it is to feed it */
    text_copy(w->message.identity, sizeof w->message.identity, w->facts.identity);
    w->message.text[0] = '\0';
    feeder_arm(&w->feeder, w->facts.timeout_ns, now);
    publish(w);
    tell_facts(w);
    loop_set_timer(w->timer, now + watchdog_feed_interval_ns(w->facts.timeout_ns));
}

/* ----------------------------------------------------------------- feeding */

static void log_starving(const struct watchdog *w, const struct feeder_verdict *verdict)
{
    const int64_t left_ns = w->message.fed_ns + w->facts.timeout_ns - clock_now_ns();

    log_error("the watchdog is not fed any more, and restarts this machine in %.1f s unless that changes: %s",
              (double)MAX(left_ns, 0) / 1e9, verdict->text);
}

static void feed_or_starve(struct watchdog *w, int64_t now_ns)
{
    struct feeder_verdict verdict;

    feeder_judge(&w->feeder, now_ns, &verdict);
    const int r = verdict.feed ? watchdog_device_feed(w->fd) : 0;
    if (r < 0) {
        watchdog_device_close(w->fd, false);
        w->fd = -1;
        become_absent(w, "feed", -r);
        return;
    }
    if (verdict.feed)
        w->message.fed_ns = now_ns;
    const int64_t was_starving = w->message.starving_since_ns;
    w->message.starving_since_ns = w->feeder.starving;
    text_copy(w->message.text, sizeof w->message.text, verdict.text);
    publish(w);
    if (!was_starving && w->feeder.starving)
        log_starving(w, &verdict);
    else if (was_starving && !w->feeder.starving)
        log_notice("the watchdog is fed again");
    loop_set_timer(w->timer, verdict.next_ns);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct watchdog *w = userdata;

    if (w->fd >= 0)
        feed_or_starve(w, now_ns);
    else
        arm(w);
}

static void on_pulse(void *userdata, const struct bus_message *m)
{
    struct watchdog *w = userdata;

    feeder_pulse(&w->feeder, m->envelope->from, m->body, m->envelope->mono_ns, clock_now_ns());
}

/* ------------------------------------------------------------------ outside */

void watchdog_role(struct watchdog *w, const struct role_message *role)
{
    w->feeder.held = role->held;
    w->feeder.held_until = role->hold_until_ns;
}

bool watchdog_starve(struct watchdog *w, const char *reason)
{
    feeder_refuse(&w->feeder, reason);
    if (w->fd >= 0)
        feed_or_starve(w, clock_now_ns());
    return w->fd >= 0;
}

void watchdog_feed_again(struct watchdog *w)
{
    feeder_refuse(&w->feeder, "");
}

void watchdog_stopping(struct watchdog *w)
{
    w->feeder.stopping = true;
}

/* Nobody feeds it from here on, until init takes it over for the very end of a shutdown. */
static void wait_for_shutdown(struct watchdog *w, int64_t left_ns)
{
    const int64_t r = watchdog_device_set_timeout(w->fd, left_ns);

    if (r < 0)
        log_warning("watchdog %s does not take another timeout: %s", w->message.device, strerror((int)-r));
    else
        w->facts.timeout_ns = r;
    if (w->facts.timeout_ns < left_ns - NS_PER_S)
        log_warning("watchdog %s cannot wait for the %d s that the shutdown has", w->message.device,
                    seconds(left_ns));
}

static void tell_left_behind(const struct watchdog *w, const char *why)
{
    log_warning("the watchdog %s goes on%s: it restarts this machine within %d s unless another program "
                "feeds it",
                w->message.device, why, seconds(w->facts.timeout_ns));
}

void watchdog_let_go(struct watchdog *w, int64_t left_ns)
{
    const bool starved = w->feeder.refused[0] != '\0', shutdown = left_ns > 0 && !starved;
    const bool disarm = w->feeder.stopping && !starved && !shutdown;

    if (w->fd < 0)
        return;
    if (shutdown)
        wait_for_shutdown(w, left_ns);
    const int r = watchdog_device_close(w->fd, disarm);
    w->fd = -1;
    loop_stop_timer(w->timer);
    if (!disarm || r < 0 || w->facts.never_stops) {
        tell_left_behind(w, shutdown  ? ", since this node is being restarted"
                            : !disarm ? ""
                            : r < 0   ? ", as it could not be stopped"
                                      : " (nowayout)");
        return;
    }
    log_notice("the watchdog %s is stopped", w->message.device);
    w->message.state = WATCHDOG_STATE_OFF;
    w->message.timeout_ms = w->message.starving_since_ns = 0;
    w->message.text[0] = '\0';
    publish(w);
}

void watchdog_reload(struct watchdog *w)
{
    if (w->message.required == w->daemon->config->watchdog.required)
        return;
    w->message.required = w->daemon->config->watchdog.required;
    publish(w);
}

int watchdog_new(struct daemon *daemon, struct watchdog **watchdog)
{
    struct watchdog *made = calloc(1, sizeof *made);
    int r = made ? 0 : -ENOMEM;

    if (r == 0) {
        *made = (struct watchdog){.daemon = daemon, .fd = -1};
        made->message.required = daemon->config->watchdog.required;
        text_copy(made->message.device, sizeof made->message.device, daemon->config->watchdog.device);
        r = loop_add_timer(daemon->loop, on_timer, made, &made->timer);
    }
    for (size_t i = 0; i < FEEDER_DAEMONS && r == 0; i++)
        r = bus_subscribe(daemon->bus, &daemon_type, feeder_daemons[i], on_pulse, made);
    if (r < 0) {
        free(made);
        return r;
    }
    if (made->message.device[0] != '\0')
        arm(made);
    else
        publish(made);
    *watchdog = made;
    return 0;
}
