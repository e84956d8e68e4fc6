#include "cli/news.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/changes.h"

enum { REMEMBERED_MAX = 1024 };

struct remembered {
    char topic[TOPIC_MAX];
    void *body;
};

struct news {
    size_t count;
    struct remembered items[REMEMBERED_MAX];
};

struct news *news_new(void)
{
    return calloc(1, sizeof(struct news));
}

void news_free(struct news *news)
{
    for (size_t i = 0; news && i < news->count; i++)
        free(news->items[i].body);
    free(news);
}

static struct remembered *find(struct news *news, const char *topic)
{
    for (size_t i = 0; i < news->count; i++)
        if (strcmp(news->items[i].topic, topic) == 0)
            return &news->items[i];
    return NULL;
}

/* Keeps `body`, which it then owns; frees it where there is no room. */
static void remember(struct news *news, const char *topic, void *body)
{
    struct remembered *item = find(news, topic);

    if (!item && news->count == REMEMBERED_MAX) {
        free(body);
        return;
    }
    if (!item) {
        item = &news->items[news->count++];
        text_copy(item->topic, sizeof item->topic, topic);
    }
    free(item->body);
    item->body = body;
}

static void print_line(const struct paper *paper, const char *topic, const struct record *record,
                       const struct envelope *envelope, const void *before, const void *after)
{
    paper_print(paper, TINT_BOLD, "%-22s ", topic);
    changes_print(paper->out, record, before, after);
    if (envelope->cause[0])
        paper_print(paper, TINT_FAINT, " <- %s", envelope->cause);
    fputc('\n', paper->out);
}

static int read_message(const char *topic, const char *json, size_t size, const struct message_type **type,
                        struct envelope *envelope, void **body, char *error)
{
    const char *name;

    text_copy(error, CODEC_ERROR_MAX, "nobody sends such a topic");
    *type = topic_find(topic, &name);
    *body = *type ? malloc((*type)->record->size) : NULL;
    if (*body && message_parse(*type, json, size, envelope, *body, error) == 0)
        return 0;
    free(*body);
    return -EBADMSG;
}

int news_show(struct news *news, const struct paper *paper, const char *topic, const char *json, size_t size,
              news_lead *lead, void *userdata, char error[static CODEC_ERROR_MAX])
{
    const struct message_type *type;
    struct envelope envelope;
    void *body;

    if (read_message(topic, json, size, &type, &envelope, &body, error) < 0)
        return -EBADMSG;
    const struct remembered *last = find(news, topic);
    const void *before = last ? last->body : NULL;
    if (!changes_any(type->record, before, body)) {
        free(body);
        return 0;
    }
    lead(userdata, paper, &envelope);
    print_line(paper, topic, type->record, &envelope, before, body);
    remember(news, topic, body);
    return 0;
}

int news_take(struct news *news, const char *topic, const char *json, size_t size)
{
    const struct message_type *type;
    char error[CODEC_ERROR_MAX];
    struct envelope envelope;
    void *body;

    if (read_message(topic, json, size, &type, &envelope, &body, error) < 0)
        return -EBADMSG;
    remember(news, topic, body);
    return 0;
}
