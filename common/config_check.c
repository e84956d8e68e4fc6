#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

/* What must hold between nodes, channels, addresses and routes. */

enum { MANY_ADDRESSES = 4000 }; /* from here on they may take a second on a slow machine */

void config_note_use(struct reader *reader, const struct net_address *address, int line, int channel,
                     const char *what)
{
    if ((reader->use_count & (reader->use_count - 1)) == 0) { /* full at each power of two */
        const size_t room = MAX(2 * reader->use_count, 16);
        struct address_use *more = realloc(reader->uses, room * sizeof *more);
        if (!more) {
            reader->out_of_memory = true;
            return;
        }
        reader->uses = more;
    }
    struct address_use *use = &reader->uses[reader->use_count++];
    *use = (struct address_use){.address = *address, .line = line, .channel = channel};
    text_copy(use->what, sizeof use->what, what);
}

static int compare_hosts(const struct net_address *a, const struct net_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(&a->v4, &b->v4, a->family == AF_INET ? sizeof a->v4 : sizeof a->v6);
}

static int compare_uses(const void *left, const void *right)
{
    const struct address_use *a = left, *b = right;
    int order = compare_hosts(&a->address, &b->address);

    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static bool link_local(const struct net_address *address)
{
    return address->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->v6);
}

/* Two uses of one address: a clash, unless it is a link-local one on two links. */
static bool uses_clash(const struct address_use *a, const struct address_use *b)
{
    return compare_hosts(&a->address, &b->address) == 0 &&
           (!link_local(&a->address) || a->channel == b->channel);
}

void config_check_addresses(struct reader *reader)
{
    char text[ADDRESS_TEXT_MAX];

    if (reader->use_count > 1)
        qsort(reader->uses, reader->use_count, sizeof *reader->uses, compare_uses);
    for (size_t i = 1; i < reader->use_count; i++) {
        const struct address_use *a = &reader->uses[i - 1], *b = &reader->uses[i];
        if (!uses_clash(a, b))
            continue;
        net_address_print(&b->address, false, text);
        config_refuse(reader, b->line,
                      "%s is %s, and also %s (line %d); each address belongs to one of them: change one",
                      text, b->what, a->what, a->line);
    }
}

/* ---- channels */

static void check_shared_devices(struct reader *reader)
{
    const struct config *config = reader->config;

    for (int node = 0; node < CONFIG_NODES; node++) {
        for (size_t i = 0; i < config->channel_count; i++) {
            for (size_t j = 0; j < i; j++) {
                const char *device = reader->devices[node][i];
                if (device[0] == '\0' || strcmp(device, reader->devices[node][j]) != 0)
                    continue;
                config_refuse(reader, config_section_line(cfg_getnsec(reader->tree, "channel", (unsigned)i)),
                              "channels \"%s\" and \"%s\" share the device \"%s\" on node \"%s\"; give each "
                              "a device of "
                              "its own, or join them",
                              config->channels[j].name, config->channels[i].name, device,
                              config->nodes[node].name);
            }
        }
    }
}

static bool among(const struct config_addresses *networks, const struct net_address *host)
{
    for (size_t i = 0; i < networks->count; i++)
        if (net_address_contains(&networks->items[i], host))
            return true;
    return false;
}

static bool on_link(const struct config_channel *channel, const struct net_address *host)
{
    return link_local(host) || among(&channel->active, host) || among(&channel->passive, host) ||
           among(&channel->peer_passive, host);
}

static void check_routers(struct reader *reader, cfg_t *section, const struct config_channel *channel)
{
    for (size_t i = 0; i < config_value_count(section, "router"); i++) {
        const struct value value = config_value_at(section, "router", i);
        struct net_address router;

        if (net_address_parse(value.text, &router) == 0 && channel->active.count > 0 &&
            !on_link(channel, &router))
            config_refuse(reader, value.line,
                          "router \"%s\" is in no network of channel \"%s\"; name a neighbour on that "
                          "LAN, or correct the prefix lengths",
                          value.text, channel->name);
    }
}

static const struct net_address *first_of(const struct config_addresses *addresses, int family)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (addresses->items[i].family == family && !link_local(&addresses->items[i]))
            return &addresses->items[i];
    return NULL;
}

/* The first passive address of each node, of IPv4 if both have one: both nodes must choose the same two. */
static bool find_udp_ends(struct config_channel *channel)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < ARRAY_LENGTH(families); i++) {
        const struct net_address *own = first_of(&channel->passive, families[i]),
                                 *peer = first_of(&channel->peer_passive, families[i]);
        if (!own || !peer)
            continue;
        channel->udp_own = *own;
        channel->udp_peer = *peer;
        return true;
    }
    return false;
}

/* What the network of routers between two nodes cannot do. */
static void check_udp(struct reader *reader, cfg_t *section, struct config_channel *channel)
{
    const int line = config_value_of(section, "heartbeat").line;

    if (!find_udp_ends(channel))
        config_refuse(
            reader, line,
            "heartbeat = udp on channel \"%s\" needs a passive-address of each node to send from, both "
            "of one family and not link-local; add them, or use heartbeat = ethernet",
            channel->name);
    else if (channel->mode == MODE_EXCHANGE)
        config_refuse(
            reader, line,
            "heartbeat = udp on channel \"%s\" needs mode = overlay: in mode exchange the active node "
            "has no passive address to send from",
            channel->name);
    else if (channel->search && !net_address_contains(&channel->udp_own, &channel->udp_peer))
        config_refuse(
            reader, line,
            "the nodes are in two networks on channel \"%s\", where ARP does not reach from one to the "
            "other; set search = off there",
            channel->name);
}

static void check_channel(struct reader *reader, cfg_t *section, struct config_channel *channel)
{
    check_routers(reader, section, channel);
    if (channel->heartbeat_udp)
        check_udp(reader, section, channel);
    if (channel->check_only_idle && channel->routers.count == 0)
        config_refuse(
            reader, config_value_of(section, "check-only-idle").line,
            "check-only-idle on channel \"%s\" means its routers, and it has none; name one, or leave "
            "the key out",
            channel->name);
    if (channel->active.count > MANY_ADDRESSES && !channel->local_routes)
        config_warn(
            reader, config_value_at(section, "active-address", 0).line,
            "%zu active addresses on channel \"%s\" take the kernel long, and a claim is given up after "
            "claim-time; set hold-as = local-routes, or lengthen claim-time",
            channel->active.count, channel->name);
    if (channel->local_routes && !reader->config->lease_gate)
        config_refuse(
            reader, config_value_of(section, "hold-as").line,
            "hold-as = local-routes on channel \"%s\" needs lease-gate = on: a route has no lifetime "
            "that could end it; use hold-as = addresses, or the gate",
            channel->name);
}

void config_check_channels(struct reader *reader)
{
    struct config *config = reader->config;

    check_shared_devices(reader);
    for (size_t i = 0; i < config->channel_count; i++)
        check_channel(reader, cfg_getnsec(reader->tree, "channel", (unsigned)i), &config->channels[i]);
}

/* ---- routes */

static bool host_bits_clear(const struct net_address *network)
{
    const uint8_t *bytes = (const uint8_t *)&network->v4;
    const unsigned bits = network->family == AF_INET ? 32 : 128;

    for (unsigned bit = network->prefix; bit < bits; bit++)
        if (bytes[bit / 8] & (0x80 >> (bit % 8)))
            return false;
    return true;
}

static bool same_network(const struct net_address *a, const struct net_address *b)
{
    return a->prefix == b->prefix && net_address_equal(a, b);
}

static void check_route(struct reader *reader, size_t index)
{
    const struct config *config = reader->config;
    const struct config_route *route = &config->routes[index];
    cfg_t *section = cfg_getnsec(reader->tree, "route", (unsigned)index);
    const int line = config_section_line(section);

    if (!host_bits_clear(&route->to))
        config_refuse(reader, line,
                      "route \"%s\" has bits set behind its prefix length; name the network itself",
                      route->name);
    if (!on_link(&config->channels[route->channel], &route->via))
        config_refuse(reader, config_value_of(section, "via").line,
                      "via \"%s\" is in no network of channel \"%s\"; name a router on that LAN",
                      config_value_of(section, "via").text, config->channels[route->channel].name);
    for (size_t i = 0; i < reader->use_count; i++)
        if (net_address_equal(&reader->uses[i].address, &route->via) &&
            strncmp(reader->uses[i].what, "a router", 8) != 0)
            config_refuse(reader, config_value_of(section, "via").line,
                          "via \"%s\" is %s; name a router outside of the pair",
                          config_value_of(section, "via").text, reader->uses[i].what);
    for (size_t i = 0; i < index; i++)
        if (same_network(&config->routes[i].to, &route->to) && config->routes[i].table == route->table)
            config_refuse(reader, line,
                          "routes \"%s\" and \"%s\" have the same destination; keep one of them",
                          config->routes[i].name, route->name);
}

static void check_rule(struct reader *reader, size_t index)
{
    const struct config_rule *rule = &reader->config->rules[index];
    const int line = config_section_line(cfg_getnsec(reader->tree, "rule", (unsigned)index));

    if (!host_bits_clear(&rule->from) || !host_bits_clear(&rule->to))
        config_refuse(reader, line,
                      "rule \"%s\" has bits set behind a prefix length; name the network itself", rule->name);
    for (size_t i = 0; i < index; i++) {
        const struct config_rule *other = &reader->config->rules[i];
        if (other->priority == rule->priority && other->table == rule->table &&
            same_network(&other->from, &rule->from) && same_network(&other->to, &rule->to))
            config_refuse(reader, line, "rules \"%s\" and \"%s\" say the same; keep one of them", other->name,
                          rule->name);
    }
}

void config_check_routes(struct reader *reader)
{
    const struct config *config = reader->config;

    for (size_t i = 0; i < config->rule_count; i++)
        check_rule(reader, i);
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (route->channel >= 0 && route->via.family != 0 && route->to.family != 0)
            check_route(reader, i);
    }
}
