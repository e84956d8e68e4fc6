#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

/* ---- the configuration */

static void print_address(const struct net_address *address, bool with_prefix, FILE *out)
{
    char text[ADDRESS_TEXT_MAX];

    net_address_print(address, with_prefix, text);
    fprintf(out, "\"%s", text);
    if (with_prefix && !strchr(text, '/')) /* of one host */
        fprintf(out, "/%d", address->prefix);
    fputc('"', out);
}

static void print_addresses(const struct net_address *addresses, size_t count, bool with_prefix, FILE *out)
{
    fputc('{', out);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_address(&addresses[i], with_prefix, out);
    }
    fputc('}', out);
}

static const char *peer_name(const struct import *import)
{
    return import->peer[0] != '\0' ? import->peer : "?";
}

static void print_nodes(const struct import *import, FILE *out)
{
    const char *const names[] = {import->own, peer_name(import)};

    for (size_t i = 0; i < CONFIG_NODES; i++) {
        fprintf(out, "node \"%s\" {", names[i]);
        if (import->reserved[i].family != 0) {
            fputs(" reserved-address = ", out);
            print_address(&import->reserved[i], false, out);
        }
        fputs(" }\n", out);
    }
}

static void print_passive(const char *node, const struct net_address *passive, FILE *out)
{
    if (passive->family == 0)
        return;
    fprintf(out, "    node \"%s\" { passive-address = ", node);
    print_addresses(passive, 1, true, out);
    fputs(" }\n", out);
}

static void print_channel(const struct import *import, const struct import_channel *channel,
                          const char *source, FILE *out)
{
    fprintf(out, "\n# %s:%d\nchannel \"%s\" {\n    device = \"%s\"\n    active-address = ", source,
            channel->line, channel->name, channel->device);
    print_addresses(channel->addresses, channel->address_count, true, out);
    if (channel->router_count > 0) {
        fputs("\n    router = ", out);
        print_addresses(channel->routers, channel->router_count, false, out);
    }
    fputs("\n    mode = overlay # active addresses beside the nodes' own, as keepalived has them\n", out);
    print_passive(import->own, &channel->own, out);
    print_passive(peer_name(import), &channel->peer, out);
    fputs("}\n", out);
}

static void print_route(const struct import *import, const struct import_route *route, const char *source,
                        FILE *out)
{
    fprintf(out, "route \"%s\" { via = ", route->to);
    print_address(&route->via, false, out);
    fprintf(out, "  channel = \"%s\" } # %s:%d\n", import->channels[route->channel].name, source,
            route->line);
}

static void print_key(const char *key, const char *value, FILE *out)
{
    char text[256];

    if (value[0] != '\0' && import_quote(value, text, sizeof text))
        fprintf(out, "    %s = %s\n", key, text);
}

static void print_duration(const char *key, int64_t ns, FILE *out)
{
    char text[DURATION_TEXT_MAX];

    if (ns == 0)
        return;
    duration_print(ns, text);
    fprintf(out, "    %s = %s\n", key, text);
}

static void print_service(const struct import_service *service, const char *source, FILE *out)
{
    fprintf(out, "\n# %s:%d\nservice \"%s\" {\n", source, service->line, service->name);
    if (service->unit[0] != '\0') {
        fprintf(out, "    unit = \"%s\"\n", service->unit);
    } else {
        fprintf(out, "    command = {\"/bin/sleep\", \"infinity\"} # a stand-in: the check is what counts\n");
        fprintf(out, "    check = %s\n", service->check);
        print_duration("check-interval", service->interval_ns, out);
        print_duration("check-timeout", service->timeout_ns, out);
        if (service->failures > 0)
            fprintf(out, "    check-failures = %d\n", service->failures);
        fprintf(out, "    start-retries = 0\n");
        print_key("user", service->user, out);
        print_key("group", service->group, out);
    }
    fputs("    when = always\n    on-failure = demote # keepalived does not restart the machine; reboot is "
          "duet's default\n"
          "}\n",
          out);
}

static void print_hook(const struct import_hook *hook, const char *source, FILE *out)
{
    fprintf(out, "\n# %s:%d\nhook \"%s\" {\n    on = %s\n    command = %s\n", source, hook->line, hook->name,
            hook_event_names[hook->event], hook->command);
    print_key("user", hook->user, out);
    print_key("group", hook->group, out);
    fputs("}\n", out);
}

void import_print(const struct import *import, const char *source, FILE *out)
{
    char key_file[PATH_MAX];

    fprintf(out,
            "# Made by duet import from %s. The same file is for both nodes; look at what it says it has "
            "left out,\n"
            "# and ask `duet check-config` of the result.\n\n",
            source);
    fprintf(out, "cluster \"%s\" {\n    profile = lan\n", import->cluster);
    if (import->key_file[0] != '\0' && import_quote(import->key_file, key_file, sizeof key_file))
        fprintf(out, "    key-file = %s\n", key_file);
    fputs("    on-network-fault = demote # keepalived does not restart the machine; reboot is duet's "
          "default\n}\n",
          out);
    print_nodes(import, out);
    for (size_t i = 0; i < import->channel_count; i++)
        print_channel(import, &import->channels[i], source, out);
    if (import->route_count > 0)
        fputc('\n', out);
    for (size_t i = 0; i < import->route_count; i++)
        print_route(import, &import->routes[i], source, out);
    for (size_t i = 0; i < import->service_count; i++)
        print_service(&import->services[i], source, out);
    for (size_t i = 0; i < import->hook_count; i++)
        print_hook(&import->hooks[i], source, out);
}

/* ---- the remarks */

static int compare_remarks(const void *left, const void *right)
{
    const struct remark *a = left, *b = right;
    const int line_a = a->line > 0 ? a->line : INT_MAX, line_b = b->line > 0 ? b->line : INT_MAX;

    if (line_a != line_b)
        return line_a < line_b ? -1 : 1;
    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->text, b->text);
}

/* What could move the cursor of a terminal is not shown. */
static void print_plain(const char *text, FILE *out)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

void import_print_remarks(struct import *import, const char *source, FILE *out)
{
    static const char *const kinds[] = {"left out", "not needed", "note", "fill in"};

    if (import->remark_count > 1)
        qsort(import->remarks, import->remark_count, sizeof *import->remarks, compare_remarks);
    for (size_t i = 0; i < import->remark_count; i++) {
        const struct remark *remark = &import->remarks[i];
        fprintf(out, "%s:", source);
        if (remark->line > 0)
            fprintf(out, "%d:", remark->line);
        fprintf(out, " %s: ", kinds[remark->kind]);
        print_plain(remark->text, out);
        fputc('\n', out);
    }
}
