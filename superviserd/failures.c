#include "superviserd/failures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/saver.h"

struct failures {
    const struct config *config;
    bool failed[CONFIG_SERVICES_MAX]; /* in the order of the configuration */
    char path[PATH_MAX];
    struct saver *saver;
};

static int index_of(const struct failures *failures, const char *service)
{
    for (size_t i = 0; i < failures->config->service_count; i++)
        if (strcmp(failures->config->services[i].name, service) == 0)
            return (int)i;
    return -1;
}

static void parse(struct failures *failures, const char *text)
{
    char hash[17], name[CONFIG_NAME_MAX];
    int n = 0;

    if (sscanf(text, "config %16s\n%n", hash, &n) != 1 || strcmp(hash, failures->config->hash) != 0)
        return; /* another configuration is a new chance */
    for (text += n; sscanf(text, "failed %31s\n%n", name, &n) == 1; text += n) {
        const int i = index_of(failures, name);
        if (i >= 0)
            failures->failed[i] = true;
    }
}

static void save(struct failures *failures)
{
    char text[STATEFILE_MAX];
    size_t used = (size_t)snprintf(text, sizeof text, "config %s\n", failures->config->hash);

    for (size_t i = 0; i < failures->config->service_count; i++)
        if (failures->failed[i])
            used += (size_t)snprintf(text + used, sizeof text - used, "failed %s\n",
                                     failures->config->services[i].name);
    saver_put(failures->saver, text);
}

int failures_open(const struct daemon *daemon, struct failures **failures)
{
    char text[STATEFILE_MAX];
    struct failures *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->config = daemon->config;
    snprintf(made->path, sizeof made->path, "%s/failures", daemon->state_dir);
    int r = statefile_read(made->path, text);
    if (r == 0)
        parse(made, text);
    else if (r != -ENOENT)
        log_warning("cannot read %s: %s; services that had failed count as sound", made->path, strerror(-r));
    r = saver_open(made->path,
                   "failed services would count as sound after a restart; free the disk, or mend it",
                   &made->saver);
    if (r < 0)
        free(made);
    else
        *failures = made;
    return r;
}

bool failures_had(const struct failures *failures, const char *service)
{
    const int i = index_of(failures, service);

    return i >= 0 && failures->failed[i];
}

void failures_note(struct failures *failures, const char *service, bool failed)
{
    const int i = index_of(failures, service);

    if (i < 0 || failures->failed[i] == failed)
        return;
    failures->failed[i] = failed;
    save(failures);
}

void failures_configure(struct failures *failures, const struct config *config)
{
    const struct failures before = *failures;
    bool any = false;

    failures->config = config;
    for (size_t i = 0; i < config->service_count; i++) {
        failures->failed[i] = failures_had(&before, config->services[i].name);
        any = any || failures->failed[i];
    }
    if (any)
        save(failures); /* under the new configuration's name, or the next run would not believe it */
}

void failures_close(struct failures *failures)
{
    if (failures)
        saver_close(failures->saver);
}
