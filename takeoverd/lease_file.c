#include "takeoverd/lease_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"

int lease_file_open(struct lease_file *file, const char *run_dir)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/takeoverd.lease", run_dir);
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = file->fd < 0 ? -errno : sys_boot_id(file->record.boot_id);
    if (r < 0)
        log_error("cannot open the record of the lease, %s: %s", path, strerror(-r));
    return r;
}

int64_t lease_file_recall(const struct lease_file *file, int64_t *epoch)
{
    char text[LEASE_LINE_SIZE + 1];
    struct lease_record before;
    ssize_t n = pread(file->fd, text, sizeof text, 0);

    if (n < 0 || lease_parse(text, (size_t)n, &before) < 0 ||
        !lease_stands(&before, file->record.boot_id, clock_now_ns()))
        return 0;
    *epoch = before.epoch;
    return before.lease_ns;
}

void lease_file_remember(struct lease_file *file, int64_t epoch, int64_t lease_ns)
{
    char line[LEASE_LINE_SIZE];

    if (file->record.lease_ns == lease_ns && file->record.epoch == epoch)
        return;
    file->record.lease_ns = lease_ns;
    file->record.epoch = epoch;
    lease_print(&file->record, line);
    if (pwrite(file->fd, line, sizeof line, 0) != sizeof line)
        log_debug("cannot write the record of the lease: %s", strerror(errno));
}
