#include "common/config.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

/* ---- what is said */

enum { LINE_MAX_BYTES = 1024 };

PRINTF_LIKE(4, 0)
static void say(struct reader *reader, int line, const char *mark, const char *format, va_list arguments)
{
    char text[LINE_MAX_BYTES];

    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?'; /* what stands in the file must not move the terminal's cursor */
    if (reader->out)
        fprintf(reader->out, "%s:%d: %s%s\n", reader->file, line, mark, text);
}

void config_refuse(struct reader *reader, int line, const char *format, ...)
{
    va_list arguments;

    reader->errors++;
    va_start(arguments, format);
    say(reader, line, "", format, arguments);
    va_end(arguments);
}

void config_warn(struct reader *reader, int line, const char *format, ...)
{
    va_list arguments;

    reader->warnings++;
    va_start(arguments, format);
    say(reader, line, "warning: ", format, arguments);
    va_end(arguments);
}

/* ---- reading */

/* The first 64 bits of BLAKE2b, in hex. */
static void hash_text(const char *text, char hash[static 17])
{
    unsigned char digest[crypto_generichash_BYTES];

    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, strlen(text), NULL, 0);
    for (int i = 0; i < 8; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

/* `files`: also look at the files that the configuration names. */
static int read_into(struct reader *reader, const char *text, bool files, struct config **config)
{
    struct text_error error;

    *config = NULL;
    reader->config = calloc(1, sizeof *reader->config);
    char *prepared = config_text_prepare(text, &error);
    if (!prepared)
        config_refuse(reader, error.line, "%s", error.text);
    else if (!reader->config)
        config_refuse(reader, 1, "out of memory");
    else
        reader->tree = config_parse(reader, prepared);
    if (reader->tree) {
        text_copy(reader->config->file, sizeof reader->config->file, reader->file);
        hash_text(text, reader->config->hash);
        config_build(reader);
        if (files)
            config_check_key_files(reader);
        reader->config->warnings = reader->warnings;
        cfg_free(reader->tree);
    }
    free(prepared);
    free(reader->uses);
    if (reader->errors > 0) {
        config_free(reader->config);
        return -EINVAL;
    }
    *config = reader->config;
    return 0;
}

int config_read_text(const char *file, const char *text, const char *node, FILE *errors,
                     struct config **config)
{
    struct reader reader = {.file = file, .out = errors, .node = node};

    return read_into(&reader, text, false, config);
}

int config_read(const char *file, const char *node, FILE *errors, struct config **config)
{
    struct reader reader = {.file = file, .out = errors, .node = node};
    int error;
    char *text AUTO_FREE = config_file_text(&reader, &error);

    *config = NULL;
    return text ? read_into(&reader, text, true, config) : error;
}

static void channel_free(struct config_channel *channel)
{
    free(channel->active.items);
    free(channel->passive.items);
    free(channel->peer_passive.items);
    free(channel->routers.items);
}

static void service_free(struct config_service *service)
{
    struct config_strings *lists[] = {&service->command, &service->check, &service->start, &service->stop,
                                      &service->after};

    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        config_strings_free(lists[i]);
}

static void sync_free(struct config_sync *sync)
{
    struct config_strings *lists[] = {&sync->paths, &sync->exclude, &sync->validate,
                                      &sync->apply, &sync->dump,    &sync->restore};

    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        config_strings_free(lists[i]);
}

static void hook_free(struct config_hook *hook)
{
    config_strings_free(&hook->command);
}

bool config_has_monitor(const struct config *config)
{
    return config->monitor.listen[0] != '\0' || config->monitor.metrics[0] != '\0';
}

bool config_has_witness(const struct config *config)
{
    return config->witness.endpoints.count > 0;
}

int64_t config_hooks_ns(const struct config *config, enum hook_event event)
{
    int64_t sum_ns = 0;

    for (size_t i = 0; i < config->hook_count; i++)
        if (config->hooks[i].event == event)
            sum_ns += config->hooks[i].timeout;
    return sum_ns;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->channel_count; i++)
        channel_free(&config->channels[i]);
    for (size_t i = 0; i < config->service_count; i++)
        service_free(&config->services[i]);
    for (size_t i = 0; i < config->sync_count; i++)
        sync_free(&config->syncs[i]);
    for (size_t i = 0; i < config->hook_count; i++)
        hook_free(&config->hooks[i]);
    config_strings_free(&config->reboot_command);
    config_strings_free(&config->witness.endpoints);
    config_strings_free(&config->fence.command);
    free(config->routes);
    free(config->rules);
    free(config->services);
    free(config->syncs);
    free(config->hooks);
    free(config);
}
