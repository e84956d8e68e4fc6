#include <string.h>

#include "common/config_private.h"

/* Routes that follow the role, and the rules that point to their tables. */

/* "default", or a network: the destination. */
static bool take_destination(struct reader *reader, cfg_t *section, struct config_route *route)
{
    const struct value to = config_value_of(section, "to");
    const char *title = to.text ? to.text : cfg_title(section);

    if (strcmp(title, "default") == 0) {
        route->to.family = route->via.family;
        return true;
    }
    if (!strchr(title, '/') || net_address_parse(title, &route->to) < 0) {
        config_refuse(reader, config_section_line(section),
                      "route \"%s\" is no destination; name it \"default\", or by its "
                      "network, such as \"198.51.100.0/24\", or say that with to = …",
                      title);
        return false;
    }
    if (route->via.family != 0 && route->to.family != route->via.family) {
        config_refuse(reader, config_section_line(section),
                      "route \"%s\" goes via an address of the other family; make both "
                      "IPv4 or both IPv6",
                      title);
        return false;
    }
    return true;
}

static void take_route_channel(struct reader *reader, cfg_t *section, struct config_route *route)
{
    const struct value channel = config_value_of(section, "channel");

    route->channel = channel.text ? config_channel_index(reader->config, channel.text) : -1;
    if (!channel.text)
        config_refuse(reader, channel.line, "route \"%s\" has no channel; add channel = \"NAME\"",
                      cfg_title(section));
    else if (route->channel < 0)
        config_refuse(reader, channel.line, "there is no channel \"%s\"; name one that this file has",
                      channel.text);
}

static void build_route(struct reader *reader, cfg_t *section, struct config_route *route)
{
    const struct value via = config_value_of(section, "via");

    take_route_channel(reader, section, route);
    if (!via.text)
        config_refuse(reader, via.line, "route \"%s\" has no via; add via = \"ADDRESS\" of the next router",
                      cfg_title(section));
    else if (config_parse_address(reader, "via", via, PREFIX_FORBIDDEN, &route->via) < 0)
        route->via = (struct net_address){0};
    take_destination(reader, section, route);
    route->table = CONFIG_TABLE_MAIN;
    config_take_int(reader, section, "table", 1, CONFIG_TABLE_MAIN, &route->table);
    text_copy(route->name, sizeof route->name, cfg_title(section));
}

static void build_routes(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "route", CONFIG_ROUTES_MAX);

    config->routes = config_take_memory(reader, count, sizeof *config->routes);
    for (; config->routes && config->route_count < count; config->route_count++)
        build_route(reader, cfg_getnsec(reader->tree, "route", (unsigned)config->route_count),
                    &config->routes[config->route_count]);
}

/* A network, or one address. */
static bool take_network(struct reader *reader, cfg_t *section, const char *key, struct net_address *to)
{
    const struct value value = config_value_of(section, key);

    if (!value.text)
        return true;
    if (strchr(value.text, '/'))
        return net_address_parse(value.text, to) == 0 ||
               (config_refuse(reader, value.line,
                              "%s \"%s\" is no network; write it as \"198.51.100.0/24\", or one address", key,
                              value.text),
                false);
    if (config_parse_address(reader, key, value, PREFIX_FORBIDDEN, to) < 0)
        return false;
    to->prefix = to->family == AF_INET ? 32 : 128;
    return true;
}

static void build_rule(struct reader *reader, cfg_t *section, struct config_rule *rule)
{
    const int line = config_section_line(section);

    config_take_name(reader, section, rule->name);
    rule->priority = 1000;
    config_take_int(reader, section, "table", 1, CONFIG_TABLE_MAIN, &rule->table);
    config_take_int(reader, section, "priority", 1, 32765, &rule->priority);
    if (!config_value_of(section, "table").text)
        config_refuse(reader, line, "rule \"%s\" has no table; add table = N, as some routes name it",
                      cfg_title(section));
    if (!take_network(reader, section, "from", &rule->from) ||
        !take_network(reader, section, "to", &rule->to))
        return;
    if (rule->from.family == 0 && rule->to.family == 0)
        config_refuse(reader, line, "rule \"%s\" is about everything; add from = NETWORK or to = NETWORK",
                      cfg_title(section));
    else if (rule->from.family != 0 && rule->to.family != 0 && rule->from.family != rule->to.family)
        config_refuse(reader, line, "rule \"%s\" is of two families; make both IPv4 or both IPv6",
                      cfg_title(section));
    rule->from.family = rule->to.family = MAX(rule->from.family, rule->to.family);
}

static void build_rules(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "rule", CONFIG_RULES_MAX);

    config->rules = config_take_memory(reader, count, sizeof *config->rules);
    for (; config->rules && config->rule_count < count; config->rule_count++)
        build_rule(reader, cfg_getnsec(reader->tree, "rule", (unsigned)config->rule_count),
                   &config->rules[config->rule_count]);
}

void config_build_routes(struct reader *reader)
{
    build_routes(reader);
    build_rules(reader);
}
