#include "superviserd/pmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

void pmsg_open(struct pmsg *pmsg, const char *path)
{
    *pmsg = (struct pmsg){.fd = -1, .allowance_ns = PMSG_BURST * NS_PER_S / PMSG_RATE};
    if (!path)
        return;
    pmsg->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (pmsg->fd < 0 && errno == ENOENT)
        log_info("this kernel has no %s: the black box is on the disk alone", path);
    else if (pmsg->fd < 0)
        log_warning("cannot open %s: %s; the black box is on the disk alone", path, strerror(errno));
}

void pmsg_close(struct pmsg *pmsg)
{
    if (pmsg->fd >= 0)
        close(pmsg->fd);
    pmsg->fd = -1;
}

static bool spend(struct pmsg *pmsg, int64_t now_ns)
{
    const int64_t most = PMSG_BURST * NS_PER_S / PMSG_RATE, price = NS_PER_S / PMSG_RATE;

    if (pmsg->allowed_ns > 0)
        pmsg->allowance_ns = MIN(pmsg->allowance_ns + MAX(now_ns - pmsg->allowed_ns, 0), most);
    pmsg->allowed_ns = MAX(now_ns, pmsg->allowed_ns);
    if (pmsg->allowance_ns < price)
        return false;
    pmsg->allowance_ns -= price;
    return true;
}

void pmsg_put(struct pmsg *pmsg, int64_t at_ns, const char *text)
{
    char line[PMSG_LINE_MAX + 64];

    if (pmsg->fd < 0)
        return;
    if (!spend(pmsg, at_ns)) {
        pmsg->held_back++;
        return;
    }
    const int size = snprintf(line, sizeof line, "[%5" PRId64 ".%06" PRId64 "] duet: %.*s\n",
                              at_ns / NS_PER_S, at_ns % NS_PER_S / NS_PER_US, PMSG_LINE_MAX, text);
    if (write(pmsg->fd, line, (size_t)size) != size)
        pmsg->held_back++;
}
