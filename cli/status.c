#include "cli/status.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/follow.h"
#include "cli/screen.h"
#include "cli/status_check.h"
#include "cli/status_json.h"
#include "cli/status_text.h"

struct watch {
    struct follow follow;
    struct paper paper;
    bool json;
};

static void render_json(const struct watch *watch, bool pretty)
{
    AUTO_FREE char *text = status_json(&watch->follow.model, watch->follow.cluster, clock_now_ns(), pretty);

    if (text)
        fprintf(watch->paper.out, "%s\n", text);
}

static void render(const struct watch *watch)
{
    status_text(&watch->paper, &watch->follow.model, watch->follow.cluster, clock_now_ns());
}

static bool is_news(const struct follow *follow, void *userdata)
{
    return follow->news != *(size_t *)userdata || screen_is_ended();
}

static void render_now(const struct watch *watch)
{
    if (watch->json)
        render_json(watch, false);
    else if (model_health(&watch->follow.model, clock_now_ns()) == HEALTH_UNKNOWN)
        fputs("no daemon answers; waiting\n", watch->paper.out);
    else
        render(watch);
}

/* One frame: over the one before on a terminal; else one after the other. */
static void draw(struct watch *watch, bool terminal)
{
    FILE *const out = watch->paper.out;
    char *text AUTO_FREE = NULL;
    size_t size = 0;

    if (terminal)
        watch->paper.out = open_memstream(&text, &size);
    if (!watch->paper.out) {
        watch->paper.out = out;
        return; /* no memory: the next one, perhaps */
    }
    render_now(watch);
    if (!terminal) {
        fflush(out);
        return;
    }
    fclose(watch->paper.out);
    watch->paper.out = out;
    screen_draw(text);
}

/* Draws at each change, but at most twenty times a second, and each second. Ends by a signal or a closed
 * pipe. */
static void keep_watching(struct watch *watch)
{
    const bool terminal = isatty(STDOUT_FILENO) && !watch->json;

    if (terminal)
        screen_open(watch->paper.out);
    while (!ferror(watch->paper.out) && !screen_is_ended()) {
        size_t news = watch->follow.news;
        draw(watch, terminal);
        follow_until(&watch->follow, NULL, NULL, 50 * NS_PER_MS);
        follow_until(&watch->follow, is_news, &news, 950 * NS_PER_MS);
    }
    if (terminal)
        screen_close();
}

static enum health look_once(struct watch *watch, const struct invocation *invocation)
{
    const enum health health = model_health(&watch->follow.model, clock_now_ns());

    if (watch->json)
        render_json(watch, true);
    else if (health != HEALTH_UNKNOWN)
        render(watch);
    if (health == HEALTH_UNKNOWN)
        command_error(invocation, "no daemon answers below %s; is duet running, and is this its --run-dir?",
                      invocation->options.run_dir);
    return health;
}

/* Everything goes to the standard output, and what cannot be told is unknown: so the callers of plugins want
 * it. */
static enum health check_once(const struct watch *watch)
{
    char line[STATUS_CHECK_MAX];

    status_check(&watch->follow.model, clock_now_ns(), line);
    puts(line);
    return model_health(&watch->follow.model, clock_now_ns());
}

int status_command(struct invocation *invocation)
{
    struct watch watch = {.paper = paper_stdout(), .json = command_take_flag(invocation, "--json")};
    const bool watching = command_take_flag(invocation, "--watch");
    const bool checking = command_take_flag(invocation, "--check");
    enum health health = HEALTH_UNKNOWN;

    if (!command_all_taken(invocation))
        return checking ? (int)HEALTH_UNKNOWN : (int)COMMAND_USAGE;
    if (checking && (watching || watch.json)) {
        command_error(invocation, "--check prints one line, for a plugin; leave out --json and --watch");
        return HEALTH_UNKNOWN;
    }
    int r = follow_open(&watch.follow, &invocation->options);
    if (r < 0) {
        command_error(invocation, "cannot open the bus below %s: %s", invocation->options.run_dir,
                      strerror(-r));
    } else {
        if (!follow_collect(&watch.follow))
            text_copy(watch.follow.model.node, sizeof watch.follow.model.node, invocation->options.node);
        if (watching)
            keep_watching(&watch);
        health = checking ? check_once(&watch) : look_once(&watch, invocation);
    }
    follow_close(&watch.follow);
    return health;
}
