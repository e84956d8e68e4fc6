#include "trapd/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"
#include "trapd/past.h"

enum { HEAD = 5, TEXT_MAX = 27, FORMAT_TEXT = 4, FORMAT_OCTETS = 5 };

void memory_engine_id(const char *cluster, const char *node, struct engine_id *engine_id)
{
    /* RFC 3411, 5, SnmpEngineID: the first bit, the enterprise (net-snmp's, 8072), the format. */
    static const uint8_t head[HEAD] = {0x80, 0x00, 0x1f, 0x88, FORMAT_TEXT};
    char text[256];
    const size_t size = (size_t)snprintf(text, sizeof text, "%.100s:%.100s", cluster, node);

    memcpy(engine_id->bytes, head, HEAD);
    if (size <= TEXT_MAX) {
        memcpy(engine_id->bytes + HEAD, text, size);
        engine_id->size = HEAD + size;
        return;
    }
    engine_id->bytes[HEAD - 1] = FORMAT_OCTETS;
    crypto_generichash(engine_id->bytes + HEAD, crypto_generichash_BYTES_MIN, (const uint8_t *)text, size,
                       NULL, 0);
    engine_id->size = HEAD + crypto_generichash_BYTES_MIN;
}

static int count_start(const char *directory, struct memory *memory)
{
    char path[PATH_MAX], text[STATEFILE_MAX];

    snprintf(path, sizeof path, "%.4000s/boots", directory);
    const int r = statefile_read(path, text);
    if (r < 0 || sscanf(text, "boots %" SCNu32, &memory->boots) != 1) {
        if (r != -ENOENT)
            log_warning(
                "%s is damaged: receivers of SNMPv3 traps may refuse this node's until they are restarted",
                path);
        memory->boots = 0;
    }
    memory->boots = memory->boots < INT32_MAX ? memory->boots + 1 : 1;
    snprintf(text, sizeof text, "boots %" PRIu32 "\n", memory->boots);
    return statefile_write(path, text);
}

/* Whatever ended it, the black box is the witness. */
static void tell_restart(struct watch *watch, const char *directory, const char *boot_id, const char *reason)
{
    char text[EVENT_TEXT_MAX], box[PATH_MAX], known[128];

    snprintf(box, sizeof box, "%.4000s/../superviserd", directory);
    past_describe(box, boot_id, known, sizeof known);
    if (reason[0] != '\0')
        snprintf(text, sizeof text, "this node restarted itself: %.130s", reason);
    else
        snprintf(text, sizeof text, "the machine started again without having been stopped%s%.125s",
                 known[0] ? "; " : "", known);
    watch_restarted(watch, text, clock_now_ns());
}

static void take_past(struct memory *memory, struct watch *watch, const char *directory, const char *text)
{
    char boot_id[SYS_BOOT_ID_MAX], reason[sizeof watch->reboot_reason];
    int clean = 0, used = 0;

    if (sscanf(text, "boot %36s clean %d\n%n", boot_id, &clean, &used) != 2 || used == 0 ||
        watch_parse(watch, text + used) < 0) {
        log_warning("%s does not fit: some notifications may come twice", memory->path);
        return;
    }
    if (strcmp(boot_id, memory->boot_id) == 0)
        return;
    text_copy(reason, sizeof reason, watch->reboot_reason);
    *watch = (struct watch){0};
    if (!clean || reason[0] != '\0')
        tell_restart(watch, directory, boot_id, reason);
}

int memory_open(const char *directory, const char *cluster, const char *node, struct memory *memory,
                struct watch *watch)
{
    char text[STATEFILE_MAX];
    int r = sys_boot_id(memory->boot_id);

    memory_engine_id(cluster, node, &memory->engine_id);
    snprintf(memory->path, sizeof memory->path, "%.4000s/told", directory);
    if (r == 0)
        r = count_start(directory, memory);
    if (r < 0)
        return r;
    const int told = statefile_read(memory->path, text);
    if (told == 0)
        take_past(memory, watch, directory, text);
    else if (told != -ENOENT)
        log_warning("%s cannot be read (%s): some notifications may come twice", memory->path,
                    strerror(-told));
    return 0;
}

static void print(const struct memory *memory, const struct watch *watch, bool clean,
                  char text[static STATEFILE_MAX])
{
    char told[WATCH_TEXT_MAX];

    watch_print(watch, told);
    snprintf(text, STATEFILE_MAX, "boot %s\nclean %d\n%s", memory->boot_id, clean, told);
}

int memory_begin(const struct memory *memory, const struct watch *watch)
{
    char text[STATEFILE_MAX];

    print(memory, watch, false, text);
    return statefile_write(memory->path, text);
}

int memory_write(const struct memory *memory, const struct watch *watch, bool clean)
{
    char text[STATEFILE_MAX];

    print(memory, watch, clean, text);
    return clean ? statefile_write(memory->path, text) : statefile_write_quick(memory->path, text);
}
