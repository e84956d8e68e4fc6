/* publish: the outbox becomes topics and lines of the log. */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "heartbeatd/shell.h"

static const struct config *config_of(const struct shell *shell)
{
    return shell->daemon->config;
}

static void publish(struct shell *shell, const struct message_type *type, const char *name, const void *body)
{
    const int r = bus_publish(shell->daemon->bus, type, name, body, NULL);

    if (r < 0 && log_allowed(&shell->send_log, 3))
        log_warning("cannot publish on topic %s: %s; it is sent again within a second", type->topic,
                    strerror(-r));
}

static void publish_peer(struct shell *shell, int64_t now_ns)
{
    struct peer_message message;

    detector_fill_peer(&shell->detector, now_ns, &message);
    publish(shell, &peer_type, NULL, &message);
}

static void publish_path(struct shell *shell, size_t path, int64_t now_ns)
{
    struct path_message message;

    detector_fill_path(&shell->detector, path, now_ns, &message);
    message.dark = path == PATH_RESERVED && shell->reserved_device[0] && !shell->reserved_carrier;
    publish(shell, &path_type, detector_path_name(&shell->detector, path), &message);
}

static void publish_routers(struct shell *shell, size_t i, uint32_t which)
{
    const struct channel *channel = &shell->detector.channels[i];
    struct router_message message;

    for (size_t r = 0; r < channel->router_count; r++) {
        if (!(which >> r & 1))
            continue;
        router_fill(&channel->routers[r], channel->config->name, &message);
        publish(shell, &router_type, message.address, &message);
    }
}

static void publish_channel(struct shell *shell, size_t i)
{
    const struct outbox *out = &shell->outbox;
    const struct channel *channel = &shell->detector.channels[i];
    struct link_message link;
    struct search_message search;

    if (out->publish_links >> i & 1) {
        channel_fill(channel, &link);
        publish(shell, &link_type, channel->config->name, &link);
    }
    if (out->publish_searches >> i & 1) {
        search_fill(&channel->search, &search);
        publish(shell, &search_type, channel->config->name, &search);
    }
    publish_routers(shell, i, out->publish_routers[i]);
}

static void publish_records(struct shell *shell)
{
    for (size_t i = 0; i < shell->record_count; i++) {
        const int r = bus_publish(shell->daemon->bus, &peer_record_type, NULL, &shell->records[i], NULL);
        if (r < 0 && log_allowed(&shell->record_log, 1))
            log_warning("cannot publish a record of the peer's: %s; it is sent again", strerror(-r));
    }
    shell->record_count = 0;
}

/* ---------------------------------------------------------------------- log */

static void note_path(struct shell *shell, size_t path)
{
    static const char *const meaning[] = {"down: nothing comes from the peer",
                                          "one-way: the peer is heard, but does not hear this node", "up"};

    if (log_allowed(&shell->path_log, 20))
        log_notice("path %s is %s", detector_path_name(&shell->detector, path),
                   meaning[shell->detector.paths[path].state]);
}

static void note_link(const struct channel *channel)
{
    log_notice("channel %s: %s %s", channel->config->name, channel->config->device,
               !channel->present  ? "is absent"
               : channel->carrier ? "has carrier"
                                  : "has no carrier");
}

static void note_search(const struct channel *channel)
{
    char mac[MAC_TEXT_MAX];

    mac_print(&channel->search.answers_mac, mac);
    if (channel->search.state == SEARCH_STATE_SILENT)
        log_notice("channel %s: no active address answers", channel->config->name);
    else if (channel->search.state == SEARCH_STATE_ANSWERED)
        log_notice("channel %s: an active address answers from %s", channel->config->name, mac);
    else if (channel->search.state == SEARCH_STATE_CONFLICT)
        log_warning(
            "channel %s: an active address answers from %s, which is not the peer's: find that machine and "
            "take the address from it",
            channel->config->name, mac);
}

static void note_router(const struct channel *channel, size_t i)
{
    char address[ADDRESS_TEXT_MAX];

    net_address_print(&channel->routers[i].address, false, address);
    log_notice("channel %s: router %s %s", channel->config->name, address,
               channel->routers[i].answering ? "answers" : "is silent");
}

static void note_peer(const struct shell *shell, enum note_kind kind)
{
    const char *name = config_of(shell)->nodes[1 - config_of(shell)->self].name;
    char text[HEARTBEAT_SESSION_TEXT_MAX];

    heartbeat_session_print(&shell->detector.peer.session, text);
    if (kind == NOTE_PEER_SESSION)
        log_notice("%s is heard in a new session, %s", name, text);
    else
        log_notice(kind == NOTE_PEER_LOST ? "%s is not heard any more on any path" : "%s is heard", name);
}

static void write_note(struct shell *shell, const struct note *note)
{
    const struct channel *channel = &shell->detector.channels[note->index];

    switch (note->kind) {
    case NOTE_STALL:
        if (log_allowed(&shell->stall_log, 5))
            log_warning("this daemon was held up for %" PRId64 " ms: silence is counted anew",
                        note->value / NS_PER_MS);
        break;
    case NOTE_PEER_SESSION:
    case NOTE_PEER_LOST:
    case NOTE_PEER_BACK:
        note_peer(shell, note->kind);
        break;
    case NOTE_PATH:
        note_path(shell, note->index);
        break;
    case NOTE_LINK:
        note_link(channel);
        break;
    case NOTE_USABLE:
        log_notice("channel %s is %susable", channel->config->name, channel->usable ? "" : "not ");
        break;
    case NOTE_ROUTER:
        note_router(channel, (size_t)note->value);
        break;
    case NOTE_SEARCH:
        note_search(channel);
        break;
    case NOTE_OLD_START:
        log_warning("the peer knows a later session of this node than this one: counting on from there; if "
                    "this comes "
                    "again, another heartbeatd runs under this node's name");
        break;
    }
}

/* -------------------------------------------------------------------- apply */

static void renew_session(struct shell *shell)
{
    sessions_renew(shell->sessions_path, &shell->sessions, shell->outbox.renew_session_after);
    detector_set_session(&shell->detector, &shell->sessions.own);
}

static void save_sessions(struct shell *shell)
{
    char text[SESSIONS_TEXT_MAX];

    shell->sessions.peer = shell->detector.peer.session;
    /* Made only now, after privileges were dropped, so that the thread has none either. */
    const int r = shell->saver ? 0 : saver_open(shell->sessions_path, sessions_unsaved, &shell->saver);
    if (r == 0) {
        sessions_print(&shell->sessions, text);
        saver_put(shell->saver, text);
        return;
    }
    log_warning("no thread to write session counters with (%s): writing them in between", strerror(-r));
    sessions_save(shell->sessions_path, &shell->sessions);
}

void shell_apply(struct shell *shell)
{
    struct outbox *out = &shell->outbox;

    if (out->renew_session_after)
        renew_session(shell);
    shell_send(shell);
    const int64_t now_ns = clock_now_ns();
    if (out->publish_peer)
        publish_peer(shell, now_ns);
    for (size_t i = 0; i < config_of(shell)->channel_count; i++)
        publish_channel(shell, i);
    for (size_t i = 0; i < shell->detector.path_count; i++)
        if ((out->publish_paths >> i & 1) && shell->detector.paths[i].configured)
            publish_path(shell, i, now_ns);
    publish_records(shell);
    for (size_t i = 0; i < config_of(shell)->channel_count; i++)
        if (out->count_frames >> i & 1)
            links_ask(shell->links, shell->device_index[i]);
    if (out->save_sessions)
        save_sessions(shell);
    for (size_t i = 0; i < out->note_count; i++)
        write_note(shell, &out->notes[i]);
    outbox_empty(out);
}
