#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

/* ---- what follows from all channels together */

static bool is_on_link(const struct import_channel *channel, const struct net_address *host)
{
    for (size_t i = 0; i < channel->address_count; i++)
        if (net_address_contains(&channel->addresses[i], host))
            return true;
    return host->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&host->v6);
}

static int channel_on_link(const struct import *import, const struct net_address *host, const char *device)
{
    for (size_t i = 0; i < import->channel_count; i++)
        if ((!device || strcmp(import->channels[i].device, device) == 0) &&
            is_on_link(&import->channels[i], host))
            return (int)i;
    return -1;
}

static void add_router(struct import_channel *channel, const struct net_address *router)
{
    for (size_t i = 0; i < channel->router_count; i++)
        if (net_address_equal(&channel->routers[i], router))
            return;
    if (channel->router_count < CONFIG_ROUTERS_MAX)
        channel->routers[channel->router_count++] = *router;
}

/* Whether the network of a route can be written, into `to`; the whole of a family is "default" or "::/0". */
static bool route_target(const char *word, int family, char to[static ADDRESS_TEXT_MAX])
{
    struct net_address network;

    if (strcmp(word, "default") == 0 || strcmp(word, "0.0.0.0/0") == 0 || strcmp(word, "::/0") == 0) {
        text_copy(to, ADDRESS_TEXT_MAX, family == AF_INET6 ? "::/0" : "default");
        return true;
    }
    if (net_address_parse(word, &network) < 0 || network.family != family)
        return false;
    net_address_print(&network, true, to);
    if (!strchr(to, '/'))
        snprintf(to + strlen(to), ADDRESS_TEXT_MAX - strlen(to), "/%d", network.prefix);
    return true;
}

static bool route_exists(const struct import *import, const char *to)
{
    for (size_t i = 0; i < import->route_count; i++)
        if (strcmp(import->routes[i].to, to) == 0)
            return true;
    return false;
}

static void tell_route_details(struct import *import, const struct statement *s, size_t first)
{
    static const char *const known[] = {"via", "gw", "dev", "to", "src"};

    for (size_t i = first; i < s->word_count; i += 2) { /* each with its value */
        bool is_known = false;
        for (size_t k = 0; k < ARRAY_LENGTH(known); k++)
            is_known |= strcmp(s->words[i], known[k]) == 0;
        if (!is_known || strcmp(s->words[i], "src") == 0)
            import_tell(import, REMARK_LEFT_OUT, s->line, "the route's %s is not taken over", s->words[i]);
    }
}

/* `[src ADDRESS] [to] NETWORK via ROUTER [dev DEVICE] ...` */
static void convert_route(struct import *import, struct statement *s)
{
    const size_t first = strcmp(s->words[0], "src") == 0 && s->word_count > 2 ? 2 : 0;
    const size_t at = strcmp(s->words[first], "to") == 0 && s->word_count > first + 1 ? first + 1 : first;
    const char *via = import_word_after(s, at, "via"), *dev = import_word_after(s, at, "dev");
    struct import_route route = {.line = s->line};

    s->fate = FATE_USED;
    via = via ? via : import_word_after(s, at, "gw");
    if (!via || net_address_parse(via, &route.via) < 0) {
        import_tell_statement(import, REMARK_LEFT_OUT, s, "a route needs one next router (via)");
        return;
    }
    route.channel = channel_on_link(import, &route.via, dev);
    if (route.channel < 0) {
        import_tell_statement(
            import, REMARK_LEFT_OUT, s,
            "%s is in the network of no virtual address%s%s; are their prefix lengths missing? --prefix N "
            "gives them one",
            via, dev ? " of " : "", dev ? dev : "");
        return;
    }
    if (!route_target(s->words[at], route.via.family, route.to) || route_exists(import, route.to) ||
        import->route_count == CONFIG_ROUTES_MAX || import_is_held(import, &route.via)) {
        import_tell_statement(import, REMARK_LEFT_OUT, s,
                              "its destination is there already, or is none, or its router "
                              "is the pair itself");
        return;
    }
    if (first > 0)
        import_tell(import, REMARK_LEFT_OUT, s->line, "the route's src is not taken over");
    tell_route_details(import, s, at + 1);
    import->routes[import->route_count++] = route;
    if (strcmp(route.to, "default") == 0)
        add_router(&import->channels[route.channel], &route.via);
}

static void convert_tracked_interfaces(struct import *import, struct statement *block)
{
    block->fate = FATE_USED;
    for (struct statement *s = block->block; s; s = s->next) {
        if (import_channel_of(import, s->words[0]))
            import_tell_statement(import, REMARK_NOT_NEEDED, s,
                                  "the adapter of a channel is watched by itself");
        else
            import_tell_statement(
                import, REMARK_LEFT_OUT, s,
                "it has no virtual address, and only the adapters of channels are watched; make it a "
                "channel if the pair serves there");
    }
}

/* Of an instance or a group, once all channels are known. */
void import_late(struct import *import, struct statement *owner)
{
    for (struct statement *s = owner->block; s; s = s->next) {
        if (strcmp(s->words[0], "track_interface") == 0)
            convert_tracked_interfaces(import, s);
        if (strcmp(s->words[0], "virtual_routes") != 0)
            continue;
        s->fate = FATE_USED;
        for (struct statement *route = s->block; route; route = route->next)
            convert_route(import, route);
    }
}

/* The line of a unicast address without virtual ones is a reserved line; such a channel is none. */
void import_reserved(struct import *import)
{
    for (size_t i = 0; i < import->channel_count; i++) {
        struct import_channel *channel = &import->channels[i];
        if (channel->address_count > 0)
            continue;
        if (import->reserved[0].family == 0 && channel->own.family != 0 &&
            channel->peer.family == channel->own.family) {
            import->reserved[0] = channel->own;
            import->reserved[1] = channel->peer;
            import_tell(import, REMARK_NOTE, channel->line,
                        "%s has no virtual address: its unicast addresses are taken for the reserved line",
                        channel->device);
        } else {
            import_tell(import, REMARK_LEFT_OUT, channel->line, "%s has no virtual address: it is no channel",
                        channel->device);
        }
        memmove(channel, channel + 1, (--import->channel_count - i) * sizeof *channel);
        i--;
    }
}

/* The length of the network that a passive address is in: that of a virtual address that contains it. */
static void take_passive(struct import *import, struct import_channel *channel, struct net_address *passive)
{
    if (passive->family == 0)
        return;
    for (size_t i = 0; i < channel->address_count; i++)
        if (net_address_contains(&channel->addresses[i], passive) && !import_is_held(import, passive)) {
            passive->prefix = channel->addresses[i].prefix;
            return;
        }
    char text[ADDRESS_TEXT_MAX];
    net_address_print(passive, false, text);
    if (!net_address_equal(passive, &import->reserved[0]) &&
        !net_address_equal(passive, &import->reserved[1]))
        import_tell(import, REMARK_LEFT_OUT, channel->line,
                    "the unicast address %s on %s is in the network of no virtual address, so its prefix "
                    "length is not "
                    "known; add it as a passive-address",
                    text, channel->device);
    passive->family = 0;
}

void import_routers(struct import *import, const struct net_address *routers, size_t count)
{
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        const int channel = channel_on_link(import, &routers[i], NULL);
        net_address_print(&routers[i], false, text);
        if (channel < 0)
            import_tell(import, REMARK_FILL_IN, 0, "the router %s is in the network of no channel", text);
        else
            add_router(&import->channels[channel], &routers[i]);
    }
}

void import_passive(struct import *import)
{
    for (size_t i = 0; i < import->channel_count; i++) {
        take_passive(import, &import->channels[i], &import->channels[i].own);
        take_passive(import, &import->channels[i], &import->channels[i].peer);
    }
}
