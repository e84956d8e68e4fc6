/* A generation that was is to be again (rollback). Only the passive node keeps what was replaced; so the
 * active one asks for it, takes it as a passive one takes a generation, and then sends what has changed as
 * the next generation. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

static const int64_t restore_time_ns = 60 * NS_PER_S;

/* ------------------------------------------------------------------ active */

int restore_ask(struct set *set, struct sync_generation generation)
{
    struct syncd *s = set->syncd;
    struct sync_message m = {.header.kind = SYNC_RESTORE, .restore = generation};
    struct sync_message credit = {.header.kind = SYNC_CREDIT, .credit = CREDIT_BYTES};

    if (set->receiving.restore || set->stage != SET_READY || set->sending.unanswered > 0)
        return -EBUSY;
    source_set_mode(set->source, SOURCE_OFF);
    sender_reset(set);
    set->receiving.restore = true;
    set->receiving.restore_until_ns = clock_now_ns() + restore_time_ns;
    exchange_send(s, set, &m);
    return exchange_send(s, set, &credit);
}

static void follow_again(struct set *set)
{
    set->receiving.restore = false;
    set->learned = false;
    source_set_mode(set->source, SOURCE_FOLLOW); /* learned, told and compared when its scan has ended */
    publish_soon(set);
}

void restore_arrived(struct set *set)
{
    const struct sync_generation own = {set->syncd->epoch, set->syncd->counter};

    replica_set_position(set->replica, own, true, false);
    log_notice("set %s: rolled back; it is sent to the peer as a new generation", set->config->name);
    follow_again(set);
}

void restore_failed(struct set *set, struct sync_bytes text)
{
    set_trouble(set, "not rolled back: %.*s", (int)text.size, (const char *)text.at);
    follow_again(set);
}

/* ----------------------------------------------------------------- passive */

static void refuse(struct set *set, const char *text)
{
    struct sync_message m = {.header.kind = SYNC_ACK};

    m.ack.generation = set->restoring.wanted;
    m.ack.fate = SYNC_REFUSED;
    m.ack.text = (struct sync_bytes){(const uint8_t *)text, strlen(text)};
    exchange_send(set->syncd, set, &m);
    set->restoring.on = false;
}

void restore_asked(struct set *set, struct sync_generation generation)
{
    struct sync_message m = {.header.kind = SYNC_BEGIN};

    set->restoring.wanted = generation;
    if (replica_restore_begin(set->replica, generation) < 0) {
        refuse(set, "the peer does not keep that generation (any more)");
        return;
    }
    set->restoring.on = true;
    set->restoring.raw_size = 0;
    m.begin.generation = (struct sync_generation){set->syncd->peer_epoch, ++set->syncd->counter};
    m.begin.restore = m.begin.partial = true;
    set->restoring.number = m.begin.generation;
    exchange_send(set->syncd, set, &m);
    digest_begin(set->sending.digest);
    syncd_work_soon(set->syncd);
}

static int send_some(struct set *set)
{
    struct syncd *s = set->syncd;
    struct sync_message m = {.header.kind = SYNC_BATCH};

    m.batch.raw_size = (uint32_t)set->restoring.raw_size;
    m.batch.operations = (struct sync_bytes){set->sending.raw, set->restoring.raw_size};
    const int r = exchange_send(s, set, &m);
    if (r < 0)
        return r;
    digest_add(set->sending.digest, set->sending.raw, set->restoring.raw_size);
    s->credit -= (int64_t)set->restoring.raw_size;
    set->restoring.raw_size = 0;
    return 0;
}

static void send_end(struct set *set)
{
    struct sync_message m = {.header.kind = SYNC_COMMIT};

    m.commit.generation = set->restoring.number;
    digest_end(set->sending.digest, m.commit.digest);
    exchange_send(set->syncd, set, &m);
    set->restoring.on = false;
}

bool restore_work(struct set *set)
{
    static const char late[] = "the peer did not answer in time";

    if (set->receiving.restore && clock_now_ns() > set->receiving.restore_until_ns && !set->receiving.begun &&
        !set->receiving.switching)
        restore_failed(set, (struct sync_bytes){(const uint8_t *)late, strlen(late)});
    if (!set->restoring.on)
        return false;
    if (set->restoring.raw_size == 0) {
        const int r =
            replica_restore_fill(set->replica, set->sending.raw, SYNC_RAW_MAX, &set->restoring.raw_size);
        if (r < 0)
            refuse(set, "that generation cannot be read any more");
        set->restoring.last = r <= 0;
    }
    if (set->restoring.on && set->restoring.raw_size > 0 && (set->syncd->credit <= 0 || send_some(set) < 0))
        return false;
    if (set->restoring.on && set->restoring.last)
        send_end(set);
    return set->restoring.on;
}
