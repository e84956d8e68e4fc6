#include "arbiterd/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "common/clock.h"
#include "common/log.h"

static void log_transition(const struct arbiter_transition *t)
{
    char role[48], epoch[48], rule[64], cause[192], id[LOG_MESSAGE_ID_MAX];
    const bool begins = phase_serves(t->to) && !phase_serves(t->from),
               ends = !phase_serves(t->to) && phase_serves(t->from);
    const char *const fields[] = {role, epoch, rule, cause, begins || ends ? id : NULL, NULL};

    log_message_id(begins ? "role/active" : "role/passive", id);
    snprintf(cause, sizeof cause, "DUET_CAUSE=%s", t->reason);

    snprintf(role, sizeof role, "DUET_ROLE=%s", phase_serves(t->to) ? "active" : "passive");
    snprintf(epoch, sizeof epoch, "DUET_EPOCH=%" PRId64, t->epoch);
    snprintf(rule, sizeof rule, "DUET_RULE=%s", t->rule);
    log_fields(LOG_NOTICE, fields, "phase=%s from=%s rule=%s epoch=%" PRId64 ": %s", phase_names[t->to],
               phase_names[t->from], t->rule, t->epoch, t->reason);
}

static void record_change(struct server *s, const struct arbiter_transition *t, int64_t now_ns)
{
    const struct config *config = s->daemon->config;
    struct change_message change = {.from = t->from, .to = t->to, .epoch = t->epoch, .at_ns = now_ns};

    change.number = (now_ns + clock_wall_offset_ns()) / NS_PER_MS; /* higher than ever before, as `change` */
    text_copy(change.boot, sizeof change.boot, s->boot);
    text_copy(change.node, sizeof change.node, s->daemon->node);
    text_copy(change.other, sizeof change.other, config->nodes[!config->self].name);
    text_copy(change.rule, sizeof change.rule, s->role_rule);
    text_copy(change.reason, sizeof change.reason, s->role_reason);
    clock_utc(now_ns, change.at);
    history_change(&s->history, &change, s->role_began_ns);
}

/* The row that a person wants to hear of: the one that began the change, not the steps after it. */
static bool begins_change(const struct arbiter_transition *t)
{
    return t->from != t->to && (t->to == PHASE_OFFERING || t->to == PHASE_CLAIMING ||
                                (t->to == PHASE_RELEASING && t->from != PHASE_OFFERING) ||
                                (t->to == PHASE_ACTIVE && t->from == PHASE_SEARCHING) ||
                                (t->to == PHASE_PASSIVE && t->from == PHASE_SEARCHING));
}

static void take_reason(struct server *s, const struct arbiter_transition *t, int64_t now_ns)
{
    if (begins_change(t)) {
        s->role_began_ns = now_ns;
        s->role_rule = t->rule;
        s->role_reason = t->reason;
    }
}

/* How old the data is with which this node begins to serve. */
static void note_data(struct server *s, int64_t now_ns)
{
    const struct data_message *data = &s->data;

    if (s->arbiter.set.sync_sets == 0)
        return;
    if (s->data_heard_ns == 0)
        history_note(&s->history, now_ns, NULL, "data: syncd has not told anything");
    else if (data->as_of_ns > 0)
        history_note(&s->history, now_ns, NULL,
                     "data: generation %" PRId64 ".%" PRId64 ", as the other node had it %.3f s ago%s",
                     data->data_epoch, data->data_generation, (double)(now_ns - data->as_of_ns) / 1e9,
                     data->behind_since_ns > 0 ? "; some of its changes were still on the way" : "");
    else
        history_note(&s->history, now_ns, NULL,
                     "data: generation %" PRId64 ".%" PRId64 ", not compared with the "
                     "other node since the start",
                     data->data_epoch, data->data_generation);
}

/* A start of its heartbeatd so long before the silence belongs to it. */
#define ANEW_NS (2 * NS_PER_S)

/* What kind of silence it was: of the machine, or of the daemons on a machine that lives. Its addresses
 * answer to the end of their lease if its kernel runs, and to nothing if it does not; a heartbeatd that ends
 * again and again is heard now and then in between, after that lease. */
static void note_silence(struct server *s, int64_t now_ns)
{
    const struct arbiter *a = &s->arbiter;
    int64_t answered_ns = 0;

    if (strcmp(s->role_rule, "R3-takeover") != 0 || peer_alive(a))
        return;
    for (size_t i = 0; i < a->set.channel_count; i++)
        answered_ns = MAX(answered_ns, a->searches[i].answered_ns);
    if (answered_ns > a->peer.heard_ns + 2 * a->set.heartbeat_interval)
        history_note(
            &s->history, now_ns, NULL,
            "%s answered for its addresses until %.1f ms after its last heartbeat: its kernel lived, "
            "its daemons did not, or no heartbeat came through",
            a->peer.name, (double)(answered_ns - a->peer.heard_ns) / 1e6);
    else if (s->peer_anew_ns > 0 && a->peer.heard_ns - s->peer_anew_ns < ANEW_NS)
        history_note(
            &s->history, now_ns, NULL,
            "heartbeatd of %s had been started anew %.1f ms before its last heartbeat: its kernel lived, "
            "its daemons did not",
            a->peer.name, (double)(a->peer.heard_ns - s->peer_anew_ns) / 1e6);
    else
        history_note(&s->history, now_ns, NULL,
                     "%s answered nothing after its last heartbeat: its power, its kernel, or all ways to it",
                     a->peer.name);
}

static void note_transition(struct server *s, const struct arbiter_transition *t, int64_t now_ns)
{
    char own[CAUSE_MAX];

    log_transition(t);
    if (begins_change(t))
        server_note_rejected(s, t, now_ns);
    if (phase_serves(t->from) != phase_serves(t->to)) {
        record_change(s, t, now_ns);
        if (phase_serves(t->to)) {
            note_silence(s, now_ns);
            note_data(s, now_ns);
        }
        return;
    }
    bus_last_cause(s->daemon->bus, own);
    history_note(&s->history, now_ns, own, "%s: %s; %s from %s (epoch %" PRId64 ")", t->rule, t->reason,
                 phase_names[t->to], phase_names[t->from], t->epoch);
}

static bool role_news(const struct role_message *a, const struct role_message *b)
{
    struct role_message x = *a, y = *b;

    x.lease_ns = y.lease_ns = 0; /* a mere renewal */
    return memcmp(&x, &y, sizeof x) != 0;
}

/* Publishes at each report of heartbeatd's, which renews the lease, and whenever something else changed. */
static void show_role(struct server *s, bool renew, const char *cause)
{
    struct role_message role;

    if (!arbiter_role(&s->arbiter, &role))
        return;
    text_copy(role.rule, sizeof role.rule, s->role_rule);
    text_copy(role.reason, sizeof role.reason, s->role_reason);
    if (strcmp(s->arbiter.peer.config_hash, s->daemon->config->hash) != 0 && s->arbiter.peer.config_hash[0]) {
        role.ready = false;
        text_copy(role.not_ready + strlen(role.not_ready), sizeof role.not_ready - strlen(role.not_ready),
                  role.not_ready[0] ? "; the configurations differ" : "the configurations differ");
    }
    if (!renew && !role_news(&role, &s->shown))
        return;
    s->shown = role;
    bus_publish(s->daemon->bus, &role_type, NULL, &role, cause);
}

/* The first sign, on the node itself, of a takeoverd that hangs or is gone. */
static void note_lease(struct server *s, int64_t now_ns)
{
    const struct arbiter *a = &s->arbiter;
    const bool overdue = a->phase == PHASE_ACTIVE && a->address.lease_ns > 0 && now_ns > a->address.lease_ns;

    if (overdue && !s->lease_overdue)
        history_note(&s->history, a->address.lease_ns, NULL,
                     "the lease ran out: takeoverd has not confirmed it anew");
    s->lease_overdue = overdue;
}

void server_step(struct server *s, struct arbiter_event *event, const char *cause)
{
    struct arbiter_effects effects;

    event->now_ns = clock_now_ns();
    s->was_vouched = s->arbiter.vouched;
    arbiter_step(&s->arbiter, event, &effects);
    if (effects.save)
        state_write(s->writer, &effects.durable);
    for (size_t i = 0; i < effects.transition_count; i++)
        take_reason(s, &effects.transitions[i], event->now_ns);
    show_role(s, event->kind == EVENT_PEER, cause); /* what others wait for, before what people read */
    for (size_t i = 0; i < effects.transition_count; i++)
        note_transition(s, &effects.transitions[i], event->now_ns);
    if (s->shown.reboot)
        history_finish(&s->history); /* while there is time: the reboot may end everything at once */
    note_lease(s, event->now_ns);
    server_note_barred(s, event->now_ns);
    server_alarms(s);
    history_tick(&s->history, event->now_ns);
    /* heartbeatd's reports wake the arbiter; this does when they stay away. */
    loop_set_timer(s->timer, event->now_ns + s->arbiter.set.heartbeat_interval * 3 / 2);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct arbiter_event event = {.kind = EVENT_TIME};

    (void)now_ns;
    server_step(userdata, &event, NULL);
}

static void on_written(void *userdata, const struct arbiter_durable *durable, int error)
{
    struct server *s = userdata;
    struct arbiter_event event = {.kind = EVENT_SAVED, .durable = durable};

    if (error < 0)
        history_note(&s->history, clock_now_ns(), NULL,
                     "the state cannot be written (%s): this node cannot claim the role until that is mended",
                     strerror(-error));
    else
        server_step(userdata, &event, NULL);
}

/* A state file that is gone although a record of earlier changes is there was lost, not never written (R11).
 */
static void load_state(struct server *s, struct arbiter_durable *durable, bool *lost)
{
    char text[STATEFILE_MAX];
    int r = statefile_read(s->state_path, text);

    *durable = (struct arbiter_durable){0};
    *lost = false;
    if (r == 0)
        r = state_parse(text, durable);
    if (r == -ENOENT && s->history.own.count == 0) {
        log_info("no state yet in %s: this is the first start", s->state_path);
        return;
    }
    if (r < 0) {
        *lost = true;
        log_error(
            "the state in %s is lost (%s): this node searches before it claims; `duet clear` ends the alarm",
            s->state_path, strerror(-r));
    }
}

/* Numbers of changes never come again: not after a restart, nor after a reboot, as long as the clock was not
 * set back by more than the node was up. */
static int64_t first_change(void)
{
    return (clock_now_ns() + clock_wall_offset_ns()) / NS_PER_MS;
}

static void on_end(void *userdata)
{
    struct server *s = userdata;

    history_finish(&s->history);
    scribe_close(s->scribe);
}

int server_open(struct server *s, struct daemon *daemon)
{
    struct arbiter_settings settings;
    struct arbiter_durable durable;
    struct arbiter_event start = {.kind = EVENT_START, .durable = &durable, .change = first_change()};

    s->daemon = daemon;
    s->role_rule = "R1-start";
    s->role_reason = "everything starts passive";
    snprintf(s->state_path, sizeof s->state_path, "%s/state", daemon->state_dir);
    snprintf(s->history_path, sizeof s->history_path, "%s/changes.jsonl", daemon->state_dir);
    int r = scribe_open(&s->scribe);
    if (r < 0)
        return r;
    history_load(&s->history, s->history_path, s->scribe);
    server_open_records(s);
    load_state(s, &durable, &start.lost);
    server_fill_settings(daemon->config, &settings);
    arbiter_init(&s->arbiter, &settings);

    r = state_writer_start(daemon->loop, s->state_path, on_written, s, &s->writer);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_timer, s, &s->timer);
    if (r == 0)
        r = server_subscribe(s);
    if (r < 0)
        return r;
    daemon->on_end = on_end;
    daemon->stop_userdata = s;
    bus_on_command(daemon->bus, server_command, s);
    daemon->reload = (struct daemon_reload){server_check, server_reload, s};
    history_note(&s->history, clock_now_ns(), NULL, "arbiterd of this node starts");
    server_step(s, &start, NULL);
    return 0;
}
