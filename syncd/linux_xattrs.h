/* xattrs: the extended attributes of an entry as they travel: user.* and the ACLs, `privileged` security.* as
 * well, sorted by name. */
#pragma once
#include "proto/sync.h"

struct xattrs {
    uint8_t bytes[SYNC_XATTRS_MAX];
    size_t size;
};

/* Of the open file `fd`, or, if `fd` is negative, of `name` in `directory`. 0; -E2BIG: more than can travel;
 * or another negative errno. */
int xattrs_read(int fd, int directory, const char *name, bool privileged, struct xattrs *xattrs);
