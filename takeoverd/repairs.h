/* repairs: at most REPAIRS_MAX in ten seconds (one `ip address flush` tries ten times when an address comes
 * back): who fights over an address shall not do it at full speed for ever.
 * Pure. */
#pragma once
#include "common/base.h"

enum { REPAIRS_MAX = 200 };

struct repairs {
    int64_t at_ns[REPAIRS_MAX]; /* a ring */
    size_t next;
};

/* 0: one more may be made now, and is counted; else when it may. CLOCK_BOOTTIME in nanoseconds. */
int64_t repairs_allow(struct repairs *repairs, int64_t now_ns);
