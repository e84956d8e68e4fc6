#include "cli/setup_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct reading {
    struct setup_plan *plan;
    char **words;
    size_t count, at;
    char *error;
};

PRINTF_LIKE(2, 3) static int refuse(struct reading *reading, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reading->error, SETUP_ERROR_MAX, format, args);
    va_end(args);
    return -EINVAL;
}

/* The next word that is not the beginning of a section, else NULL. */
static char *next_word(struct reading *reading)
{
    char *word = reading->at < reading->count ? reading->words[reading->at] : NULL;

    if (!word || strcmp(word, "nodes") == 0 || strcmp(word, "channel") == 0)
        return NULL;
    reading->at++;
    return word;
}

/* What goes between quotation marks in the file must not end them, nor begin anything else. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f || strchr("\"\\{}$#'`", *text))
            return false;
    return true;
}

/* Cuts NAME=VALUE. */
static int split(struct reading *reading, char *word, char **value)
{
    char *equals = strchr(word, '=');

    if (!equals || equals == word || equals[1] == '\0')
        return refuse(reading, "\"%s\" is not understood: NAME=VALUE is expected here", word);
    if (!is_plain(word))
        return refuse(reading, "\"%s\" has a character that is part of no name or address", word);
    *equals = '\0';
    *value = equals + 1;
    return 0;
}

static int read_nodes(struct reading *reading)
{
    struct setup_plan *plan = reading->plan;

    for (size_t i = 0; i < SETUP_NODES; i++) {
        char *word = next_word(reading), *reserved;
        if (!word)
            return refuse(
                reading,
                "nodes: a pair has two: nodes NAME=ADDRESS NAME=ADDRESS, each with its address on the "
                "reserved line");
        if (split(reading, word, &reserved) < 0)
            return -EINVAL;
        plan->node[i] = word;
        plan->reserved[i] = reserved;
    }
    return next_word(reading) ? refuse(reading, "nodes: a pair has two, not more") : 0;
}

/* One for both, or one for each. */
static void part(char *value, const char *parts[static SETUP_NODES])
{
    char *comma = strchr(value, ',');

    parts[0] = parts[1] = value;
    if (comma) {
        *comma = '\0';
        parts[1] = comma + 1;
    }
}

static int take_value(struct reading *reading, struct setup_channel *channel, const char *key, char *value)
{
    if (strcmp(key, "device") == 0)
        part(value, channel->device);
    else if (strcmp(key, "passive") == 0)
        part(value, channel->passive);
    else if (strcmp(key, "active") == 0)
        channel->active = value;
    else if (strcmp(key, "router") == 0)
        channel->router = value;
    else if (strcmp(key, "gateway") == 0)
        channel->gateway = value;
    else
        return refuse(reading,
                      "channel %s: there is no \"%s\"; there are device, active, passive, router, gateway",
                      channel->name, key);
    return 0;
}

static int check_channel(struct reading *reading, const struct setup_channel *channel)
{
    if (!channel->device[0])
        return refuse(reading,
                      "channel %s: its adapter is missing: device=eth0, or device=eth0,ens3 for two names",
                      channel->name);
    if (!channel->active)
        return refuse(reading, "channel %s: the address that others use is missing: active=203.0.113.10/24",
                      channel->name);
    if (!channel->passive[0] || channel->passive[0] == channel->passive[1])
        return refuse(
            reading,
            "channel %s: each node needs an address of its own: passive=203.0.113.11/24,203.0.113.12/24",
            channel->name);
    return 0;
}

static int read_channel(struct reading *reading)
{
    struct setup_plan *plan = reading->plan;
    char *name = next_word(reading), *word, *value;

    if (!name || strchr(name, '=') || !is_plain(name))
        return refuse(reading, "channel: a name is missing: channel outside device=eth0 ...");
    if (plan->channel_count == SETUP_CHANNELS_MAX)
        return refuse(reading, "more than %d channels", SETUP_CHANNELS_MAX);
    struct setup_channel *channel = &plan->channels[plan->channel_count++];
    channel->name = name;
    while ((word = next_word(reading)))
        if (split(reading, word, &value) < 0 || take_value(reading, channel, word, value) < 0)
            return -EINVAL;
    return check_channel(reading, channel);
}

static int read_section(struct reading *reading)
{
    const char *word = reading->words[reading->at++];

    if (strcmp(word, "nodes") == 0)
        return read_nodes(reading);
    if (strcmp(word, "channel") == 0)
        return read_channel(reading);
    return refuse(reading, "\"%s\" is not understood: nodes or channel is expected here", word);
}

int setup_plan_parse(struct setup_plan *plan, char **words, size_t count, char error[static SETUP_ERROR_MAX])
{
    struct reading reading = {.plan = plan, .words = words, .count = count, .error = error};

    while (reading.at < count)
        if (read_section(&reading) < 0)
            return -EINVAL;
    if (!plan->node[1])
        return refuse(&reading, "the nodes are missing: nodes alpha=10.91.9.1 beta=10.91.9.2");
    if (plan->channel_count == 0)
        return refuse(&reading,
                      "there is no channel: channel outside device=eth0 active=... passive=...,...");
    return 0;
}

/* ---- the text */

struct paper {
    char *text;
    size_t used;
};

PRINTF_LIKE(2, 3) static void print(struct paper *paper, const char *format, ...)
{
    const size_t room = SETUP_TEXT_MAX - paper->used;
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(paper->text + paper->used, room, format, args);
    va_end(args);
    paper->used = (size_t)n < room ? paper->used + (size_t)n : SETUP_TEXT_MAX - 1;
}

/* "a+b" as {"a", "b"} */
static void print_list(struct paper *paper, const char *list)
{
    print(paper, "{");
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, "+");
        print(paper, "%s\"%.*s\"", at == list ? "" : ", ", (int)length, at);
        at += length;
        if (*at == '\0')
            break;
    }
    print(paper, "}");
}

static void print_cluster(struct paper *paper, const struct setup_plan *plan)
{
    print(paper,
          "# Made by duet setup. The same file lies on both nodes; all keys are in duet.conf(5).\n"
          "# After a change: duet check-config\n\n"
          "cluster \"%s\" {\n"
          "    profile  = %s\n"
          "    key-file = \"%s\"\n"
          "    # A node that gave the role away for a fault of its network restarts itself; or: demote\n"
          "    on-network-fault = reboot\n"
          "    reboot-command   = {\"systemctl\", \"reboot\"}\n"
          "}\n\n"
          "# Their ends of the dedicated line between them; the system sets these addresses up.\n",
          plan->cluster, plan->profile, plan->key_file);
    for (size_t i = 0; i < SETUP_NODES; i++)
        print(paper, "node \"%s\" { reserved-address = \"%s\" }\n", plan->node[i], plan->reserved[i]);
}

static void print_channel(struct paper *paper, const struct setup_plan *plan,
                          const struct setup_channel *channel)
{
    print(paper, "\nchannel \"%s\" {\n    device         = \"%s\"\n", channel->name, channel->device[0]);
    print(paper, "    # What others use, on the active node only; in no configuration of the system's.\n"
                 "    active-address = ");
    print_list(paper, channel->active);
    if (channel->router) {
        print(paper, "\n    # Its answer proves that this LAN works.\n    router         = ");
        print_list(paper, channel->router);
    }
    print(paper, "\n    # The nodes' own; the system sets them up.\n");
    for (size_t i = 0; i < SETUP_NODES; i++) {
        print(paper, "    node \"%s\" { passive-address = ", plan->node[i]);
        print_list(paper, channel->passive[i]);
        if (i > 0 && strcmp(channel->device[0], channel->device[i]) != 0)
            print(paper, "  device = \"%s\"", channel->device[i]);
        print(paper, " }\n");
    }
    print(paper, "}\n");
}

int setup_plan_print(const struct setup_plan *plan, char text[static SETUP_TEXT_MAX])
{
    struct paper paper = {.text = text};

    print_cluster(&paper, plan);
    for (size_t i = 0; i < plan->channel_count; i++)
        print_channel(&paper, plan, &plan->channels[i]);
    for (size_t i = 0; i < plan->channel_count; i++)
        if (plan->channels[i].gateway)
            print(&paper,
                  "\n# Only the active node has it.\nroute \"default\" { via = \"%s\"  channel = \"%s\" }\n",
                  plan->channels[i].gateway, plan->channels[i].name);
    print(&paper, "\n# What more there is: service (daemons that run where the active addresses are), sync "
                  "(files and databases),\n"
                  "# watchdog, snmp, hook. Examples: /usr/share/doc/duet/examples\n");
    return paper.used < SETUP_TEXT_MAX - 1 ? 0 : -ENOSPC;
}
