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

/* What superviserd takes to copy what the kernel left; and how long it is waited for at all. */
#define PAST_MOMENT_NS NS_PER_S
#define PAST_LIMIT_NS (15 * NS_PER_S)

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

static void name_box(const struct memory *memory, char path[static PATH_MAX])
{
    const char *slash = strrchr(memory->path, '/');

    snprintf(path, PATH_MAX, "%.*s/../superviserd", (int)(slash - memory->path), memory->path);
}

/* Whatever ended it, the black box is the witness. */
static void tell_restart(const struct memory *memory, struct watch *watch, int64_t now_ns)
{
    char text[EVENT_TEXT_MAX], box[PATH_MAX], known[128];

    name_box(memory, box);
    past_describe(box, memory->past_boot_id, known, sizeof known);
    if (memory->past_reason[0] != '\0')
        snprintf(text, sizeof text, "this node restarted itself: %.130s", memory->past_reason);
    else
        snprintf(text, sizeof text, "the machine started again without having been stopped%s%.125s",
                 known[0] ? "; " : "", known);
    watch_restarted(watch, text, now_ns);
}

bool memory_tell_past(struct memory *memory, struct watch *watch, int64_t now_ns)
{
    char box[PATH_MAX];

    if (!memory->past_untold)
        return false;
    name_box(memory, box);
    if (memory->past_known_ns == 0 && past_is_closed(box, memory->boot_id))
        memory->past_known_ns = now_ns;
    if (now_ns - memory->opened_ns < PAST_LIMIT_NS &&
        (memory->past_known_ns == 0 || now_ns - memory->past_known_ns < PAST_MOMENT_NS))
        return false;
    tell_restart(memory, watch, now_ns);
    memory->past_untold = false;
    return true;
}

static void take_past(struct memory *memory, struct watch *watch, const char *text)
{
    char boot_id[SYS_BOOT_ID_MAX];
    int clean = 0, used = 0;

    if (sscanf(text, "boot %36s clean %d\n%n", boot_id, &clean, &used) != 2 || used == 0 ||
        watch_parse(watch, text + used) < 0) {
        log_warning("%s does not fit: some notifications may come twice", memory->path);
        return;
    }
    if (strcmp(boot_id, memory->boot_id) == 0)
        return;
    text_copy(memory->past_boot_id, sizeof memory->past_boot_id, boot_id);
    text_copy(memory->past_reason, sizeof memory->past_reason, watch->reboot_reason);
    *watch = (struct watch){0};
    memory->past_untold = !clean || memory->past_reason[0] != '\0';
}

int memory_open(const char *directory, const char *cluster, const char *node, struct memory *memory,
                struct watch *watch)
{
    char text[STATEFILE_MAX];
    int r = sys_boot_id(memory->boot_id);

    memory->opened_ns = clock_now_ns();
    memory_engine_id(cluster, node, &memory->engine_id);
    snprintf(memory->path, sizeof memory->path, "%.4000s/told", directory);
    if (r == 0)
        r = count_start(directory, memory);
    if (r < 0)
        return r;
    const int told = statefile_read(memory->path, text);
    if (told == 0)
        take_past(memory, watch, text);
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

    if (memory->past_untold)
        return 0;
    print(memory, watch, clean, text);
    return clean ? statefile_write(memory->path, text) : statefile_write_quick(memory->path, text);
}
