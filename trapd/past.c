#include "trapd/past.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/blackbox_files.h"
#include "common/clock.h"

static bool is_of(const char *path, const char *boot_id, unsigned char **bytes, size_t *size,
                  uint32_t *number)
{
    struct blackbox_about about;

    if (blackbox_load(path, bytes, size) < 0)
        return false;
    if (blackbox_read_about(*bytes, *size, &about) == 0 && strcmp(about.boot_id, boot_id) == 0) {
        *number = about.number;
        return true;
    }
    free(*bytes);
    *bytes = NULL;
    return false;
}

bool past_is_closed(const char *directory, const char *boot_id)
{
    unsigned char *bytes = NULL;
    size_t size;
    uint32_t number;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%.4000s/%s", directory, BLACKBOX_FILE);
    const bool closed = is_of(path, boot_id, &bytes, &size, &number);
    free(bytes);
    return closed;
}

/* superviserd may not have begun a new box yet: then the old one still has the first name. */
static bool find_box(const char *directory, const char *boot_id, unsigned char **bytes, size_t *size,
                     uint32_t *number)
{
    struct blackbox_file files[BLACKBOX_FILES_MAX];
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%.4000s/%s", directory, BLACKBOX_FILE);
    bool found = is_of(path, boot_id, bytes, size, number);
    const int count = found ? 0 : blackbox_list(directory, files);
    for (int i = 0; i < count && !found; i++) {
        snprintf(path, sizeof path, "%.4000s/%.64s", directory, files[i].name);
        found = is_of(path, boot_id, bytes, size, number);
    }
    return found;
}

static bool kernel_left_something(const char *directory, uint32_t number)
{
    char path[PATH_MAX], begin[16];

    snprintf(path, sizeof path, "%.4000s/%s", directory, BLACKBOX_PSTORE);
    snprintf(begin, sizeof begin, "%06u-", number);
    DIR *listing = opendir(path);
    bool found = false;
    for (struct dirent *entry; listing && !found && (entry = readdir(listing)) != NULL;)
        found = strncmp(entry->d_name, begin, strlen(begin)) == 0;
    if (listing)
        closedir(listing);
    return found;
}

static const struct blackbox_record *last_change(const struct blackbox_reading *reading)
{
    for (size_t i = reading->count; i > 0; i--)
        if (reading->records[i - 1].kind == BLACKBOX_CHANGE)
            return &reading->records[i - 1];
    return NULL;
}

static void tell(const struct blackbox_reading *reading, bool kernel, char *text, size_t size)
{
    const struct blackbox_record *last = last_change(reading);
    const int64_t end_ns = reading->about.begun_wall_ns + reading->mark.alive_ns - reading->about.begun_ns;
    const time_t seconds = (time_t)(end_ns / NS_PER_S);
    char when[32];
    struct tm parts;

    gmtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    snprintf(text, size, "recorded until %s; the last change was of %.*s%s", when,
             last ? (int)last->topic_size : 7, last ? last->topic : "nothing",
             kernel ? "; the kernel has left a record" : "");
}

void past_describe(const char *directory, const char *boot_id, char *text, size_t size)
{
    struct blackbox_reading reading = {0};
    unsigned char *bytes = NULL;
    size_t box_size;
    uint32_t number;

    text[0] = '\0';
    if (!find_box(directory, boot_id, &bytes, &box_size, &number))
        return;
    if (blackbox_read(bytes, box_size, &reading) == 0)
        tell(&reading, kernel_left_something(directory, number), text, size);
    blackbox_forget(&reading);
    free(bytes);
}
