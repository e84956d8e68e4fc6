#include "superviserd/kept.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

static const int64_t stranger_patience_ns = 10 * NS_PER_S;

static void name_files(struct kept *kept, const struct daemon *daemon, const char *suffix)
{
    snprintf(kept->record, sizeof kept->record, "%s/%s/service/%s.%s", daemon->run_dir, daemon->name,
             kept->name, suffix);
    snprintf(kept->output, sizeof kept->output, "%s/%s/service/%s.output", daemon->run_dir, daemon->name,
             kept->name);
}

int kept_open(struct kept *kept, const struct daemon *daemon, const char *name, const char *suffix,
              char *const *words, const char *user, const char *group)
{
    char directory[PATH_MAX];

    *kept = (struct kept){.name = name, .hash = service_record_hash(words, user, group)};
    name_files(kept, daemon, suffix);
    snprintf(directory, sizeof directory, "%s/%s/service", daemon->run_dir, daemon->name);
    const int r = make_directories(directory, 0700);
    return r == 0 ? sys_boot_id(kept->boot_id) : r;
}

int kept_note(const struct kept *kept, const struct memory_process *process)
{
    struct service_record record = {
        .pid = process->pid, .started_ticks = process->started_ticks, .command = kept->hash};
    char text[STATEFILE_MAX];

    text_copy(record.boot_id, sizeof record.boot_id, kept->boot_id);
    service_record_print(&record, text);
    const int r = statefile_write_quick(kept->record, text);
    if (r < 0)
        log_warning("service %s: cannot write %s: %s; should superviserd be killed, the next one does not "
                    "know of it",
                    kept->name, kept->record, strerror(-r));
    return r;
}

static int note(void *userdata, const struct memory_process *process)
{
    return kept_note(userdata, process);
}

struct process_keep kept_keep(struct kept *kept)
{
    return (struct process_keep){kept->output, kept->leaves, note, kept};
}

static int read_record(const struct kept *kept, struct service_record *record)
{
    char text[STATEFILE_MAX];
    int r = statefile_read(kept->record, text);

    if (r == 0)
        r = service_record_parse(text, record);
    if (r == -ENOENT || (r == 0 && strcmp(record->boot_id, kept->boot_id) != 0))
        r = -ESRCH; /* of another boot: a number without meaning */
    return r;
}

bool kept_names(const struct kept *kept, const struct memory_process *process)
{
    struct service_record record;

    return read_record(kept, &record) == 0 && record.pid == process->pid &&
           record.started_ticks == process->started_ticks;
}

int kept_adopt(const struct kept *kept, struct loop *loop, const struct process_handlers *handlers,
               struct process **process, bool *same)
{
    struct service_record record;
    int r = read_record(kept, &record);

    if (r == 0) {
        const struct memory_process found = {record.pid, record.started_ticks};
        *same = record.command == kept->hash;
        r = process_adopt(loop, &found, kept->output, kept->alone, kept->leaves, handlers, process);
    }
    if (r == 0)
        log_notice("service %s: process %d, which an earlier superviserd started, is adopted", kept->name,
                   record.pid);
    else if (r != -ESRCH)
        log_warning("service %s: cannot go on with what an earlier superviserd started (%s: %s); if it still "
                    "runs, end it by hand",
                    kept->name, kept->record, strerror(-r));
    return r;
}

void kept_forget(const struct kept *kept)
{
    if (unlink(kept->record) < 0 && errno != ENOENT)
        log_warning("cannot remove %s: %s", kept->record,
                    strerror(errno)); /* harmless: its process is gone */
}

/* ------------------------------------------------------------------ strangers */

struct stranger {
    struct stranger *next;
    struct kept kept;
    char name[CONFIG_NAME_MAX];
    struct process *process;
    struct loop_source *timer;
};

static struct {
    struct stranger *first;
    void (*gone)(void *userdata, const char *service);
    void *userdata;
} strangers;

static void drop(struct stranger *stranger)
{
    struct stranger **at = &strangers.first;

    while (*at && *at != stranger)
        at = &(*at)->next;
    if (*at)
        *at = stranger->next;
    kept_forget(&stranger->kept);
    loop_remove(stranger->timer);
    free(stranger);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct stranger *stranger = userdata;
    char name[CONFIG_NAME_MAX];

    (void)end;
    text_copy(name, sizeof name, stranger->name);
    log_notice("service %s, which is not configured any more, has ended", name);
    drop(stranger);
    strangers.gone(strangers.userdata, name);
}

static void on_output(void *userdata, const char *line)
{
    const struct stranger *stranger = userdata;

    log_info("%s: %s", stranger->name, line);
}

static void on_patience_over(void *userdata, int64_t now_ns)
{
    const struct stranger *stranger = userdata;

    (void)now_ns;
    process_kill(stranger->process);
}

static void end_stranger(const struct daemon *daemon, const char *name, const char *suffix)
{
    struct stranger *stranger = calloc(1, sizeof *stranger);
    const struct process_handlers handlers = {.ended = on_ended, .output = on_output, .userdata = stranger};
    char *none = NULL;
    bool same;

    if (!stranger)
        return;
    text_copy(stranger->name, sizeof stranger->name, name);
    int r = kept_open(&stranger->kept, daemon, stranger->name, suffix, &none, "", "");
    stranger->kept.alone = strcmp(suffix, "main") == 0;
    stranger->kept.leaves = strcmp(suffix, "record") != 0;
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_patience_over, stranger, &stranger->timer);
    if (r == 0)
        r = kept_adopt(&stranger->kept, daemon->loop, &handlers, &stranger->process, &same);
    if (r < 0) {
        drop(stranger);
        return;
    }
    log_warning(
        "service %s still runs, but is not configured any more, or in another way: what ran of it is told "
        "to end",
        name);
    stranger->next = strangers.first;
    strangers.first = stranger;
    process_terminate(stranger->process);
    loop_set_timer(stranger->timer, clock_now_ns() + stranger_patience_ns);
}

static bool is_configured(const struct config *config, const char *name, const char *suffix)
{
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        if (strcmp(service->name, name) == 0)
            return (strcmp(suffix, "record") == 0 ? service->command.count : service->start.count) > 0;
    }
    return false;
}

/* Of "NAME.SUFFIX", a note's. False: it is something else. */
static bool split(const char *file, char name[static CONFIG_NAME_MAX], const char **suffix)
{
    static const char *const suffixes[] = {"record", "start", "main"};
    const char *dot = strrchr(file, '.');

    if (!dot || dot == file || dot - file >= CONFIG_NAME_MAX)
        return false;
    snprintf(name, CONFIG_NAME_MAX, "%.*s", (int)(dot - file), file);
    for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++)
        if (strcmp(dot + 1, suffixes[i]) == 0) {
            *suffix = suffixes[i];
            return true;
        }
    return false;
}

void kept_end_strangers(const struct daemon *daemon, void (*gone)(void *userdata, const char *service),
                        void *userdata)
{
    char path[PATH_MAX], name[CONFIG_NAME_MAX];
    const struct dirent *entry;
    const char *suffix;

    strangers.gone = gone;
    strangers.userdata = userdata;
    snprintf(path, sizeof path, "%s/%s/service", daemon->run_dir, daemon->name);
    DIR *directory = opendir(path);
    while (directory && (entry = readdir(directory)) != NULL)
        if (split(entry->d_name, name, &suffix) && !is_configured(daemon->config, name, suffix))
            end_stranger(daemon, name, suffix);
    if (directory)
        closedir(directory);
}

bool kept_is_in_the_way(const char *service)
{
    for (const struct stranger *stranger = strangers.first; stranger; stranger = stranger->next)
        if (strcmp(stranger->name, service) == 0)
            return true;
    return false;
}
