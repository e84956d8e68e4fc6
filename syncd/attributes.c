#include "syncd/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LOOKUP_MAX = 1 << 16, LIST_MAX = 1 << 16 };

static bool look_up(const char *name, bool group, uint32_t *id)
{
    AUTO_FREE char *buffer = malloc(LOOKUP_MAX);
    struct passwd user, *found_user = NULL;
    struct group members, *found_group = NULL;

    if (!buffer)
        return false;
    if (group)
        getgrnam_r(name, &members, buffer, LOOKUP_MAX, &found_group);
    else
        getpwnam_r(name, &user, buffer, LOOKUP_MAX, &found_user);
    if (found_user)
        *id = found_user->pw_uid;
    if (found_group)
        *id = found_group->gr_gid;
    return found_user || found_group;
}

static uint32_t id_of(struct owners *owners, struct sync_bytes name, bool group, uint32_t number)
{
    char text[SYNC_OWNER_MAX + 1];

    if (name.size == 0 || name.size > SYNC_OWNER_MAX)
        return number;
    memcpy(text, name.at, name.size);
    text[name.size] = '\0';
    for (size_t i = 0; i < OWNERS_KNOWN; i++)
        if (owners->entries[i].group == group && strcmp(owners->entries[i].name, text) == 0)
            return owners->entries[i].known ? owners->entries[i].id : number;
    const size_t slot = owners->next++ % OWNERS_KNOWN;
    text_copy(owners->entries[slot].name, sizeof text, text);
    owners->entries[slot].group = group;
    owners->entries[slot].known = look_up(text, group, &owners->entries[slot].id);
    return owners->entries[slot].known ? owners->entries[slot].id : number;
}

struct attributes attributes_of(struct owners *owners, const struct sync_meta *meta, bool privileged)
{
    return (struct attributes){
        .uid = id_of(owners, meta->owner, false, meta->uid),
        .gid = id_of(owners, meta->group, true, meta->gid),
        .mode = (uint16_t)(meta->mode & (privileged ? 07777 : 01777)),
        .mtime_ns = meta->mtime_ns,
        .xattrs = meta->xattrs,
    };
}

static bool travels(const char *name, bool privileged)
{
    return privileged || strncmp(name, "security.", strlen("security.")) != 0;
}

static bool is_wanted(struct sync_bytes xattrs, const char *wanted)
{
    struct sync_bytes name, value;

    while (sync_xattr_next(&xattrs, &name, &value) > 0)
        if (name.size == strlen(wanted) && memcmp(name.at, wanted, name.size) == 0)
            return true;
    return false;
}

static int remove_others(int fd, struct sync_bytes xattrs, bool privileged)
{
    AUTO_FREE char *list = malloc(LIST_MAX);
    const ssize_t size = list ? flistxattr(fd, list, LIST_MAX) : -1;

    if (size < 0)
        return !list ? -ENOMEM : errno == ENOTSUP ? 0 : -errno;
    for (const char *name = list; name < list + size; name += strlen(name) + 1)
        if (travels(name, privileged) && !is_wanted(xattrs, name) && fremovexattr(fd, name) < 0 &&
            errno != ENODATA && errno != ENOTSUP && errno != EPERM)
            return -errno;
    return 0;
}

static int put_xattrs(int fd, struct sync_bytes xattrs, bool fresh, bool privileged)
{
    struct sync_bytes name, value;
    char text[SYNC_NAME_MAX + 1];
    int r = fresh ? 0 : remove_others(fd, xattrs, privileged);

    while (r == 0 && sync_xattr_next(&xattrs, &name, &value) > 0) {
        memcpy(text, name.at, name.size);
        text[name.size] = '\0';
        if (travels(text, privileged) && fsetxattr(fd, text, value.at, value.size, 0) < 0 &&
            errno != ENOTSUP && errno != EPERM && errno != EINVAL)
            r = -errno;
    }
    return r;
}

static void times_of(int64_t mtime_ns, struct timespec times[2])
{
    int64_t seconds = mtime_ns / NS_PER_S, rest = mtime_ns % NS_PER_S;

    if (rest < 0) {
        rest += NS_PER_S;
        seconds--;
    }
    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)rest};
}

/* An ACL changes the mode and a new owner takes bits away: hence the order. */
int attributes_put(int fd, const struct attributes *attributes, bool fresh, bool privileged)
{
    const bool same_owner = fresh && attributes->uid == geteuid() && attributes->gid == getegid();
    struct timespec times[2];

    if (!same_owner && fchown(fd, attributes->uid, attributes->gid) < 0)
        return -errno;
    if (!fresh || attributes->xattrs.size > 0) {
        const int r = put_xattrs(fd, attributes->xattrs, fresh, privileged);
        if (r < 0)
            return r;
    }
    if (fchmod(fd, attributes->mode) < 0)
        return -errno;
    times_of(attributes->mtime_ns, times);
    return futimens(fd, times) < 0 ? -errno : 0;
}

int attributes_put_symlink(int directory, const char *name, const struct attributes *attributes)
{
    if (fchownat(directory, name, attributes->uid, attributes->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return attributes_set_time(directory, name, attributes->mtime_ns);
}

int attributes_set_time(int directory, const char *name, int64_t mtime_ns)
{
    struct timespec times[2];

    times_of(mtime_ns, times);
    return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static int append(int fd, const char *name, uint8_t *value, uint8_t bytes[SYNC_XATTRS_MAX], size_t *used)
{
    const ssize_t size = fgetxattr(fd, name, value, SYNC_XATTRS_MAX);
    const struct sync_bytes text = {(const uint8_t *)name, strlen(name)};

    if (size < 0)
        return errno == ENODATA || errno == E2BIG || errno == ERANGE ? 0 : -errno;
    const int r =
        sync_xattr_pack(text, (struct sync_bytes){value, (size_t)size}, bytes, SYNC_XATTRS_MAX, used);
    return r == -ENOBUFS ? 0 : r;
}

int attributes_read_xattrs(int fd, uint8_t bytes[SYNC_XATTRS_MAX], size_t *used, bool privileged)
{
    AUTO_FREE char *list = malloc(LIST_MAX);
    AUTO_FREE uint8_t *value = malloc(SYNC_XATTRS_MAX);
    AUTO_FREE const char **names = malloc(LIST_MAX / 2 * sizeof *names);
    size_t count = 0;
    int r = 0;

    *used = 0;
    const ssize_t size = list && value && names ? flistxattr(fd, list, LIST_MAX) : -1;
    if (size < 0)
        return !list || !value || !names ? -ENOMEM : errno == ENOTSUP ? 0 : -errno;
    for (const char *name = list; name < list + size; name += strlen(name) + 1)
        if (travels(name, privileged))
            names[count++] = name;
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count && r == 0; i++)
        r = append(fd, names[i], value, bytes, used);
    return r;
}
