#include "cli/blackbox.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/blackbox_files.h"
#include "common/clock.h"
#include "common/sys.h"

/* One recording among those that are kept. */
struct choice {
    char path[PATH_MAX];
    bool exists;
    uint32_t number; /* 0: not known */
    bool present;    /* of this boot */
};

int blackbox_parse_boot(const char *text, unsigned *ago)
{
    char *end;

    errno = 0;
    const long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end || number > 0 || number < -99)
        return -EINVAL;
    *ago = (unsigned)-number;
    return 0;
}

/* ------------------------------------------------------------------ choosing */

/* What `blackbox` is: the recording of this boot, or of the latest one in which superviserd ran. */
static void look_at_latest(const char *directory, struct choice *latest)
{
    char boot_id[SYS_BOOT_ID_MAX];
    struct blackbox_about about;
    AUTO_FREE unsigned char *bytes = NULL;
    size_t size;

    *latest = (struct choice){0};
    snprintf(latest->path, sizeof latest->path, "%s/%s", directory, BLACKBOX_FILE);
    if (blackbox_load(latest->path, &bytes, &size) < 0)
        return;
    latest->exists = true;
    if (blackbox_read_about(bytes, size, &about) < 0)
        return;
    latest->number = about.number;
    latest->present = sys_boot_id(boot_id) == 0 && strcmp(about.boot_id, boot_id) == 0;
}

/* The recording of so many boots ago. What is not there can still have a number, by which crash records of
 * the kernel's are found. */
static void choose(const char *directory, unsigned ago, struct choice *choice)
{
    struct blackbox_file files[BLACKBOX_FILES_MAX];
    struct choice latest;

    look_at_latest(directory, &latest);
    const int count = MAX(blackbox_list(directory, files), 0);
    *choice = (struct choice){0};
    if (latest.exists && ago == (latest.present ? 0 : 1)) {
        *choice = latest;
        return;
    }
    if (ago == 0)
        return;
    const unsigned at = ago - (latest.exists && !latest.present ? 2 : 1);
    if (latest.present && latest.number > ago)
        choice->number = latest.number - ago;
    if ((int)at >= count)
        return;
    snprintf(choice->path, sizeof choice->path, "%s/%s", directory, files[at].name);
    choice->number = files[at].number;
    choice->exists = true;
}

/* ------------------------------------------------------------- crash records */

static int by_name(const void *one, const void *other)
{
    return strcmp(one, other);
}

/* Shows the crash records from the end of that boot. Returns how many. */
static size_t show_crashes(const struct paper *paper, const char *directory, uint32_t number, bool json)
{
    char path[PATH_MAX], file[PATH_MAX + BLACKBOX_NAME_MAX + 1], lead[16], names[64][BLACKBOX_NAME_MAX];
    size_t count = 0, shown = 0, size;

    snprintf(path, sizeof path, "%s/%s", directory, BLACKBOX_PSTORE);
    snprintf(lead, sizeof lead, "%06u-", number % 1000000);
    DIR *open_directory = opendir(path);
    if (!open_directory)
        return 0;
    for (struct dirent *entry; count < ARRAY_LENGTH(names) && (entry = readdir(open_directory));)
        if (strncmp(entry->d_name, lead, strlen(lead)) == 0)
            text_copy(names[count++], sizeof *names, entry->d_name);
    closedir(open_directory);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE unsigned char *bytes = NULL;
        snprintf(file, sizeof file, "%s/%.*s", path, BLACKBOX_NAME_MAX, names[i]);
        if (blackbox_load(file, &bytes, &size) < 0)
            continue;
        shown++;
        if (json)
            blackbox_print_crash_json(paper->out, names[i] + strlen(lead), bytes, size);
        else
            blackbox_print_crash(paper, names[i] + strlen(lead), bytes, size);
    }
    return shown;
}

/* ----------------------------------------------------------------- recording */

int64_t blackbox_end_ns(const struct blackbox_reading *reading)
{
    const int64_t last_ns = reading->count > 0 ? reading->records[reading->count - 1].at_ns : 0;

    return MAX(last_ns, reading->mark.alive_ns);
}

enum blackbox_end blackbox_end(const struct blackbox_reading *reading, int64_t now_ns)
{
    enum blackbox_end end = BLACKBOX_CUT;

    for (size_t i = 0; i < reading->count; i++)
        if (reading->records[i].kind == BLACKBOX_BEGIN || reading->records[i].kind == BLACKBOX_END)
            end = reading->records[i].kind == BLACKBOX_END ? BLACKBOX_ENDED : BLACKBOX_CUT;
    if (end == BLACKBOX_CUT && now_ns > 0 && blackbox_end_ns(reading) > now_ns - 5 * NS_PER_S)
        end = BLACKBOX_GOES_ON;
    return end;
}

static int show_recording(const struct invocation *invocation, const struct paper *paper,
                          const struct choice *choice, bool json)
{
    struct blackbox_reading reading;
    AUTO_FREE unsigned char *bytes = NULL;
    size_t size;
    int r = blackbox_load(choice->path, &bytes, &size);

    if (r == 0)
        r = blackbox_read(bytes, size, &reading);
    if (r < 0) {
        command_error(invocation, "%s cannot be read: %s", choice->path,
                      r == -EUCLEAN ? "there is no whole record in it" : strerror(-r));
        return r;
    }
    const enum blackbox_end end = blackbox_end(&reading, choice->present ? clock_now_ns() : 0);
    if (json)
        blackbox_print_json(paper->out, &reading, end);
    else
        blackbox_print(paper, &reading, end);
    blackbox_forget(&reading);
    return 0;
}

static int show(const struct invocation *invocation, unsigned ago, bool json)
{
    const struct paper paper = paper_stdout();
    struct choice choice;
    char directory[PATH_MAX - BLACKBOX_NAME_MAX];
    int r = -ENOENT;

    snprintf(directory, sizeof directory, "%s/superviserd", invocation->options.state_dir);
    choose(directory, ago, &choice);
    if (choice.exists)
        r = show_recording(invocation, &paper, &choice, json);
    const size_t crashes =
        ago > 0 && choice.number > 0 ? show_crashes(&paper, directory, choice.number, json) : 0;
    if (r < 0 && r != -ENOENT)
        return COMMAND_REFUSED;
    if (r < 0 && crashes == 0) {
        command_error(invocation,
                      "there is none of %s in %s; has superviserd run, and is this its --state-dir?",
                      ago == 0 ? "this boot" : "that boot", directory);
        return COMMAND_REFUSED;
    }
    return COMMAND_DONE;
}

int blackbox_command(struct invocation *invocation)
{
    const bool json = command_take_flag(invocation, "--json");
    const char *boot = NULL;
    unsigned ago = 0;

    if (command_take_value(invocation, "--boot", &boot) < 0 || !command_all_taken(invocation))
        return COMMAND_USAGE;
    if (boot && blackbox_parse_boot(boot, &ago) < 0) {
        command_error(
            invocation,
            "--boot takes 0 (this boot), -1 (the one before the last restart), -2 and so on, not \"%s\"",
            boot);
        return COMMAND_USAGE;
    }
    return show(invocation, ago, json);
}
