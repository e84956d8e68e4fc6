#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "heartbeatd/line.h"
#include "heartbeatd/receive.h"

static socklen_t place_of(const struct net_address *address, uint16_t port, struct sockaddr_storage *place)
{
    *place = (struct sockaddr_storage){.ss_family = (sa_family_t)address->family};
    if (address->family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)place;
        v4->sin_port = htons(port);
        v4->sin_addr = address->v4;
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)place;
    v6->sin6_port = htons(port);
    v6->sin6_addr = address->v6;
    return sizeof *v6;
}

static void set_options(int fd, int family)
{
    const int on = 1, control = IPTOS_CLASS_CS6;

    if (family == AF_INET) {
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
        setsockopt(fd, IPPROTO_IP, IP_TOS, &control, sizeof control);
    } else {
        setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &control, sizeof control);
    }
}

static int set_up(int fd, const struct net_address *own, const struct net_address *peer, uint16_t port,
                  const char *device)
{
    struct sockaddr_storage place;

    if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
        return -errno;

    set_options(fd, own->family);
    int r = receive_prepare(fd); /* after IP_TOS, which sets a priority of its own */
    if (r < 0)
        return r;
    socklen_t length = place_of(own, port, &place);
    if (bind(fd, (const struct sockaddr *)&place, length) < 0)
        return -errno;
    length = place_of(peer, port, &place);
    return connect(fd, (const struct sockaddr *)&place, length) < 0 ? -errno : 0;
}

int line_open(const struct net_address *own, const struct net_address *peer, uint16_t port,
              const char *device, int *fd)
{
    const int made = socket(own->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (made < 0)
        return -errno;
    int r = set_up(made, own, peer, port, device);
    if (r < 0)
        close(made);
    else
        *fd = made;
    return r;
}

int line_send(int fd, const uint8_t *datagram, size_t size, bool *refused)
{
    ssize_t n = send(fd, datagram, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    *refused = n < 0 && errno == ECONNREFUSED;
    if (*refused)
        n = send(fd, datagram, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : 0;
}
