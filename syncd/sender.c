/* The active node sends generations of a set, and hears what became of them.
 *
 * Two generations may be under way: while the peer applies one, the next is sent. Whatever it answers but
 * "applied" ends in a new comparison, which finds what it really has. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

enum { PAUSES_MOST = 60 };

static const int64_t position_every_ns = NS_PER_S;

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

void sender_begin_role(struct set *set)
{
    set->sending.lacking_since_ns = set->syncd->active ? clock_now_ns() : 0;
    set->sending.unsure = set->syncd->active;
}

void sender_reset(struct set *set)
{
    struct sending *g = &set->sending;

    g->lacking_since_ns = sender_oldest_ns(set); /* what was under way may be lost */
    if (set->stage == SET_SENDING)
        source_end(set->source);
    set->snapshot_waits = set->snapshot_waits || g->with_snapshot;
    g->with_snapshot = false;
    g->raw_size = 0;
    g->part_bytes = 0;
    g->told = g->last = g->partial = g->first = false;
    g->unanswered = 0;
    set->stage = SET_UNREADY;
}

void sender_again(struct set *set, const char *why)
{
    struct sync_message abort_message = {.header.kind = SYNC_ABORT};
    const int64_t now = clock_now_ns();

    set->failures++;
    set->again_ns = now + backoff_ns(NS_PER_S / 4, set->failures, PAUSES_MOST * NS_PER_S);
    log_info("set %s: is compared again in %.2f s: %s", set->config->name,
             (double)(set->again_ns - now) / 1e9, why);
    if (set->sending.told)
        exchange_send(set->syncd, set, &abort_message); /* what it has staged is in nobody's way meanwhile */
    compare_end(set);
    sender_reset(set);
    set->stage = SET_WAITING;
    publish_soon(set);
}

void sender_check(struct set *set, int64_t now_ns)
{
    static const int64_t patience_ns = 120 * NS_PER_S;
    const bool waits = set->stage == SET_COMPARING || set->sending.unanswered > 0;

    if (waits && now_ns - set->heard_ns > patience_ns) {
        set->heard_ns = now_ns;
        sender_again(set, "the peer does not answer");
    }
}

/* The peer has all that was found by comparing. */
static void lacks_nothing(struct set *set)
{
    set->sending.lacking_since_ns = 0;
    set->sending.unsure = false;
}

void sender_compared(struct set *set)
{
    const struct replica_state own = replica_state(set->replica);
    const bool same = set->comparing.differing == 0 && set->peer_whole && !set->all_new;

    if (!same)
        log_info("set %s: compared with the peer: %" PRIu64 " entries differ%s", set->config->name,
                 set->comparing.differing, set->peer_whole ? "" : ", its first sync begins");
    compare_conclude(set);
    compare_end(set);
    set->stage = SET_READY;
    if (same)
        lacks_nothing(set);
    /* Even if nothing differs the peer is to know that it has the data of this epoch. */
    set->sending.first = !same || sync_generation_compare(set->peer_generation, own.generation) < 0;
    set->sending.partial = !set->peer_whole;
    set->sending.base = set->peer_generation;
    set->all_new = false;
    exchange_tell_lag(set);
    publish_soon(set);
    syncd_work_soon(set->syncd);
}

int64_t sender_due_ns(const struct set *set)
{
    const struct sending *g = &set->sending;

    switch (set->stage) {
    case SET_WAITING:
        return set->again_ns;
    case SET_SENDING:
        return 1;
    case SET_READY:
        if (g->unanswered >= UNANSWERED_MAX)
            return 0;
        return g->first ? 1 : source_due_ns(set->source, g->urgent);
    case SET_REFUSED:
        return source_due_ns(set->source, g->urgent);
    case SET_UNREADY:
    case SET_COMPARING:
        break;
    }
    return 0;
}

static int send_begin(struct set *set)
{
    struct sending *g = &set->sending;
    struct sync_message m = {.header.kind = SYNC_BEGIN};
    const struct source_lag lag = source_lag(set->source);

    m.begin.generation = g->generation;
    m.begin.base = g->base;
    m.begin.partial = g->partial;
    m.begin.files = lag.files;
    m.begin.bytes = lag.bytes;
    const int r = exchange_send(set->syncd, set, &m);
    if (r == 0) {
        g->told = true;
        digest_begin(g->digest);
    }
    return r;
}

static int send_batch(struct set *set)
{
    struct syncd *s = set->syncd;
    struct sending *g = &set->sending;
    struct sync_message m = {.header.kind = SYNC_BATCH};
    const size_t packed = packer_compress(s->packer, g->raw, g->raw_size, s->squeezed);

    m.batch.compressed = packed > 0;
    m.batch.raw_size = (uint32_t)g->raw_size;
    m.batch.operations =
        packed > 0 ? (struct sync_bytes){s->squeezed, packed} : (struct sync_bytes){g->raw, g->raw_size};
    const int r = exchange_send(s, set, &m);
    if (r < 0)
        return r;
    digest_add(g->digest, g->raw, g->raw_size);
    s->credit -= (int64_t)g->raw_size;
    g->part_bytes += g->raw_size;
    set->done_bytes += g->raw_size;
    g->raw_size = 0;
    return 0;
}

/* What the peer will have. Of what comparing found, and what could not be read since (a file that changes all
 * the time), the peer keeps what it has: what that is, is not known. */
static struct sync_hash tree_of_peer(const struct set *set)
{
    return source_is_sure(set->source) ? tree_root_hash(set->tree) : (struct sync_hash){0};
}

/* Before it is sent: what a peer ever has can be looked up, also after the death of this process. */
static void tell_generation(const struct set *set, const struct sync_log_entry *entry)
{
    char tree[2 * SYNC_HASH_BYTES + 1];

    for (size_t i = 0; i < SYNC_HASH_BYTES; i++)
        snprintf(tree + 2 * i, 3, "%02x", entry->tree.bytes[i]);
    log_debug("set %s: generation %" PRIu64 ".%" PRIu64 " is sent, tree %s", set->config->name,
              entry->generation.epoch, entry->generation.counter, tree);
}

static int send_commit(struct set *set, bool whole)
{
    struct sending *g = &set->sending;
    struct sync_message m = {.header.kind = SYNC_COMMIT};

    m.commit.generation = g->generation;
    m.commit.tree = tree_of_peer(set);
    m.commit.whole = whole;
    digest_end(g->digest, m.commit.digest);
    const struct sync_log_entry entry = {g->generation, m.commit.tree};
    tell_generation(set, &entry);
    const int r = exchange_send(set->syncd, set, &m);
    if (r < 0)
        return r; /* the digest is spent: the caller compares again */
    g->sent[g->unanswered].entry = entry;
    g->sent[g->unanswered].whole = whole;
    g->sent[g->unanswered++].oldest_ns = g->oldest_ns;
    g->base = g->generation;
    g->told = false;
    g->part_bytes = 0;
    return 0;
}

static void next_generation(struct set *set)
{
    struct syncd *s = set->syncd;

    set->sending.generation = (struct sync_generation){s->epoch, ++s->counter};
}

static int begin(struct set *set, int64_t now_ns)
{
    struct sending *g = &set->sending;
    const struct source_lag lag = source_lag(set->source);
    const int r = source_begin(set->source, now_ns, g->urgent || g->first || g->partial);

    if (r < 0)
        return r;
    g->oldest_ns = lag.oldest_ns;
    g->urgent = set->syncd->draining;
    g->with_snapshot = set->snapshot_waits;
    if (g->with_snapshot) /* the changes are older than the copy that they are in */
        g->oldest_ns = earlier(g->oldest_ns, snapshot_oldest_ns(set->snapshot));
    set->snapshot_waits = false;
    g->last = false;
    g->raw_size = 0;
    g->part_bytes = 0;
    set->done_bytes = 0;
    set->began_ns = now_ns;
    set->stage = SET_SENDING;
    next_generation(set);
    return 0;
}

/* The end of what the source has: nothing at all was to be told, or the rest goes out with the commit. */
static int finish(struct set *set)
{
    struct sending *g = &set->sending;
    int r = 0;

    if (!g->told && g->first)
        r = send_begin(set);
    if (r == 0 && g->told)
        r = send_commit(set, true);
    if (r < 0)
        return r;
    source_end(set->source);
    if (g->with_snapshot)
        snapshot_taken(set->snapshot);
    g->with_snapshot = false;
    g->first = g->partial = false;
    set->peer_whole = true;
    set->stage = SET_READY;
    set->began_ns = 0;
    publish_soon(set);
    return 0;
}

/* One batch. 1: more at once; 0: it waits for credit, an answer, or a change; negative: an error. */
static int step(struct set *set)
{
    struct syncd *s = set->syncd;
    struct sending *g = &set->sending;
    int r;

    if (g->raw_size == 0 && !g->last) {
        if (!g->told && g->unanswered >= UNANSWERED_MAX)
            return 0; /* between two parts */
        r = source_fill(set->source, g->raw, SYNC_RAW_MAX, &g->raw_size);
        if (r < 0)
            return r;
        g->last = r == 0;
    }
    if (g->raw_size > 0) {
        if (s->credit <= 0)
            return 0;
        if (!g->told && (r = send_begin(set)) < 0)
            return r;
        if ((r = send_batch(set)) < 0)
            return r;
    }
    if (g->last)
        return finish(set) < 0 ? -EAGAIN : 1;
    if (g->partial && g->part_bytes >= PART_BYTES && source_can_split(set->source)) {
        if ((r = send_commit(set, false)) < 0)
            return -EIO;
        next_generation(set);
    }
    return 1;
}

bool sender_work(struct set *set, int64_t now_ns)
{
    const int64_t due = sender_due_ns(set);

    if (due == 0 || due > now_ns)
        return false;
    if (set->stage == SET_WAITING || set->stage == SET_REFUSED) {
        set->stage = SET_UNREADY;
        exchange_tell_set(set); /* the peer answers with its own, which is then compared */
        return true;
    }
    if (set->stage == SET_READY && begin(set, now_ns) < 0)
        return false;
    const int r = step(set);
    if (r == -EAGAIN)
        return false; /* the link is full: `room` follows */
    if (r < 0)
        sender_again(set, strerror(-r));
    return r == 1;
}

static void note_applied(struct set *set, const struct sync_log_entry *entry, bool whole)
{
    const int64_t now = clock_now_ns();

    memmove(&set->log[1], &set->log[0], sizeof set->log - sizeof set->log[0]);
    set->log[0] = *entry;
    set->log_count = MIN(set->log_count + 1, (size_t)SYNC_LOG_MAX);
    set->peer_generation = entry->generation;
    set->failures = 0;
    set->refused = false;
    if (whole) {
        set_trouble(set, "%s", "");
        lacks_nothing(set);
    }
    if (now - set->position_saved_ns >= position_every_ns) {
        set->position_saved_ns = now;
        replica_set_position(set->replica, entry->generation, replica_state(set->replica).whole, true);
    }
    exchange_tell_lag(set);
}

static void refused(struct set *set, const char *text)
{
    set_trouble(set, "the peer refused the latest generation: %s", text);
    set->refused = true;
    compare_end(set);
    sender_reset(set);
    set->stage = SET_REFUSED;
}

/* Once or twice it happens to anybody: the peer had something else than was thought. */
static void again_after_answer(struct set *set, const char *text)
{
    if (set->failures >= 2 && set->trouble[0] == '\0')
        set_trouble(set, "the peer could not take the latest generation: %s", text);
    sender_again(set, text);
}

void sender_ack(struct set *set, const struct sync_message *m)
{
    struct sending *g = &set->sending;
    char text[SYNC_TEXT_MAX];

    snprintf(text, sizeof text, "%.*s", (int)m->ack.text.size, (const char *)m->ack.text.at);
    if (m->ack.fate == SYNC_AGAIN && m->ack.generation.counter == 0) {
        sender_again(set, text);
        return;
    }
    if (g->unanswered == 0 || sync_generation_compare(g->sent[0].entry.generation, m->ack.generation) != 0) {
        const bool current = set->stage == SET_SENDING && m->ack.fate != SYNC_DURABLE &&
                             m->ack.fate != SYNC_APPLIED &&
                             sync_generation_compare(g->generation, m->ack.generation) == 0;
        if (current && m->ack.fate == SYNC_FULL)
            set_trouble(set, "the peer has no room: %s", text);
        if (current)
            again_after_answer(set, text);
        return;
    }
    switch (m->ack.fate) {
    case SYNC_DURABLE:
        break;
    case SYNC_APPLIED:
        g->unanswered--;
        const struct sent applied = g->sent[0];
        memmove(&g->sent[0], &g->sent[1], sizeof g->sent - sizeof g->sent[0]);
        note_applied(set, &applied.entry, applied.whole);
        break;
    case SYNC_REFUSED:
        refused(set, text);
        break;
    case SYNC_FULL:
        set_trouble(set, "the peer has no room: %s", text);
        sender_again(set, text);
        break;
    case SYNC_AGAIN:
        again_after_answer(set, text);
        break;
    }
    publish_soon(set);
    syncd_work_soon(set->syncd);
}

int64_t sender_oldest_ns(const struct set *set)
{
    const struct sending *g = &set->sending;
    int64_t oldest = earlier(source_lag(set->source).oldest_ns, g->lacking_since_ns);

    if (set->stage == SET_SENDING)
        oldest = earlier(oldest, g->oldest_ns);
    for (int i = 0; i < g->unanswered; i++)
        oldest = earlier(oldest, g->sent[i].oldest_ns);
    return set->snapshot ? earlier(oldest, snapshot_oldest_ns(set->snapshot)) : oldest;
}

bool sender_is_sure(const struct set *set)
{
    return !set->sending.unsure && set->stage != SET_UNREADY && set->stage != SET_COMPARING;
}
