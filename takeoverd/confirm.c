#include "takeoverd/confirm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const int64_t neighbour_counts_ns = 300 * NS_PER_S; /* as long as ARP caches commonly remember */

/* Pauses before the second and each further question. */
static int64_t pause_ns(int tries)
{
    static const int64_t pauses_ms[] = {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};

    return pauses_ms[MIN((size_t)tries, ARRAY_LENGTH(pauses_ms)) - 1] * NS_PER_MS;
}

int confirm_init(struct confirm *c, const struct plan *plan)
{
    *c = (struct confirm){.channel_count = plan->channel_count};
    c->neighbours = calloc(plan->channel_count * CONFIRM_NEIGHBOURS_MAX + 1, sizeof *c->neighbours);
    c->first = calloc(plan->address_count + 1, sizeof *c->first);
    return c->neighbours && c->first ? 0 : -ENOMEM;
}

void confirm_free(struct confirm *c)
{
    free(c->neighbours);
    free(c->first);
    free(c->questions);
    *c = (struct confirm){0};
}

/* ------------------------------------------------------------- neighbours */

static struct confirm_neighbour *place_for(struct confirm *c, int channel, const struct net_address *from,
                                           size_t wanted)
{
    struct confirm_neighbour *all = &c->neighbours[(size_t)channel * CONFIRM_NEIGHBOURS_MAX], *oldest = all;

    for (size_t i = 0; i < CONFIRM_NEIGHBOURS_MAX; i++) {
        if (all[i].seen_ns != 0 && all[i].wanted == wanted && net_address_equal(&all[i].address, from))
            return &all[i];
        if (all[i].seen_ns < oldest->seen_ns)
            oldest = &all[i];
    }
    return oldest;
}

static bool is_among(const struct config_addresses *addresses, const struct net_address *address)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (net_address_equal(&addresses->items[i], address))
            return true;
    return false;
}

void confirm_see(struct confirm *c, const struct plan *plan, const struct config *config, int channel,
                 const struct net_address *from, const struct mac *mac, const struct net_address *wanted,
                 int64_t now_ns)
{
    const struct plan_address *address = plan_find(plan, channel, wanted);

    if (!address || !address->active || mac_is_zero(mac) || (mac->bytes[0] & 1) ||
        plan_find(plan, channel, from))
        return; /* not one of ours, or from one of our own */
    if (is_among(&config->channels[channel].peer_passive, from))
        c->peer[channel] = *mac;
    if (mac_equal(mac, &c->peer[channel]))
        return;
    const size_t index = (size_t)(address - plan->addresses);
    *place_for(c, channel, from, index) = (struct confirm_neighbour){
        .address = *from, .mac = *mac, .wanted = index, .channel = channel, .seen_ns = now_ns};
}

/* -------------------------------------------------------------- questions */

static bool is_to_be_asked(const struct confirm *c, const struct config_channel *channel,
                           const struct confirm_neighbour *seen, int64_t now_ns)
{
    return seen->seen_ns != 0 && now_ns - seen->seen_ns < neighbour_counts_ns &&
           !is_among(&channel->routers, &seen->address) && !mac_equal(&seen->mac, &c->peer[seen->channel]);
}

/* All questions about one address; only counts them where `to` is NULL. */
static size_t write_questions(const struct confirm *c, const struct plan *plan, const struct config *config,
                              size_t address, int64_t now_ns, struct confirm_question *to)
{
    const struct plan_address *own = &plan->addresses[address];
    const struct config_channel *channel = &config->channels[own->channel];
    const struct confirm_neighbour *seen = &c->neighbours[(size_t)own->channel * CONFIRM_NEIGHBOURS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < channel->routers.count; i++)
        if (channel->routers.items[i].family == own->address.family) {
            if (to)
                to[count] = (struct confirm_question){
                    .address = address, .to = channel->routers.items[i], .router = (int)i, .next_ns = now_ns};
            count++;
        }
    for (size_t i = 0; i < CONFIRM_NEIGHBOURS_MAX; i++)
        if (seen[i].wanted == address && is_to_be_asked(c, channel, &seen[i], now_ns)) {
            if (to)
                to[count] = (struct confirm_question){.address = address,
                                                      .to = seen[i].address,
                                                      .mac = seen[i].mac,
                                                      .router = -1,
                                                      .next_ns = now_ns};
            count++;
        }
    return count;
}

static bool is_asked_for(const struct plan *plan, size_t address, unsigned channels)
{
    return plan->addresses[address].active && (channels >> plan->addresses[address].channel & 1);
}

/* Takes over what is asked already for the channels that are not begun anew. */
static size_t copy_questions(const struct confirm *c, size_t address, struct confirm_question *to)
{
    const size_t count = c->questions ? c->first[address + 1] - c->first[address] : 0;

    if (to && count > 0)
        memcpy(to, &c->questions[c->first[address]], count * sizeof *to);
    return count;
}

static size_t write_all(const struct confirm *c, const struct plan *plan, const struct config *config,
                        unsigned channels, int64_t now_ns, struct confirm_question *to, size_t *first)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->address_count; i++) {
        struct confirm_question *here = to ? to + count : NULL;
        if (first)
            first[i] = count;
        count += is_asked_for(plan, i, channels) ? write_questions(c, plan, config, i, now_ns, here)
                                                 : copy_questions(c, i, here);
    }
    if (first)
        first[plan->address_count] = count;
    return count;
}

int confirm_begin(struct confirm *c, const struct plan *plan, const struct config *config, unsigned channels,
                  int64_t now_ns)
{
    const size_t count = write_all(c, plan, config, channels, now_ns, NULL, NULL);
    struct confirm_question *questions = calloc(count + 1, sizeof *questions);
    size_t *first = calloc(plan->address_count + 1, sizeof *first);

    if (!questions || !first) {
        free(questions);
        free(first);
        return -ENOMEM;
    }
    write_all(c, plan, config, channels, now_ns, questions, first);
    free(c->questions);
    free(c->first);
    c->questions = questions;
    c->first = first;
    c->count = count;
    c->began_ns = now_ns;
    return 0;
}

void confirm_end(struct confirm *c)
{
    free(c->questions);
    c->questions = NULL;
    c->count = 0;
}

size_t confirm_due(struct confirm *c, int64_t now_ns, const struct confirm_question *due[], size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < c->count && count < max; i++) {
        struct confirm_question *q = &c->questions[i];
        if (q->next_ns == 0 || q->next_ns > now_ns)
            continue;
        q->tries++;
        q->next_ns = q->tries < CONFIRM_TRIES_MAX ? now_ns + pause_ns(q->tries) : 0;
        due[count++] = q;
    }
    return count;
}

int64_t confirm_next_ns(const struct confirm *c)
{
    int64_t next_ns = 0;

    for (size_t i = 0; i < c->count; i++)
        if (c->questions[i].next_ns != 0 && (next_ns == 0 || c->questions[i].next_ns < next_ns))
            next_ns = c->questions[i].next_ns;
    return next_ns;
}

bool confirm_heard(struct confirm *c, const struct plan *plan, int channel, const struct net_address *from,
                   const struct net_address *to, int64_t now_ns)
{
    const struct plan_address *address = c->questions ? plan_find(plan, channel, to) : NULL;

    if (!address)
        return false;
    const size_t index = (size_t)(address - plan->addresses);
    for (size_t i = c->first[index]; i < c->first[index + 1]; i++) {
        struct confirm_question *q = &c->questions[i];
        if (q->tries == 0 || q->confirmed || !net_address_equal(&q->to, from))
            continue;
        q->confirmed = true;
        q->next_ns = 0;
        q->took_ns = now_ns - c->began_ns;
        return true;
    }
    return false;
}

struct confirm_tally confirm_count(const struct confirm *c, const struct plan *plan, int channel, int router)
{
    struct confirm_tally tally = {.done = true};

    for (size_t i = 0; i < c->count; i++) {
        const struct confirm_question *q = &c->questions[i];
        if (plan->addresses[q->address].channel != channel || q->router != router)
            continue;
        tally.asked++;
        tally.confirmed += q->confirmed;
        tally.done = tally.done && q->next_ns == 0;
        tally.took_ns = MAX(tally.took_ns, q->took_ns);
    }
    return tally;
}
