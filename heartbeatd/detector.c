#include "heartbeatd/detector.h"

#include <stdlib.h>
#include <string.h>

static const int64_t quick_for_ns = 2 * NS_PER_S;
static const int64_t quick_tick_least_ns = 2 * NS_PER_MS;
static const int64_t doubt_fresh_ns = 5 * NS_PER_S; /* a silence that began longer ago is no news */
static const int64_t at_once_every_ns = 2 * NS_PER_MS;
static const int64_t stall_slack_ns = 5 * NS_PER_MS;
static const int64_t slow_every_ns = 4 * NS_PER_S / 5; /* a little faster than the bus re-sends what is old */
static const int64_t renew_every_ns = 10 * NS_PER_S;
static const int64_t late_window_ns = 5 * NS_PER_S;

static uint32_t all_paths(const struct detector *d)
{
    uint32_t paths = 0;

    for (size_t i = 0; i < d->path_count; i++)
        paths |= d->paths[i].configured ? UINT32_C(1) << i : 0;
    return paths;
}

static int64_t interval_of(const struct detector *d)
{
    return d->config->timers.heartbeat_interval;
}

static bool is_suspicious(const struct detector *d)
{
    return d->lost_ns > 0 || d->own.role.suspicious || d->own.role.searching ||
           (d->peer.heard && d->peer.said.suspicious);
}

static struct channel_pace pace_of(const struct detector *d, size_t channel, int64_t now_ns)
{
    const struct config_timers *timers = &d->config->timers;

    return (struct channel_pace){
        .router = {.calm_ns = timers->router_interval,
                   .quick_ns = timers->router_interval_quick,
                   .retries = timers->router_retries,
                   .quick = d->quick && is_suspicious(d)},
        .search_calm_ns = timers->search_interval,
        .search_quick_ns = timers->search_interval_quick,
        .search = !own_holds(&d->own, now_ns),
        .serves = own_serves(&d->own, now_ns),
        .quick = d->quick,
        .slack_ns = timers->heartbeat_interval / 4,
        .peer = d->peer.macs[channel],
    };
}

void detector_init(struct detector *d, const struct config *config, const struct heartbeat_session *own,
                   const struct heartbeat_session *peer, int64_t now_ns)
{
    *d = (struct detector){.config = config, .path_count = PATH_CHANNEL + config->channel_count};
    d->config_hash = strtoull(config->hash, NULL, 16);
    own_set_session(&d->own, own);
    d->peer.session = *peer;
    d->paths[PATH_RESERVED].configured = config->nodes[config->self].reserved.family != 0;
    for (size_t i = 0; i < config->channel_count; i++) {
        d->paths[PATH_CHANNEL + i].configured = true;
        channel_init(&d->channels[i], &config->channels[i], i, now_ns);
    }
    d->counting_since_ns = d->tick_ns = d->slow_ns = d->late_since_ns = now_ns;
}

/* The channel of the configuration before that has this one's name and device; -1: it is new. */
static int channel_before(const struct config *before, const struct config_channel *channel)
{
    for (size_t i = 0; i < before->channel_count; i++)
        if (strcmp(before->channels[i].name, channel->name) == 0 &&
            strcmp(before->channels[i].device, channel->device) == 0)
            return (int)i;
    return -1;
}

void detector_configure(struct detector *d, const struct config *config, int64_t now_ns)
{
    const struct detector before = *d;

    d->config = config;
    d->config_hash = strtoull(config->hash, NULL, 16);
    d->path_count = PATH_CHANNEL + config->channel_count;
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++) {
        d->paths[PATH_CHANNEL + i] = (struct path){.configured = i < config->channel_count};
        d->channels[i] = (struct channel){0};
        d->peer.macs[i] = (struct mac){0};
    }
    for (size_t i = 0; i < config->channel_count; i++) {
        const int from = channel_before(before.config, &config->channels[i]);
        channel_init(&d->channels[i], &config->channels[i], i, now_ns);
        if (from < 0)
            continue;
        channel_take_over(&d->channels[i], &before.channels[from], now_ns);
        d->paths[PATH_CHANNEL + i] = before.paths[PATH_CHANNEL + from];
        d->peer.macs[i] = before.peer.macs[from];
    }
    d->told = d->peer;
    d->slow_ns = now_ns; /* all is published anew */
}

const char *detector_path_name(const struct detector *d, size_t path)
{
    return path == PATH_RESERVED ? "reserved" : d->config->channels[path - PATH_CHANNEL].name;
}

/* -------------------------------------------------------------------- quick */

static void hint_all(struct detector *d, int64_t now_ns)
{
    for (size_t i = 0; i < d->config->channel_count; i++) {
        const struct channel_pace pace = pace_of(d, i, now_ns);
        channel_hint(&d->channels[i], &pace, now_ns);
    }
}

static void quicken(struct detector *d, int64_t now_ns)
{
    if (!d->quick)
        d->quick_since_ns = now_ns;
    d->quick = true;
    d->quick_until_ns = now_ns + quick_for_ns;
    d->tick_ns = MIN(d->tick_ns, now_ns);
    hint_all(d, now_ns);
}

static int64_t doubt_ns(const struct detector *d)
{
    return MAX(d->peer.heard_ns, d->counting_since_ns) + interval_of(d) * 3 / 2;
}

static void doubt(struct detector *d, int64_t now_ns)
{
    if (d->doubting || !d->peer.heard || now_ns < doubt_ns(d) || now_ns - d->peer.heard_ns > doubt_fresh_ns)
        return;
    d->doubting = true;
    quicken(d, now_ns);
}

/* R4: no lease stands behind the peer any more, and yet its addresses answered a short while ago. Both may be
 * true for long; as long as they are, the search stays quick, so that it is not by a few lost packets that
 * they fall silent. */
static bool is_mute(const struct detector *d, int64_t now_ns)
{
    const int64_t backed_ns = MAX(d->peer.backed_ns, d->counting_since_ns);

    if (own_holds(&d->own, now_ns) || now_ns - backed_ns <= interval_of(d) * 3 / 2)
        return false;
    for (size_t i = 0; i < d->config->channel_count; i++) {
        const int64_t answered_ns = d->channels[i].search.answered_ns;
        if (answered_ns > 0 && now_ns - answered_ns < doubt_fresh_ns)
            return true;
    }
    return false;
}

static void watch_the_mute(struct detector *d, int64_t now_ns)
{
    const bool mute = is_mute(d, now_ns);

    if (mute && !d->mute)
        quicken(d, now_ns);
    if (mute)
        d->quick_until_ns = now_ns + quick_for_ns;
    d->mute = mute;
}

/* Certain again: the peer is heard, and nobody suspects anything; or the time is over. */
static void calm_down(struct detector *d, int64_t now_ns)
{
    const bool doubtful = d->doubting || d->mute || is_suspicious(d);
    const bool settled = !doubtful && now_ns - d->quick_since_ns >= 4 * interval_of(d);

    if (d->quick && (settled || now_ns >= d->quick_until_ns))
        d->quick = false;
}

/* --------------------------------------------------------------------- peer */

static bool judge_alive(struct detector *d, int64_t now_ns, struct outbox *out)
{
    const bool alive = d->peer.heard && now_ns - d->peer.heard_ns <= d->config->timers.takeover_after;

    if (alive == d->alive)
        return false;
    d->alive = alive;
    outbox_note(out, alive ? NOTE_PEER_BACK : NOTE_PEER_LOST, 0, 0);
    return true;
}

static int64_t late_us(const struct detector *d)
{
    return MAX(d->late_ns, d->late_before_ns) / NS_PER_US;
}

void detector_fill_peer(struct detector *d, int64_t now_ns, struct peer_message *message)
{
    peer_fill(&d->peer, d->config, message);
    for (size_t i = 0; i < d->path_count; i++)
        message->acked_ns = MAX(message->acked_ns, d->paths[i].echoed_ns);
    message->alive = d->peer.heard && now_ns - d->peer.heard_ns <= d->config->timers.takeover_after;
    message->counting_since_ns = d->counting_since_ns;
    message->own_late_us = late_us(d);
    d->told = d->peer;
}

static void welcome(struct detector *d, const struct heartbeat_header *header, int64_t now_ns,
                    struct outbox *out)
{
    peer_new_session(&d->peer, &header->session);
    for (size_t i = 0; i < d->path_count; i++)
        path_new_session(&d->paths[i]);
    out->save_sessions = true;
    outbox_note(out, NOTE_PEER_SESSION, 0, 0);
    if (now_ns - d->answered_session_ns < at_once_every_ns)
        return;
    d->answered_session_ns = now_ns;
    out->send_paths |= all_paths(d);
}

/* The peer names a session of this node: the present one, an earlier one, or one that this node has
 * forgotten, so that its counter fell behind and the peer refuses all that it sends. (Or another machine
 * speaks under this node's name: then the two must not outbid each other without end.) */
static bool is_echo(struct detector *d, const struct heartbeat *heartbeat, int64_t now_ns, struct outbox *out)
{
    const struct heartbeat_session *echo = &heartbeat->echo.session;

    if (heartbeat_session_equal(echo, &d->own.session))
        return true;
    const bool rested = d->renewed_ns == 0 || now_ns - d->renewed_ns >= renew_every_ns;
    if (rested && echo->start >= d->own.session.start && echo->start < (uint64_t)HEARTBEAT_NUMBER_MAX) {
        d->renewed_ns = now_ns;
        out->renew_session_after = echo->start;
        outbox_note(out, NOTE_OLD_START, 0, 0);
    }
    return false;
}

static void judge_path(struct detector *d, size_t path, int64_t counting_since_ns, int64_t now_ns,
                       struct outbox *out)
{
    if (!path_judge(&d->paths[path], interval_of(d), counting_since_ns, now_ns))
        return;
    out->publish_paths |= UINT32_C(1) << path;
    outbox_note(out, NOTE_PATH, path, 0);
}

void detector_heartbeat(struct detector *d, size_t path, const struct heartbeat_header *header,
                        const struct heartbeat *heartbeat, int64_t received_ns, int64_t now_ns,
                        struct outbox *out)
{
    const enum peer_verdict verdict = peer_judge(&d->peer, &d->paths[path], header);
    const bool suspected = is_suspicious(d);

    if (verdict == PEER_REPLAYED) {
        d->paths[path].replayed++;
        return;
    }
    if (verdict == PEER_NEW_SESSION)
        welcome(d, header, now_ns, out);
    const bool echoes = is_echo(d, heartbeat, now_ns, out);
    path_heard(&d->paths[path], header->sequence, heartbeat, echoes, received_ns);
    peer_heard(&d->peer, d->config, header, heartbeat, echoes, received_ns);
    d->doubting = d->doubting && now_ns >= doubt_ns(d);
    if (path >= PATH_CHANNEL)
        channel_frame(&d->channels[path - PATH_CHANNEL], received_ns);
    /* For the better only: what is missing is judged by the tick, when all that came in has been taken in. */
    judge_path(d, path, received_ns, received_ns, out);
    if (judge_alive(d, received_ns, out) || peer_differs(&d->peer, &d->told, is_suspicious(d)))
        out->publish_peer = true;
    if (is_suspicious(d) && !suspected)
        quicken(d, now_ns);
}

void detector_refused(struct detector *d, size_t path, enum refusal why)
{
    if (why == REFUSED_FOREIGN)
        d->paths[path].foreign++;
    else
        d->paths[path].unopened++;
}

/* ----------------------------------------------------------------- channels */

static void tell_evidence(struct detector *d, int64_t now_ns, struct outbox *out)
{
    if (!is_suspicious(d) || now_ns - d->evidence_told_ns < at_once_every_ns)
        return;
    d->evidence_told_ns = now_ns;
    out->send_paths |= all_paths(d);
}

void detector_neighbour(struct detector *d, size_t channel, const struct neighbour *neighbour,
                        int64_t received_ns, int64_t now_ns, struct outbox *out)
{
    const struct channel_pace pace = pace_of(d, channel, now_ns);
    const bool usable = d->channels[channel].usable;

    if (channel_neighbour(&d->channels[channel], &pace, neighbour, received_ns, now_ns, out))
        tell_evidence(d, now_ns, out);
    if (usable != d->channels[channel].usable)
        out->send_paths |= all_paths(d);
}

void detector_router_frame(struct detector *d, size_t channel, const struct mac *from, int64_t received_ns,
                           int64_t now_ns, struct outbox *out)
{
    const struct channel_pace pace = pace_of(d, channel, now_ns);
    const bool usable = d->channels[channel].usable;

    if (channel_router_frame(&d->channels[channel], &pace, from, received_ns, now_ns, out))
        tell_evidence(d, now_ns, out);
    if (usable != d->channels[channel].usable)
        out->send_paths |= all_paths(d);
}

static void step_channel(struct detector *d, size_t i, int64_t now_ns, struct outbox *out)
{
    const struct channel_pace pace = pace_of(d, i, now_ns);
    const bool usable = d->channels[i].usable;

    channel_step(&d->channels[i], &pace, now_ns, out);
    if (usable != d->channels[i].usable)
        out->send_paths |= all_paths(d);
}

/* arbiterd will suspect something in a moment; what the peer has to look for is clear before. */
static void notice_lost(struct detector *d, int64_t now_ns)
{
    const bool suspected = is_suspicious(d);

    d->lost_ns = now_ns;
    if (suspected)
        return;
    quicken(d, now_ns);
    if (!detector_is_stalled(d, now_ns))           /* an overdue tick has to show that */
        d->tick_ns = now_ns + quick_tick_least_ns; /* all is being told */
}

static void forget_lost(struct detector *d, int64_t now_ns)
{
    if (now_ns - d->lost_ns >= 2 * interval_of(d))
        d->lost_ns = 0;
}

void detector_link(struct detector *d, size_t channel, const struct link_event *event, int64_t now_ns,
                   struct outbox *out)
{
    const bool usable = d->channels[channel].usable;

    channel_link(&d->channels[channel], event, now_ns, out);
    if (usable != d->channels[channel].usable)
        out->send_paths |= all_paths(d);
    if (usable && !d->channels[channel].carrier)
        notice_lost(d, now_ns);
    step_channel(d, channel, now_ns, out);
}

void detector_reserved_carrier(struct detector *d, int64_t now_ns)
{
    quicken(d, now_ns);
}

/* Heartbeats are missing on this channel alone: is it the channel, or only the peer's end of it? */
static void notice_missing(struct detector *d, size_t channel, int64_t now_ns)
{
    struct path *path = &d->paths[PATH_CHANNEL + channel];
    const bool elsewhere = d->peer.heard && now_ns - d->peer.heard_ns <= interval_of(d) * 5 / 2;
    const int64_t since_ns = MAX(path->heard_ns, d->counting_since_ns);

    if (path->missing || path->heard_ns == 0 || !elsewhere || now_ns - since_ns <= interval_of(d) * 5 / 2)
        return;
    path->missing = true;
    const struct channel_pace pace = pace_of(d, channel, now_ns);
    channel_hint(&d->channels[channel], &pace, now_ns);
}

/* ---------------------------------------------------------------------- own */

void detector_role(struct detector *d, const struct role_message *role, int64_t sent_ns, int64_t now_ns,
                   struct outbox *out)
{
    const bool suspected = is_suspicious(d);
    const bool held = own_holds(&d->own, now_ns);

    if (own_set_role(&d->own, role, sent_ns))
        out->send_paths |= all_paths(d);
    if (is_suspicious(d) && !suspected)
        quicken(d, now_ns);
    if (held != own_holds(&d->own, now_ns))
        for (size_t i = 0; i < d->config->channel_count; i++)
            step_channel(d, i, now_ns, out);
}

void detector_address(struct detector *d, const struct address_message *address, struct outbox *out)
{
    if (own_set_address(&d->own, address))
        out->send_paths |= all_paths(d);
}

void detector_set_session(struct detector *d, const struct heartbeat_session *session)
{
    own_set_session(&d->own, session);
    for (size_t i = 0; i < d->path_count; i++)
        d->paths[i].sent_in_session = 0;
}

static void say_channels(const struct detector *d, int64_t now_ns, struct heartbeat *heartbeat)
{
    heartbeat->channel_count = d->config->channel_count;
    for (size_t i = 0; i < d->config->channel_count; i++) {
        const struct channel *channel = &d->channels[i];
        struct heartbeat_channel *said = &heartbeat->channels[i];
        said->id = channel->id;
        for (size_t b = 0; b < sizeof said->mac; b++)
            said->mac[b] = channel->mac.bytes[b];
        said->usable = channel->usable;
        said->evidence_age_us = channel->evidence_ns == 0 ? HEARTBEAT_NUMBER_MAX
                                                          : MAX(now_ns - channel->evidence_ns, 0) / NS_PER_US;
    }
}

static void say_echo(const struct detector *d, const struct path *path, int64_t now_ns,
                     struct heartbeat_echo *echo)
{
    if (!d->peer.heard)
        return;
    echo->session = d->peer.session;
    echo->sequence = d->peer.sequence;
    echo->path_sequence = path->sequence;
    if (path->sequence == 0)
        return;
    echo->stamp = path->stamp;
    echo->held_us = MAX(now_ns - path->heard_ns, 0) / NS_PER_US;
}

void detector_compose(struct detector *d, size_t path, int64_t now_ns, struct heartbeat_header *header,
                      struct heartbeat *heartbeat)
{
    *heartbeat = (struct heartbeat){.stamp = (uint64_t)now_ns, .config_hash = d->config_hash};
    own_head(&d->own, d->config->cluster, DATAGRAM_HEARTBEAT, header);
    own_say(&d->own, now_ns, heartbeat);
    /* So that the peer quickens as well. */
    heartbeat->suspicious = heartbeat->suspicious || d->doubting || d->lost_ns > 0;
    heartbeat->late_us = (uint32_t)MIN(late_us(d), (int64_t)UINT32_MAX);
    heartbeat->path_count = ++d->paths[path].sent_in_session;
    say_echo(d, &d->paths[path], now_ns, &heartbeat->echo);
    say_channels(d, now_ns, heartbeat);
}

void detector_sent(struct detector *d, size_t path, bool taken_by_kernel)
{
    if (taken_by_kernel)
        d->paths[path].sent++;
    else
        d->paths[path].send_errors++;
}

void detector_fill_path(const struct detector *d, size_t path, int64_t now_ns, struct path_message *message)
{
    path_fill(&d->paths[path], interval_of(d), now_ns, message);
    message->udp = path == PATH_RESERVED || d->config->channels[path - PATH_CHANNEL].heartbeat_udp;
}

/* --------------------------------------------------------------------- time */

bool detector_is_stalled(const struct detector *d, int64_t now_ns)
{
    return now_ns - d->tick_ns > interval_of(d) + stall_slack_ns;
}

static void note_delay(struct detector *d, int64_t now_ns, struct outbox *out)
{
    const int64_t late_ns = now_ns - d->tick_ns;

    if (now_ns - d->late_since_ns > late_window_ns) {
        d->late_before_ns = d->late_ns;
        d->late_ns = 0;
        d->late_since_ns = now_ns;
    }
    d->late_ns = MAX(d->late_ns, late_ns);
    if (!detector_is_stalled(d, now_ns))
        return;
    d->counting_since_ns = now_ns;
    for (size_t i = 0; i < d->config->channel_count; i++)
        channel_restart(&d->channels[i], now_ns);
    outbox_note(out, NOTE_STALL, 0, late_ns);
}

static void publish_slowly(struct detector *d, int64_t now_ns, struct outbox *out)
{
    if (now_ns < d->slow_ns)
        return;
    d->slow_ns = now_ns + slow_every_ns;
    out->publish_paths |= all_paths(d);
    for (size_t i = 0; i < d->config->channel_count; i++) {
        out->publish_links |= UINT32_C(1) << i;
        out->publish_searches |= UINT32_C(1) << i;
        out->publish_routers[i] |= (UINT32_C(1) << d->channels[i].router_count) - 1;
    }
}

/* Fresh figures for those who decide while it matters. */
static void publish_quickly(struct detector *d, struct outbox *out)
{
    for (size_t i = 0; i < d->config->channel_count; i++) {
        if (is_suspicious(d))
            out->publish_links |= UINT32_C(1) << i;
        if (d->channels[i].search.state != SEARCH_STATE_IDLE)
            out->publish_searches |= UINT32_C(1) << i;
    }
}

static void beat(struct detector *d, int64_t now_ns, struct outbox *out)
{
    const int64_t period = d->quick ? MAX(quick_tick_least_ns, interval_of(d) / 5) : interval_of(d);

    out->send_paths |= all_paths(d);
    out->publish_peer = true;
    d->tick_ns = d->tick_ns + period > now_ns ? d->tick_ns + period : now_ns + period;
    if (d->quick)
        publish_quickly(d, out);
}

void detector_tick(struct detector *d, int64_t now_ns, struct outbox *out)
{
    if (now_ns >= d->tick_ns)
        note_delay(d, now_ns, out);
    for (size_t i = 0; i < d->path_count; i++)
        judge_path(d, i, d->counting_since_ns, now_ns, out);
    if (judge_alive(d, now_ns, out))
        out->publish_peer = true;
    doubt(d, now_ns);
    watch_the_mute(d, now_ns);
    forget_lost(d, now_ns);
    calm_down(d, now_ns);
    for (size_t i = 0; i < d->config->channel_count; i++) {
        notice_missing(d, i, now_ns);
        step_channel(d, i, now_ns, out);
    }
    if (now_ns >= d->tick_ns)
        beat(d, now_ns, out);
    publish_slowly(d, now_ns, out);
}

int64_t detector_wake_ns(const struct detector *d, int64_t now_ns)
{
    int64_t wake = d->tick_ns;

    if (!d->doubting && d->peer.heard && now_ns - d->peer.heard_ns <= doubt_fresh_ns)
        wake = MIN(wake, MAX(doubt_ns(d), now_ns));
    for (size_t i = 0; i < d->config->channel_count; i++) {
        const struct channel_pace pace = pace_of(d, i, now_ns);
        wake = MIN(wake, channel_wake_ns(&d->channels[i], &pace, now_ns));
    }
    return wake;
}
