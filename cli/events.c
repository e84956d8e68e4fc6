#include "cli/events.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cli/news.h"
#include "common/bus.h"
#include "common/model.h"

struct events {
    struct paper paper;
    struct loop *loop;
    char **prefixes; /* NULL at the end; none: everything */
    bool json;
    struct news *news;
};

static bool is_wanted(const struct events *events, const char *topic)
{
    for (char **prefix = events->prefixes; *prefix; prefix++)
        if (strncmp(topic, *prefix, strlen(*prefix)) == 0)
            return true;
    return !*events->prefixes;
}

/* The object as it came, led by the topic that it came on. */
static void show_json(const struct events *events, const char *topic, const char *json, size_t size)
{
    json_t *message = json_loadb(json, size, 0, NULL);
    json_t *line = json_pack("{s:s}", "topic", topic);

    if (json_is_object(message) && line && json_object_update(line, message) == 0) {
        json_dumpf(line, events->paper.out, JSON_COMPACT);
        fputc('\n', events->paper.out);
    }
    json_decref(line);
    json_decref(message);
}

static void put_time(void *userdata, const struct paper *paper, const struct envelope *envelope)
{
    const char *time = strchr(envelope->at, 'T');

    (void)userdata;
    paper_print(paper, TINT_FAINT, "%s ", time ? time + 1 : envelope->at);
}

static void show_change(struct events *events, const char *topic, const char *json, size_t size)
{
    char error[CODEC_ERROR_MAX];

    if (news_show(events->news, &events->paper, topic, json, size, put_time, NULL, error) < 0)
        paper_print(&events->paper, TINT_BAD, "%s: a message that cannot be read: %s\n", topic, error);
}

static void on_message(void *userdata, const char *topic, const char *json, size_t size)
{
    struct events *events = userdata;

    if (!is_wanted(events, topic))
        return;
    if (events->json)
        show_json(events, topic, json, size);
    else
        show_change(events, topic, json, size);
    if (fflush(events->paper.out) != 0)
        loop_exit(events->loop, 0); /* nobody reads any more */
}

static int follow_bus(struct events *events, const struct options *options)
{
    struct bus *bus = NULL;
    int r = loop_new(&events->loop);

    if (r == 0)
        r = bus_open_listener(events->loop, options->run_dir, options->node, &bus);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        r = bus_subscribe_raw(bus, model_daemons[i], events->json, on_message, events);
    if (r == 0)
        r = loop_run(events->loop);
    bus_free(bus);
    loop_free(events->loop);
    return r;
}

int events_command(struct invocation *invocation)
{
    struct events events = {.paper = paper_stdout(), .json = command_take_flag(invocation, "--json")};

    events.prefixes = invocation->argv;
    for (int i = 0; i < invocation->argc; i++)
        if (invocation->argv[i][0] == '-') {
            command_error(invocation, "does not understand \"%s\"; see `duet help` or duet(8)",
                          invocation->argv[i]);
            return COMMAND_USAGE;
        }
    events.news = news_new();
    int r = events.news ? follow_bus(&events, &invocation->options) : -ENOMEM;
    news_free(events.news);
    if (r < 0)
        command_error(invocation, "cannot follow the bus below %s: %s", invocation->options.run_dir,
                      strerror(-r));
    return r < 0 ? COMMAND_REFUSED : COMMAND_DONE;
}
