#include <string.h>

#include "common/config_private.h"

/* What must hold for services and sync sets. */

static int service_index(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- kinds of service */

static void check_kind(struct reader *reader, const struct config_service *service)
{
    const int kinds = (service->command.count > 0) + (service->unit[0] != '\0') + (service->start.count > 0);
    const int marks = (service->pidfile[0] != '\0') + (service->process[0] != '\0');

    if (kinds != 1)
        config_refuse(reader, service->line,
                      "service \"%s\" has %s of command, unit and start; give exactly one, which tells how "
                      "it is started",
                      service->name, kinds == 0 ? "none" : "more than one");
    else if (service->start.count > 0 && marks != 1)
        config_refuse(
            reader, service->line,
            "service \"%s\" is started by start, so that %s; give exactly one of pidfile and process",
            service->name,
            marks == 0 ? "nothing tells which process it is" : "two keys tell which process it is");
    else if (service->start.count == 0 && marks > 0)
        config_refuse(reader, service->line,
                      "service \"%s\" has pidfile or process without start; they tell where the "
                      "daemon is that the start command left behind: add start, or remove them",
                      service->name);
    else if (service->start.count == 0 && service->stop.count > 0)
        config_refuse(reader, service->line,
                      "service \"%s\" has stop without start; a command is stopped by SIGTERM and a "
                      "unit by systemd: remove stop",
                      service->name);
}

static void check_unit(struct reader *reader, cfg_t *section, const struct config_service *service)
{
    if (service->unit[0] != '\0' && !strchr(service->unit, '.'))
        config_refuse(reader, config_value_of(section, "unit").line,
                      "unit \"%s\" has no type; write it in full, such as \"%.64s.service\"", service->unit,
                      service->unit);
    if (service->unit[0] != '\0' && (service->user[0] != '\0' || service->group[0] != '\0'))
        config_refuse(reader, service->line,
                      "service \"%s\" is a unit, whose user and group systemd sets; remove them "
                      "here",
                      service->name);
}

/* One process cannot be guarded twice: the one would start anew what the other has stopped. */
static void check_double(struct reader *reader, cfg_t *section, size_t index)
{
    const struct config_service *service = &reader->config->services[index];

    for (size_t i = 0; i < index; i++) {
        const struct config_service *other = &reader->config->services[i];
        const char *key = NULL;
        if (service->unit[0] != '\0' && strcmp(service->unit, other->unit) == 0)
            key = "unit";
        else if (service->pidfile[0] != '\0' && strcmp(service->pidfile, other->pidfile) == 0)
            key = "pidfile";
        else if (service->process[0] != '\0' && strcmp(service->process, other->process) == 0 &&
                 strcmp(service->user, other->user) == 0)
            key = "process";
        if (!key)
            continue;
        config_refuse(
            reader, config_value_of(section, key).line,
            "service \"%s\" has the same %s as service \"%s\" on line %d; each process is guarded by one "
            "service: keep one of them",
            service->name, key, other->name, other->line);
        return;
    }
}

/* ---- order of services */

static void check_exclusive(struct reader *reader, cfg_t *section, const struct config_service *service)
{
    if (service->exclusive && service->when == WHEN_ALWAYS)
        config_refuse(
            reader, config_value_of(section, "exclusive").line,
            "service \"%s\" cannot be exclusive with when = always, since it then runs on both nodes; "
            "set when = active, or remove exclusive",
            service->name);
}

static void check_after_names(struct reader *reader, cfg_t *section, const struct config_service *service)
{
    for (size_t i = 0; i < service->after.count; i++) {
        const int line = config_value_at(section, "after", i).line;
        const int other = service_index(reader->config, service->after.items[i]);
        if (other < 0)
            config_refuse(reader, line, "after names \"%s\", but there is no such service; correct it",
                          service->after.items[i]);
        else if (service->when == WHEN_ALWAYS && reader->config->services[other].when == WHEN_ACTIVE)
            config_refuse(reader, line,
                          "service \"%s\" (when = always) cannot wait for \"%s\" (when = active), which does "
                          "not run on the passive node; give both the same when",
                          service->name, service->after.items[i]);
    }
}

/* Takes away, again and again, services that wait for nobody left; what then remains waits in a circle, or
 * for one. */
static void check_cycle(struct reader *reader)
{
    const struct config *config = reader->config;
    bool startable[CONFIG_SERVICES_MAX] = {false};
    bool progress = true;

    while (progress) {
        progress = false;
        for (size_t i = 0; i < config->service_count; i++) {
            bool ready = !startable[i];
            for (size_t k = 0; ready && k < config->services[i].after.count; k++) {
                const int other = service_index(config, config->services[i].after.items[k]);
                ready = other < 0 || startable[other];
            }
            startable[i] |= ready;
            progress |= ready;
        }
    }
    for (size_t i = 0; i < config->service_count; i++) {
        if (startable[i])
            continue;
        cfg_t *section = cfg_getnsec(reader->tree, "service", (unsigned)i);
        config_refuse(reader, config_value_of(section, "after").line,
                      "service \"%s\" waits for itself by way of after; break the circle",
                      config->services[i].name);
        return;
    }
}

void config_check_services(struct reader *reader)
{
    const struct config *config = reader->config;

    for (size_t i = 0; i < config->service_count; i++) {
        cfg_t *section = cfg_getnsec(reader->tree, "service", (unsigned)i);
        check_kind(reader, &config->services[i]);
        check_unit(reader, section, &config->services[i]);
        check_exclusive(reader, section, &config->services[i]);
        check_double(reader, section, i);
        check_after_names(reader, section, &config->services[i]);
    }
    check_cycle(reader);
}

/* ---- sync sets */

/* `path` is `inside` itself, or a directory above it. */
static bool path_covers(const char *path, const char *inside)
{
    size_t length = strlen(path);

    while (length > 0 && path[length - 1] == '/')
        length--;
    return strncmp(path, inside, length) == 0 && (inside[length] == '\0' || inside[length] == '/');
}

static bool path_plain(const char *path)
{
    return path[0] == '/' && !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
           (strlen(path) < 2 || strcmp(path + strlen(path) - 2, "/.") != 0) &&
           (strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
}

static void check_path(struct reader *reader, const char *key, struct value path)
{
    const char *const kept[] = {"/etc/duet", "/var/lib/duet", "/run/duet", reader->config->key_file,
                                reader->config->old_key_file};

    if (!path_plain(path.text) || strlen(path.text) >= PATH_MAX) {
        config_refuse(reader, path.line,
                      "%s \"%s\" is not a plain absolute path; begin it with '/', without \"//\", \".\" "
                      "and \"..\" in it",
                      key, path.text);
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(kept); i++) {
        if (kept[i][0] != '\0' && (path_covers(path.text, kept[i]) || path_covers(kept[i], path.text))) {
            config_refuse(reader, path.line,
                          "%s \"%s\" would copy %s, which belongs to each node alone; name what you need "
                          "beside it",
                          key, path.text, kept[i]);
            return;
        }
    }
}

/* A path in two sets would be written by both. False: it is `other` itself, and so are all after it. */
static bool check_apart(struct reader *reader, const char *key, struct value path, struct value other)
{
    if (other.text == path.text)
        return false;
    if (!path_covers(other.text, path.text) && !path_covers(path.text, other.text))
        return true;
    config_refuse(reader, path.line, "%s \"%s\" overlaps \"%s\" (line %d); keep each file in one set", key,
                  path.text, other.text, other.line);
    return false;
}

/* Of what comes before it in the file, or in its own list. */
static void check_overlap(struct reader *reader, size_t index, const char *key, struct value path)
{
    for (size_t i = 0; i <= index; i++) {
        cfg_t *section = cfg_getnsec(reader->tree, "sync", (unsigned)i);
        const struct value sqlite = config_value_of(section, "sqlite");
        for (size_t k = 0; k < reader->config->syncs[i].paths.count; k++)
            if (!check_apart(reader, key, path, config_value_at(section, "path", k)))
                return;
        if (sqlite.text && !check_apart(reader, key, path, sqlite))
            return;
    }
}

static void check_sync_kind(struct reader *reader, cfg_t *section, const struct config_sync *sync)
{
    const int kinds = (sync->paths.count > 0) + (config_value_of(section, "sqlite").text != NULL) +
                      (sync->dump.count > 0 || sync->restore.count > 0);

    if (kinds != 1)
        config_refuse(reader, config_section_line(section),
                      "sync \"%s\" has %s of path, sqlite and dump; give exactly one, which tells what is "
                      "brought to the peer",
                      sync->name, kinds == 0 ? "none" : "more than one");
    else if (sync->dump.count == 0 && sync->restore.count > 0)
        config_refuse(reader, config_value_of(section, "restore").line,
                      "sync \"%s\" has restore without dump; add the command that writes the database to its "
                      "output",
                      sync->name);
    else if (sync->restore.count == 0 && sync->dump.count > 0)
        config_refuse(
            reader, config_value_of(section, "dump").line,
            "sync \"%s\" has dump without restore; add the command that reads the database from its "
            "input",
            sync->name);
}

static void check_sync(struct reader *reader, size_t index)
{
    const struct config_sync *sync = &reader->config->syncs[index];
    cfg_t *section = cfg_getnsec(reader->tree, "sync", (unsigned)index);
    const struct value sqlite = config_value_of(section, "sqlite");

    check_sync_kind(reader, section, sync);
    for (size_t i = 0; i < sync->paths.count; i++) {
        check_path(reader, "path", config_value_at(section, "path", i));
        check_overlap(reader, index, "path", config_value_at(section, "path", i));
    }
    if (sync->sqlite[0] != '\0') {
        check_path(reader, "sqlite", sqlite);
        check_overlap(reader, index, "sqlite", sqlite);
    }
    if (sync->paths.count == 0 && sync->exclude.count > 0)
        config_refuse(reader, config_value_of(section, "exclude").line,
                      "exclude has no meaning without path: a database is one file; remove it");
}

void config_check_syncs(struct reader *reader)
{
    const struct config *config = reader->config;

    for (size_t i = 0; i < config->sync_count; i++)
        check_sync(reader, i);
    if (config->sync_count > 0 && config->nodes[0].reserved.family == 0 &&
        config->nodes[1].reserved.family == 0)
        config_refuse(reader, config_section_line(cfg_getnsec(reader->tree, "sync", 0)),
                      "sync needs the reserved line; give both nodes a reserved-address");
}
