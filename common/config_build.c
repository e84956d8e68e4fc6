#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"
#include "common/watchdog_times.h"

/* From the tree to struct config, section by section, in the order in which one needs the other's names. */

static const char *const profiles[] = {"lan", "fast", "wan"};              /* by enum config_profile */
static const char *const fault_actions[] = {"reboot", "demote", "ignore"}; /* by enum config_fault_action */
static const char *const modes[] = {"exchange", "overlay"};                /* by enum config_mode */
static const char *const whens[] = {"active", "always"};                   /* by enum config_when */

const char *config_profile_name(enum config_profile profile)
{
    return profiles[profile];
}

int config_node_index(const struct config *config, const char *name)
{
    for (int i = 0; i < CONFIG_NODES; i++)
        if (strcmp(config->nodes[i].name, name) == 0)
            return i;
    return -1;
}

int config_channel_index(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool config_take_name(struct reader *reader, cfg_t *section, char name[static CONFIG_NAME_MAX])
{
    const char *title = cfg_title(section);

    if (!config_name_valid(title)) {
        config_refuse(reader, config_section_line(section),
                      "\"%s\" cannot be the name of a %s; use 1 to %d letters, digits, '-', '_' and '.', "
                      "beginning with "
                      "none of '-' and '.'",
                      title, cfg_name(section), CONFIG_NAME_MAX - 1);
        return false;
    }
    text_copy(name, CONFIG_NAME_MAX, title);
    return true;
}

size_t config_section_count(struct reader *reader, cfg_t *in, const char *kind, size_t most)
{
    const size_t count = cfg_size(in, kind);

    if (count <= most)
        return count;
    config_refuse(reader, config_section_line(cfg_getnsec(in, kind, (unsigned)most)),
                  "%zu sections %s are too many; at most %zu are possible", count, kind, most);
    return most;
}

void *config_take_memory(struct reader *reader, size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);

    if (!memory)
        reader->out_of_memory = true;
    return memory;
}

/* The only section of a kind; NULL if there is none. */
cfg_t *config_single_section(struct reader *reader, const char *kind)
{
    const size_t count = cfg_size(reader->tree, kind);

    if (count > 1)
        config_refuse(reader, config_section_line(cfg_getnsec(reader->tree, kind, 1)),
                      "a second section %s (the first is on line %d); join the two", kind,
                      config_section_line(cfg_getnsec(reader->tree, kind, 0)));
    if (count == 0)
        return NULL;
    return cfg_getnsec(reader->tree, kind, 0);
}

/* ---- cluster and nodes */

static void default_reboot_command(struct reader *reader)
{
    static const char *const words[] = {"systemctl", "reboot"};
    struct config_strings *command = &reader->config->reboot_command;

    free(command->items);
    command->items = config_take_memory(reader, ARRAY_LENGTH(words), sizeof *command->items);
    for (size_t i = 0; i < ARRAY_LENGTH(words) && command->items; i++) {
        command->items[i] = strdup(words[i]);
        if (!command->items[i]) {
            reader->out_of_memory = true;
            return;
        }
        command->count++;
    }
}

static void build_cluster(struct reader *reader, cfg_t *cluster)
{
    struct config *config = reader->config;
    int profile = PROFILE_LAN, action = FAULT_REBOOT;

    config_take_name(reader, cluster, config->cluster);
    config_take_choice(reader, cluster, "profile", profiles, ARRAY_LENGTH(profiles), &profile);
    config->profile = (enum config_profile)profile;
    text_copy(config->key_file, sizeof config->key_file, "/etc/duet/cluster.key");
    config_take_path(reader, cluster, "key-file", config->key_file, sizeof config->key_file);
    config_take_path(reader, cluster, "old-key-file", config->old_key_file, sizeof config->old_key_file);
    config_take_choice(reader, cluster, "on-network-fault", fault_actions, 2, &action);
    config->on_network_fault = (enum config_fault_action)action;
    config->lease_gate = true;
    config_take_bool(reader, cluster, "lease-gate", &config->lease_gate);
    config->reboot_force = true;
    config_take_bool(reader, cluster, "reboot-force", &config->reboot_force);
    config_take_command(reader, cluster, "reboot-command", &config->reboot_command);
    if (config->reboot_command.count == 0)
        default_reboot_command(reader);
    config_take_timers(reader, cluster);
}

static void build_node(struct reader *reader, cfg_t *section, int index)
{
    struct config *config = reader->config;
    char what[sizeof((struct address_use *)0)->what];
    const struct value reserved = config_value_of(section, "reserved-address");

    config_take_name(reader, section, config->nodes[index].name);
    snprintf(what, sizeof what, "the reserved address of node \"%s\"", config->nodes[index].name);
    if (reserved.text && config_parse_address(reader, "reserved-address", reserved, PREFIX_FORBIDDEN,
                                              &config->nodes[index].reserved) == 0)
        config_note_use(reader, &config->nodes[index].reserved, reserved.line, -1, what);
}

static void check_reserved(struct reader *reader)
{
    cfg_t *sections[CONFIG_NODES];
    struct value lines[CONFIG_NODES];

    for (unsigned i = 0; i < CONFIG_NODES; i++) {
        sections[i] = cfg_getnsec(reader->tree, "node", i);
        lines[i] = config_value_of(sections[i], "reserved-address");
    }
    for (int i = 0; i < CONFIG_NODES; i++)
        if (!lines[i].text && lines[!i].text)
            config_refuse(reader, lines[i].line,
                          "node \"%s\" has no reserved-address, but its peer does; give both one, "
                          "or none",
                          cfg_title(sections[i]));
    const int family[] = {reader->config->nodes[0].reserved.family, reader->config->nodes[1].reserved.family};
    if (family[0] && family[1] && family[0] != family[1])
        config_refuse(reader, lines[1].line,
                      "the reserved addresses are of two families; make both IPv4 or both IPv6");
}

static void find_self(struct reader *reader)
{
    struct config *config = reader->config;

    config->self = reader->node ? config_node_index(config, reader->node) : -1;
    if (reader->node && config->self < 0)
        config_refuse(reader, config_section_line(cfg_getnsec(reader->tree, "node", 0)),
                      "this node is called \"%.64s\", but the nodes here are \"%s\" and \"%s\"; give its "
                      "name with --node, "
                      "or rename one of them",
                      reader->node, config->nodes[0].name, config->nodes[1].name);
}

static bool build_nodes(struct reader *reader)
{
    const size_t count = cfg_size(reader->tree, "node");

    if (count != CONFIG_NODES) {
        const unsigned last = count > CONFIG_NODES ? CONFIG_NODES : (unsigned)count - 1;
        config_refuse(
            reader, count == 0 ? 1 : config_section_line(cfg_getnsec(reader->tree, "node", last)),
            "the file has %zu node section%s; a pair has exactly two: node \"NAME\" { reserved-address = … }",
            count, count == 1 ? "" : "s");
        return false;
    }
    for (int i = 0; i < CONFIG_NODES; i++)
        build_node(reader, cfg_getnsec(reader->tree, "node", (unsigned)i), i);
    check_reserved(reader);
    find_self(reader);
    return true;
}

/* ---- channels */

static void check_device(struct reader *reader, const struct value *value)
{
    if (strlen(value->text) > 15 || value->text[0] == '\0' || strpbrk(value->text, "/ \t:%") ||
        strcmp(value->text, ".") == 0 || strcmp(value->text, "..") == 0)
        config_refuse(reader, value->line,
                      "device \"%s\" cannot be a network device; its name has 1 to 15 characters, "
                      "none of them a space, '/', ':' or '%%', such as \"eth0\"",
                      value->text);
    else if (strcmp(value->text, "lo") == 0)
        config_refuse(reader, value->line,
                      "device \"lo\" serves nobody outside; name the adapter of this channel");
}

/* What node section `name` of the channel says; NULL if it has none. */
static cfg_t *channel_node(cfg_t *channel, const char *name)
{
    for (unsigned i = 0; i < cfg_size(channel, "node"); i++)
        if (strcmp(cfg_title(cfg_getnsec(channel, "node", i)), name) == 0)
            return cfg_getnsec(channel, "node", i);
    return NULL;
}

static void take_device(struct reader *reader, cfg_t *section, int index, int node)
{
    struct config *config = reader->config;
    struct value common = config_value_of(section, "device"), own = {NULL, 0};
    cfg_t *of_node = channel_node(section, config->nodes[node].name);

    if (of_node)
        own = config_value_of(of_node, "device");
    if (own.text)
        check_device(reader, &own);
    if (own.text || common.text)
        text_copy(reader->devices[node][index], 16, own.text ? own.text : common.text);
    else
        config_refuse(reader, config_section_line(section),
                      "channel \"%s\" has no device for node \"%s\"; add device = \"eth0\" "
                      "or the like",
                      cfg_title(section), config->nodes[node].name);
}

static void take_passive(struct reader *reader, cfg_t *section, int index, int node,
                         struct config_addresses *to)
{
    const char *name = reader->config->nodes[node].name;
    cfg_t *of_node = channel_node(section, name);
    char what[sizeof((struct address_use *)0)->what];

    snprintf(what, sizeof what, "the passive address of node \"%s\" on channel \"%s\"", name,
             cfg_title(section));
    if (of_node)
        config_take_addresses(reader, of_node, "passive-address", PREFIX_NEEDED, index, what, to);
}

static void check_channel_nodes(struct reader *reader, cfg_t *section)
{
    const struct config *config = reader->config;

    for (unsigned i = 0; i < cfg_size(section, "node"); i++) {
        cfg_t *node = cfg_getnsec(section, "node", i);
        if (config_node_index(config, cfg_title(node)) < 0)
            config_refuse(reader, config_section_line(node),
                          "there is no node \"%s\"; the nodes are \"%s\" and \"%s\"", cfg_title(node),
                          config->nodes[0].name, config->nodes[1].name);
    }
}

static void take_channel_addresses(struct reader *reader, cfg_t *section, int index)
{
    struct config_channel *channel = &reader->config->channels[index];
    char what[sizeof((struct address_use *)0)->what];

    snprintf(what, sizeof what, "an active address of channel \"%s\"", channel->name);
    config_take_addresses(reader, section, "active-address", PREFIX_NEEDED, index, what, &channel->active);
    if (config_value_count(section, "active-address") == 0)
        config_refuse(reader, config_section_line(section),
                      "channel \"%s\" has no active-address; add the one that others use "
                      "to reach the pair, such as {\"192.0.2.1/24\"}",
                      channel->name);
    snprintf(what, sizeof what, "a router of channel \"%s\"", channel->name);
    config_take_addresses(reader, section, "router", PREFIX_FORBIDDEN, index, what, &channel->routers);
    if (channel->routers.count > CONFIG_ROUTERS_MAX)
        config_refuse(reader, config_value_at(section, "router", CONFIG_ROUTERS_MAX).line,
                      "%zu routers are too many for a channel; name at most %d", channel->routers.count,
                      CONFIG_ROUTERS_MAX);
}

static void build_channel(struct reader *reader, cfg_t *section, int index)
{
    static const char *const carriers[] = {"ethernet", "udp"};
    static const char *const holds[] = {"addresses", "local-routes"};
    struct config_channel *channel = &reader->config->channels[index];
    const int self = MAX(reader->config->self, 0);
    const struct value device = config_value_of(section, "device");
    int mode = MODE_EXCHANGE, carrier = 0, hold = 0;

    config_take_name(reader, section, channel->name);
    if (strcmp(channel->name, "reserved") == 0)
        config_refuse(reader, config_section_line(section),
                      "\"reserved\" is the name of the reserved line's path; give the "
                      "channel another one");
    config_take_choice(reader, section, "mode", modes, ARRAY_LENGTH(modes), &mode);
    channel->mode = (enum config_mode)mode;
    channel->search = true;
    config_take_bool(reader, section, "search", &channel->search);
    config_take_choice(reader, section, "heartbeat", carriers, ARRAY_LENGTH(carriers), &carrier);
    channel->heartbeat_udp = carrier == 1;
    config_take_choice(reader, section, "hold-as", holds, ARRAY_LENGTH(holds), &hold);
    channel->local_routes = hold == 1;
    config_take_bool(reader, section, "check-only-idle", &channel->check_only_idle);
    check_channel_nodes(reader, section);
    if (device.text)
        check_device(reader, &device);
    for (int node = 0; node < CONFIG_NODES; node++)
        take_device(reader, section, index, node);
    text_copy(channel->device, sizeof channel->device, reader->devices[self][index]);
    take_channel_addresses(reader, section, index);
    take_passive(reader, section, index, self, &channel->passive);
    take_passive(reader, section, index, !self, &channel->peer_passive);
}

static void build_channels(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "channel", CONFIG_CHANNELS_MAX);

    if (count == 0)
        config_refuse(reader, 1,
                      "the file has no channel; add channel \"NAME\" { device = …  active-address = … } for "
                      "each adapter on which the pair serves");
    for (; config->channel_count < count; config->channel_count++)
        build_channel(reader, cfg_getnsec(reader->tree, "channel", (unsigned)config->channel_count),
                      (int)config->channel_count);
}

/* ---- services and sync sets */

static void take_service_timing(struct reader *reader, cfg_t *section, struct config_service *service)
{
    service->check_interval = 2 * NS_PER_S;
    service->check_timeout = 5 * NS_PER_S;
    service->start_timeout = 30 * NS_PER_S;
    service->retry_interval = NS_PER_S;
    service->stop_timeout = 10 * NS_PER_S;
    service->check_failures = 3;
    service->start_retries = 3;
    config_take_duration(reader, section, "check-interval", 10 * NS_PER_MS, &service->check_interval);
    config_take_duration(reader, section, "check-timeout", 10 * NS_PER_MS, &service->check_timeout);
    config_take_duration(reader, section, "start-timeout", 10 * NS_PER_MS, &service->start_timeout);
    config_take_duration(reader, section, "retry-interval", NS_PER_MS, &service->retry_interval);
    config_take_duration(reader, section, "stop-timeout", 10 * NS_PER_MS, &service->stop_timeout);
    config_take_int(reader, section, "check-failures", 1, 1000, &service->check_failures);
    config_take_int(reader, section, "start-retries", 0, 1000, &service->start_retries);
}

static void build_service(struct reader *reader, cfg_t *section, struct config_service *service)
{
    int when = WHEN_ACTIVE, action = FAULT_REBOOT;

    service->line = config_section_line(section);
    config_take_name(reader, section, service->name);
    config_take_command(reader, section, "command", &service->command);
    config_take_text(reader, section, "unit", service->unit, sizeof service->unit);
    config_take_command(reader, section, "start", &service->start);
    config_take_command(reader, section, "stop", &service->stop);
    config_take_path(reader, section, "pidfile", service->pidfile, sizeof service->pidfile);
    config_take_text(reader, section, "process", service->process, sizeof service->process);
    config_take_choice(reader, section, "when", whens, ARRAY_LENGTH(whens), &when);
    config_take_strings(reader, section, "after", &service->after);
    config_take_command(reader, section, "check", &service->check);
    take_service_timing(reader, section, service);
    config_take_text(reader, section, "user", service->user, sizeof service->user);
    config_take_text(reader, section, "group", service->group, sizeof service->group);
    config_take_bool(reader, section, "exclusive", &service->exclusive);
    config_take_choice(reader, section, "on-failure", fault_actions, ARRAY_LENGTH(fault_actions), &action);
    service->when = (enum config_when)when;
    service->on_failure = (enum config_fault_action)action;
}

static void build_services(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "service", CONFIG_SERVICES_MAX);

    config->services = config_take_memory(reader, count, sizeof *config->services);
    for (; config->services && config->service_count < count; config->service_count++)
        build_service(reader, cfg_getnsec(reader->tree, "service", (unsigned)config->service_count),
                      &config->services[config->service_count]);
}

static void build_hook(struct reader *reader, cfg_t *section, struct config_hook *hook)
{
    const struct value on = config_value_of(section, "on");
    int event = HOOK_EVENT_ACTIVE;

    hook->line = config_section_line(section);
    config_take_name(reader, section, hook->name);
    config_take_choice(reader, section, "on", hook_event_names, HOOK_EVENT_COUNT, &event);
    hook->event = (enum hook_event)event;
    if (!on.text)
        config_refuse(reader, hook->line,
                      "hook \"%s\" has no on; add on = before-active, active, passive or fault", hook->name);
    config_take_command(reader, section, "command", &hook->command);
    if (hook->command.count == 0)
        config_refuse(reader, hook->line, "hook \"%s\" has no command; add command = {\"/path/of/program\"}",
                      hook->name);
    hook->timeout = event == HOOK_EVENT_BEFORE_ACTIVE ? 200 * NS_PER_MS : 10 * NS_PER_S;
    config_take_duration(reader, section, "timeout", 10 * NS_PER_MS, &hook->timeout);
    config_take_text(reader, section, "user", hook->user, sizeof hook->user);
    config_take_text(reader, section, "group", hook->group, sizeof hook->group);
}

static void build_hooks(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "hook", CONFIG_HOOKS_MAX);

    config->hooks = config_take_memory(reader, count, sizeof *config->hooks);
    for (; config->hooks && config->hook_count < count; config->hook_count++)
        build_hook(reader, cfg_getnsec(reader->tree, "hook", (unsigned)config->hook_count),
                   &config->hooks[config->hook_count]);
}

static void build_sync(struct reader *reader, cfg_t *section, struct config_sync *sync)
{
    config_take_name(reader, section, sync->name);
    config_take_strings(reader, section, "path", &sync->paths);
    config_take_path(reader, section, "sqlite", sync->sqlite, sizeof sync->sqlite);
    config_take_command(reader, section, "dump", &sync->dump);
    config_take_command(reader, section, "restore", &sync->restore);
    config_take_strings(reader, section, "exclude", &sync->exclude);
    config_take_command(reader, section, "validate", &sync->validate);
    config_take_command(reader, section, "apply", &sync->apply);
    sync->max_delay = sync->dump.count > 0 ? 60 * NS_PER_S : NS_PER_S;
    sync->keep = 3;
    config_take_duration(reader, section, "max-delay", NS_PER_MS, &sync->max_delay);
    config_take_bool(reader, section, "privileged", &sync->privileged);
    config_take_int(reader, section, "keep", 1, 1000, &sync->keep);
}

static void build_syncs(struct reader *reader)
{
    struct config *config = reader->config;
    const size_t count = config_section_count(reader, reader->tree, "sync", CONFIG_SYNCS_MAX);

    config->syncs = config_take_memory(reader, count, sizeof *config->syncs);
    for (; config->syncs && config->sync_count < count; config->sync_count++)
        build_sync(reader, cfg_getnsec(reader->tree, "sync", (unsigned)config->sync_count),
                   &config->syncs[config->sync_count]);
}

/* ---- the rest */

static void build_watchdog(struct reader *reader)
{
    struct config *config = reader->config;
    cfg_t *section = config_single_section(reader, "watchdog");

    if (!section)
        return;
    config->watchdog.timeout = 10 * NS_PER_S;
    config_take_path(reader, section, "device", config->watchdog.device, sizeof config->watchdog.device);
    config_take_duration(reader, section, "timeout", WATCHDOG_TIMEOUT_LEAST_NS, &config->watchdog.timeout);
    config_take_bool(reader, section, "required", &config->watchdog.required);
    if (!config_value_of(section, "device").text)
        config_refuse(reader, config_section_line(section),
                      "watchdog has no device; add device = \"/dev/watchdog\"");
    if (config->watchdog.timeout % NS_PER_S != 0) {
        char text[DURATION_TEXT_MAX];
        duration_print((config->watchdog.timeout / NS_PER_S + 1) * NS_PER_S, text);
        config_refuse(reader, config_value_of(section, "timeout").line,
                      "the watchdog's timeout is not a whole number of seconds, which is what the kernel "
                      "takes; write %s",
                      text);
    }
}

/* Net-SNMP would take almost any word for a name to be looked up, which takes its time. */
static bool is_agentx_address(const char *text)
{
    return text[0] == '/' || strncmp(text, "unix:/", 6) == 0 || strncmp(text, "tcp:", 4) == 0 ||
           strncmp(text, "tcp6:", 5) == 0;
}

static void build_snmp(struct reader *reader)
{
    struct config *config = reader->config;
    cfg_t *snmp = config_single_section(reader, "snmp");

    if (!snmp)
        return;
    const struct value agentx = config_value_of(snmp, "agentx");
    config_take_path(reader, snmp, "config", config->snmp_config, sizeof config->snmp_config);
    config_take_oid(reader, snmp, "base-oid", &config->snmp_base);
    config_take_text(reader, snmp, "agentx", config->snmp_agentx, sizeof config->snmp_agentx);
    if (agentx.text && agentx.text[0] != '\0' && !is_agentx_address(agentx.text))
        config_refuse(reader, agentx.line,
                      "agentx \"%s\" is no address of snmpd's; write its agentXSocket, such as "
                      "\"unix:/var/agentx/master\" or \"tcp:127.0.0.1:705\"",
                      agentx.text);
}

static bool is_loopback(const struct net_address *address)
{
    return address->family == AF_INET ? ntohl(address->v4.s_addr) >> 24 == IN_LOOPBACKNET
                                      : IN6_IS_ADDR_LOOPBACK(&address->v6);
}

static void check_listen(struct reader *reader, const struct value listen)
{
    const char *port = strrchr(listen.text, ':');
    const bool tcp = strncmp(listen.text, "tcp://", 6) == 0 && port > listen.text + 6;

    if (!tcp || port[1 + strspn(port + 1, "0123456789")] != '\0' || atoi(port + 1) < 1 ||
        atoi(port + 1) > 65535)
        config_refuse(reader, listen.line,
                      "listen \"%s\" is no ZeroMQ endpoint of TCP; write one such as "
                      "\"tcp://127.0.0.1:5572\", or \"tcp://*:5572\" for all addresses",
                      listen.text);
}

static void check_metrics(struct reader *reader, const struct value metrics)
{
    struct net_address address;
    int port;

    if (net_endpoint_parse(metrics.text, &address, &port) < 0)
        config_refuse(reader, metrics.line,
                      "metrics \"%s\" is not ADDRESS:PORT; write such as \"127.0.0.1:9572\" or "
                      "\"[::1]:9572\"",
                      metrics.text);
    else if (!is_loopback(&address))
        config_warn(
            reader, metrics.line,
            "metrics \"%s\" is no loopback address: whoever reaches it can read the metrics, without a "
            "key; let a firewall choose who does",
            metrics.text);
}

static void build_monitor(struct reader *reader)
{
    struct config *config = reader->config;
    cfg_t *monitor = config_single_section(reader, "monitor");

    if (!monitor)
        return;
    const struct value listen = config_value_of(monitor, "listen");
    const struct value metrics = config_value_of(monitor, "metrics");
    text_copy(config->monitor.key_file, PATH_MAX, "/etc/duet/monitor.key_secret");
    text_copy(config->monitor.clients, PATH_MAX, "/etc/duet/monitor-clients");
    config_take_text(reader, monitor, "listen", config->monitor.listen, sizeof config->monitor.listen);
    config_take_text(reader, monitor, "metrics", config->monitor.metrics, sizeof config->monitor.metrics);
    config_take_path(reader, monitor, "key-file", config->monitor.key_file, PATH_MAX);
    config_take_path(reader, monitor, "clients", config->monitor.clients, PATH_MAX);
    if (listen.text)
        check_listen(reader, listen);
    if (metrics.text)
        check_metrics(reader, metrics);
    if (!listen.text && !metrics.text)
        config_refuse(
            reader, config_section_line(monitor),
            "monitor has neither listen nor metrics; add listen = \"tcp://127.0.0.1:5572\", or remove "
            "the section");
}

static void build_named_parts(struct reader *reader)
{
    build_channels(reader);
    config_build_routes(reader);
    build_services(reader);
    build_hooks(reader);
    build_syncs(reader);
    config_check_addresses(reader);
    config_check_channels(reader);
    config_check_routes(reader);
    config_check_services(reader);
    config_check_syncs(reader);
}

void config_build(struct reader *reader)
{
    cfg_t *cluster = config_single_section(reader, "cluster");
    bool timers_sound = false;

    config_refuse_repeated_keys(reader, reader->tree);
    if (cluster) {
        const int errors_before = reader->errors;
        build_cluster(reader, cluster);
        timers_sound = reader->errors == errors_before;
    } else {
        config_refuse(reader, 1, "the file has no cluster section; begin it with cluster \"NAME\" { }");
    }
    if (build_nodes(reader))
        build_named_parts(reader);
    build_watchdog(reader);
    build_snmp(reader);
    build_monitor(reader);
    config_build_third_parties(reader);
    if (timers_sound) /* else every default in the place of a wrong timer would be blamed, too */
        config_check_timers(reader, cluster);
    if (reader->out_of_memory)
        config_refuse(reader, 1, "out of memory");
}
