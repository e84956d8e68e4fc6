#include "cli/events.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/changes.h"
#include "cli/model.h"
#include "cli/text.h"
#include "common/bus.h"
#include "common/clock.h"

enum { REMEMBERED_MAX = 1024 };

/* The latest state of a topic, to tell what the next one changes. */
struct remembered {
    char topic[TOPIC_MAX];
    void *body;
};

struct events {
    struct paper paper;
    struct loop *loop;
    char **prefixes; /* NULL at the end; none: everything */
    bool json;
    struct remembered remembered[REMEMBERED_MAX];
    size_t remembered_count;
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

static struct remembered *remember(struct events *events, const struct message_type *type, const char *topic)
{
    for (size_t i = 0; i < events->remembered_count; i++)
        if (strcmp(events->remembered[i].topic, topic) == 0)
            return &events->remembered[i];
    void *body = events->remembered_count < REMEMBERED_MAX ? calloc(1, type->record->size) : NULL;
    if (!body)
        return NULL;
    struct remembered *made = &events->remembered[events->remembered_count++];
    made->body = body;
    return made;
}

static void show_line(const struct events *events, const char *topic, const struct message_type *type,
                      const struct envelope *envelope, const void *before, const void *after)
{
    const char *time = strchr(envelope->at, 'T');

    paper_print(&events->paper, TINT_FAINT, "%s ", time ? time + 1 : envelope->at);
    paper_print(&events->paper, TINT_BOLD, "%-22s ", topic);
    changes_print(events->paper.out, type->record, before, after);
    if (envelope->cause[0])
        paper_print(&events->paper, TINT_FAINT, " <- %s", envelope->cause);
    fputc('\n', events->paper.out);
}

static void show_change(struct events *events, const char *topic, const char *json, size_t size)
{
    char error[CODEC_ERROR_MAX] = "nobody sends such a topic";
    struct envelope envelope;
    const char *name;
    const struct message_type *type = topic_find(topic, &name);
    AUTO_FREE void *body = type ? malloc(type->record->size) : NULL;

    if (!body || message_parse(type, json, size, &envelope, body, error) < 0) {
        paper_print(&events->paper, TINT_BAD, "%s: a message that cannot be read: %s\n", topic, error);
        return;
    }
    struct remembered *last = remember(events, type, topic);
    const bool known = last && last->topic[0];
    if (!changes_any(type->record, known ? last->body : NULL, body))
        return;
    show_line(events, topic, type, &envelope, known ? last->body : NULL, body);
    if (last) {
        text_copy(last->topic, sizeof last->topic, topic);
        memcpy(last->body, body, type->record->size);
    }
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
        r = bus_subscribe_raw(bus, model_daemons[i], on_message, events);
    if (r == 0)
        r = loop_run(events->loop);
    bus_free(bus);
    loop_free(events->loop);
    return r;
}

int events_command(struct invocation *invocation)
{
    AUTO_FREE struct events *events = calloc(1, sizeof *events);

    if (!events)
        return COMMAND_REFUSED;
    events->paper = paper_stdout();
    events->json = command_take_flag(invocation, "--json");
    events->prefixes = invocation->argv;
    for (int i = 0; i < invocation->argc; i++)
        if (invocation->argv[i][0] == '-') {
            command_error(invocation, "does not understand \"%s\"; see `duet help` or duet(8)",
                          invocation->argv[i]);
            return COMMAND_USAGE;
        }
    int r = follow_bus(events, &invocation->options);
    for (size_t i = 0; i < events->remembered_count; i++)
        free(events->remembered[i].body);
    if (r < 0)
        command_error(invocation, "cannot follow the bus below %s: %s", invocation->options.run_dir,
                      strerror(-r));
    return r < 0 ? COMMAND_REFUSED : COMMAND_DONE;
}
