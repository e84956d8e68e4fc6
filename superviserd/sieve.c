#include "superviserd/sieve.h"

#include <string.h>

#include "proto/measure.h"
#include "superviserd/walk.h"

enum { DEPTH_MAX = 4 };

struct hashes {
    uint64_t everything, news;
};

/* FNV-1a */
static uint64_t mix(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void take(struct hashes *hashes, const char *bytes, size_t size, bool news)
{
    hashes->everything = mix(hashes->everything, bytes, size);
    if (news)
        hashes->news = mix(hashes->news, bytes, size);
}

static void hash_value(struct hashes *hashes, const char *value, size_t size, bool news, int depth)
{
    const char kind = size > 0 ? value[0] : '\0';
    struct walk_field field;

    if ((kind != '{' && kind != '[') || depth == DEPTH_MAX) {
        take(hashes, value, size, news);
        return;
    }
    struct walk walk = kind == '{' ? walk_object(value, size) : walk_list(value, size);
    take(hashes, &kind, 1, news);
    while (walk_next(&walk, &field)) {
        if (depth == 0 && walk_is_envelope(&field))
            continue;
        const bool measure = field_is_measure(field.name, field.name_size);
        take(hashes, field.name, field.name_size, news && !measure);
        take(hashes, ":", 1, news && !measure);
        hash_value(hashes, field.value, field.value_size, news && !measure, depth + 1);
        take(hashes, ",", 1, news && !measure);
    }
}

static struct hashes hash_message(const struct sieve_message *message)
{
    struct hashes hashes = {UINT64_C(0xcbf29ce484222325), UINT64_C(0xcbf29ce484222325)};

    hash_value(&hashes, message->json, message->size, true, 0);
    return hashes;
}

static struct sieve_topic *find(struct sieve *sieve, const char *topic)
{
    for (size_t i = 0; i < sieve->count; i++)
        if (strcmp(sieve->topics[i].topic, topic) == 0)
            return &sieve->topics[i];
    return NULL;
}

bool sieve_is_decision(const char *topic)
{
    static const char *const begins[] = {"role", "address",  "alarm/", "service/",
                                         "hook", "watchdog", "reboot"};

    for (size_t i = 0; i < ARRAY_LENGTH(begins); i++)
        if (strncmp(topic, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* What one change costs. */
static int64_t price_of(const char *topic)
{
    return sieve_is_decision(topic) ? NS_PER_S : SIEVE_REFILL;
}

/* Where there are too many topics, the one that was recorded longest ago makes room. */
static struct sieve_topic *add(struct sieve *sieve, const struct sieve_message *message)
{
    struct sieve_topic *added = &sieve->topics[0];

    if (sieve->count < SIEVE_TOPICS_MAX)
        added = &sieve->topics[sieve->count++];
    else
        for (size_t i = 1; i < sieve->count; i++)
            if (sieve->topics[i].recorded_ns < added->recorded_ns)
                added = &sieve->topics[i];
    *added = (struct sieve_topic){.allowance_ns = SIEVE_BURST * price_of(message->topic),
                                  .allowed_ns = message->now_ns};
    text_copy(added->topic, sizeof added->topic, message->topic);
    return added;
}

static bool spend(struct sieve_topic *topic, int64_t now_ns)
{
    const int64_t price = price_of(topic->topic), earned = MAX(now_ns - topic->allowed_ns, 0);

    topic->allowance_ns = MIN(topic->allowance_ns + earned, SIEVE_BURST * price);
    topic->allowed_ns = now_ns;
    if (topic->allowance_ns < price)
        return false;
    topic->allowance_ns -= price;
    return true;
}

static void remember(struct sieve_topic *topic, const struct hashes *hashes,
                     const struct sieve_message *message, bool change)
{
    topic->everything = hashes->everything;
    topic->news = hashes->news;
    topic->recorded_ns = message->now_ns;
    if (change)
        topic->position = message->position;
}

enum sieve_verdict sieve_judge(struct sieve *sieve, const struct sieve_message *message)
{
    struct sieve_topic *topic = find(sieve, message->topic);
    const struct hashes hashes = hash_message(message);
    const bool is_new = !topic;

    if (is_new)
        topic = add(sieve, message);
    const bool news = is_new || topic->news != hashes.news;
    if (news && !spend(topic, message->now_ns)) {
        sieve->held_back++;
        return SIEVE_NOTHING;
    }
    if (news || message->position - topic->position > BLACKBOX_CHANGES_SIZE / 2) {
        remember(topic, &hashes, message, true);
        return SIEVE_CHANGE;
    }
    if (topic->everything == hashes.everything || message->now_ns - topic->recorded_ns < SIEVE_RENEWAL)
        return SIEVE_NOTHING;
    remember(topic, &hashes, message, false);
    return SIEVE_RENEWED;
}

void sieve_remember(struct sieve *sieve, const struct sieve_message *message)
{
    const struct hashes hashes = hash_message(message);
    struct sieve_topic *topic = find(sieve, message->topic);

    remember(topic ? topic : add(sieve, message), &hashes, message, true);
}
