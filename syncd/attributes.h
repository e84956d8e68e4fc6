/* attributes: what an entry has beside its content: owner, mode, extended attributes (ACLs among them), time
 * of its last change; how a SYNC meta becomes that on this node. */
#pragma once
#include <sys/types.h>

#include "common/base.h"
#include "proto/sync.h"

/* Names that were looked up lately: a generation has few different owners. */
enum { OWNERS_KNOWN = 32 };
struct owners {
    struct {
        char name[SYNC_OWNER_MAX + 1];
        bool group, known;
        uint32_t id;
    } entries[OWNERS_KNOWN];
    size_t next;
};

struct attributes {
    uid_t uid;
    gid_t gid;
    uint16_t mode;
    int64_t mtime_ns;
    struct sync_bytes xattrs;
};

/* The owner by name; by number where this node does not know the name. Setuid and setgid bits and
 * security.* are left out unless `privileged`. */
struct attributes attributes_of(struct owners *owners, const struct sync_meta *meta, bool privileged);

/* Gives them to an open file or directory; `fresh`: it was just made by this process, with mode 0600 (0700 a
 * directory) and without attributes. Attributes that this file system does not have are left out. 0 or a
 * negative errno. */
int attributes_put(int fd, const struct attributes *attributes, bool fresh, bool privileged);
/* The same for a symlink. */
int attributes_put_symlink(int directory, const char *name, const struct attributes *attributes);

int attributes_set_time(int directory, const char *name, int64_t mtime_ns);

/* Appends the extended attributes as sync_meta has them; those that would not fit together are left out. */
int attributes_read_xattrs(int fd, uint8_t bytes[SYNC_XATTRS_MAX], size_t *used, bool privileged);
