/* memory: what this node has told, over the end of this process and of the machine; and who it is to SNMPv3:
 * an engine id that stays, and how often it has started (RFC 3414, 2.2). */
#pragma once
#include <limits.h>

#include "common/sys.h"
#include "trapd/session.h"
#include "trapd/watch.h"

struct memory {
    char path[PATH_MAX];
    char boot_id[SYS_BOOT_ID_MAX];
    uint8_t engine_id[SESSION_ENGINE_ID_BYTES];
    uint32_t boots;
};

/* Reads what is in `directory`, and counts this start. Of an earlier boot nothing is believed, but how it
 * ended: if that was not by a clean stop, it becomes an event. 0 or a negative errno. */
int memory_open(const char *directory, struct memory *memory, struct watch *watch);
/* `clean`: the last word of a clean stop; waits for the disk. 0 or a negative errno. */
int memory_write(const struct memory *memory, const struct watch *watch, bool clean);
