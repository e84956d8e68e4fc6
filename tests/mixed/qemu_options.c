/* qemu-user knows no SO_TIMESTAMPNS, nor what packet sockets have of their own: "protocol not available".
 * Loaded into the programs for s390x (test_pair.py), this says yes to what it does not know. heartbeatd then
 * goes by the time at which it reads a frame, hears its own frames, which do not open, and the test lets the
 * adapters pass group addresses. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    const long r = syscall(SYS_setsockopt, fd, level, name, value, size);

    return r < 0 && errno == ENOPROTOOPT ? 0 : (int)r;
}
