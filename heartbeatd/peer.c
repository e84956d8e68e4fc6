#include "heartbeatd/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum peer_verdict peer_judge(const struct peer *peer, const struct path *path,
                             const struct heartbeat_header *header)
{
    if (header->session.start > peer->session.start)
        return PEER_NEW_SESSION;
    if (!heartbeat_session_equal(&header->session, &peer->session) || header->sequence <= path->sequence ||
        header->sequence + PEER_WINDOW <= peer->sequence)
        return PEER_REPLAYED;
    return PEER_FRESH;
}

void peer_new_session(struct peer *peer, const struct heartbeat_session *session)
{
    peer->session = *session;
    peer->sequence = peer->record_sequence = 0;
    peer->linked = false;
}

static bool is_backed(const struct heartbeat *heartbeat, int64_t address_lease_ns)
{
    const bool serves = heartbeat->phase == PHASE_CLAIMING || heartbeat->phase == PHASE_ACTIVE ||
                        heartbeat->phase == PHASE_OFFERING;

    return serves && heartbeat->lease_us > 0 && heartbeat->arbiter_age_us < address_lease_ns / NS_PER_US;
}

static const struct heartbeat_channel *find_channel(const struct heartbeat *heartbeat, const char *name)
{
    const uint32_t id = heartbeat_hash(name);

    for (size_t i = 0; i < heartbeat->channel_count; i++)
        if (heartbeat->channels[i].id == id)
            return &heartbeat->channels[i];
    return NULL;
}

static void learn_macs(struct peer *peer, const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct heartbeat_channel *channel = find_channel(&peer->said, config->channels[i].name);
        struct mac mac = {0};
        if (channel)
            memcpy(mac.bytes, channel->mac, sizeof mac.bytes);
        if (!mac_is_zero(&mac))
            peer->macs[i] = mac;
    }
}

void peer_heard(struct peer *peer, const struct config *config, const struct heartbeat_header *header,
                const struct heartbeat *heartbeat, bool echoes, int64_t received_ns)
{
    peer->heard = true;
    peer->heard_ns = MAX(peer->heard_ns, received_ns);
    if (echoes)
        peer->linked_ns = MAX(peer->linked_ns, received_ns);
    /* What was sent before the first such one went to an earlier run of this node. */
    if (echoes && peer->record_sequence == 0)
        peer->record_sequence = header->sequence;
    if (header->sequence <= peer->sequence)
        return; /* a slower path tells what is known already */
    if (is_backed(heartbeat, config->timers.address_lease))
        peer->backed_ns = MAX(peer->backed_ns, received_ns);
    peer->sequence = header->sequence;
    peer->linked = echoes;
    peer->said = *heartbeat;
    peer->said_ns = received_ns;
    peer->version_min = header->version_min;
    peer->version_max = header->version_max;
    learn_macs(peer, config);
}

static int64_t moment(const struct peer *peer, int64_t age_us)
{
    return age_us == HEARTBEAT_NUMBER_MAX ? 0 : MAX(peer->said_ns - age_us * NS_PER_US, 0);
}

static void fill_channels(const struct peer *peer, const struct config *config, struct peer_message *message)
{
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct heartbeat_channel *channel = find_channel(&peer->said, config->channels[i].name);
        if (!channel)
            continue;
        struct channel_fitness *fitness = &message->channels[message->channels_count++];
        text_copy(fitness->name, sizeof fitness->name, config->channels[i].name);
        if (!mac_is_zero(&peer->macs[i]))
            mac_print(&peer->macs[i], fitness->mac);
        fitness->usable = channel->usable;
        fitness->evidence_ns = moment(peer, channel->evidence_age_us);
    }
}

static void fill_state(const struct heartbeat *said, struct peer_message *message)
{
    message->role = said->role;
    message->phase = said->phase;
    message->epoch = said->epoch;
    message->next_epoch = said->next_epoch;
    message->arbiter_age_us = said->arbiter_age_us;
    message->lease_us = said->lease_us;
    message->released = said->released;
    message->silent = said->silent;
    message->takes_silent = said->takes_silent;
    message->takes_records = said->takes_records;
    message->held = said->held;
    message->hold_version = said->hold_version;
    message->hold_left_ms = said->hold_left_ms;
    message->unfit = said->unfit;
    message->whole = said->whole;
    message->data_epoch = said->data_epoch;
    message->data_generation = said->data_generation;
    message->services_failed = said->services_failed;
    message->offer = said->offer;
    message->prefers = said->prefers;
    message->change = said->change;
    message->considered = said->considered;
    message->suspicious = said->suspicious;
    message->late_us = said->late_us;
}

void peer_fill(const struct peer *peer, const struct config *config, struct peer_message *message)
{
    *message = (struct peer_message){0};
    text_copy(message->name, sizeof message->name, config->nodes[1 - config->self].name);
    if (!peer->heard)
        return;
    message->linked = peer->linked;
    message->heard_ns = peer->heard_ns;
    message->linked_ns = peer->linked_ns;
    message->backed_ns = peer->backed_ns;
    heartbeat_session_print(&peer->session, message->session);
    fill_state(&peer->said, message);
    message->phase_since_ns = moment(peer, peer->said.phase_age_us);
    snprintf(message->config_hash, sizeof message->config_hash, "%016" PRIx64, peer->said.config_hash);
    message->version_min = peer->version_min;
    message->version_max = peer->version_max;
    fill_channels(peer, config, message);
}

static bool channels_differ(const struct peer *a, const struct peer *b, bool suspicious)
{
    if (a->said.channel_count != b->said.channel_count)
        return true;
    for (size_t i = 0; i < a->said.channel_count; i++) {
        const struct heartbeat_channel *x = &a->said.channels[i], *y = &b->said.channels[i];
        if (x->id != y->id || x->usable != y->usable || memcmp(x->mac, y->mac, sizeof x->mac) != 0)
            return true;
        /* Ages travel in whole microseconds and take a varying time, so the same moment wavers a little. */
        if (suspicious && moment(a, x->evidence_age_us) - moment(b, y->evidence_age_us) > NS_PER_MS)
            return true;
    }
    return false;
}

bool peer_differs(const struct peer *a, const struct peer *b, bool suspicious)
{
    const struct heartbeat *x = &a->said, *y = &b->said;
    const bool evidence = suspicious || x->suspicious || y->suspicious;

    return a->linked != b->linked || !heartbeat_session_equal(&a->session, &b->session) ||
           x->role != y->role || x->phase != y->phase || x->epoch != y->epoch ||
           x->next_epoch != y->next_epoch || x->offer != y->offer || x->prefers != y->prefers ||
           x->released != y->released || x->silent != y->silent || x->takes_silent != y->takes_silent ||
           x->takes_records != y->takes_records || x->held != y->held || x->hold_version != y->hold_version ||
           x->unfit != y->unfit || x->whole != y->whole || x->services_failed != y->services_failed ||
           x->suspicious != y->suspicious || x->change != y->change || x->considered != y->considered ||
           (x->lease_us > 0) != (y->lease_us > 0) || channels_differ(a, b, evidence);
}
