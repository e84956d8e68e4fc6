/* outbox: what the core wants done, as data. Filled by the core, emptied by the shell after each event.
 *
 * Wishes are sets, not queues: two reasons to publish a topic, or to send a heartbeat on a path, are one
 * sending. So the outbox is bounded whatever happens. Requests and notes that do not fit are left out:
 * requests are made again, and notes are lines for people. */
#pragma once
#include "heartbeatd/neighbour.h"
#include "proto/heartbeat.h"

enum { OUTBOX_ASKS_MAX = 128, OUTBOX_NOTES_MAX = 64 };

struct ask {
    size_t channel;
    struct neighbour_request request;
};

enum note_kind {
    NOTE_STALL,        /* value: how late this daemon was, ns */
    NOTE_PEER_SESSION, /* the peer started anew */
    NOTE_PEER_LOST,
    NOTE_PEER_BACK,
    NOTE_PATH,      /* index: path */
    NOTE_LINK,      /* index: channel */
    NOTE_USABLE,    /* index: channel */
    NOTE_ROUTER,    /* index: channel, value: router */
    NOTE_SEARCH,    /* index: channel */
    NOTE_OLD_START, /* this node's start counter fell behind what the peer knows of it */
};

struct note {
    enum note_kind kind;
    size_t index;
    int64_t value;
};

struct outbox {
    uint32_t send_paths; /* bit: path */
    uint32_t publish_paths;
    uint32_t publish_links, publish_searches, count_frames; /* bit: channel */
    uint32_t publish_routers[16];                           /* by channel; bit: router */
    bool publish_peer;
    bool save_sessions;
    uint64_t renew_session_after; /* start a session of this node with a higher counter than this; 0 = no */
    size_t ask_count, note_count;
    struct ask asks[OUTBOX_ASKS_MAX];
    struct note notes[OUTBOX_NOTES_MAX];
};

static inline void outbox_note(struct outbox *out, enum note_kind kind, size_t index, int64_t value)
{
    if (out->note_count < OUTBOX_NOTES_MAX)
        out->notes[out->note_count++] = (struct note){kind, index, value};
}

static inline bool outbox_ask(struct outbox *out, size_t channel, const struct neighbour_request *request)
{
    if (out->ask_count == OUTBOX_ASKS_MAX)
        return false;
    out->asks[out->ask_count++] = (struct ask){channel, *request};
    return true;
}

static inline void outbox_empty(struct outbox *out)
{
    out->send_paths = out->publish_paths = out->publish_links = out->publish_searches = out->count_frames = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(out->publish_routers); i++)
        out->publish_routers[i] = 0;
    out->publish_peer = out->save_sessions = false;
    out->renew_session_after = 0;
    out->ask_count = out->note_count = 0;
}
