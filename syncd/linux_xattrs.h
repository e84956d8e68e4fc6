/* xattrs: the extended attributes of an entry as they travel: user.* and the ACLs, sorted by name. What
 * belongs to the system or its security (security.*, trusted.*) does not. */
#pragma once
#include "proto/sync.h"

struct xattrs {
    uint8_t bytes[SYNC_XATTRS_MAX];
    size_t size;
};

/* Of the open file `fd`, or, if `fd` is negative, of `name` in `directory`. 0; -E2BIG: more than can travel;
 * or another negative errno. */
int xattrs_read(int fd, int directory, const char *name, struct xattrs *xattrs);
