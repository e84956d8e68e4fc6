#include "takeoverd/gate_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 14, SENT_AT = HEADER_SIZE + 2, CODE_OPEN = 0x20, CODE_CLOSED = 0x40 };

/* The elements of `held`: a constant for nftables, which looks up nothing but what it made from a packet. */
#define TRAFFIC "meta mark and 0 or 1"
#define ANSWERS "meta mark and 0 or 2"

static int64_t rung_ms(int64_t lease_ns, unsigned rung)
{
    return lease_ns / NS_PER_MS * (int64_t)rung / GATE_RUNGS;
}

int64_t gate_rung_ns(unsigned rung, int64_t lease_ns)
{
    return rung_ms(lease_ns, rung) * NS_PER_MS;
}

unsigned gate_rung(int64_t left_ns, int64_t lease_ns)
{
    unsigned rung = GATE_RUNGS;

    while (rung > 0 && (rung_ms(lease_ns, rung) == 0 || gate_rung_ns(rung, lease_ns) > left_ns))
        rung--;
    return rung;
}

static unsigned code_of(enum gate_state state, unsigned rung)
{
    return state == GATE_CLOSED ? CODE_CLOSED : state == GATE_OPEN ? CODE_OPEN + rung : rung;
}

void gate_frame(enum gate_state state, unsigned rung, int64_t sent_ns, uint8_t frame[static GATE_FRAME_SIZE])
{
    memset(frame, 0, GATE_FRAME_SIZE);
    frame[HEADER_SIZE - 2] = GATE_ETHERTYPE >> 8;
    frame[HEADER_SIZE - 1] = GATE_ETHERTYPE & 0xff;
    frame[HEADER_SIZE] = (uint8_t)code_of(state, rung);
    memcpy(frame + SENT_AT, &sent_ns, sizeof sent_ns); /* nobody but its sender reads it */
}

int64_t gate_frame_sent_ns(const uint8_t frame[static GATE_FRAME_SIZE])
{
    int64_t sent_ns;

    memcpy(&sent_ns, frame + SENT_AT, sizeof sent_ns);
    return sent_ns;
}

bool gate_can_name(const char *device)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@:+~";

    return device[0] != '\0' && strspn(device, allowed) == strlen(device);
}

/* ------------------------------------------------------------------- table */

static bool is_listed(const struct plan_address *address, int family)
{
    return address->active && address->address.family == family;
}

static bool has_listed(const struct plan *plan, int family)
{
    for (size_t i = 0; i < plan->address_count; i++)
        if (is_listed(&plan->addresses[i], family))
            return true;
    return false;
}

/* All active addresses of a family, whatever their channel: the kernel answers at each adapter for each. */
static void write_set(FILE *out, const struct plan *plan, int family)
{
    char text[ADDRESS_TEXT_MAX];

    if (!has_listed(plan, family))
        return;
    fprintf(out, "set active%d {\ntype %s\nelements = {", family == AF_INET ? 4 : 6,
            family == AF_INET ? "ipv4_addr" : "ipv6_addr");
    for (size_t i = 0; i < plan->address_count; i++) {
        if (!is_listed(&plan->addresses[i], family))
            continue;
        net_address_print(&plan->addresses[i].address, false, text);
        fprintf(out, "%s,\n", text);
    }
    fprintf(out, "}\n}\n");
}

/* Priority -500: before what others filter, so that nothing of theirs meets what the gate drops. */
static void write_chains(FILE *out, const struct plan *plan, size_t channel, const char *device)
{
    const bool four = has_listed(plan, AF_INET), six = has_listed(plan, AF_INET6);

    fprintf(out,
            "chain ingress-%zu {\ntype filter hook ingress device \"%s\" priority -500; policy accept;\n",
            channel, device);
    if (four)
        fprintf(out, "ip daddr @active4 " TRAFFIC " != @held drop\n");
    if (six)
        fprintf(out, "ip6 daddr @active6 " TRAFFIC " != @held drop\n");
    fprintf(out,
            "}\nchain egress-%zu {\ntype filter hook egress device \"%s\" priority -500; policy accept;\n",
            channel, device);
    if (four)
        fprintf(out, "arp saddr ip @active4 " ANSWERS " != @held drop\n");
    if (six)
        fprintf(out, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 saddr @active6 " ANSWERS
                     " != @held drop\n");
    fprintf(out, "}\n");
}

static void write_held(FILE *out, int64_t lease_ns, enum gate_state state, unsigned rung)
{
    const int64_t ms = rung_ms(lease_ns, rung);

    /* Elements that timed out count until the kernel collects them: the size leaves room for many. */
    fprintf(out, "set held {\ntype mark\nsize 1024\nflags dynamic,timeout\ntimeout %" PRId64 "ms\n",
            lease_ns / NS_PER_MS);
    if (state != GATE_CLOSED && ms > 0)
        fprintf(out, "elements = { 1 timeout %" PRId64 "ms", ms);
    if (state == GATE_OPEN && ms > 0)
        fprintf(out, ", 2 timeout %" PRId64 "ms", ms);
    fprintf(out, "%s}\n", state != GATE_CLOSED && ms > 0 ? " }\n" : "");
}

/* A rule of the renewals. The echo comes last: a rule whose update fails ends before it. */
static void write_rung(FILE *out, unsigned code, const char *what)
{
    fprintf(out, "@nh,0,8 %u %s meta mark set %#x accept\n", code, what, (unsigned)GATE_ECHO);
}

static void write_rungs(FILE *out, int64_t lease_ns)
{
    char what[200];

    fprintf(out, "chain renewals {\n");
    write_rung(out, code_of(GATE_CLOSED, 0), "delete @held { " TRAFFIC " } delete @held { " ANSWERS " }");
    write_rung(out, code_of(GATE_TRAFFIC, 0), "delete @held { " ANSWERS " }");
    for (unsigned rung = 1; rung <= GATE_RUNGS; rung++) {
        const int64_t ms = rung_ms(lease_ns, rung);
        if (ms == 0)
            continue;
        snprintf(what, sizeof what,
                 "update @held { " TRAFFIC " timeout %" PRId64 "ms } delete @held { " ANSWERS " }", ms);
        write_rung(out, code_of(GATE_TRAFFIC, rung), what);
        snprintf(what, sizeof what,
                 "update @held { " TRAFFIC " timeout %" PRId64 "ms } update @held { " ANSWERS
                 " timeout %" PRId64 "ms }",
                 ms, ms);
        write_rung(out, code_of(GATE_OPEN, rung), what);
    }
    fprintf(
        out,
        "drop\n}\nchain loopback {\ntype filter hook ingress device \"lo\" priority -500; policy accept;\n"
        "meta protocol %#x meta mark %#x jump renewals\n}\n",
        (unsigned)GATE_ETHERTYPE, (unsigned)GATE_MARK);
}

char *gate_script(const struct plan *plan, const char *const devices[], int64_t lease_ns,
                  enum gate_state state, unsigned rung)
{
    char *script = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&script, &size);

    if (!out)
        return NULL;
    /* Added first, so that deleting it fails in no case. */
    fprintf(out, "add table netdev " GATE_TABLE "\ndelete table netdev " GATE_TABLE
                 "\ntable netdev " GATE_TABLE " {\n");
    write_held(out, lease_ns, state, rung);
    write_rungs(out, lease_ns);
    write_set(out, plan, AF_INET);
    write_set(out, plan, AF_INET6);
    for (size_t i = 0; i < plan->channel_count; i++)
        if (plan->links[i] != 0)
            write_chains(out, plan, i, devices[i]);
    fprintf(out, "}\n");
    const bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return script;
    free(script);
    return NULL;
}
