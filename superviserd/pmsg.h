/* pmsg: the decisions once more, as lines in the memory that a kernel's crash leaves alone (`/dev/pmsg0`,
 * where the kernel has it). After the next start they are among the records of pstore.
 *
 * That memory is small. So only decisions (sieve.h) and notes go there, one line each, at most PMSG_BURST at
 * once and then PMSG_RATE a second. */
#pragma once
#include "common/base.h"

enum { PMSG_LINE_MAX = 400, PMSG_BURST = 64, PMSG_RATE = 4 };

struct pmsg {
    int fd; /* -1: there is none */
    int64_t allowance_ns, allowed_ns;
    uint64_t held_back;
};

/* `path` NULL: none. That the kernel has no such device is no error, and said in the log once. */
void pmsg_open(struct pmsg *pmsg, const char *path);
void pmsg_close(struct pmsg *pmsg);

/* Writes "[  665.718181] text" (CLOCK_BOOTTIME) and a newline. Never blocks for long: it is memory. */
void pmsg_put(struct pmsg *pmsg, int64_t at_ns, const char *text);
