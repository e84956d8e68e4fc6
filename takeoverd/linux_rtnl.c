#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "takeoverd/adapters.h"

enum {
    ROUTE_ORIGIN = 222, /* rtm_protocol of duet's routes, and of its rules */
    LOCAL_METRIC = 222, /* beside the kernel's own route of an address that is there as well */
    ROUTE_METRIC_IPV6 =
        512, /* before the kernel's default of 1024, so as not to share the load with such a one */
    /* Bytes in one send: some two hundred addresses. More would gain little, and the kernel gives the
     * processor to nobody of the same priority before it has done with all of them. */
    SEND_MAX = 16 * 1024,
    RECEIVE_MAX = 256 * 1024,
    QUEUE_SIZE = 4 * 1024 * 1024,
    DUMP_TRIES = 10,
    CATCH_UP_MAX = 20000, /* datagrams read in one go */
};

struct adapters {
    struct nl_sock *ask, *events;
    uint32_t sequence;
    uint32_t lifetime_s; /* of active addresses */
    size_t count;
    struct adapter adapters[PLAN_CHANNELS_MAX];
    unsigned risen;    /* channels whose adapter came, went or came up since this was last told */
    bool local_routes; /* some addresses are routes */
    bool stale;        /* the inventory cannot be kept by the events alone */
    bool interrupted;  /* a dump was, by a change */
    struct log_limit sysctl_log;
    _Alignas(struct nlmsghdr) uint8_t sending[SEND_MAX];
    _Alignas(struct nlmsghdr) uint8_t receiving[RECEIVE_MAX];
};

/* --------------------------------------------------- what the kernel tells */

static bool read_bytes(struct nlattr *attribute, int family, uint8_t prefix, struct net_address *address)
{
    const int size = family == AF_INET ? 4 : 16;

    *address = (struct net_address){.family = family, .prefix = prefix};
    if (family != AF_INET && family != AF_INET6)
        return false;
    if (attribute && nla_len(attribute) == size)
        memcpy(&address->v4, nla_data(attribute), (size_t)size);
    return attribute && nla_len(attribute) == size;
}

/* Returns whether the inventory changed. */
static bool see_address(struct plan *plan, struct nlmsghdr *header)
{
    const struct ifaddrmsg *message = nlmsg_data(header);
    struct nlattr *attributes[IFA_MAX + 1];
    struct net_address address;

    if (nlmsg_parse(header, sizeof *message, attributes, IFA_MAX, NULL) < 0)
        return false;
    struct nlattr *const own = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
    if (!read_bytes(own, message->ifa_family, message->ifa_prefixlen, &address))
        return false;
    if (header->nlmsg_type == RTM_DELADDR)
        return plan_lose_address(plan, (int)message->ifa_index, &address);
    const bool secondary = message->ifa_family == AF_INET && (message->ifa_flags & IFA_F_SECONDARY);
    return plan_see_address(plan, (int)message->ifa_index, &address, secondary);
}

static void see_route(struct plan *plan, struct nlmsghdr *header)
{
    const struct rtmsg *message = nlmsg_data(header);
    struct nlattr *attributes[RTA_MAX + 1];
    struct net_address to, via;

    if (message->rtm_protocol != ROUTE_ORIGIN ||
        nlmsg_parse(header, sizeof *message, attributes, RTA_MAX, NULL) < 0 || !attributes[RTA_OIF])
        return;
    if (!read_bytes(attributes[RTA_DST], message->rtm_family, message->rtm_dst_len, &to) && to.prefix != 0)
        return; /* the default route has no destination */
    if (message->rtm_table == RT_TABLE_LOCAL && message->rtm_type == RTN_LOCAL && to.prefix == 32)
        plan_see_local_route(plan, (int)nla_get_u32(attributes[RTA_OIF]), &to,
                             header->nlmsg_type == RTM_NEWROUTE);
    else if (read_bytes(attributes[RTA_GATEWAY], message->rtm_family, 0, &via))
        plan_see_route(plan, (int)nla_get_u32(attributes[RTA_OIF]), message->rtm_table, &to, &via,
                       header->nlmsg_type == RTM_NEWROUTE);
}

static void see_rule(struct plan *plan, struct nlmsghdr *header)
{
    const struct fib_rule_hdr *message = nlmsg_data(header);
    struct nlattr *attributes[FRA_MAX + 1];
    struct plan_rule seen = {.table = message->table};

    if (nlmsg_parse(header, sizeof *message, attributes, FRA_MAX, NULL) < 0 || !attributes[FRA_PRIORITY] ||
        !attributes[FRA_PROTOCOL] || nla_get_u8(attributes[FRA_PROTOCOL]) != ROUTE_ORIGIN)
        return;
    read_bytes(attributes[FRA_SRC], message->family, message->src_len, &seen.from);
    read_bytes(attributes[FRA_DST], message->family, message->dst_len, &seen.to);
    seen.priority = nla_get_u32(attributes[FRA_PRIORITY]);
    plan_see_rule(plan, &seen, header->nlmsg_type == RTM_NEWRULE);
}

static void set_adapter(struct adapters *a, struct plan *plan, size_t channel, const struct adapter *now)
{
    struct adapter *adapter = &a->adapters[channel];

    if (adapter->link == now->link && adapter->up == now->up && mac_equal(&adapter->mac, &now->mac))
        return;
    if (now->up || now->link != adapter->link)
        a->risen |= 1u << channel;
    adapter->link = now->link;
    adapter->up = now->up;
    adapter->mac = now->mac;
    plan_set_link(plan, (int)channel, now->link);
    a->stale = true; /* routes go with a device that goes down, without a word */
}

static void see_link(struct adapters *a, struct plan *plan, struct nlmsghdr *header)
{
    const struct ifinfomsg *message = nlmsg_data(header);
    struct nlattr *attributes[IFLA_MAX + 1];
    struct adapter now = {.link = message->ifi_index};

    if (message->ifi_family != AF_UNSPEC ||
        nlmsg_parse(header, sizeof *message, attributes, IFLA_MAX, NULL) < 0 || !attributes[IFLA_IFNAME])
        return;
    const char *name = nla_get_string(attributes[IFLA_IFNAME]);
    now.up = (message->ifi_flags & IFF_UP) && (message->ifi_flags & IFF_LOWER_UP);
    if (message->ifi_type == ARPHRD_ETHER && attributes[IFLA_ADDRESS] &&
        nla_len(attributes[IFLA_ADDRESS]) == 6)
        memcpy(now.mac.bytes, nla_data(attributes[IFLA_ADDRESS]), 6);
    for (size_t i = 0; i < a->count; i++) {
        const bool named = strcmp(a->adapters[i].device, name) == 0;
        if (named && header->nlmsg_type == RTM_NEWLINK)
            set_adapter(a, plan, i, &now);
        else if (a->adapters[i].link == message->ifi_index) /* gone, or named otherwise */
            set_adapter(a, plan, i, &(struct adapter){0});
    }
}

/* One message of a dump, or of the events. */
static void see(struct adapters *a, struct plan *plan, struct nlmsghdr *header)
{
    switch (header->nlmsg_type) {
    case RTM_NEWADDR:
        if (nlmsg_valid_hdr(header, sizeof(struct ifaddrmsg)))
            see_address(plan, header);
        break;
    case RTM_DELADDR:
        /* The routes go with a device's last IPv4 address, without a word. */
        if (nlmsg_valid_hdr(header, sizeof(struct ifaddrmsg)) && see_address(plan, header))
            a->stale = a->stale || plan->route_count > 0 || a->local_routes;
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        if (nlmsg_valid_hdr(header, sizeof(struct rtmsg)))
            see_route(plan, header);
        break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
        if (nlmsg_valid_hdr(header, sizeof(struct fib_rule_hdr)))
            see_rule(plan, header);
        break;
    case RTM_NEWLINK:
    case RTM_DELLINK:
        if (nlmsg_valid_hdr(header, sizeof(struct ifinfomsg)))
            see_link(a, plan, header);
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------ asking */

static ssize_t receive(struct adapters *a, struct nl_sock *socket, int flags)
{
    struct sockaddr_nl from;
    socklen_t from_size = sizeof from;
    ssize_t n;

    do
        n = recvfrom(nl_socket_get_fd(socket), a->receiving, sizeof a->receiving, flags,
                     (struct sockaddr *)&from, &from_size);
    while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0)); /* only the kernel is believed */
    return n < 0 ? -errno : n;
}

/* The error that a NLMSG_ERROR or NLMSG_DONE carries. */
static int error_of(struct nlmsghdr *header)
{
    return nlmsg_valid_hdr(header, sizeof(int)) ? *(int *)nlmsg_data(header) : -EPROTO;
}

/* Takes answers until the last one to request `sequence`. 0 or the kernel's error. */
static int take_answers(struct adapters *a, struct plan *plan, uint32_t sequence)
{
    for (;;) {
        ssize_t n = receive(a, a->ask, 0);
        if (n < 0)
            return (int)n;
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)a->receiving; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
            if (h->nlmsg_seq != sequence)
                continue; /* of an earlier request that was given up */
            a->interrupted = a->interrupted || (h->nlmsg_flags & NLM_F_DUMP_INTR);
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                return error_of(h);
            see(a, plan, h);
        }
    }
}

static int send_all(struct adapters *a, const void *bytes, size_t size)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    return sendto(nl_socket_get_fd(a->ask), bytes, size, 0, (const struct sockaddr *)&kernel, sizeof kernel) <
                   0
               ? -errno
               : 0;
}

/* Sends `message` (freed) and takes the answers. */
static int ask(struct adapters *a, struct plan *plan, struct nl_msg *message)
{
    if (!message)
        return -ENOMEM;
    struct nlmsghdr *header = nlmsg_hdr(message);
    header->nlmsg_seq = ++a->sequence;
    int r = send_all(a, header, header->nlmsg_len);
    nlmsg_free(message);
    return r < 0 ? r : take_answers(a, plan, a->sequence);
}

/* A request with its fixed part; the caller frees it. NULL: no memory. */
static struct nl_msg *request(int type, int flags, const void *fixed, size_t size)
{
    struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

    if (message && nlmsg_append(message, (void *)(uintptr_t)fixed, size, NLMSG_ALIGNTO) < 0) {
        nlmsg_free(message);
        return NULL;
    }
    return message;
}

static int ask_link(struct adapters *a, struct plan *plan, size_t channel)
{
    const struct ifinfomsg fixed = {.ifi_family = AF_UNSPEC};
    struct nl_msg *message = request(RTM_GETLINK, NLM_F_ACK, &fixed, sizeof fixed);

    if (message) {
        nla_put_string(message, IFLA_IFNAME, a->adapters[channel].device);
        nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }
    int r = ask(a, plan, message);
    if (r != -ENODEV)
        return r;
    set_adapter(a, plan, channel, &(struct adapter){0});
    return 0;
}

static int ask_addresses(struct adapters *a, struct plan *plan)
{
    const struct ifaddrmsg fixed = {.ifa_family = AF_UNSPEC};

    return ask(a, plan, request(RTM_GETADDR, NLM_F_DUMP, &fixed, sizeof fixed));
}

/* Of all tables. For IPv4 always: another configuration may have left local routes. */
static int ask_routes(struct adapters *a, struct plan *plan, int family)
{
    const struct rtmsg fixed = {.rtm_family = (unsigned char)family, .rtm_protocol = ROUTE_ORIGIN};
    bool any = family == AF_INET;

    for (size_t i = 0; i < plan->route_count; i++)
        any = any || plan->routes[i].to.family == family;
    return any ? ask(a, plan, request(RTM_GETROUTE, NLM_F_DUMP, &fixed, sizeof fixed)) : 0;
}

static int ask_rules(struct adapters *a, struct plan *plan, int family)
{
    const struct fib_rule_hdr fixed = {.family = (unsigned char)family};
    bool any = false;

    for (size_t i = 0; i < plan->rule_count; i++)
        any = any || plan->rules[i].to.family == family;
    return any ? ask(a, plan, request(RTM_GETRULE, NLM_F_DUMP, &fixed, sizeof fixed)) : 0;
}

static int refresh_once(struct adapters *a, struct plan *plan)
{
    static const int families[] = {AF_INET, AF_INET6};
    int r = 0;

    a->interrupted = false;
    for (size_t i = 0; i < a->count && r == 0; i++)
        r = ask_link(a, plan, i);
    plan_forget(plan);
    if (r == 0)
        r = ask_addresses(a, plan);
    for (size_t i = 0; i < ARRAY_LENGTH(families) && r == 0; i++) {
        r = ask_routes(a, plan, families[i]);
        if (r == 0)
            r = ask_rules(a, plan, families[i]);
    }
    return r == 0 && a->interrupted ? -EINTR : r;
}

int adapters_refresh(struct adapters *a, struct plan *plan)
{
    int r = -EINTR;

    for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++)
        r = refresh_once(a, plan);
    a->stale = r < 0;
    return r;
}

/* ------------------------------------------------------------------ events */

static int read_events(struct adapters *a, struct plan *plan)
{
    for (int i = 0; i < CATCH_UP_MAX; i++) {
        ssize_t n = receive(a, a->events, MSG_DONTWAIT);
        if (n == -EAGAIN)
            return 0;
        if (n == -ENOBUFS) {
            a->stale = true; /* the queue was full, some events are lost */
            continue;
        }
        if (n < 0)
            return (int)n;
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)a->receiving; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
            see(a, plan, h);
    }
    a->stale = true; /* no end of it: what is read first is old by now */
    return 0;
}

int adapters_catch_up(struct adapters *a, struct plan *plan, unsigned *risen)
{
    int r = read_events(a, plan);

    if (r == 0 && a->stale)
        r = adapters_refresh(a, plan);
    *risen |= a->risen;
    a->risen = 0;
    return r;
}

/* ------------------------------------------------------------------- doing */

static int address_flags(enum plan_verb verb)
{
    return verb == PLAN_ADD_ADDRESS     ? NLM_F_CREATE | NLM_F_EXCL
           : verb == PLAN_RENEW_ADDRESS ? NLM_F_REPLACE
                                        : 0;
}

static void put_lifetime(const struct adapters *a, struct nl_msg *message)
{
    const struct ifa_cacheinfo lifetime = {.ifa_prefered = a->lifetime_s, .ifa_valid = a->lifetime_s};

    nla_put(message, IFA_CACHEINFO, sizeof lifetime, &lifetime);
}

static struct nl_msg *address_request(const struct adapters *a, const struct plan *plan,
                                      const struct plan_operation *operation)
{
    const struct plan_address *item = &plan->addresses[operation->index];
    const struct net_address *address = &item->address;
    const bool there = operation->verb != PLAN_DELETE_ADDRESS, v4 = address->family == AF_INET;
    const struct ifaddrmsg fixed = {.ifa_family = (unsigned char)address->family,
                                    .ifa_prefixlen = operation->length,
                                    .ifa_flags = !v4 && there && item->active ? IFA_F_NODAD : 0,
                                    .ifa_index = (unsigned)plan->links[item->channel]};
    struct nl_msg *message =
        request(there ? RTM_NEWADDR : RTM_DELADDR, address_flags(operation->verb), &fixed, sizeof fixed);

    if (!message)
        return NULL;
    nla_put(message, IFA_LOCAL, v4 ? 4 : 16, &address->v4);
    nla_put(message, IFA_ADDRESS, v4 ? 4 : 16, &address->v4);
    if (there && item->active)
        put_lifetime(a, message);
    if (v4 && there && operation->length < 31) {
        const uint32_t broadcast = address->v4.s_addr | htonl(UINT32_MAX >> operation->length);
        nla_put_u32(message, IFA_BROADCAST, broadcast);
    }
    return message;
}

/* Without NLM_F_EXCL an IPv4 route goes before a like one of somebody else's instead of failing. */
static struct nl_msg *route_request(const struct plan *plan, const struct plan_operation *operation)
{
    const struct plan_route *route = &plan->routes[operation->index];
    const bool add = operation->verb == PLAN_ADD_ROUTE, v4 = route->to.family == AF_INET;
    const int size = v4 ? 4 : 16;
    const struct rtmsg fixed = {.rtm_family = (unsigned char)route->to.family,
                                .rtm_dst_len = route->to.prefix,
                                .rtm_table = (unsigned char)route->table,
                                .rtm_protocol = ROUTE_ORIGIN,
                                .rtm_scope = RT_SCOPE_UNIVERSE,
                                .rtm_type = RTN_UNICAST};
    struct nl_msg *message =
        request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE : 0, &fixed, sizeof fixed);

    if (!message)
        return NULL;
    if (route->to.prefix > 0)
        nla_put(message, RTA_DST, size, &route->to.v4);
    nla_put(message, RTA_GATEWAY, size, &route->via.v4);
    nla_put_u32(message, RTA_OIF, (uint32_t)plan->links[route->channel]);
    if (!v4)
        nla_put_u32(message, RTA_PRIORITY, ROUTE_METRIC_IPV6);
    return message;
}

static struct nl_msg *rule_request(const struct plan *plan, const struct plan_operation *operation)
{
    const struct plan_rule *rule = &plan->rules[operation->index];
    const bool add = operation->verb == PLAN_ADD_RULE;
    const int size = rule->to.family == AF_INET ? 4 : 16;
    const struct fib_rule_hdr fixed = {.family = (unsigned char)rule->to.family,
                                       .dst_len = rule->to.prefix,
                                       .src_len = rule->from.prefix,
                                       .table = (unsigned char)rule->table,
                                       .action = FR_ACT_TO_TBL};
    struct nl_msg *message =
        request(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &fixed, sizeof fixed);

    if (!message)
        return NULL;
    if (rule->from.prefix > 0)
        nla_put(message, FRA_SRC, size, &rule->from.v4);
    if (rule->to.prefix > 0)
        nla_put(message, FRA_DST, size, &rule->to.v4);
    nla_put_u32(message, FRA_PRIORITY, rule->priority);
    nla_put_u8(message, FRA_PROTOCOL, ROUTE_ORIGIN);
    return message;
}

/* An address as a route: traffic for it is taken in, and ARP answers for it. */
static struct nl_msg *local_route_request(const struct plan *plan, const struct plan_operation *operation)
{
    const struct plan_address *item = &plan->addresses[operation->index];
    const bool add = operation->verb == PLAN_ADD_ADDRESS;
    const struct rtmsg fixed = {.rtm_family = AF_INET,
                                .rtm_dst_len = 32,
                                .rtm_table = RT_TABLE_LOCAL,
                                .rtm_protocol = ROUTE_ORIGIN,
                                .rtm_scope = RT_SCOPE_HOST,
                                .rtm_type = RTN_LOCAL};
    struct nl_msg *message =
        request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &fixed, sizeof fixed);

    if (!message)
        return NULL;
    nla_put(message, RTA_DST, 4, &item->address.v4);
    nla_put_u32(message, RTA_OIF, (uint32_t)plan->links[item->channel]);
    nla_put_u32(message, RTA_PRIORITY, LOCAL_METRIC);
    return message;
}

static struct nl_msg *operation_request(const struct adapters *a, const struct plan *plan,
                                        const struct plan_operation *operation)
{
    if (operation->verb == PLAN_ADD_ROUTE || operation->verb == PLAN_DELETE_ROUTE)
        return route_request(plan, operation);
    if (operation->verb == PLAN_ADD_RULE || operation->verb == PLAN_DELETE_RULE)
        return rule_request(plan, operation);
    if (operation->length == PLAN_ROUTED)
        return local_route_request(plan, operation);
    return address_request(a, plan, operation);
}

static bool is_done_already(const struct plan_operation *operation, int error)
{
    switch (operation->verb) {
    case PLAN_ADD_ADDRESS:
    case PLAN_ADD_ROUTE:
    case PLAN_ADD_RULE:
        return error == -EEXIST;
    case PLAN_DELETE_RULE:
        return error == -ENOENT;
    case PLAN_DELETE_ADDRESS:
        return error == -EADDRNOTAVAIL || error == -ENODEV ||
               (operation->length == PLAN_ROUTED && error == -ESRCH);
    case PLAN_DELETE_ROUTE:
        return error == -ESRCH || error == -ENODEV;
    case PLAN_RENEW_ADDRESS: /* what went missing meanwhile is told by an event, and repaired */
        return error == -EADDRNOTAVAIL || error == -ENODEV;
    }
    return false;
}

/* Takes the answers to the requests from `first` on, the last of which is acknowledged whatever comes of it.
 */
static int take_failures(struct adapters *a, const struct plan_operation *operations, size_t count,
                         uint32_t first, struct adapters_failure *failure)
{
    for (;;) {
        ssize_t n = receive(a, a->ask, 0);
        if (n < 0)
            return (int)n;
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)a->receiving; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
            const uint32_t at = h->nlmsg_seq - first;
            if (h->nlmsg_type != NLMSG_ERROR || at >= count)
                continue;
            const int error = error_of(h);
            if (error < 0 && !is_done_already(&operations[at], error) && failure->error == 0)
                *failure = (struct adapters_failure){operations[at], error};
            if (at == count - 1)
                return 0;
        }
    }
}

/* As many of the operations as fit into one send. Returns their number or a negative errno. */
static int apply_some(struct adapters *a, const struct plan *plan, const struct plan_operation *operations,
                      size_t count, struct adapters_failure *failure)
{
    const uint32_t first = a->sequence + 1;
    struct nlmsghdr *last = NULL;
    size_t size = 0, done = 0;

    for (; done < count; done++) {
        struct nl_msg *message = operation_request(a, plan, &operations[done]);
        if (!message)
            return -ENOMEM;
        struct nlmsghdr *header = nlmsg_hdr(message);
        const size_t length = NLMSG_ALIGN(header->nlmsg_len);
        const bool fits = size + length <= sizeof a->sending;
        if (fits) {
            header->nlmsg_seq = ++a->sequence;
            last = memcpy(a->sending + size, header, length);
            size += length;
        }
        nlmsg_free(message);
        if (!fits)
            break;
    }
    last->nlmsg_flags |= NLM_F_ACK;
    int r = send_all(a, a->sending, size);
    if (r == 0)
        r = take_failures(a, operations, done, first, failure);
    return r < 0 ? r : (int)done;
}

/* Else the kernel deletes all secondaries along with their primary. Asked for each time: others set this too.
 */
static void keep_secondaries(struct adapters *a, const struct plan *plan,
                             const struct plan_operation *operations, size_t count)
{
    unsigned done = 0;

    for (size_t i = 0; i < count; i++) {
        char path[80];
        if (operations[i].verb != PLAN_DELETE_ADDRESS || operations[i].length == PLAN_ROUTED)
            continue;
        const struct plan_address *address = &plan->addresses[operations[i].index];
        if (address->address.family != AF_INET || (done >> address->channel & 1))
            continue;
        done |= 1u << address->channel;
        snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/promote_secondaries",
                 a->adapters[address->channel].device);
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
        if ((fd < 0 || write(fd, "1\n", 2) != 2) && log_allowed(&a->sysctl_log, 1))
            log_warning("cannot write 1 to %s: %s; addresses that vanish with their primary are put back",
                        path, strerror(errno));
    }
}

int adapters_apply(struct adapters *a, struct plan *plan, const struct plan_operation *operations,
                   size_t count, struct adapters_failure *failure)
{
    *failure = (struct adapters_failure){0};
    keep_secondaries(a, plan, operations, count);
    for (size_t at = 0; at < count;) {
        int n = apply_some(a, plan, operations + at, count - at, failure);
        if (n < 0) {
            *failure = (struct adapters_failure){operations[at], n};
            return n;
        }
        at += (size_t)n;
        if (at < count)
            sched_yield(); /* heartbeatd and arbiterd have this priority, too, and may have waited */
    }
    for (size_t i = 0; i < count && failure->error == 0; i++)
        plan_done(plan, &operations[i]);
    return failure->error;
}

/* ---------------------------------------------------------------- lifetime */

static void tune(struct nl_sock *socket)
{
    const int size = QUEUE_SIZE, on = 1, fd = nl_socket_get_fd(socket);
    const struct timeval patience = {.tv_sec = 2};

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* Without these two the kernel answers at more length than needed. */
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
}

static int open_socket(struct nl_sock **socket)
{
    *socket = nl_socket_alloc();
    if (!*socket)
        return -ENOMEM;
    int r = nl_connect(*socket, NETLINK_ROUTE);
    if (r < 0)
        return r == -NLE_NOMEM ? -ENOMEM : -EIO;
    tune(*socket);
    return 0;
}

int adapters_open(const struct config_channel *channels, size_t count, uint32_t lifetime_s, bool events,
                  struct adapters **adapters)
{
    struct adapters *a = calloc(1, sizeof *a);

    if (!a)
        return -ENOMEM;
    a->lifetime_s = lifetime_s;
    a->count = MIN(count, PLAN_CHANNELS_MAX);
    for (size_t i = 0; i < a->count; i++) {
        text_copy(a->adapters[i].device, sizeof a->adapters[i].device, channels[i].device);
        a->local_routes = a->local_routes || channels[i].local_routes;
    }
    int r = open_socket(&a->ask);
    if (r == 0 && events)
        r = open_socket(&a->events);
    if (r == 0 && events &&
        nl_socket_add_memberships(a->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
                                  RTNLGRP_IPV6_RULE, RTNLGRP_NONE) < 0)
        r = -EIO;
    if (r < 0) {
        adapters_free(a);
        return r;
    }
    *adapters = a;
    return 0;
}

void adapters_free(struct adapters *a)
{
    if (!a)
        return;
    nl_socket_free(a->ask); /* NULL is fine */
    nl_socket_free(a->events);
    free(a);
}

int adapters_fd(const struct adapters *a)
{
    return nl_socket_get_fd(a->events);
}

const struct adapter *adapters_get(const struct adapters *a, size_t channel)
{
    return &a->adapters[channel];
}
