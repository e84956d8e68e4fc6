#include "common/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "common/log.h"

/* The first of the lines, which is FILE:LINE: what is wrong. */
static void first_line(const char *lines, char *text, size_t size)
{
    text_copy(text, size, lines);
    text[strcspn(text, "\n")] = '\0';
}

static void drop_staged(struct daemon *daemon)
{
    config_free(daemon->staged);
    daemon->staged = NULL;
}

/* Reads the file into daemon->staged. False with the reason. */
static bool stage(struct daemon *daemon, char *text, size_t size)
{
    char *lines = NULL;
    size_t lines_size = 0;

    drop_staged(daemon);
    FILE *errors = open_memstream(&lines, &lines_size);
    if (!errors) {
        snprintf(text, size, "out of memory");
        return false;
    }
    const int r = config_read(daemon->config_file, daemon->node, errors, &daemon->staged);
    fclose(errors);
    if (r < 0)
        first_line(lines, text, size);
    free(lines);
    return r == 0;
}

static bool can_apply(struct daemon *daemon, char *text, size_t size)
{
    char why[CONFIG_REFUSAL_MAX];

    if (!config_can_reload(daemon->config, daemon->staged, why)) {
        text_copy(text, size, why);
        return false;
    }
    return !daemon->reload.check || daemon->reload.check(daemon->reload.userdata, daemon->staged, text, size);
}

/* daemon->staged is what is meant, and can be applied; else says why not. */
static bool prepare(struct daemon *daemon, const char *hash, char *text, size_t size)
{
    const bool known = daemon->staged && hash[0] && strcmp(daemon->staged->hash, hash) == 0;

    if (!known && !stage(daemon, text, size))
        return false;
    if (hash[0] && strcmp(daemon->staged->hash, hash) != 0) {
        snprintf(text, size,
                 "%.120s has another text than the one that was checked: it was written to meanwhile, "
                 "or this daemon reads another file; try again",
                 daemon->config_file);
        return false;
    }
    return can_apply(daemon, text, size);
}

/* What was current moves to the earlier ones, and what was staged becomes current. */
static bool exchange(struct daemon *daemon)
{
    struct config **more = realloc(daemon->earlier, (daemon->earlier_count + 1) * sizeof *more);

    if (!more)
        return false;
    daemon->earlier = more;
    daemon->earlier[daemon->earlier_count++] = daemon->config;
    daemon->config = daemon->staged;
    daemon->staged = NULL;
    return true;
}

static void apply(struct daemon *daemon, struct reply_message *reply)
{
    const int64_t began_ns = clock_now_ns();

    if (!exchange(daemon)) {
        snprintf(reply->error, sizeof reply->error, "out of memory");
        return;
    }
    const struct config *before = daemon->earlier[daemon->earlier_count - 1];
    char text[sizeof reply->text] = "";
    const int r =
        daemon->reload.apply ? daemon->reload.apply(daemon->reload.userdata, before, text, sizeof text) : 0;
    reply->ok = r == 0;
    if (text[0] == '\0')
        snprintf(text, sizeof text, "%s", r < 0 ? strerror(-r) : "nothing of it concerns this daemon");
    text_copy(r < 0 ? reply->error : reply->text, sizeof reply->text, text);
    if (r < 0)
        log_error("configuration %s: %s", daemon->config->hash, text);
    else
        log_notice("configuration %s in place of %s: %s (%.1f ms)", daemon->config->hash, before->hash, text,
                   (double)(clock_now_ns() - began_ns) / (double)NS_PER_MS);
}

static void on_reload(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    struct daemon *daemon = userdata;
    struct reply_message *reply = &answer->reply;

    if (!prepare(daemon, command->hash, reply->error, sizeof reply->error)) {
        log_warning("a changed configuration is refused: %s", reply->error);
        drop_staged(daemon);
        return;
    }
    if (command->check) {
        reply->ok = true;
        return;
    }
    if (strcmp(daemon->staged->hash, daemon->config->hash) == 0) {
        drop_staged(daemon);
        reply->ok = true;
        text_copy(reply->text, sizeof reply->text, "has this configuration already");
        return;
    }
    apply(daemon, reply);
}

void reload_open(struct daemon *daemon)
{
    if (daemon->config)
        bus_on_reload(daemon->bus, on_reload, daemon);
}

void reload_close(struct daemon *daemon)
{
    drop_staged(daemon);
    for (size_t i = 0; i < daemon->earlier_count; i++)
        config_free(daemon->earlier[i]);
    free(daemon->earlier);
    daemon->earlier = NULL;
    daemon->earlier_count = 0;
}
