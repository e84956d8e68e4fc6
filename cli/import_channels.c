#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

/* ---- channels */

struct import_channel *import_channel_of(struct import *import, const char *device)
{
    for (size_t i = 0; i < import->channel_count; i++)
        if (strcmp(import->channels[i].device, device) == 0)
            return &import->channels[i];
    return NULL;
}

static bool name_taken(const struct import *import, const char *name)
{
    for (size_t i = 0; i < import->channel_count; i++)
        if (strcmp(import->channels[i].name, name) == 0)
            return true;
    return strcmp(name, "reserved") == 0;
}

/* The channel of a device, made if it is the first of it; NULL: no such channel can be. */
static struct import_channel *take_channel(struct import *import, const char *device, const char *name,
                                           int line)
{
    struct import_channel *channel = import_channel_of(import, device);
    char plain[CONFIG_NAME_MAX];

    if (channel)
        return channel;
    import_name(device, "", plain);
    if (import->channel_count == CONFIG_CHANNELS_MAX || strcmp(plain, device) != 0 || strlen(device) > 15 ||
        strcmp(device, "lo") == 0)
        return NULL;
    channel = &import->channels[import->channel_count];
    *channel = (struct import_channel){.line = line};
    import_name(name, device, channel->name);
    if (name_taken(import, channel->name))
        import_name(device, "channel", channel->name);
    if (name_taken(import, channel->name))
        return NULL;
    text_copy(channel->device, sizeof channel->device, device);
    import->channel_count++;
    return channel;
}

const char *import_value_of(const struct statement *instance, const char *word)
{
    for (const struct statement *s = instance->block; s; s = s->next)
        if (strcmp(s->words[0], word) == 0 && s->word_count > 1)
            return s->words[1];
    return NULL;
}

/* ---- virtual addresses */

bool import_is_held(const struct import *import, const struct net_address *address)
{
    for (size_t i = 0; i < import->channel_count; i++)
        for (size_t k = 0; k < import->channels[i].address_count; k++)
            if (net_address_equal(&import->channels[i].addresses[k], address))
                return true;
    return false;
}

/* The words behind an address that say nothing that duet needs to know. */
static void tell_details(struct import *import, const struct statement *s)
{
    for (size_t i = 1; i < s->word_count; i++) {
        const char *word = s->words[i];
        if (strcmp(word, "dev") == 0 || strcmp(word, "brd") == 0 || strcmp(word, "broadcast") == 0)
            i++;
        else if (strcmp(word, "scope") == 0 && i + 1 < s->word_count &&
                 strcmp(s->words[i + 1], "global") == 0)
            i++;
        else if (strcmp(word, "label") == 0 || strcmp(word, "scope") == 0 || strcmp(word, "peer") == 0) {
            import_tell(import, REMARK_LEFT_OUT, s->line, "%s: its %s is not taken over", s->words[0], word);
            i++;
        } else
            import_tell(import, REMARK_LEFT_OUT, s->line, "%s: its %s is not taken over", s->words[0], word);
    }
}

const char *import_word_after(const struct statement *s, size_t from, const char *word)
{
    for (size_t i = from; i + 1 < s->word_count; i++)
        if (strcmp(s->words[i], word) == 0)
            return s->words[i + 1];
    return NULL;
}

static void take_prefix(struct import *import, const struct statement *s, struct net_address *address)
{
    if (strchr(s->words[0], '/'))
        return;
    if (import->prefix > 0 && address->family == AF_INET)
        address->prefix = (uint8_t)import->prefix;
    else
        import_tell(import, REMARK_NOTE, s->line,
                    "%s has no prefix length, and gets that of one host, as before; --prefix N gives those "
                    "without one "
                    "that of their network",
                    s->words[0]);
}

static void take_address(struct import *import, struct statement *s, const char *device, const char *name)
{
    const char *dev = import_word_after(s, 1, "dev");
    const bool elsewhere = dev && strcmp(dev, device) != 0;
    struct net_address address;

    s->fate = FATE_USED;
    if (net_address_parse(s->words[0], &address) < 0) {
        import_tell_statement(import, REMARK_LEFT_OUT, s, "this is not an address");
        return;
    }
    struct import_channel *channel =
        take_channel(import, dev ? dev : device, elsewhere ? dev : name, s->line);
    if (!channel) {
        import_tell_statement(import, REMARK_LEFT_OUT, s, "%s cannot be the device of a channel",
                              dev         ? dev
                              : device[0] ? device
                                          : "nothing");
        return;
    }
    if (import_is_held(import, &address) || channel->address_count == IMPORT_ADDRESSES_MAX) {
        import_tell_statement(import, REMARK_LEFT_OUT, s, "%s",
                              import_is_held(import, &address) ? "the address is there already"
                                                               : "there are too many");
        return;
    }
    take_prefix(import, s, &address);
    tell_details(import, s);
    channel->addresses[channel->address_count++] = address;
}

/* ---- unicast: where the nodes are */

void import_unicast(struct import *import, struct statement *instance, const char *device, const char *name)
{
    struct net_address own = {0}, peer = {0};
    struct statement *peers = NULL, *source = NULL;

    for (struct statement *s = instance->block; s; s = s->next) {
        source = strcmp(s->words[0], "unicast_src_ip") == 0 ? s : source;
        peers = strcmp(s->words[0], "unicast_peer") == 0 ? s : peers;
    }
    if (source) {
        source->fate = FATE_USED;
        if (source->word_count < 2 || net_address_parse(source->words[1], &own) < 0)
            import_tell_statement(import, REMARK_LEFT_OUT, source, "this is not an address");
    }
    for (struct statement *s = peers ? peers->block : NULL; s; s = s->next) {
        s->fate = FATE_USED;
        if (peer.family != 0)
            import_tell_statement(import, REMARK_LEFT_OUT, s, "a pair has two nodes; this is one more");
        else if (net_address_parse(s->words[0], &peer) < 0)
            import_tell_statement(import, REMARK_LEFT_OUT, s, "this is not an address");
    }
    if (peers)
        peers->fate = FATE_USED;
    struct import_channel *channel =
        own.family || peer.family ? take_channel(import, device, name, instance->line) : NULL;
    if (channel && channel->own.family == 0 && channel->peer.family == 0) {
        channel->own = own;
        channel->peer = peer;
    }
}

void import_addresses(struct import *import, struct statement *block, const char *device, const char *name)
{
    block->fate = FATE_USED;
    for (struct statement *s = block->block; s; s = s->next)
        take_address(import, s, device, name);
}
