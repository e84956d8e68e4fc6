#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/echo.h"
#include "client/wire.h"

static int open_socket(int family, int type, int protocol, const char *device)
{
    const int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0)
        return -errno;
    if (device[0] != '\0' &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static socklen_t socket_address(const struct net_address *address, int port, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (address->family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        v6->sin6_addr = address->v6;
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    v4->sin_addr = address->v4;
    return sizeof *v4;
}

int wire_echo(const struct net_address *address, const char *device, uint64_t nonce)
{
    const bool v6 = address->family == AF_INET6;
    unsigned char bytes[ECHO_SIZE];
    struct sockaddr_storage to;
    const socklen_t size = socket_address(address, 0, &to);
    const int fd = open_socket(address->family, SOCK_RAW, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, device);

    if (fd < 0)
        return fd;
    echo_request(v6, nonce, bytes);
    /* Connected, it hears its gateway alone. */
    if (connect(fd, (struct sockaddr *)&to, size) < 0 || send(fd, bytes, sizeof bytes, 0) < 0) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int wire_echo_read(int fd, const struct net_address *address, uint64_t nonce)
{
    unsigned char bytes[256];

    for (int i = 0; i < 64; i++) {
        const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (echo_is_answer(address->family == AF_INET6, bytes, (size_t)n, nonce))
            return 1;
    }
    return 0;
}

int wire_connect(const struct net_address *address, int port, const char *device)
{
    struct sockaddr_storage to;
    const socklen_t size = socket_address(address, port, &to);
    const int fd = open_socket(address->family, SOCK_STREAM, 0, device);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, size) < 0 && errno != EINPROGRESS) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int wire_connected(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}
