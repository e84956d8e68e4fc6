#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "takeoverd/gate.h"
#include "takeoverd/gate_proof.h"
#include "takeoverd/gate_wire.h"

enum {
    RECEIVE_MAX = 64 * 1024,
    COMMAND_NAME_SIZE = 16,
    QUEUE_SIZE = 1024 * 1024,
    BUILD_TRIES = 3,
    FAMILY_NETDEV = 5, /* NFPROTO_NETDEV; its header does not go with <netinet/in.h> */
};

static const int64_t retry_first_ns = 200 * NS_PER_MS, retry_most_ns = 10 * NS_PER_S;
static const int64_t lost_apart_ns = NS_PER_S;

struct gate {
    const struct plan *plan;
    const struct adapters *adapters;
    struct nft_ctx *nft;
    struct nl_sock *ask, *events;
    int wire; /* to the rules (gate_wire.h) */
    int64_t lease_ns;

    enum gate_state state; /* as last set, and until when */
    int64_t end_ns;
    int64_t shut_ns; /* when the kernel shuts by itself what was opened last */

    int links[PLAN_CHANNELS_MAX]; /* as the table was made */
    bool exists;                  /* the kernel has a table of that name, or may have */
    bool stale;                   /* it is not as wanted, or there is none */
    int64_t retry_ns;             /* stale: when it is made anew */
    int64_t tries;                /* in a row that came to nothing */
    struct gate_proof proof;
    bool changed;          /* something of the table was, in the transaction that is being read */
    int64_t lost_ns;       /* the table was made anew last because news of others' changes were lost */
    char build_error[160]; /* what is wrong with the table */
    char wire_error[160];  /* … and with the way to it */
    _Alignas(struct nlmsghdr) uint8_t receiving[RECEIVE_MAX];
};

/* ------------------------------------------------------------------ asking */

/* Whether the latest transaction was this process's own. Each names the command that made it. */
static bool is_own(struct nlmsghdr *header)
{
    char name[COMMAND_NAME_SIZE] = "";
    const struct nlattr *command = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_GEN_PROC_NAME);

    prctl(PR_GET_NAME, name);
    return command && nla_len(command) > 0 && strncmp(nla_data(command), name, sizeof name) == 0;
}

static ssize_t receive(struct gate *g, struct nl_sock *socket, int flags)
{
    ssize_t n;

    do
        n = recv(nl_socket_get_fd(socket), g->receiving, sizeof g->receiving, flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* The answer to a question that has one, in `receiving`; NULL: none came. The table's name goes with it if
 * `family` is not AF_UNSPEC. */
static struct nlmsghdr *ask(struct gate *g, int type, int family)
{
    static uint32_t sequence;
    const struct nfgenmsg fixed = {.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0};
    struct nl_msg *message = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_REQUEST);
    struct nlmsghdr *answer = (void *)g->receiving;

    if (!message)
        return NULL;
    nlmsg_hdr(message)->nlmsg_seq = ++sequence;
    int r = nlmsg_append(message, (void *)(uintptr_t)&fixed, sizeof fixed, NLMSG_ALIGNTO);
    if (r == 0 && family != AF_UNSPEC)
        r = nla_put_string(message, NFTA_TABLE_NAME, GATE_TABLE);
    if (r == 0 && send(nl_socket_get_fd(g->ask), nlmsg_hdr(message), nlmsg_hdr(message)->nlmsg_len, 0) < 0)
        r = -errno;
    nlmsg_free(message);
    while (r == 0) {
        const ssize_t n = receive(g, g->ask, 0);
        if (n <= 0 || !nlmsg_ok(answer, (int)n))
            return NULL;
        if (answer->nlmsg_seq == sequence) /* else of a question that was given up */
            return answer;
    }
    return NULL;
}

/* Asks the kernel for the latest transaction. */
static bool nobody_came_after(struct gate *g)
{
    struct nlmsghdr *answer = ask(g, NFT_MSG_GETGEN, AF_UNSPEC);

    return answer && nlmsg_valid_hdr(answer, sizeof(struct nfgenmsg)) && is_own(answer);
}

/* Whether the kernel has a table of the gate's name, whoever made it. If it does not say, there may be one.
 */
static bool has_table(struct gate *g)
{
    struct nlmsghdr *answer = ask(g, NFT_MSG_GETTABLE, FAMILY_NETDEV);

    return !answer || answer->nlmsg_type != NLMSG_ERROR;
}

/* ----------------------------------------------------------------- renewal */

static unsigned rung_of(const struct gate *g)
{
    return g->state == GATE_CLOSED ? 0 : gate_rung(g->end_ns - clock_now_ns(), g->lease_ns);
}

/* A fault that lasts is logged once. */
static void fail(char error[static 160], const char *what, const char *why)
{
    if (!error[0])
        log_error(
            "%s: %s; until that is mended, active addresses may outlive a takeoverd that hangs, or be mute",
            what, why);
    snprintf(error, 160, "%s: %.100s", what, why);
}

/* One transaction of nftables. 0 or -EIO, told. */
static int run(struct gate *g, const char *script)
{
    char line[100];

    if (nft_run_cmd_from_buffer(g->nft, script) == 0)
        return 0;
    const char *why = nft_ctx_get_error_buffer(g->nft);
    text_copy(line, sizeof line, why && why[0] ? why : "no reason given");
    line[strcspn(line, "\n")] = '\0';
    fail(g->build_error, "the kernel does not take the gate's table", line);
    return -EIO;
}

/* What was wanted did not come about: once more, later each time. */
static void try_later(struct gate *g, int64_t now_ns)
{
    g->stale = true;
    g->retry_ns = now_ns + backoff_ns(retry_first_ns, g->tries++, retry_most_ns);
}

/* True if there is none afterwards. */
static bool remove_table(struct gate *g)
{
    if (run(g, "add table netdev " GATE_TABLE "\ndelete table netdev " GATE_TABLE) == 0)
        g->exists = false;
    else
        g->exists = has_table(g);
    return !g->exists;
}

void gate_hear(struct gate *g)
{
    int64_t sent_ns;

    while (g && (sent_ns = gate_wire_hear(g->wire)) != 0) {
        if (!gate_proof_heard(&g->proof, sent_ns))
            continue;
        g->wire_error[0] = '\0';
        if (!g->stale)
            g->tries = 0;
    }
}

/* The rules do not hear, so what is open ends with the lease, though it is renewed. A node that serves is
 * better without a gate than shut out; one that shall be silent is not: the transaction cannot get lost. What
 * is shut stays shut. */
static void give_up(struct gate *g, const char *why)
{
    const int64_t now_ns = clock_now_ns();

    fail(g->wire_error, "cannot renew the gate through the loopback device", why);
    gate_proof_begin(&g->proof, now_ns);
    if (g->state == GATE_TRAFFIC) {
        gate_build(g);
    } else if (g->state == GATE_OPEN) {
        remove_table(g);
        try_later(g, now_ns);
    }
}

/* Only these say that no frame will arrive. Others pass, and the missing echo tells. */
static bool is_down(int error)
{
    return error == -ENETDOWN || error == -ENODEV || error == -ENXIO;
}

static void renew(struct gate *g)
{
    const unsigned rung = rung_of(g);
    const int64_t now_ns = clock_now_ns();

    if (!g->exists || (g->state == GATE_OPEN && rung == 0))
        return; /* the lease is as good as over: the kernel sees to it */
    gate_proof_sent(&g->proof, now_ns);
    g->shut_ns = now_ns + gate_rung_ns(rung, g->lease_ns);
    int r = gate_wire_send(g->wire, g->state, rung, now_ns);
    if (is_down(r) && g->state == GATE_OPEN)
        give_up(g, strerror(-r));
    else
        gate_hear(g);
}

void gate_set(struct gate *g, enum gate_state state, int64_t lease_end_ns)
{
    if (!g)
        return;
    if (state != g->state)
        gate_proof_begin(&g->proof, clock_now_ns());
    g->state = state;
    g->end_ns = lease_end_ns;
    renew(g);
}

bool gate_is_silent(const struct gate *g)
{
    return g && g->exists && g->state == GATE_TRAFFIC && g->proof.proved_ns != 0;
}

bool gate_is_open(const struct gate *g)
{
    return !g || !g->exists || (g->state == GATE_OPEN && g->proof.proved_ns != 0);
}

bool gate_lets_out(const struct gate *g)
{
    return gate_is_open(g) && (!g || !g->exists || clock_now_ns() < g->shut_ns);
}

int64_t gate_next_ns(const struct gate *g)
{
    if (!g)
        return 0;
    const int64_t until_ns = gate_proof_until_ns(&g->proof, g->lease_ns),
                  retry_ns = g->stale ? g->retry_ns : 0;

    return until_ns == 0 || retry_ns == 0 ? MAX(until_ns, retry_ns) : MIN(until_ns, retry_ns);
}

void gate_work(struct gate *g, int64_t now_ns)
{
    if (!g)
        return;
    gate_hear(g);
    const int64_t until_ns = gate_proof_until_ns(&g->proof, g->lease_ns);
    if (until_ns != 0 && now_ns >= until_ns)
        give_up(g, "no frame comes back");
    else if (g->stale && now_ns >= g->retry_ns)
        gate_build(g);
}

int gate_echo_fd(const struct gate *g)
{
    return g ? g->wire : -1;
}

/* ------------------------------------------------------------------- table */

static bool gather_devices(struct gate *g, const char *devices[static PLAN_CHANNELS_MAX])
{
    for (size_t i = 0; i < g->plan->channel_count; i++) {
        devices[i] = adapters_get(g->adapters, i)->device;
        if (!gate_can_name(devices[i])) {
            fail(g->build_error, "the name of a device cannot be told to nftables", devices[i]);
            return false;
        }
    }
    return true;
}

/* What was told until now: of the own transactions there may be more than the queue can hold. */
static void forget_events(struct gate *g)
{
    ssize_t n;

    do
        n = receive(g, g->events, MSG_DONTWAIT);
    while (n >= 0 || n == -ENOBUFS);
    g->changed = false;
}

static int build_once(struct gate *g, const char *const devices[])
{
    char *script = gate_script(g->plan, devices, g->lease_ns, g->state, rung_of(g));

    if (!script) {
        fail(g->build_error, "cannot make the gate's table", strerror(ENOMEM));
        return -ENOMEM;
    }
    int r = run(g, script);
    free(script);
    forget_events(g);
    return r;
}

/* A transaction that fails changes nothing: what there is stays, and is renewed. */
void gate_build(struct gate *g)
{
    const char *devices[PLAN_CHANNELS_MAX];
    int tries = 0;

    if (!g)
        return;
    bool made = gather_devices(g, devices);
    while (made) { /* what was forgotten may have been about the table, if it was not all our own */
        made = build_once(g, devices) == 0;
        if (!made || nobody_came_after(g) || ++tries == BUILD_TRIES)
            break;
    }
    const int64_t now_ns = clock_now_ns();
    memcpy(g->links, g->plan->links, sizeof g->links);
    if (!made) {
        g->exists = has_table(g);
        try_later(g, now_ns);
        return;
    }
    g->build_error[0] = '\0';
    g->exists = true;
    g->stale = false;
    gate_proof_set(&g->proof, now_ns);
    renew(g);
}

bool gate_is_stale(const struct gate *g)
{
    return g && memcmp(g->links, g->plan->links, sizeof g->links) != 0;
}

const char *gate_error(const struct gate *g)
{
    return !g ? "" : g->build_error[0] ? g->build_error : g->wire_error;
}

/* ------------------------------------------------------------------ events */

/* Whether a message is about the table: what is added or only marked may shut or open it as well. The name of
 * the table is the first attribute of them all. */
static bool is_about_table(struct nlmsghdr *header)
{
    const struct nlattr *table = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);
    const struct nfgenmsg *message = nlmsg_data(header);

    return table && message->nfgen_family == FAMILY_NETDEV && nla_len(table) == sizeof GATE_TABLE &&
           memcmp(nla_data(table), GATE_TABLE, sizeof GATE_TABLE) == 0;
}

/* True at the end of somebody else's transaction that changed something of the table. */
static bool see(struct gate *g, struct nlmsghdr *header)
{
    if (NFNL_SUBSYS_ID(header->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
        !nlmsg_valid_hdr(header, sizeof(struct nfgenmsg)))
        return false;
    if (NFNL_MSG_TYPE(header->nlmsg_type) != NFT_MSG_NEWGEN) {
        g->changed = g->changed || is_about_table(header);
        return false;
    }
    const bool changed = g->changed && !is_own(header);
    g->changed = false;
    return changed;
}

/* More was changed at once than the queue can hold, and some of it went unread. True if the table is gone; if
 * not, parts of it may be: it is made anew, but not each time while somebody loads big sets. */
static bool is_gone_unread(struct gate *g)
{
    const int64_t now_ns = clock_now_ns();

    forget_events(g);
    if (!has_table(g))
        return true;
    if (!g->stale) {
        g->stale = true;
        g->retry_ns = MAX(now_ns, g->lost_ns + lost_apart_ns);
        g->lost_ns = g->retry_ns;
        log_info("nftables changed faster than it could be read: the gate is made anew, for what was missed");
    }
    return false;
}

bool gate_was_changed(struct gate *g)
{
    bool changed = false;
    ssize_t n;

    while ((n = receive(g, g->events, MSG_DONTWAIT)) >= 0) {
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)g->receiving; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
            changed = see(g, h) || changed;
    }
    return n == -ENOBUFS ? is_gone_unread(g) || changed : changed;
}

int gate_fd(const struct gate *g)
{
    return g ? nl_socket_get_fd(g->events) : -1;
}

/* ---------------------------------------------------------------- lifetime */

static int open_nft(struct gate *g)
{
    g->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    return g->nft && nft_ctx_buffer_output(g->nft) == 0 && nft_ctx_buffer_error(g->nft) == 0 ? 0 : -ENOMEM;
}

static int open_netlink(struct gate *g)
{
    const struct timeval patience = {.tv_sec = 1};
    const int size = QUEUE_SIZE;

    g->ask = nl_socket_alloc();
    g->events = nl_socket_alloc();
    if (!g->ask || !g->events)
        return -ENOMEM;
    if (nl_connect(g->ask, NETLINK_NETFILTER) < 0 || nl_connect(g->events, NETLINK_NETFILTER) < 0 ||
        nl_socket_add_memberships(g->events, NFNLGRP_NFTABLES, NFNLGRP_NONE) < 0)
        return -EIO;
    setsockopt(nl_socket_get_fd(g->ask), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(nl_socket_get_fd(g->events), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return 0;
}

int gate_open(const struct config *config, const struct plan *plan, const struct adapters *adapters,
              int64_t lease_end_ns, struct gate **gate)
{
    struct gate *g = calloc(1, sizeof *g);

    if (!g)
        return -ENOMEM;
    *gate = g;
    g->plan = plan;
    g->adapters = adapters;
    g->wire = -1;
    g->lease_ns = config->timers.address_lease;
    g->state = lease_end_ns != 0 ? GATE_OPEN : GATE_CLOSED;
    g->end_ns = lease_end_ns;
    int r = open_nft(g);
    if (r == 0)
        r = open_netlink(g);
    if (r == 0)
        r = g->wire = gate_wire_open();
    if (r >= 0)
        gate_build(g);
    return MIN(r, 0);
}

void gate_configure(struct gate *g, const struct config *config, const struct adapters *adapters)
{
    if (!g)
        return;
    g->adapters = adapters;
    g->lease_ns = config->timers.address_lease;
    gate_build(g);
}

void gate_free(struct gate *g, bool remove)
{
    if (!g)
        return;
    if (g->exists && remove)
        remove_table(g);
    if (g->nft)
        nft_ctx_free(g->nft);
    nl_socket_free(g->ask); /* NULL is fine */
    nl_socket_free(g->events);
    if (g->wire >= 0)
        close(g->wire);
    free(g);
}
