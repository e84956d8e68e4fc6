#include <string.h>

#include "common/config_private.h"

#define MS(n) ((n)*NS_PER_MS)
#define S(n) ((n)*NS_PER_S)
#define TIMER(key, field, lan, fast, wan, least)                                                             \
    {                                                                                                        \
        key, offsetof(struct config_timers, field), {lan, fast, wan}, least                                  \
    }

const struct config_timer config_timer_table[CONFIG_TIMERS] = {
    TIMER("heartbeat-interval", heartbeat_interval, MS(50), MS(10), MS(500), MS(1)),
    TIMER("takeover-after", takeover_after, MS(300), MS(25), S(3), MS(2)),
    TIMER("address-lease", address_lease, MS(200), MS(60), S(2), MS(2)),
    TIMER("isolation-after", isolation_after, MS(200), MS(20), S(2), MS(1)),
    TIMER("search-time", search_time, MS(600), MS(100), S(6), MS(2)),
    TIMER("search-interval", search_interval, MS(200), MS(50), S(1), MS(10)),
    TIMER("search-interval-quick", search_interval_quick, MS(10), MS(10), MS(50), MS(1)),
    TIMER("router-interval", router_interval, MS(200), MS(100), S(2), MS(10)),
    TIMER("router-interval-quick", router_interval_quick, MS(10), MS(2), MS(50), MS(1)),
    TIMER("claim-time", claim_time, S(1), MS(500), S(5), MS(10)),
    TIMER("linger", linger, MS(50), MS(10), MS(500), 0),
    TIMER("handover-time", handover_time, S(3), S(3), S(15), MS(10)),
    TIMER("settle-time", settle_time, S(5), S(5), S(30), MS(100)),
    TIMER("stale-start-wait", stale_start_wait, S(120), S(120), S(300), 0),
    TIMER("reboot-grace", reboot_grace, S(20), S(20), S(20), S(1)),
};

/* A listener cannot tell silence from lateness more closely than this (DESIGN §3, under the defaults). */
static const int64_t search_off_margin_ns = MS(3);
static const int64_t ungated_lease_least_ns = MS(1100);

int64_t config_timer_ns(const struct config_timers *timers, const struct config_timer *timer)
{
    int64_t ns;

    memcpy(&ns, (const char *)timers + timer->offset, sizeof ns);
    return ns;
}

void config_take_timers(struct reader *reader, cfg_t *cluster)
{
    struct config *config = reader->config;

    for (size_t i = 0; i < CONFIG_TIMERS; i++) {
        const struct config_timer *timer = &config_timer_table[i];
        int64_t *to = (int64_t *)(void *)((char *)&config->timers + timer->offset);

        *to = timer->defaults[config->profile];
        config_take_duration(reader, cluster, timer->key, timer->least, to);
    }
    config->timers.router_retries = 3;
    config_take_int(reader, cluster, "router-retries", 1, 100, &config->timers.router_retries);
}

static const struct config_timer *timer_named(const char *key)
{
    for (size_t i = 0; i < CONFIG_TIMERS; i++)
        if (strcmp(config_timer_table[i].key, key) == 0)
            return &config_timer_table[i];
    return NULL;
}

/* A duration with its name, for messages. */
struct named {
    char text[64];
    int64_t ns;
    struct value value;
};

static struct named named_timer(struct reader *reader, cfg_t *cluster, const char *key)
{
    struct named named = {.ns = config_timer_ns(&reader->config->timers, timer_named(key)),
                          .value = config_value_of(cluster, key)};
    char duration[DURATION_TEXT_MAX];

    duration_print(named.ns, duration);
    snprintf(named.text, sizeof named.text, "%s (%s)", key, duration);
    return named;
}

/* The line of the first of the two that is in the file. */
static int line_of(const struct named *a, const struct named *b)
{
    return a->value.text || !b->value.text ? a->value.line : b->value.line;
}

/* `key` must be at least `factor` times `other`. */
static void need_multiple(struct reader *reader, cfg_t *cluster, const char *key, int factor,
                          const char *other, const char *why)
{
    const struct named a = named_timer(reader, cluster, key), b = named_timer(reader, cluster, other);
    char least[DURATION_TEXT_MAX], times[24] = "";

    if (a.ns >= factor * b.ns)
        return;
    duration_print(factor * b.ns, least);
    if (factor > 1)
        snprintf(times, sizeof times, "%d times ", factor);
    config_refuse(reader, line_of(&a, &b), "%s must be at least %s%s: %s; make it %s or more", a.text, times,
                  b.text, why, least);
}

static void check_isolation(struct reader *reader, cfg_t *cluster)
{
    const struct named isolation = named_timer(reader, cluster, "isolation-after");
    const struct named takeover = named_timer(reader, cluster, "takeover-after");

    if (isolation.ns >= takeover.ns)
        config_refuse(
            reader, line_of(&isolation, &takeover),
            "%s must be shorter than %s: the cut-off node has to let go before its peer takes over; shorten "
            "isolation-after",
            isolation.text, takeover.text);
}

/* The node that serves renews its right within isolation-after, and must have noticed that it has to; the
 * other one waits for that time and an eighth. */
static void check_isolation_with_witness(struct reader *reader, cfg_t *cluster)
{
    const struct named isolation = named_timer(reader, cluster, "isolation-after");
    const struct named takeover = named_timer(reader, cluster, "takeover-after");
    char least[DURATION_TEXT_MAX];

    if (!config_has_witness(reader->config))
        return;
    need_multiple(reader, cluster, "isolation-after", 4, "heartbeat-interval",
                  "with a witness, that is the time to notice the silence and to ask it");
    if (isolation.ns > takeover.ns * 8 / 9) {
        duration_print(isolation.ns / 8 * 9, least);
        config_refuse(reader, line_of(&takeover, &isolation),
                      "with a witness, %s must be at least an eighth longer than %s, since clocks differ; "
                      "make it %s or "
                      "more",
                      takeover.text, isolation.text, least);
    }
}

static const struct config_channel *unsearched_channel(const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (!config->channels[i].search)
            return &config->channels[i];
    return NULL;
}

static void check_lease_without_search(struct reader *reader, cfg_t *cluster)
{
    const struct config_timers *timers = &reader->config->timers;
    const struct config_channel *channel = unsearched_channel(reader->config);
    const struct named lease = named_timer(reader, cluster, "address-lease");
    const struct named takeover = named_timer(reader, cluster, "takeover-after");
    const int64_t most = timers->takeover_after - timers->heartbeat_interval - search_off_margin_ns;
    char text[DURATION_TEXT_MAX];

    if (!channel || lease.ns <= most)
        return;
    duration_print(MAX(most, 0), text);
    config_refuse(
        reader, line_of(&lease, &takeover),
        "%s is too long for a channel with search = off (\"%s\"): nothing but the lease ends a hung node "
        "before its peer takes over; make it at most takeover-after - heartbeat-interval - 3ms (%s), or "
        "lengthen takeover-after",
        lease.text, channel->name, text);
}

static void check_lease_without_gate(struct reader *reader, cfg_t *cluster)
{
    const struct named lease = named_timer(reader, cluster, "address-lease");

    if (!reader->config->lease_gate && lease.ns < ungated_lease_least_ns)
        config_refuse(
            reader, lease.value.text ? lease.value.line : config_value_of(cluster, "lease-gate").line,
            "%s is too short with lease-gate = off: the kernel counts an address's lifetime in whole "
            "seconds; make it 1100ms or more, or set lease-gate = on",
            lease.text);
}

/* The addresses of a claim wait for these hooks, and must be up within claim-time. */
static void check_hooks_before_active(struct reader *reader, cfg_t *cluster)
{
    const struct config *config = reader->config;
    const struct named claim = named_timer(reader, cluster, "claim-time");
    const int64_t sum_ns = config_hooks_ns(config, HOOK_EVENT_BEFORE_ACTIVE), least_ns = 2 * sum_ns;
    char sum[DURATION_TEXT_MAX], least[DURATION_TEXT_MAX];
    int line = 0;

    if (claim.ns >= least_ns)
        return;
    for (size_t i = 0; i < config->hook_count; i++)
        if (config->hooks[i].event == HOOK_EVENT_BEFORE_ACTIVE)
            line = config->hooks[i].line;
    duration_print(sum_ns, sum);
    duration_print(least_ns, least);
    config_refuse(reader, line,
                  "the before-active hooks may take %s altogether, more than half of %s, within which the "
                  "addresses must be up; shorten their timeouts, or make claim-time %s or more",
                  sum, claim.text, least);
}

void config_check_timers(struct reader *reader, cfg_t *cluster)
{
    need_multiple(reader, cluster, "takeover-after", 2, "heartbeat-interval",
                  "one lost heartbeat must not look like a dead peer");
    need_multiple(reader, cluster, "address-lease", 2, "heartbeat-interval",
                  "one late renewal must not end the lease");
    need_multiple(reader, cluster, "search-time", 1, "takeover-after",
                  "a vacancy takes at least as long as a takeover");
    need_multiple(reader, cluster, "search-time", 2, "search-interval",
                  "two requests must have gone unanswered");
    need_multiple(reader, cluster, "search-interval", 1, "search-interval-quick", "quick is the faster pace");
    need_multiple(reader, cluster, "router-interval", 1, "router-interval-quick", "quick is the faster pace");
    need_multiple(reader, cluster, "handover-time", 1, "claim-time", "a handover waits for the peer's claim");
    need_multiple(reader, cluster, "handover-time", 2, "linger", "the old node lets go within the handover");
    check_isolation(reader, cluster);
    check_isolation_with_witness(reader, cluster);
    check_lease_without_search(reader, cluster);
    check_lease_without_gate(reader, cluster);
    check_hooks_before_active(reader, cluster);
}
