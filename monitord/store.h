/* store: the latest message of every topic of this node, as it came, for tools that come late. Bounded; a
 * topic that is no longer sent again is forgotten (MODEL_STALE_NS), as everywhere. */
#pragma once
#include "common/model.h"

enum { STORE_TOPICS_MAX = 1024 };

struct store_entry {
    char topic[TOPIC_MAX];
    char *json; /* `size` bytes, not terminated */
    size_t size, room;
    int64_t heard_ns;
};

struct store {
    size_t count;
    struct store_entry entries[STORE_TOPICS_MAX];
};

void store_free(struct store *store); /* what it holds */

/* Keeps a copy. 0; -ENOBUFS, -ENOMEM: it is not kept. */
int store_put(struct store *store, const char *topic, const char *json, size_t size, int64_t now_ns);

/* Forgets what was not heard again in time. */
void store_expire(struct store *store, int64_t now_ns);

/* Fills `model`, as the command line would have it, from what is kept and fits its description. */
void store_model(const struct store *store, struct model *model);
