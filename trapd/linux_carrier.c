#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trapd/carrier.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Net-SNMP keeps a transport's remote end as the kernel's structure; sockets of other kinds have no adapter.
 */
static socklen_t address_of(const void *remote, size_t size, union address *address)
{
    memset(address, 0, sizeof *address);
    if (size < sizeof address->v4 || size > sizeof *address)
        return 0;
    memcpy(address, remote, size);
    if (address->any.sa_family == AF_INET)
        return sizeof address->v4;
    return address->any.sa_family == AF_INET6 && size >= sizeof address->v6 ? sizeof address->v6 : 0;
}

static bool is_same(const union address *a, const struct sockaddr *b)
{
    if (!b || a->any.sa_family != b->sa_family)
        return false;
    if (b->sa_family == AF_INET)
        return memcmp(&a->v4.sin_addr, &((const struct sockaddr_in *)(const void *)b)->sin_addr, 4) == 0;
    return b->sa_family == AF_INET6 &&
           memcmp(&a->v6.sin6_addr, &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
}

/* connect(2) of a datagram socket asks the routing table, and sends nothing. */
static bool own_address(const void *remote, size_t size, union address *own)
{
    union address to;
    const socklen_t length = address_of(remote, size, &to);
    socklen_t own_length = sizeof *own;
    const int fd AUTO_CLOSE = length == 0 ? -1 : socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, &to.any, length) == 0 && getsockname(fd, &own->any, &own_length) == 0;
}

void carrier_find(const void *remote, size_t size, struct carrier *carrier)
{
    struct ifaddrs *all = NULL;
    union address own;

    *carrier = (struct carrier){0};
    if (!own_address(remote, size, &own) || getifaddrs(&all) < 0)
        return;
    if (own.any.sa_family == AF_INET)
        memcpy(carrier->ipv4, &own.v4.sin_addr, 4);
    for (const struct ifaddrs *one = all; one; one = one->ifa_next)
        if (is_same(&own, one->ifa_addr))
            text_copy(carrier->device, sizeof carrier->device, one->ifa_name);
    freeifaddrs(all);
}

bool carrier_is_there(const struct carrier *carrier)
{
    struct ifreq request = {0};
    const int fd AUTO_CLOSE = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (carrier->device[0] == '\0' || fd < 0)
        return true;
    text_copy(request.ifr_name, sizeof request.ifr_name, carrier->device);
    return ioctl(fd, SIOCGIFFLAGS, &request) < 0 || (request.ifr_flags & IFF_RUNNING) != 0;
}
