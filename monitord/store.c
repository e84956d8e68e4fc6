#include "monitord/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void store_free(struct store *store)
{
    for (size_t i = 0; i < store->count; i++)
        free(store->entries[i].json);
    store->count = 0;
}

static struct store_entry *find_or_add(struct store *store, const char *topic)
{
    for (size_t i = 0; i < store->count; i++)
        if (strcmp(store->entries[i].topic, topic) == 0)
            return &store->entries[i];
    if (store->count == STORE_TOPICS_MAX || strlen(topic) >= TOPIC_MAX)
        return NULL;
    struct store_entry *entry = &store->entries[store->count++];
    *entry = (struct store_entry){0};
    text_copy(entry->topic, sizeof entry->topic, topic);
    return entry;
}

int store_put(struct store *store, const char *topic, const char *json, size_t size, int64_t now_ns)
{
    struct store_entry *entry = find_or_add(store, topic);

    if (!entry)
        return -ENOBUFS;
    if (entry->room < size) {
        char *room = realloc(entry->json, size);
        if (!room)
            return -ENOMEM;
        entry->json = room;
        entry->room = size;
    }
    memcpy(entry->json, json, size);
    entry->size = size;
    entry->heard_ns = now_ns;
    return 0;
}

void store_expire(struct store *store, int64_t now_ns)
{
    for (size_t i = 0; i < store->count;) {
        if (now_ns - store->entries[i].heard_ns < MODEL_STALE_NS) {
            i++;
            continue;
        }
        free(store->entries[i].json);
        store->entries[i] = store->entries[--store->count];
    }
}

static void take(struct model *model, const struct store_entry *entry)
{
    char error[CODEC_ERROR_MAX];
    struct envelope envelope;
    const char *name;
    const struct message_type *type = topic_find(entry->topic, &name);
    AUTO_FREE void *body = type ? malloc(type->record->size) : NULL;

    if (!body || message_parse(type, entry->json, entry->size, &envelope, body, error) < 0)
        return;
    if (strcmp(type->owner, "*") == 0 || strcmp(type->owner, envelope.from) == 0)
        model_take(model, type, name, &envelope, body, entry->heard_ns);
}

void store_model(const struct store *store, struct model *model)
{
    for (size_t i = 0; i < store->count; i++)
        take(model, &store->entries[i]);
}
