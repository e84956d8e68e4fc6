#include "syncd/linux_xattrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "common/base.h"

enum { NAMES_MAX = 1024 };

/* Where to ask: a descriptor, or a path through the directory's that follows no link at its end. */
struct subject {
    int fd;
    char path[32 + SYNC_NAME_MAX + 1];
};

static ssize_t list(const struct subject *subject, char *names, size_t size)
{
    const ssize_t r =
        subject->fd >= 0 ? flistxattr(subject->fd, names, size) : llistxattr(subject->path, names, size);

    return r < 0 ? -errno : r;
}

static ssize_t value_of(const struct subject *subject, const char *name, void *value, size_t size)
{
    const ssize_t r = subject->fd >= 0 ? fgetxattr(subject->fd, name, value, size)
                                       : lgetxattr(subject->path, name, value, size);

    return r < 0 ? -errno : r;
}

static bool travels(const char *name, bool privileged)
{
    return strncmp(name, "user.", 5) == 0 || (privileged && strncmp(name, "security.", 9) == 0) ||
           strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static int by_name(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

static int append(const struct subject *subject, const char *name, struct xattrs *xattrs)
{
    uint8_t value[SYNC_XATTRS_MAX];
    const ssize_t size = value_of(subject, name, value, sizeof value);

    if (size == -ENODATA)
        return 0;
    if (size < 0)
        return size == -ERANGE ? -E2BIG : (int)size;
    const struct sync_bytes name_bytes = {.at = (const uint8_t *)name, .size = strlen(name)};
    const struct sync_bytes value_bytes = {.at = value, .size = (size_t)size};
    const int r =
        sync_xattr_pack(name_bytes, value_bytes, xattrs->bytes, sizeof xattrs->bytes, &xattrs->size);
    return r == -ENOBUFS ? -E2BIG : r;
}

int xattrs_read(int fd, int directory, const char *name, bool privileged, struct xattrs *xattrs)
{
    struct subject subject = {.fd = fd};
    char names[SYNC_XATTRS_MAX];
    const char *sorted[NAMES_MAX];
    size_t count = 0;

    xattrs->size = 0;
    if (fd < 0)
        snprintf(subject.path, sizeof subject.path, "/proc/self/fd/%d/%s", directory, name);
    const ssize_t size = list(&subject, names, sizeof names);
    if (size == -ENOTSUP)
        return 0;
    if (size < 0)
        return size == -ERANGE ? -E2BIG : (int)size;
    for (const char *at = names; at < names + size; at += strlen(at) + 1) {
        if (travels(at, privileged) && count == NAMES_MAX)
            return -E2BIG;
        if (travels(at, privileged))
            sorted[count++] = at;
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        const int r = append(&subject, sorted[i], xattrs);
        if (r < 0)
            return r;
    }
    return 0;
}
