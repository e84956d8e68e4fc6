#include "cli/follow.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

/* What does not fit its description is left out: status has nothing to say about it, and `duet events` shows
 * it. */
static void on_message(void *userdata, const char *topic, const char *json, size_t size)
{
    struct follow *follow = userdata;
    char error[CODEC_ERROR_MAX];
    struct envelope envelope;
    const char *name;
    const struct message_type *type = topic_find(topic, &name);

    if (!type)
        return;
    AUTO_FREE void *body = malloc(type->record->size);
    if (!body || message_parse(type, json, size, &envelope, body, error) < 0)
        return;
    if (strcmp(type->owner, "*") != 0 && strcmp(type->owner, envelope.from) != 0)
        return;
    follow->news += model_take(&follow->model, type, name, &envelope, body, clock_now_ns());
    if (follow->handler)
        follow->handler(follow->userdata, type, &envelope, body);
}

/* The configuration is a help here, not a need: only root may be able to read it. */
static void take_config(struct follow *follow, const struct options *options)
{
    FILE *nowhere = fopen("/dev/null", "we");
    struct config *config = NULL;

    follow->timers = (struct config_timers){.handover_time = 3 * NS_PER_S, .claim_time = NS_PER_S};
    if (nowhere && config_read(options->config, NULL, nowhere, &config) == 0) {
        text_copy(follow->cluster, sizeof follow->cluster, config->cluster);
        follow->timers = config->timers;
        model_expect(&follow->model, config);
        config_free(config);
    }
    if (nowhere)
        fclose(nowhere);
}

int follow_open(struct follow *follow, const struct options *options)
{
    *follow = (struct follow){0};
    take_config(follow, options);
    int r = loop_new(&follow->loop);
    if (r == 0)
        r = bus_open_listener(follow->loop, options->run_dir, options->node, &follow->bus);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++)
        r = bus_subscribe_raw(follow->bus, model_daemons[i], true, on_message, follow);
    return r;
}

void follow_close(struct follow *follow)
{
    bus_free(follow->bus);
    loop_free(follow->loop);
    model_clear(&follow->model);
}

bool follow_until(struct follow *follow, follow_condition *is_met, void *userdata, int64_t timeout_ns)
{
    const int64_t until_ns = clock_now_ns() + timeout_ns;

    while (!is_met || !is_met(follow, userdata)) {
        const int64_t left_ns = until_ns - clock_now_ns();
        if (left_ns <= 0 || loop_turn(follow->loop, left_ns) < 0)
            return false;
    }
    return true;
}

static bool is_all_told(const struct follow *follow, void *userdata)
{
    const int64_t now = clock_now_ns();

    (void)userdata;
    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        if (model_wants(&follow->model, i) && !model_get(&follow->model, &daemon_type, model_daemons[i], now))
            return false;
    return follow_role(follow) && follow_peer(follow);
}

static bool is_any_told(const struct follow *follow, void *userdata)
{
    (void)userdata;
    return follow->model.node[0] != '\0';
}

bool follow_collect(struct follow *follow)
{
    static const int64_t patience_ns = 600 * NS_PER_MS, rest_ns = 50 * NS_PER_MS;

    if (!follow_until(follow, is_all_told, NULL, patience_ns) &&
        !follow_until(follow, is_any_told, NULL, NS_PER_S - patience_ns))
        return false;
    /* A daemon sends what it retains in one go, but alarms may come after the topics waited for. */
    follow_until(follow, NULL, NULL, rest_ns);
    return true;
}

const struct role_message *follow_role(const struct follow *follow)
{
    return model_get(&follow->model, &role_type, NULL, clock_now_ns());
}

const struct peer_message *follow_peer(const struct follow *follow)
{
    return model_get(&follow->model, &peer_type, NULL, clock_now_ns());
}
