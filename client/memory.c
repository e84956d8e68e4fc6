#include "client/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

struct memory {
    const struct client_config *config;
    struct saver *saver;
    char chosen_file[PATH_MAX], up_file[PATH_MAX];
    int chosen;
    uint32_t up;
};

/* A state file of lines "profile NAME". The profiles of it that are configured, as bits. */
static uint32_t read_profiles(const struct client_config *config, const char *file)
{
    static const char word[] = "profile ";
    char text[STATEFILE_MAX], *rest = text;
    uint32_t profiles = 0;
    const int r = statefile_read(file, text);

    if (r < 0 && r != -ENOENT)
        log_warning("%s cannot be read: %s; it counts as empty", file, strerror(-r));
    if (r < 0)
        return 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        const int profile = client_profile_find(config, line + strlen(word));
        if (profile < 0)
            log_warning("%s names the profile \"%s\", which is no longer configured", file,
                        line + strlen(word));
        else
            profiles |= UINT32_C(1) << profile;
    }
    return profiles;
}

static void print_profiles(const struct client_config *config, uint32_t profiles,
                           char text[static STATEFILE_MAX])
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < config->rules.profile_count; i++)
        if (profiles & UINT32_C(1) << i)
            used +=
                (size_t)snprintf(text + used, STATEFILE_MAX - used, "profile %s\n", config->profiles[i].name);
}

int memory_open(const char *state_dir, const char *run_dir, const struct client_config *config,
                struct memory **result)
{
    struct memory *memory = *result = calloc(1, sizeof *memory);

    if (!memory)
        return -ENOMEM;
    memory->config = config;
    snprintf(memory->chosen_file, sizeof memory->chosen_file, "%s/chosen", state_dir);
    snprintf(memory->up_file, sizeof memory->up_file, "%s/roamd.up", run_dir);
    memory->up = read_profiles(config, memory->up_file);
    memory->chosen = ffs((int)read_profiles(config, memory->chosen_file)) - 1;
    return saver_open(memory->chosen_file,
                      "the chosen profile will not be the default after a restart; free the disk, or mend it",
                      &memory->saver);
}

void memory_close(struct memory *memory)
{
    if (!memory)
        return;
    saver_close(memory->saver);
    free(memory);
}

int memory_chosen(const struct memory *memory)
{
    return memory->chosen;
}

void memory_choose(struct memory *memory, int profile)
{
    char text[STATEFILE_MAX];

    if (profile == memory->chosen)
        return;
    memory->chosen = profile;
    print_profiles(memory->config, UINT32_C(1) << profile, text);
    saver_put(memory->saver, text);
}

uint32_t memory_left_up(const struct memory *memory)
{
    return memory->up;
}

void memory_note_up(struct memory *memory, uint32_t profiles)
{
    char text[STATEFILE_MAX];

    if (profiles == memory->up)
        return;
    memory->up = profiles;
    print_profiles(memory->config, profiles, text);
    const int r = statefile_write_quick(memory->up_file, text);
    if (r < 0)
        log_warning("%s cannot be written: %s", memory->up_file, strerror(-r));
}
