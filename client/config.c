#include "client/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

/* From the text to struct client_config: the grammar, section by section, then what must hold between them.
 */

enum { ROOT, CLIENT, GATEWAY, PROFILE, ROUTE, SECTIONS };

static const char *const tests[] = {"icmp", "tcp", "handshake", "command"}; /* by enum client_test */
static const char *const policies[] = {"off", "ask", "on"};                 /* by enum roam_policy */

static const cfg_opt_t root_options[] = {CONFIG_PLAIN("client"), CONFIG_NAMED("gateway"),
                                         CONFIG_NAMED("profile")};
static const cfg_opt_t client_options[] = {CONFIG_LINE,
                                           CONFIG_SCALAR("auto"),
                                           CONFIG_SCALAR("unreachable-for"),
                                           CONFIG_SCALAR("settle-time"),
                                           CONFIG_SCALAR("test-interval"),
                                           CONFIG_SCALAR("test-timeout"),
                                           CONFIG_SCALAR("test-failures"),
                                           CONFIG_LIST("order"),
                                           CONFIG_SCALAR("first"),
                                           CONFIG_SCALAR("page"),
                                           CONFIG_LIST("notify")};
static const cfg_opt_t gateway_options[] = {CONFIG_LINE,
                                            CONFIG_SCALAR("address"),
                                            CONFIG_SCALAR("test"),
                                            CONFIG_SCALAR("port"),
                                            CONFIG_SCALAR("device"),
                                            CONFIG_SCALAR("peer"),
                                            CONFIG_SCALAR("max-age"),
                                            CONFIG_LIST("command"),
                                            CONFIG_SCALAR("test-interval"),
                                            CONFIG_SCALAR("test-timeout")};
static const cfg_opt_t profile_options[] = {CONFIG_LINE,
                                            CONFIG_LIST("gateway"),
                                            CONFIG_LIST("inside"),
                                            CONFIG_LIST("up"),
                                            CONFIG_LIST("down"),
                                            CONFIG_LIST("run"),
                                            CONFIG_SCALAR("unit"),
                                            CONFIG_SCALAR("networkmanager"),
                                            CONFIG_SCALAR("wireguard"),
                                            CONFIG_SCALAR("overlap"),
                                            CONFIG_SCALAR("connect-timeout"),
                                            CONFIG_SCALAR("down-timeout"),
                                            CONFIG_NAMED("route")};
static const cfg_opt_t route_options[] = {CONFIG_LINE, CONFIG_SCALAR("via"), CONFIG_SCALAR("device"),
                                          CONFIG_SCALAR("metric")};

static const struct config_section grammar[SECTIONS] = {
    [ROOT] = {"root", ROOT, root_options, ARRAY_LENGTH(root_options)},
    [CLIENT] = {"client", ROOT, client_options, ARRAY_LENGTH(client_options)},
    [GATEWAY] = {"gateway", ROOT, gateway_options, ARRAY_LENGTH(gateway_options)},
    [PROFILE] = {"profile", ROOT, profile_options, ARRAY_LENGTH(profile_options)},
    [ROUTE] = {"route", PROFILE, route_options, ARRAY_LENGTH(route_options)},
};

const char *client_test_name(enum client_test test)
{
    return tests[test];
}

int client_profile_find(const struct client_config *config, const char *name)
{
    for (size_t i = 0; i < config->rules.profile_count; i++)
        if (strcmp(config->profiles[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int gateway_find(const struct client_config *config, const char *name)
{
    for (size_t i = 0; i < config->rules.gateway_count; i++)
        if (strcmp(config->gateways[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- small things */

static void take_name(struct reader *reader, cfg_t *section, char name[static CONFIG_NAME_MAX])
{
    const char *title = cfg_title(section);

    if (config_name_valid(title))
        text_copy(name, CONFIG_NAME_MAX, title);
    else
        config_refuse(
            reader, config_section_line(section),
            "\"%s\" cannot be the name of a %s; use 1 to %d letters, digits, '-', '_' and '.', beginning "
            "with none of '-' and '.'",
            title, cfg_name(section), CONFIG_NAME_MAX - 1);
}

static size_t section_count(struct reader *reader, cfg_t *in, const char *kind, size_t most)
{
    const size_t count = cfg_size(in, kind);

    if (count <= most)
        return count;
    config_refuse(reader, config_section_line(cfg_getnsec(in, kind, (unsigned)most)),
                  "%zu sections %s are too many; at most %zu are possible", count, kind, most);
    return most;
}

/* Makes a list of these words, which NULL ends. */
static void set_words(struct reader *reader, struct config_strings *to, const char *const words[])
{
    size_t count = 0;

    config_strings_free(to);
    while (words[count])
        count++;
    to->items = calloc(count + 1, sizeof *to->items);
    for (size_t i = 0; to->items && i < count; i++) {
        to->items[i] = strdup(words[i]);
        if (!to->items[i])
            break;
        to->count++;
    }
    if (to->count < count)
        reader->out_of_memory = true;
}

static bool is_given(cfg_t *section, const char *key)
{
    return config_value_of(section, key).text != NULL;
}

static int line_of(cfg_t *section, const char *key)
{
    return config_value_of(section, key).line;
}

/* A word that a program is given: none that it could take for an option. */
static void take_argument(struct reader *reader, cfg_t *section, const char *key, char *to, size_t size)
{
    const struct value value = config_value_of(section, key);

    if (value.text && value.text[0] == '-')
        config_refuse(reader, value.line,
                      "%s \"%s\" begins with '-', as an option does; give the name itself", key, value.text);
    else
        config_take_text(reader, section, key, to, size);
}

/* ---- client */

static void take_page(struct reader *reader, cfg_t *section, struct client_config *config)
{
    const struct value value = config_value_of(section, "page");
    const char *colon = value.text ? strrchr(value.text, ':') : NULL;
    char text[ADDRESS_TEXT_MAX], *end;

    if (!value.text)
        return;
    const bool bracketed = value.text[0] == '[' && colon && colon[-1] == ']';
    text_copy(text, colon ? MIN(sizeof text, (size_t)(colon - value.text) + 1 - 2 * bracketed) : 1,
              value.text + bracketed);
    const long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || net_address_parse(text, &config->page) < 0 || strchr(text, '/') || *end != '\0' ||
        port < 1 || port > 65535)
        config_refuse(reader, value.line,
                      "page \"%s\" is not ADDRESS:PORT; write \"127.0.0.1:8642\" or \"[::1]:8642\"",
                      value.text);
    else if (config->page.family == AF_INET ? ntohl(config->page.v4.s_addr) >> 24 != IN_LOOPBACKNET
                                            : !IN6_IS_ADDR_LOOPBACK(&config->page.v6))
        config_refuse(reader, value.line,
                      "page \"%s\" is not a loopback address: others could reach it; write \"127.0.0.1:%ld\"",
                      value.text, port);
    else
        config->page_port = (int)port;
}

/* Profiles by name, each once: bits, or the order of them. */
static void take_order(struct reader *reader, cfg_t *section, struct client_config *config)
{
    const size_t count = config_value_count(section, "order");
    struct roam_rules *rules = &config->rules;
    uint32_t seen = 0;

    for (size_t i = 0; i < count; i++) {
        const struct value value = config_value_at(section, "order", i);
        const int profile = client_profile_find(config, value.text);
        if (profile < 0)
            config_refuse(reader, value.line,
                          "order names \"%s\", which is no profile; add profile \"%s\" { … }", value.text,
                          value.text);
        else if (seen & UINT32_C(1) << profile)
            config_refuse(reader, value.line, "order names \"%s\" twice; keep one of them", value.text);
        else
            rules->order[rules->order_count++] = profile;
        if (profile >= 0)
            seen |= UINT32_C(1) << profile;
    }
    for (size_t i = 0; count == 0 && i < rules->profile_count; i++)
        rules->order[rules->order_count++] = (int)i;
}

static void take_first(struct reader *reader, cfg_t *section, struct client_config *config)
{
    const struct value value = config_value_of(section, "first");

    if (!value.text)
        return;
    config->first = client_profile_find(config, value.text);
    if (config->first >= 0)
        return;
    config->first = 0;
    config_refuse(reader, value.line, "first names \"%s\", which is no profile; add profile \"%s\" { … }",
                  value.text, value.text);
}

struct test_times {
    int64_t interval, timeout;
};

static void check_test_times(struct reader *reader, cfg_t *section, const struct test_times *times)
{
    char interval[DURATION_TEXT_MAX], timeout[DURATION_TEXT_MAX];

    if (times->timeout <= times->interval)
        return;
    duration_print(times->interval, interval);
    duration_print(times->timeout, timeout);
    config_refuse(
        reader, line_of(section, is_given(section, "test-timeout") ? "test-timeout" : "test-interval"),
        "test-timeout (%s) is longer than test-interval (%s), and tests would meet; make it %s or less",
        timeout, interval, interval);
}

static void take_client(struct reader *reader, cfg_t *section, struct client_config *config,
                        struct test_times *times)
{
    int policy = ROAM_ASK;

    config_take_choice(reader, section, "auto", policies, ARRAY_LENGTH(policies), &policy);
    config->rules.policy = (enum roam_policy)policy;
    config_take_duration(reader, section, "unreachable-for", 0, &config->rules.unreachable_for);
    config_take_duration(reader, section, "settle-time", NS_PER_S, &config->rules.settle_time);
    config_take_duration(reader, section, "test-interval", 10 * NS_PER_MS, &times->interval);
    config_take_duration(reader, section, "test-timeout", NS_PER_MS, &times->timeout);
    config_take_int(reader, section, "test-failures", 1, 100, &config->rules.failures);
    config_take_command(reader, section, "notify", &config->notify);
    take_page(reader, section, config);
    check_test_times(reader, section, times);
}

/* ---- gateways */

/* A key that this test does not use, or lacks. */
static void check_key(struct reader *reader, cfg_t *section, enum client_test test, const char *key,
                      bool needed, bool possible)
{
    if (needed && !is_given(section, key))
        config_refuse(reader, config_section_line(section),
                      "gateway \"%s\" is tested by %s and has no %s; add %s = …", cfg_title(section),
                      tests[test], key, key);
    else if (!possible && is_given(section, key))
        config_refuse(reader, line_of(section, key), "%s has no meaning for a test by %s; remove it", key,
                      tests[test]);
}

static void check_keys(struct reader *reader, cfg_t *section, enum client_test test)
{
    const bool network = test == CLIENT_TEST_ICMP || test == CLIENT_TEST_TCP;
    const bool handshake = test == CLIENT_TEST_HANDSHAKE;

    check_key(reader, section, test, "address", network, network);
    check_key(reader, section, test, "port", test == CLIENT_TEST_TCP, test == CLIENT_TEST_TCP);
    check_key(reader, section, test, "device", handshake, network || handshake);
    check_key(reader, section, test, "peer", false, handshake);
    check_key(reader, section, test, "max-age", false, handshake);
    check_key(reader, section, test, "command", test == CLIENT_TEST_COMMAND, test == CLIENT_TEST_COMMAND);
}

static void take_gateway(struct reader *reader, cfg_t *section, const struct test_times *times,
                         struct client_gateway *gateway)
{
    struct test_times own = *times;
    const struct value address = config_value_of(section, "address");
    int test = CLIENT_TEST_ICMP;

    gateway->line = config_section_line(section);
    gateway->max_age =
        3 * 60 * NS_PER_S; /* WireGuard gives a session up after that (its REJECT_AFTER_TIME) */
    take_name(reader, section, gateway->name);
    config_take_choice(reader, section, "test", tests, ARRAY_LENGTH(tests), &test);
    gateway->test = (enum client_test)test;
    check_keys(reader, section, gateway->test);
    if (address.text)
        config_parse_address(reader, "address", address, PREFIX_FORBIDDEN, &gateway->address);
    config_take_int(reader, section, "port", 1, 65535, &gateway->port);
    take_argument(reader, section, "device", gateway->device, sizeof gateway->device);
    config_take_text(reader, section, "peer", gateway->peer, sizeof gateway->peer);
    config_take_duration(reader, section, "max-age", NS_PER_S, &gateway->max_age);
    config_take_command(reader, section, "command", &gateway->command);
    if (gateway->test == CLIENT_TEST_HANDSHAKE)
        set_words(reader, &gateway->command,
                  (const char *const[]){"wg", "show", gateway->device, "latest-handshakes", NULL});
    config_take_duration(reader, section, "test-interval", 10 * NS_PER_MS, &own.interval);
    config_take_duration(reader, section, "test-timeout", NS_PER_MS, &own.timeout);
    if (is_given(section, "test-interval") || is_given(section, "test-timeout"))
        check_test_times(reader, section, &own);
    gateway->interval = own.interval;
    gateway->timeout = own.timeout;
}

/* ---- profiles */

static void take_uses(struct reader *reader, cfg_t *section, const char *key,
                      const struct client_config *config, uint32_t *bits)
{
    for (size_t i = 0; i < config_value_count(section, key); i++) {
        const struct value value = config_value_at(section, key, i);
        const int gateway = gateway_find(config, value.text);
        if (gateway < 0)
            config_refuse(reader, value.line, "%s \"%s\" is not described; add gateway \"%s\" { … }", key,
                          value.text, value.text);
        else
            *bits |= UINT32_C(1) << gateway;
    }
}

static void take_wireguard(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    char file[PATH_MAX] = "";

    config_take_path(reader, section, "wireguard", file, sizeof file);
    const size_t length = strlen(file);
    if (file[0] == '\0')
        return;
    if (length < 6 || strcmp(file + length - 5, ".conf") != 0)
        config_refuse(
            reader, line_of(section, "wireguard"),
            "wireguard \"%s\" does not end in .conf, as wg-quick(8) needs it: DEVICE.conf; rename the file",
            file);
    set_words(reader, &profile->up, (const char *const[]){"wg-quick", "up", file, NULL});
    set_words(reader, &profile->down, (const char *const[]){"wg-quick", "down", file, NULL});
}

/* By itself nmcli waits 90 s for a connection to be up, and 10 s to be down, whatever is configured here. */
static void take_networkmanager(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    char name[128] = "", up_s[24], down_s[24];

    take_argument(reader, section, "networkmanager", name, sizeof name);
    snprintf(up_s, sizeof up_s, "%" PRId64, profile->connect_timeout / NS_PER_S + 1);
    snprintf(down_s, sizeof down_s, "%" PRId64, profile->down_timeout / NS_PER_S + 1);
    set_words(reader, &profile->up,
              (const char *const[]){"nmcli", "--wait", up_s, "connection", "up", "id", name, NULL});
    set_words(reader, &profile->down,
              (const char *const[]){"nmcli", "--wait", down_s, "connection", "down", "id", name, NULL});
    set_words(reader, &profile->state,
              (const char *const[]){"nmcli", "-g", "GENERAL.STATE", "connection", "show", "id", name, NULL});
    profile->keeper = CLIENT_KEEPER_NETWORKMANAGER;
}

static void take_unit(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    char unit[128] = "";

    take_argument(reader, section, "unit", unit, sizeof unit);
    if (unit[0] != '\0' && !strchr(unit, '.'))
        config_refuse(reader, line_of(section, "unit"),
                      "unit \"%s\" has no kind; write its full name, such as \"%s.service\"", unit, unit);
    set_words(reader, &profile->up, (const char *const[]){"systemctl", "start", unit, NULL});
    set_words(reader, &profile->down, (const char *const[]){"systemctl", "stop", unit, NULL});
    set_words(reader, &profile->state, (const char *const[]){"systemctl", "is-active", unit, NULL});
    profile->keeper = CLIENT_KEEPER_SYSTEMD;
}

static void take_commands(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    config_take_command(reader, section, "up", &profile->up);
    config_take_command(reader, section, "down", &profile->down);
    config_take_command(reader, section, "run", &profile->run);
    if (is_given(section, "up") && !is_given(section, "down"))
        config_refuse(reader, line_of(section, "up"),
                      "profile \"%s\" has up and no down: it could not be left again; add down = {\"…\"}",
                      cfg_title(section));
    if (is_given(section, "down") && !is_given(section, "up") && !is_given(section, "run"))
        config_refuse(reader, line_of(section, "down"), "down without up; add up = {\"…\"}, or remove down");
}

/* The keys of which one says how to connect; `up` goes with `run`. */
static void take_way(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    static const struct {
        const char *key;
        void (*take)(struct reader *reader, cfg_t *section, struct client_profile *profile);
    } ways[] = {{"wireguard", take_wireguard}, {"networkmanager", take_networkmanager}, {"unit", take_unit}};
    const char *first = is_given(section, "run") ? "run" : is_given(section, "up") ? "up" : NULL;

    take_commands(reader, section, profile);
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
        if (!is_given(section, ways[i].key))
            continue;
        if (first)
            config_refuse(reader, line_of(section, ways[i].key),
                          "profile \"%s\" is connected by %s already; keep one of %s and %s",
                          cfg_title(section), first, first, ways[i].key);
        else
            ways[i].take(reader, section, profile);
        first = ways[i].key;
    }
    if (!first && cfg_size(section, "route") == 0)
        config_refuse(
            reader, profile->line,
            "profile \"%s\" says no way to connect; add one of run, up and down, unit, networkmanager, "
            "wireguard, or a route",
            cfg_title(section));
}

static bool route_target_valid(const char *title, int *family)
{
    struct net_address address;

    *family = AF_INET;
    if (strcmp(title, "default") == 0)
        return true;
    if (net_address_parse(title, &address) < 0)
        return false;
    *family = address.family;
    return strchr(title, '/') != NULL;
}

/* `ip route replace TO [via V] [dev D] [metric M]`, and the same with del, which hits no other one. */
static void take_route(struct reader *reader, cfg_t *section, struct client_profile *profile)
{
    const char *to = cfg_title(section);
    const struct value via = config_value_of(section, "via");
    struct net_address address = {0};
    char device[16] = "", metric[16], via_text[ADDRESS_TEXT_MAX];
    int number = -1, family;
    const size_t n = profile->route_count;

    if (!route_target_valid(to, &family))
        config_refuse(reader, config_section_line(section),
                      "route \"%s\" is no network; write \"default\", or one such as \"10.8.0.0/24\"", to);
    if (via.text && config_parse_address(reader, "via", via, PREFIX_FORBIDDEN, &address) == 0 &&
        strcmp(to, "default") != 0 && address.family != family)
        config_refuse(reader, via.line,
                      "via \"%s\" is of another family than the route \"%s\"; use one of the same", via.text,
                      to);
    take_argument(reader, section, "device", device, sizeof device);
    config_take_int(reader, section, "metric", 0, INT_MAX, &number);
    if (!via.text && !is_given(section, "device"))
        config_refuse(reader, config_section_line(section),
                      "route \"%s\" leads nowhere; add via, device, or both", to);
    if (reader->errors > 0)
        return;
    if (address.family == AF_INET6)
        family = AF_INET6;
    const char *words[12] = {"ip", family == AF_INET6 ? "-6" : "-4", "route", "replace", to};
    size_t count = 5;
    if (address.family != 0) {
        net_address_print(&address, false, via_text);
        words[count++] = "via";
        words[count++] = via_text;
    }
    if (device[0] != '\0') {
        words[count++] = "dev";
        words[count++] = device;
    }
    if (number >= 0) {
        snprintf(metric, sizeof metric, "%d", number);
        words[count++] = "metric";
        words[count++] = metric;
    }
    set_words(reader, &profile->routes[n], words);
    words[3] = "del";
    set_words(reader, &profile->unroutes[n], words);
    profile->route_count++;
}

static void take_profile(struct reader *reader, cfg_t *section, const struct client_config *config,
                         struct client_profile *profile, struct roam_profile_rule *rule)
{
    profile->line = config_section_line(section);
    profile->connect_timeout = 30 * NS_PER_S;
    profile->down_timeout = 10 * NS_PER_S;
    rule->overlaps = true;
    take_name(reader, section, profile->name);
    take_uses(reader, section, "gateway", config, &rule->gateways);
    take_uses(reader, section, "inside", config, &rule->inside);
    config_take_bool(reader, section, "overlap", &rule->overlaps);
    config_take_duration(reader, section, "connect-timeout", 100 * NS_PER_MS, &profile->connect_timeout);
    config_take_duration(reader, section, "down-timeout", 100 * NS_PER_MS, &profile->down_timeout);
    rule->connect_timeout = profile->connect_timeout;
    take_way(reader, section, profile);
    const size_t routes = section_count(reader, section, "route", CLIENT_ROUTES_MAX);
    for (size_t i = 0; i < routes; i++)
        take_route(reader, cfg_getnsec(section, "route", (unsigned)i), profile);
    if (rule->gateways == 0 && rule->inside == 0)
        config_warn(
            reader, profile->line,
            "profile \"%s\" has neither gateway nor inside: nothing shows whether it works, and it counts as "
            "reachable",
            cfg_title(section));
    else if (profile->run.count > 0 && rule->inside == 0)
        config_warn(reader, line_of(section, "run"),
                    "profile \"%s\" has no inside: it counts as connected as soon as its program runs",
                    cfg_title(section));
}

/* ---- between the sections */

/* One gateway cannot be outside of one connection and inside of another, nor prove two at once. */
static void check_uses(struct reader *reader, const struct client_config *config)
{
    const struct roam_rules *rules = &config->rules;

    for (size_t g = 0; g < rules->gateway_count; g++) {
        const uint32_t bit = UINT32_C(1) << g;
        const char *name = config->gateways[g].name;
        int outside = -1, inside = -1, overlapping = 0;
        for (size_t p = 0; p < rules->profile_count; p++) {
            outside = rules->profiles[p].gateways & bit ? (int)p : outside;
            inside = rules->profiles[p].inside & bit ? (int)p : inside;
            overlapping += (rules->profiles[p].inside & bit) && rules->profiles[p].overlaps;
        }
        if (outside >= 0 && inside >= 0)
            config_refuse(
                reader, config->gateways[g].line,
                "gateway \"%s\" is a gateway of profile \"%s\" and inside profile \"%s\"; describe two", name,
                config->profiles[outside].name, config->profiles[inside].name);
        else if (overlapping > 1)
            config_refuse(reader, config->gateways[g].line,
                          "gateway \"%s\" is inside %d profiles that can be up at the same time: its answer "
                          "proves none "
                          "of them; describe one for each, with device, or set overlap = off in them",
                          name, overlapping);
        else if (outside < 0 && inside < 0)
            config_warn(reader, config->gateways[g].line, "gateway \"%s\" is used by no profile", name);
    }
}

static cfg_t *only_client(struct reader *reader)
{
    const size_t count = cfg_size(reader->tree, "client");

    if (count > 1)
        config_refuse(reader, config_section_line(cfg_getnsec(reader->tree, "client", 1)),
                      "a second section client; join the two");
    return count > 0 ? cfg_getnsec(reader->tree, "client", 0) : NULL;
}

static void build(struct reader *reader, struct client_config *config)
{
    struct test_times times = {2 * NS_PER_S, NS_PER_S};
    cfg_t *client = only_client(reader);
    struct roam_rules *rules = &config->rules;

    *rules = (struct roam_rules){
        .failures = 3, .policy = ROAM_ASK, .unreachable_for = 10 * NS_PER_S, .settle_time = 60 * NS_PER_S};
    config_refuse_repeated_keys(reader, reader->tree);
    if (client)
        take_client(reader, client, config, &times);
    rules->gateway_count = section_count(reader, reader->tree, "gateway", ROAM_GATEWAYS_MAX);
    for (size_t i = 0; i < rules->gateway_count; i++)
        take_gateway(reader, cfg_getnsec(reader->tree, "gateway", (unsigned)i), &times, &config->gateways[i]);
    rules->profile_count = section_count(reader, reader->tree, "profile", ROAM_PROFILES_MAX);
    for (size_t i = 0; i < rules->profile_count; i++)
        take_profile(reader, cfg_getnsec(reader->tree, "profile", (unsigned)i), config, &config->profiles[i],
                     &rules->profiles[i]);
    if (rules->profile_count == 0)
        config_refuse(reader, 1, "there is no profile; add one: profile \"Office\" { … }");
    if (client) {
        take_first(reader, client, config);
        take_order(reader, client, config);
    } else {
        for (size_t i = 0; i < rules->profile_count; i++)
            rules->order[rules->order_count++] = (int)i;
    }
    check_uses(reader, config);
}

static int read_into(struct reader *reader, const char *text, struct client_config **result)
{
    struct text_error error;
    struct client_config *config = calloc(1, sizeof *config);
    char *prepared AUTO_FREE = config_text_prepare(text, &error);

    if (!config)
        config_refuse(reader, 1, "out of memory");
    else if (!prepared)
        config_refuse(reader, error.line, "%s", error.text);
    else
        reader->tree = config_parse_sections(reader, prepared, grammar, SECTIONS);
    if (reader->tree) {
        text_copy(config->file, sizeof config->file, reader->file);
        build(reader, config);
        if (reader->out_of_memory)
            config_refuse(reader, 1, "out of memory");
        config->warnings = reader->warnings;
        cfg_free(reader->tree);
    }
    if (reader->errors > 0) {
        client_config_free(config);
        return -EINVAL;
    }
    *result = config;
    return 0;
}

int client_config_read_text(const char *file, const char *text, FILE *errors, struct client_config **config)
{
    struct reader reader = {.file = file, .out = errors, .manual = "duet-client.conf(5)"};

    *config = NULL;
    return read_into(&reader, text, config);
}

int client_config_read(const char *file, FILE *errors, struct client_config **config)
{
    struct reader reader = {.file = file, .out = errors, .manual = "duet-client.conf(5)"};
    int error;
    char *text AUTO_FREE = config_file_text(&reader, &error);

    *config = NULL;
    return text ? read_into(&reader, text, config) : error;
}

void client_config_free(struct client_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < ROAM_GATEWAYS_MAX; i++)
        config_strings_free(&config->gateways[i].command);
    for (size_t i = 0; i < ROAM_PROFILES_MAX; i++) {
        struct client_profile *profile = &config->profiles[i];
        config_strings_free(&profile->up);
        config_strings_free(&profile->down);
        config_strings_free(&profile->state);
        config_strings_free(&profile->run);
        for (size_t k = 0; k < CLIENT_ROUTES_MAX; k++) {
            config_strings_free(&profile->routes[k]);
            config_strings_free(&profile->unroutes[k]);
        }
    }
    config_strings_free(&config->notify);
    free(config);
}
