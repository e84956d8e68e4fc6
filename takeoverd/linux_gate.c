#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
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

enum {
    RECEIVE_MAX = 64 * 1024,
    COMMAND_NAME_SIZE = 16,
    QUEUE_SIZE = 1024 * 1024,
    BUILD_TRIES = 3,
    LOOPBACK_LINK = 1, /* in every network namespace */
    FAMILY_NETDEV = 5, /* NFPROTO_NETDEV; its header does not go with <netinet/in.h> */
};

struct gate {
    const struct plan *plan;
    const struct adapters *adapters;
    struct nft_ctx *nft;
    struct nl_sock *ask, *events;
    int packets; /* a packet socket with the mark */
    int64_t lease_ns;

    enum gate_state state; /* as last set, and until when */
    int64_t end_ns;

    int links[PLAN_CHANNELS_MAX]; /* as the table was made */
    bool made;                    /* there is a table, as far as this process knows */
    bool deleted;                 /* something of the table was, in the transaction that is being read */
    char error[160];
    _Alignas(struct nlmsghdr) uint8_t receiving[RECEIVE_MAX];
};

/* ----------------------------------------------------------------- renewal */

static unsigned rung_of(const struct gate *g)
{
    return g->state == GATE_CLOSED ? 0 : gate_rung(g->end_ns - clock_now_ns(), g->lease_ns);
}

/* A fault that lasts is logged once. */
static void fail(struct gate *g, const char *what, const char *why)
{
    if (!g->error[0])
        log_error("%s: %s; until that is mended, active addresses outlive a takeoverd that hangs", what, why);
    snprintf(g->error, sizeof g->error, "%s: %.100s", what, why);
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
    fail(g, "the kernel does not take the gate's table", line);
    return -EIO;
}

static void remove_table(struct gate *g)
{
    run(g, "add table netdev " GATE_TABLE "\ndelete table netdev " GATE_TABLE);
    g->made = false;
}

/* A node whose loopback device is down could not renew, and would shut itself out: better without. */
static void give_up(struct gate *g, int error)
{
    fail(g, "cannot renew the gate through the loopback device", strerror(error));
    remove_table(g);
}

void gate_set(struct gate *g, enum gate_state state, int64_t lease_end_ns)
{
    uint8_t frame[GATE_FRAME_SIZE];
    const struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_ifindex = LOOPBACK_LINK};

    if (!g)
        return;
    g->state = state;
    g->end_ns = lease_end_ns;
    const unsigned rung = rung_of(g);
    if (!g->made || (state != GATE_CLOSED && rung == 0))
        return; /* the lease is as good as over: the kernel sees to it */
    gate_frame(state, rung, frame);
    if (sendto(g->packets, frame, sizeof frame, 0, (const struct sockaddr *)&lo, sizeof lo) < 0)
        give_up(g, errno);
}

/* ------------------------------------------------------------------- table */

static bool gather_devices(struct gate *g, const char *devices[static PLAN_CHANNELS_MAX])
{
    for (size_t i = 0; i < g->plan->channel_count; i++) {
        devices[i] = adapters_get(g->adapters, i)->device;
        if (!gate_can_name(devices[i])) {
            fail(g, "the name of a device cannot be told to nftables", devices[i]);
            return false;
        }
    }
    return true;
}

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

/* Asks the kernel for the latest transaction. */
static bool nobody_came_after(struct gate *g)
{
    const struct nfgenmsg fixed = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    struct {
        struct nlmsghdr header;
        struct nfgenmsg fixed;
    } request = {{.nlmsg_len = sizeof request,
                  .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
                  .nlmsg_flags = NLM_F_REQUEST},
                 fixed};

    if (send(nl_socket_get_fd(g->ask), &request, sizeof request, 0) < 0)
        return false;
    const ssize_t n = receive(g, g->ask, 0);
    struct nlmsghdr *answer = (void *)g->receiving;
    return n > 0 && nlmsg_ok(answer, (int)n) && nlmsg_valid_hdr(answer, sizeof fixed) && is_own(answer);
}

/* What was told until now: of the own transactions there may be more than the queue can hold. */
static void forget_events(struct gate *g)
{
    ssize_t n;

    do
        n = receive(g, g->events, MSG_DONTWAIT);
    while (n >= 0 || n == -ENOBUFS);
    g->deleted = false;
}

static int build_once(struct gate *g, const char *const devices[])
{
    char *script = gate_script(g->plan, devices, g->lease_ns, g->state, rung_of(g));

    if (!script) {
        fail(g, "cannot make the gate's table", strerror(ENOMEM));
        return -ENOMEM;
    }
    int r = run(g, script);
    free(script);
    forget_events(g);
    return r;
}

void gate_build(struct gate *g)
{
    const char *devices[PLAN_CHANNELS_MAX];
    int tries = 0;

    if (!g || !gather_devices(g, devices))
        return;
    do /* what was forgotten may have been about the table, if it was not all our own */
        g->made = build_once(g, devices) == 0;
    while (g->made && !nobody_came_after(g) && ++tries < BUILD_TRIES);
    if (!g->made)
        return;
    g->error[0] = '\0';
    memcpy(g->links, g->plan->links, sizeof g->links);
}

bool gate_is_stale(const struct gate *g)
{
    return g && (!g->made || memcmp(g->links, g->plan->links, sizeof g->links) != 0);
}

const char *gate_error(const struct gate *g)
{
    return g ? g->error : "";
}

/* ------------------------------------------------------------------ events */

/* Whether a message says that something of the table was deleted. */
static bool is_deletion(struct nlmsghdr *header)
{
    switch (NFNL_MSG_TYPE(header->nlmsg_type)) {
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELSET:
    case NFT_MSG_DELSETELEM:
        break;
    default:
        return false;
    }
    /* The name of the table is the first attribute of all of them. */
    const struct nlattr *table = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);
    const struct nfgenmsg *message = nlmsg_data(header);
    return table && message->nfgen_family == FAMILY_NETDEV && nla_len(table) == sizeof GATE_TABLE &&
           memcmp(nla_data(table), GATE_TABLE, sizeof GATE_TABLE) == 0;
}

/* True at the end of somebody else's transaction that deleted something of the table. */
static bool see(struct gate *g, struct nlmsghdr *header)
{
    if (NFNL_SUBSYS_ID(header->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
        !nlmsg_valid_hdr(header, sizeof(struct nfgenmsg)))
        return false;
    if (NFNL_MSG_TYPE(header->nlmsg_type) != NFT_MSG_NEWGEN) {
        g->deleted = g->deleted || is_deletion(header);
        return false;
    }
    const bool removed = g->deleted && !is_own(header);
    g->deleted = false;
    return removed;
}

bool gate_was_removed(struct gate *g)
{
    bool removed = false;
    ssize_t n;

    while ((n = receive(g, g->events, MSG_DONTWAIT)) >= 0) {
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)g->receiving; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
            removed = see(g, h) || removed;
    }
    if (n == -ENOBUFS && !removed)
        gate_build(g); /* some of it was lost: it may have been about the table */
    return removed;
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

/* Protocol 0: nothing is received. */
static int open_packets(struct gate *g)
{
    const int mark = GATE_MARK;

    g->packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (g->packets < 0 || setsockopt(g->packets, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
        return -errno;
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
    g->packets = -1;
    g->lease_ns = config->timers.address_lease;
    g->state = lease_end_ns != 0 ? GATE_OPEN : GATE_CLOSED;
    g->end_ns = lease_end_ns;
    int r = open_nft(g);
    if (r == 0)
        r = open_netlink(g);
    if (r == 0)
        r = open_packets(g);
    if (r == 0)
        gate_build(g);
    return r;
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
    if (g->made && remove)
        remove_table(g);
    if (g->nft)
        nft_ctx_free(g->nft);
    nl_socket_free(g->ask); /* NULL is fine */
    nl_socket_free(g->events);
    if (g->packets >= 0)
        close(g->packets);
    free(g);
}
