#include "trapd/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"

/* RFC 3411, 5, SnmpEngineID: bit 1, the enterprise (net-snmp's, 8072), format 5 (octets). */
static const uint8_t engine_head[5] = {0x80, 0x00, 0x1f, 0x88, 0x05};

static void make_engine_id(struct memory *memory)
{
    memcpy(memory->engine_id, engine_head, sizeof engine_head);
    randombytes_buf(memory->engine_id + sizeof engine_head, sizeof memory->engine_id - sizeof engine_head);
}

static int open_engine(const char *directory, struct memory *memory)
{
    char path[PATH_MAX], text[STATEFILE_MAX], id[2 * SESSION_ENGINE_ID_BYTES + 1];
    size_t size = 0;

    snprintf(path, sizeof path, "%.4000s/engine", directory);
    const int r = statefile_read(path, text);
    if (r < 0 || sscanf(text, "engine %34s boots %" SCNu32, id, &memory->boots) != 2 ||
        sodium_hex2bin(memory->engine_id, sizeof memory->engine_id, id, strlen(id), NULL, &size, NULL) != 0 ||
        size != sizeof memory->engine_id) {
        if (r != -ENOENT)
            log_warning("%s is damaged: this node has another SNMPv3 engine id from now on", path);
        make_engine_id(memory);
        memory->boots = 0;
    }
    memory->boots = memory->boots < INT32_MAX ? memory->boots + 1 : 1;
    sodium_bin2hex(id, sizeof id, memory->engine_id, sizeof memory->engine_id);
    snprintf(text, sizeof text, "engine %s\nboots %" PRIu32 "\n", id, memory->boots);
    return statefile_write(path, text);
}

static void tell_restart(struct watch *watch, const char *reason)
{
    char text[EVENT_TEXT_MAX];

    if (reason[0] != '\0')
        snprintf(text, sizeof text, "this node restarted itself: %.140s", reason);
    else
        snprintf(text, sizeof text,
                 "this machine has started again without having been stopped: its watchdog, its power or its "
                 "kernel; see `duet blackbox --boot -1`");
    watch_restarted(watch, text, clock_now_ns());
}

static void take_past(struct memory *memory, struct watch *watch, const char *text)
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
        tell_restart(watch, reason);
}

int memory_open(const char *directory, struct memory *memory, struct watch *watch)
{
    char text[STATEFILE_MAX];
    int r = sys_boot_id(memory->boot_id);

    snprintf(memory->path, sizeof memory->path, "%.4000s/told", directory);
    if (r == 0)
        r = open_engine(directory, memory);
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

int memory_write(const struct memory *memory, const struct watch *watch, bool clean)
{
    char text[STATEFILE_MAX], told[WATCH_TEXT_MAX];

    watch_print(watch, told);
    snprintf(text, sizeof text, "boot %s\nclean %d\n%s", memory->boot_id, clean, told);
    return clean ? statefile_write(memory->path, text) : statefile_write_quick(memory->path, text);
}
