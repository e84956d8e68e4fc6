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
    struct engine_id engine_id;
    uint32_t boots;
    /* How an earlier boot ended, if that was not by a clean stop, until it becomes an event. */
    bool past_untold;
    char past_boot_id[SYS_BOOT_ID_MAX], past_reason[128];
    int64_t past_known_ns; /* since when superviserd has closed it; 0: it has not */
    int64_t opened_ns;
};

/* Reads what is in `directory`, and counts this start. Of an earlier boot nothing is believed, but how it
 * ended. 0 or a negative errno. */
int memory_open(const char *directory, const char *cluster, const char *node, struct memory *memory,
                struct watch *watch);
/* The same each time, so that a receiver can be set up before: "CLUSTER:NODE" as text, or, if that is more
 * than 27 bytes, a hash of it. */
void memory_engine_id(const char *cluster, const char *node, struct engine_id *engine_id);
/* The event, once superviserd had a moment to sort out what is left of that boot, or did not come for long;
 * true if it is one now. It is untold until then, also after another start. */
bool memory_tell_past(struct memory *memory, struct watch *watch, int64_t now_ns);
/* When the past has been told: this run is under way, and what ends without another word ended by itself.
 * Waits for the disk, since that may be soon. 0 or a negative errno. */
int memory_begin(const struct memory *memory, const struct watch *watch);
/* `clean`: the last word of a clean stop; waits for the disk. Nothing while the past is untold. 0 or a
 * negative errno. */
int memory_write(const struct memory *memory, const struct watch *watch, bool clean);
