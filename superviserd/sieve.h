/* sieve: which of the messages on the bus the black box keeps.
 *
 * Most of them are renewals: the same state with newer times, some of them twenty times a second. Of each
 * topic two hashes are remembered, both without the envelope: one of all fields, and one without measures
 * (times, durations, tallies: proto/measure.h). A message is
 *
 *     a change    when the second hash is new. At most SIEVE_BURST at once for each topic, then one a second
 *                 for a decision, and one each SIEVE_REFILL for what is merely seen. What came between is
 *                 lost; the latest state is not, since it comes again.
 *     a change    again, when the ring of changes has gone on by half its size since this topic's last one:
 *                 so the latest state of every topic is always in the ring
 *     a renewal   when only the first hash is new, and the topic's last record is SIEVE_RENEWAL old
 *     nothing     else
 *
 * Pure: time and the ring's position come with the message. */
#pragma once
#include "common/base.h"
#include "common/blackbox.h"
#include "proto/codec.h"

enum { SIEVE_TOPICS_MAX = 512, SIEVE_BURST = 64 };
#define SIEVE_REFILL (5 * NS_PER_S)
#define SIEVE_RENEWAL (10 * NS_PER_S)

struct sieve_topic {
    char topic[TOPIC_MAX];
    uint64_t everything, news; /* hashes of the latest record */
    int64_t recorded_ns;       /* the latest record */
    uint64_t position;         /* of the latest change, as blackbox_writer.written counts */
    int64_t allowance_ns;      /* what it may spend */
    int64_t allowed_ns;        /* when that was reckoned */
};

struct sieve {
    size_t count;
    uint64_t held_back; /* changes that came too fast */
    struct sieve_topic topics[SIEVE_TOPICS_MAX];
};

struct sieve_message {
    const char *topic, *json;
    size_t size;
    int64_t now_ns;
    uint64_t position;
};

enum sieve_verdict { SIEVE_NOTHING, SIEVE_CHANGE, SIEVE_RENEWED };

/* A topic that decides something or carries it out: role, address, alarm, service, hook, watchdog, reboot. */
bool sieve_is_decision(const char *topic);

/* Judges a message, and remembers it if it is to be recorded. */
enum sieve_verdict sieve_judge(struct sieve *sieve, const struct sieve_message *message);

/* Remembers a message that an earlier run recorded. */
void sieve_remember(struct sieve *sieve, const struct sieve_message *message);
