#include <inttypes.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "arbiterd/server.h"
#include "common/clock.h"
#include "common/log.h"

#define BOOT_NS (2 * NS_PER_S) /* what no machine that lost its power needs less than */

static double ms_since(int64_t then_ns, int64_t now_ns)
{
    return then_ns > 0 ? (double)(now_ns - then_ns) / 1e6 : 0.0;
}

static size_t channel_index(const struct server *s, const char *name)
{
    size_t i = 0;

    while (i < s->arbiter.set.channel_count && strcmp(s->arbiter.set.channels[i], name) != 0)
        i++;
    return i;
}

/* Sequence numbers begin anew with each run of a daemon. */
static void note_restart(struct server *s, int64_t *last_seq, const struct bus_message *m)
{
    if (m->envelope->seq < *last_seq)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "%s of this node was started anew",
                     m->envelope->from);
    *last_seq = m->envelope->seq;
}

/* ------------------------------------------------------------------ the peer */

static bool stands_still(const struct server *s, const struct peer_message *peer)
{
    return peer->arbiter_age_us * NS_PER_US >= s->arbiter.set.address_lease;
}

/* A lease is as long as its arbiter's silence when that is what ended it; who else ends it hears it each
 * heartbeat interval. */
static bool was_silent(const struct server *s, const struct peer_message *peer)
{
    return peer->arbiter_age_us * NS_PER_US >= s->arbiter.set.address_lease * 3 / 4;
}

/* A session is one run of heartbeatd. One that has just begun knows of no lease and no channel yet: that says
 * nothing of these. */
static bool began_anew(const struct peer_message *before, const struct peer_message *now)
{
    return now->session[0] && before->session[0] && strcmp(now->session, before->session) != 0;
}

/* What ails a peer that is heard: its daemons, its lease, what bars it. */
static void note_peer_health(struct server *s, const struct bus_message *m)
{
    const struct peer_message *now = m->body, *before = &s->arbiter.peer;
    const int64_t at = m->envelope->mono_ns;

    if (before->alive && !began_anew(before, now) && stands_still(s, before) != stands_still(s, now))
        history_note(&s->history, at, m->cause,
                     stands_still(s, now) ? "%s: arbiterd there stands still, or is gone"
                                          : "%s: arbiterd there answers",
                     now->name);
    if (!began_anew(before, now) && phase_serves(now->phase) && before->lease_us > 0 && now->lease_us == 0)
        history_note(&s->history, at, m->cause, "%s: its lease ran out: %s", now->name,
                     was_silent(s, now) ? "arbiterd there did not renew it"
                                        : "takeoverd there did not confirm it anew");
    if (!before->unfit && now->unfit)
        history_note(&s->history, at, m->cause, "%s is unfit", now->name);
    if (before->held != now->held)
        history_note(&s->history, at, m->cause, "%s shows %s", now->name,
                     now->held ? "the operator's hold" : "no hold any more");
}

static bool was_usable(const struct peer_message *peer, const char *channel)
{
    for (size_t i = 0; i < peer->channels_count; i++)
        if (strcmp(peer->channels[i].name, channel) == 0)
            return peer->channels[i].usable;
    return false;
}

static void note_peer_channels(struct server *s, const struct bus_message *m)
{
    const struct peer_message *now = m->body, *before = &s->arbiter.peer;

    for (size_t i = 0; i < now->channels_count; i++)
        if (before->alive && !began_anew(before, now) && !now->channels[i].usable &&
            was_usable(before, now->channels[i].name))
            history_note(&s->history, m->envelope->mono_ns, m->cause, "%s: channel %s does not work there",
                         now->name, now->channels[i].name);
}

/* No machine boots within BOOT_NS: one that was heard so shortly before
 * had gone on, and only its heartbeatd ended. */
static void note_peer_anew(struct server *s, const struct bus_message *m)
{
    const struct peer_message *now = m->body, *before = &s->arbiter.peer;
    const int64_t at = m->envelope->mono_ns;

    if (!began_anew(before, now) || at - before->heard_ns >= BOOT_NS)
        return;
    s->peer_anew_ns = at;
    history_note(&s->history, at, m->cause, "%s: heartbeatd there was started anew", now->name);
}

static void note_peer(struct server *s, const struct bus_message *m)
{
    const struct peer_message *now = m->body, *before = &s->arbiter.peer;
    const int64_t at = m->envelope->mono_ns;

    note_peer_anew(s, m);

    if (now->alive) {
        note_peer_health(s, m);
        note_peer_channels(s, m);
    }

    if (before->alive && !now->alive)
        history_note(
            &s->history, at, m->cause,
            "%s fell silent: last heard %.1f ms before, own lateness %.1f ms (there, when last heard: "
            "%.1f ms)",
            now->name, ms_since(now->heard_ns, at), (double)now->own_late_us / 1e3,
            (double)now->late_us / 1e3);
    if (!before->alive && now->alive)
        history_note(&s->history, at, m->cause, "%s is heard", now->name);
    if (now->alive && (before->phase != now->phase || before->epoch != now->epoch))
        history_note(&s->history, at, m->cause, "%s shows %s (epoch %" PRId64 ")", now->name,
                     phase_names[now->phase], now->epoch);
    if (now->alive && before->offer != now->offer && now->offer != OFFER_NONE)
        history_note(&s->history, at, m->cause, "%s offers the role", now->name);
    if (now->alive && before->alive && before->services_failed < now->services_failed)
        history_note(&s->history, at, m->cause, "%s has %" PRId64 " services down", now->name,
                     now->services_failed);
}

static void on_peer(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    struct arbiter_event event = {.kind = EVENT_PEER, .sent_ns = m->envelope->mono_ns, .peer = m->body};

    note_restart(s, &s->heartbeatd_seq, m);
    note_peer(s, m);
    server_step(s, &event, m->cause);
    server_tell_records(s, clock_now_ns());
    server_check_lag(s, clock_now_ns());
}

static void on_path(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct path_message *path = m->body;
    size_t i = 0;

    while (i < s->path_count && strcmp(s->paths[i].name, m->name) != 0)
        i++;
    if (i == ARRAY_LENGTH(s->paths))
        return;
    if (i == s->path_count)
        text_copy(s->paths[s->path_count++].name, sizeof s->paths[i].name, m->name);
    else if (s->paths[i].state != path->state)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "path %s is %s: last heard %.1f ms before",
                     m->name, path_state_names[path->state], ms_since(path->heard_ns, m->envelope->mono_ns));
    if (s->paths[i].dark != path->dark)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "path %s: the line has %s", m->name,
                     path->dark ? "no carrier: a cable, or the other machine's power" : "carrier");
    s->paths[i].state = path->state;
    s->paths[i].dark = path->dark;
}

/* ---------------------------------------------------------------- the network */

static void note_link(struct server *s, const struct link_message *before, const struct bus_message *m)
{
    const struct link_message *now = m->body;
    const int64_t at = m->envelope->mono_ns;

    if (before->carrier != now->carrier)
        history_note(&s->history, now->changed_ns > 0 ? now->changed_ns : at, m->cause, "%s (%s): carrier %s",
                     m->name, now->device, now->carrier ? "is there" : "is gone");
    if (before->usable != now->usable)
        history_note(&s->history, at, m->cause, "channel %s is %s", m->name,
                     now->usable ? "usable" : "not usable");
}

static void on_link(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    struct arbiter_event event = {.kind = EVENT_LINK, .channel = channel_index(s, m->name), .link = m->body};

    if (event.channel == s->arbiter.set.channel_count)
        return;
    note_link(s, &s->arbiter.links[event.channel], m);
    server_step(s, &event, m->cause);
}

static void on_search(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct search_message *now = m->body;
    struct arbiter_event event = {.kind = EVENT_SEARCH, .channel = channel_index(s, m->name), .search = now};

    if (event.channel == s->arbiter.set.channel_count)
        return;
    const enum search_state before = s->arbiter.searches[event.channel].state;
    if (before != now->state && now->state != SEARCH_STATE_IDLE && now->state != SEARCH_STATE_ASKING)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "search on %s: %s %s%s", m->name,
                     search_state_names[now->state],
                     now->state == SEARCH_STATE_SILENT ? "since the last answer" : "by ",
                     now->state == SEARCH_STATE_SILENT ? "" : now->answers_mac);
    server_step(s, &event, m->cause);
}

static void on_router(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct router_message *now = m->body;
    size_t i = 0;

    while (i < s->router_count && strcmp(s->routers[i].name, m->name) != 0)
        i++;
    if (i == ROUTERS_SEEN_MAX)
        return;
    if (i == s->router_count) {
        text_copy(s->routers[s->router_count++].name, sizeof s->routers[i].name, m->name);
    } else {
        const struct router_message *before = &s->routers[i].message;
        if (before->missed == 0 && now->missed > 0)
            history_note(&s->history, now->first_miss_ns, m->cause,
                         "router %s on %s missed its first request", now->address, now->channel);
        if (before->answering != now->answering)
            history_note(&s->history, m->envelope->mono_ns, m->cause, "router %s on %s %s", now->address,
                         now->channel, now->answering ? "answers" : "is silent");
    }
    s->routers[i].message = *now;
}

/* ----------------------------------------------------- what was brought about */

/* What others did to the addresses and their gate. */
static void note_meddling(struct server *s, const struct bus_message *m)
{
    const struct address_message *now = m->body, *before = &s->arbiter.address;

    if (now->repaired_ns > before->repaired_ns)
        history_note(&s->history, now->repaired_ns, m->cause, "%s by something else: put right",
                     now->repaired);
    if (now->gate_lost_ns > before->gate_lost_ns)
        history_note(&s->history, now->gate_lost_ns, m->cause,
                     "something else removed the gate of the addresses (nftables): put back");
    if (now->conflict_ns > before->conflict_ns)
        history_note(&s->history, now->conflict_ns, m->cause, "address conflict: %s", now->conflict);
}

static void on_address(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct address_message *now = m->body, *before = &s->arbiter.address;
    struct arbiter_event event = {.kind = EVENT_ADDRESS, .address = now};

    note_restart(s, &s->takeoverd_seq, m);
    if (s->arbiter.address_heard > 0 && before->state != now->state)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "addresses %s%s%s",
                     now->state == HOLD_STATE_HOLDING
                         ? "up and announced: clients reach this node from here on"
                     : now->state == HOLD_STATE_RELEASED ? "released"
                                                         : "not as wanted",
                     now->error[0] ? ": " : "", now->error);
    if (s->arbiter.address_heard > 0)
        note_meddling(s, m);
    server_step(s, &event, m->cause);
}

static bool is_heard(const struct server *s, const char *service)
{
    for (size_t i = 0; i < s->service_count; i++)
        if (strcmp(s->services[i].name, service) == 0)
            return true;
    return false;
}

/* superviserd goes on for a moment about one that was taken out of the configuration. */
static bool is_configured(const struct server *s, const char *service)
{
    const struct config *config = s->daemon->config;

    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].name, service) == 0)
            return true;
    return false;
}

static int64_t count_unheard(const struct server *s)
{
    const struct config *config = s->daemon->config;
    int64_t count = 0;

    for (size_t i = 0; i < config->service_count; i++)
        count += config->services[i].on_failure != FAULT_IGNORE && !is_heard(s, config->services[i].name);
    return count;
}

static bool at_rest(const struct server *s, const char *service)
{
    for (size_t i = 0; i < s->service_count; i++)
        if (strcmp(s->services[i].name, service) == 0)
            return s->services[i].message.state == SERVICE_STATE_STOPPED ||
                   s->services[i].message.state == SERVICE_STATE_FAILED;
    return false;
}

static bool exclusive_up(const struct server *s)
{
    const struct config *config = s->daemon->config;

    for (size_t i = 0; i < config->service_count; i++)
        if (config->services[i].exclusive && !at_rest(s, config->services[i].name))
            return true;
    return false;
}

void server_count_services(struct server *s, const char *cause)
{
    struct arbiter_event event = {
        .kind = EVENT_SERVICES, .services_unheard = count_unheard(s), .exclusive_up = exclusive_up(s)};

    for (size_t i = 0; i < s->service_count; i++) {
        const struct service_message *service = &s->services[i].message;
        if (service->state != SERVICE_STATE_FAILED || strcmp(service->on_failure, "ignore") == 0)
            continue;
        event.services_failed++;
        event.services_reboot = event.services_reboot || strcmp(service->on_failure, "reboot") == 0;
    }
    if (event.services_failed != s->arbiter.services_failed ||
        event.services_unheard != s->arbiter.services_unheard ||
        event.services_reboot != s->arbiter.services_reboot || event.exclusive_up != s->arbiter.exclusive_up)
        server_step(s, &event, cause);
}

static void on_service(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct service_message *now = m->body;
    size_t i = 0;

    while (i < s->service_count && strcmp(s->services[i].name, m->name) != 0)
        i++;
    if (i == SERVICES_SEEN_MAX || !is_configured(s, m->name))
        return;
    if (i == s->service_count)
        text_copy(s->services[s->service_count++].name, sizeof s->services[i].name, m->name);
    if (s->services[i].message.state != now->state || s->services[i].message.restarts < now->restarts)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "service %s: %s%s%.96s", m->name,
                     service_state_names[now->state], now->text[0] ? ": " : "", now->text);
    s->services[i].message = *now;
    server_count_services(s, m->cause);
}

static void on_reboot(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct reboot_message *now = m->body;
    const bool failed = now->state == REBOOT_STATE_FAILED;

    if (failed && !s->reboot_failed)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "the reboot failed: %.128s", now->error);
    if (now->state == REBOOT_STATE_DELAYED && !s->reboot_delayed)
        history_note(&s->history, m->envelope->mono_ns, m->cause,
                     "the reboot waits for %.0f s: restarts in a row so far: %" PRId64,
                     (double)(now->until_ns - now->at_ns) / 1e9, now->row);
    s->reboot_failed = failed;
    s->reboot_delayed = now->state == REBOOT_STATE_DELAYED;
    server_alarms(s);
}

static void note_watchdog(struct server *s, const struct bus_message *m)
{
    const struct watchdog_message *now = m->body, *before = &s->watchdog;
    const int64_t at = m->envelope->mono_ns;

    if (before->state != now->state)
        history_note(&s->history, at, m->cause, "watchdog %s%s%.128s", watchdog_state_names[now->state],
                     now->text[0] ? ": " : "", now->text);
    if (before->starving_since_ns == 0 && now->starving_since_ns > 0)
        history_note(&s->history, now->starving_since_ns, m->cause, "the watchdog is not fed: %.128s",
                     now->text);
    if (before->starving_since_ns > 0 && now->starving_since_ns == 0)
        history_note(&s->history, at, m->cause, "the watchdog is fed again");
}

static void on_watchdog(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct watchdog_message *now = m->body;
    struct arbiter_event event = {.kind = EVENT_WATCHDOG,
                                  .watchdog_armed = now->state == WATCHDOG_STATE_ARMED};

    note_watchdog(s, m);
    s->watchdog = *now;
    if (!s->arbiter.watchdog_heard || s->arbiter.watchdog_armed != event.watchdog_armed)
        server_step(s, &event, m->cause);
    else
        server_alarms(s);
}

/* While hooks run, the alarm is as it was: it ends when those of a later change of role ended well. */
static void on_hook(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct hook_message *now = m->body;

    if (now->state == HOOK_STATE_FAILED || now->state == HOOK_STATE_DONE)
        s->hook_failed = now->state == HOOK_STATE_FAILED;
    server_alarms(s);
}

static void on_hook_command(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct hook_command_message *now = m->body;
    const char *event = hook_event_names[now->event];
    size_t i = 0;

    while (i < s->hook_count && strcmp(s->hooks[i].name, m->name) != 0)
        i++;
    if (i == CONFIG_HOOKS_MAX)
        return;
    const bool news =
        i < s->hook_count && (s->hooks[i].state != now->state || s->hooks[i].at_ns != now->at_ns);
    if (i == s->hook_count)
        text_copy(s->hooks[s->hook_count++].name, sizeof s->hooks[i].name, m->name);
    if (news && now->state == HOOK_STATE_RUNNING)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "hook %s (%s): starts", m->name, event);
    if (news && (now->state == HOOK_STATE_DONE || now->state == HOOK_STATE_FAILED))
        history_note(&s->history, m->envelope->mono_ns, m->cause,
                     "hook %s (%s): %s, took %" PRId64 " ms: %.80s", m->name, event,
                     hook_state_names[now->state], now->took_ms, now->text);
    s->hooks[i].state = now->state;
    s->hooks[i].at_ns = now->at_ns;
}

/* The passive node may be behind for a moment at any time; for longer it is worth a word. */
static const int64_t lag_patience_ns = 5 * NS_PER_S;

void server_check_lag(struct server *s, int64_t now_ns)
{
    const bool silent = now_ns - s->data_heard_ns > lag_patience_ns;
    const bool behind = s->data.state != SYNC_STATE_CURRENT || silent;

    if (s->arbiter.set.sync_sets == 0)
        return;
    if (!behind || !peer_alive(&s->arbiter))
        s->data_behind_since_ns = 0;
    else if (s->data_behind_since_ns == 0)
        s->data_behind_since_ns = now_ns;
    s->data_lagging = s->data_behind_since_ns > 0 && now_ns - s->data_behind_since_ns >= lag_patience_ns;
    if (s->data_lagging == s->arbiter.data_lagging)
        return;
    struct arbiter_event event = {.kind = EVENT_DATA, .data = &s->data, .data_lagging = s->data_lagging};
    server_step(s, &event, NULL);
}

static void on_data(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct data_message *now = m->body;
    struct arbiter_event event = {.kind = EVENT_DATA, .data = now, .data_lagging = s->arbiter.data_lagging};
    const int64_t at = m->envelope->mono_ns;

    if (s->data.state != now->state && s->data_heard_ns > 0)
        history_note(&s->history, at, m->cause, "sync: %s%s%.100s", sync_state_names[now->state],
                     now->text[0] ? ": " : "", now->text);
    if (now->conflicts < s->conflicts_cleared)
        s->conflicts_cleared = 0; /* syncd was restarted, and counts anew */
    s->data = *now;
    s->data_heard_ns = clock_now_ns();
    server_step(s, &event, m->cause);
}

/* Why a node that hears nobody does not serve: once for each question. */
static void note_witness_renewed(struct server *s, const struct bus_message *m)
{
    const struct witness_message *now = m->body, *before = &s->arbiter.witness;
    const bool renewed = now->state == WITNESS_STATE_ASKING && now->asks == before->asks &&
                         before->revision > 0 && now->revision > before->revision;

    if (!renewed || phase_serves(s->arbiter.phase) || now->asks == s->renewal_noted ||
        strcmp(now->holder, s->arbiter.peer.name) != 0)
        return;
    s->renewal_noted = now->asks;
    history_note(&s->history, m->envelope->mono_ns, m->cause,
                 "the witness says: %s goes on renewing epoch %" PRId64 ", so this node may not serve",
                 now->holder, now->epoch);
}

static void note_witness(struct server *s, const struct bus_message *m)
{
    const struct witness_message *now = m->body, *before = &s->arbiter.witness;
    const int64_t at = m->envelope->mono_ns;

    if (now->state == before->state)
        return;
    if (now->state == WITNESS_STATE_GRANTED)
        history_note(&s->history, at, m->cause,
                     "the witness grants epoch %" PRId64 " to this node (asked %.1f ms before)",
                     now->granted_epoch, ms_since(now->granted_ns, at));
    else if (now->state == WITNESS_STATE_DENIED)
        history_note(&s->history, at, m->cause, "the witness says no: %s holds epoch %" PRId64, now->holder,
                     now->epoch);
    else if (now->state == WITNESS_STATE_UNREACHABLE)
        history_note(&s->history, at, m->cause, "the witness at %.64s is not reached: %.100s", now->endpoint,
                     now->text);
    else if (now->state == WITNESS_STATE_ASKING)
        history_note(&s->history, at, m->cause, "the witness is asked");
}

static void on_witness(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    struct arbiter_event event = {.kind = EVENT_WITNESS, .witness = m->body};

    note_witness(s, m);
    note_witness_renewed(s, m);
    server_step(s, &event, m->cause);
}

static void on_fence(void *userdata, const struct bus_message *m)
{
    struct server *s = userdata;
    const struct fence_message *now = m->body;
    struct arbiter_event event = {.kind = EVENT_FENCE, .fence = now};

    if (now->state != s->arbiter.fence.state && now->state == FENCE_STATE_RUNNING)
        history_note(&s->history, m->envelope->mono_ns, m->cause, "the fencing command runs");
    else if (now->state != s->arbiter.fence.state && now->state != FENCE_STATE_IDLE)
        history_note(&s->history, m->envelope->mono_ns, m->cause,
                     "the fencing command %s after %" PRId64 " ms: %.100s",
                     now->state == FENCE_STATE_DONE ? "succeeded" : "failed", now->took_ms, now->text);
    server_step(s, &event, m->cause);
}

int server_subscribe(struct server *s)
{
    const struct {
        const struct message_type *type;
        const char *daemon;
        bus_handler *handler;
    } wanted[] = {
        {&peer_type, "heartbeatd", on_peer},
        {&path_type, "heartbeatd", on_path},
        {&link_type, "heartbeatd", on_link},
        {&search_type, "heartbeatd", on_search},
        {&router_type, "heartbeatd", on_router},
        {&address_type, "takeoverd", on_address},
        {&service_type, "superviserd", on_service},
        {&reboot_type, "superviserd", on_reboot},
        {&watchdog_type, "superviserd", on_watchdog},
        {&hook_type, "superviserd", on_hook},
        {&data_type, "syncd", on_data},
        {&fence_type, "superviserd", on_fence},
        {&hook_command_type, "superviserd", on_hook_command},
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(wanted) && r == 0; i++)
        r = bus_subscribe(s->daemon->bus, wanted[i].type, wanted[i].daemon, wanted[i].handler, s);
    if (r == 0)
        r = bus_hear_renewals(s->daemon->bus, &peer_type);
    if (r == 0)
        r = bus_hear_renewals(s->daemon->bus, &address_type);
    if (r == 0)
        r = server_subscribe_records(s);
    if (r == 0 && s->arbiter.set.witness)
        r = bus_subscribe(s->daemon->bus, &witness_type, "witnessd", on_witness, s);
    return r;
}
