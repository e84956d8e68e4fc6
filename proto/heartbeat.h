/* heartbeat: one datagram in which a node shows itself to its peer (proto/heartbeat.md has every offset and
 * rule); and beside it the record, a datagram with a text of its arbiter's for the peer's.
 *
 * A datagram is a frozen header of 40 bytes, which stays the same in every version to come, and a sealed body
 * of the version that the header names. This module is the codec alone: it turns the structs into bytes and
 * back, by shifts, so that byte order, word size and padding of the machine do not matter. It neither seals
 * nor opens (common/seal.h) nor judges whether a datagram is new (heartbeatd). No allocation, no I/O.
 *
 * What parses can be used without a second look: enums are in range, and numbers fit the bus
 * (HEARTBEAT_NUMBER_MAX). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/topics.h"

enum {
    HEARTBEAT_VERSION = 1, /* the only body version so far */
    HEARTBEAT_HEADER_BYTES = 40,
    HEARTBEAT_NONCE_AT = 16, /* session and sequence: the last 24 bytes of the header */
    HEARTBEAT_TAG_BYTES = 16,
    HEARTBEAT_CHANNELS_MAX = 16,
    HEARTBEAT_FIXED_BYTES = 175,
    HEARTBEAT_CHANNEL_BYTES = 19,
    HEARTBEAT_BODY_MAX = HEARTBEAT_FIXED_BYTES + HEARTBEAT_CHANNELS_MAX * HEARTBEAT_CHANNEL_BYTES,
    HEARTBEAT_MAX = HEARTBEAT_HEADER_BYTES + HEARTBEAT_BODY_MAX + HEARTBEAT_TAG_BYTES,
    HEARTBEAT_RECORD_MAX = 1151, /* bytes of a record's text */
    /* Of either kind; small enough for the least MTU of IPv6. */
    HEARTBEAT_DATAGRAM_MAX = HEARTBEAT_HEADER_BYTES + HEARTBEAT_RECORD_MAX + HEARTBEAT_TAG_BYTES,
    HEARTBEAT_PORT = 5571,        /* UDP, on the reserved line */
    HEARTBEAT_ETHERTYPE = 0x88b5, /* IEEE 802, local experimental EtherType 1; on channels */
};

/* Where heartbeats on channels go: a group address of our own (locally administered; it spells "duet"). */
extern const uint8_t heartbeat_group[6];

/* The largest number that a heartbeat carries (sessions' random part, stamps and hashes excepted): JSON
 * readers take no larger ones exactly. As a duration: "never", or not known. */
#define HEARTBEAT_NUMBER_MAX (INT64_C(1) << 53)

/* One run of a sender. `start` grows with every run and is kept on disk; 0 = none. */
struct heartbeat_session {
    uint64_t start;
    uint8_t random[8];
};

/* Told apart by their magic. */
enum datagram_kind { DATAGRAM_HEARTBEAT, DATAGRAM_RECORD };

struct heartbeat_header {
    enum datagram_kind kind;
    uint32_t cluster; /* heartbeat_hash() of its name: tells foreign from forged */
    uint8_t version;  /* of the body */
    uint8_t version_min, version_max;
    uint8_t key_id;
    uint16_t sealed_bytes; /* what follows the header: the body and its tag */
    struct heartbeat_session session;
    uint64_t sequence; /* one count over all paths of a session, from 1 */
};

struct heartbeat_channel {
    uint32_t id; /* heartbeat_hash() of its name */
    uint8_t mac[6];
    bool usable;
    int64_t evidence_age_us; /* HEARTBEAT_NUMBER_MAX: there is none */
};

/* What was last heard from the receiver of this heartbeat. */
struct heartbeat_echo {
    struct heartbeat_session session; /* start 0: nothing was heard */
    uint64_t sequence;                /* the highest on any path */
    uint64_t path_sequence;           /* the highest on this path; 0 = none */
    uint64_t stamp;                   /* of that one */
    int64_t held_us;                  /* between hearing that one and sending this */
};

struct heartbeat {
    enum role role;
    enum phase phase;
    enum offer offer;
    enum prefers prefers;
    bool whole, held, unfit, released, silent, suspicious;
    bool takes_silent;  /* this version takes the role from a node that is silent; the first one did not */
    bool takes_records; /* … and takes records; versions before did not */
    int64_t epoch, next_epoch;
    int64_t arbiter_age_us; /* HEARTBEAT_NUMBER_MAX: it never spoke */
    int64_t lease_us, phase_age_us;
    int64_t change, considered; /* the arbiter's numbers of its own and of the receiver's changes */
    int64_t hold_version, hold_left_ms;
    int64_t data_epoch, data_generation;
    uint32_t services_failed;
    uint32_t late_us;
    uint64_t config_hash;
    uint64_t path_count; /* heartbeats sent on this path in this session, from 1 */
    uint64_t stamp;      /* the sender's own, for it to get back in an echo */
    struct heartbeat_echo echo;
    size_t channel_count;
    struct heartbeat_channel channels[HEARTBEAT_CHANNELS_MAX];
};

/* FNV-1a, 32 bits: names as four bytes. */
uint32_t heartbeat_hash(const char *name);

/* Writes exactly HEARTBEAT_HEADER_BYTES. */
void heartbeat_pack_header(const struct heartbeat_header *header,
                           uint8_t bytes[static HEARTBEAT_HEADER_BYTES]);

/* Reads the header of a datagram of `size` bytes, and checks that `sealed_bytes` fits into it (bytes beyond
 * are padding of the medium). 0 or -EBADMSG: not one of duet's, or cut off. */
int heartbeat_parse_header(const uint8_t *bytes, size_t size, struct heartbeat_header *header);

/* Writes a body of version 1 and returns its length, at most HEARTBEAT_BODY_MAX. Numbers beyond
 * HEARTBEAT_NUMBER_MAX, and negative ones, are written as the nearest allowed one. */
size_t heartbeat_pack_body(const struct heartbeat *heartbeat, uint8_t bytes[static HEARTBEAT_BODY_MAX]);

/* Reads an opened body of `version`. 0; -ENOTSUP (a version that this code does not speak); -EBADMSG (wrong
 * length, or a value out of range). */
int heartbeat_parse_body(uint8_t version, const uint8_t *bytes, size_t size, struct heartbeat *heartbeat);

/* The most bytes that a body of this kind has. */
size_t heartbeat_body_max(enum datagram_kind kind);

/* Writes the body of a record, which is its text, and returns its length. 0: it cannot go, since it is empty,
 * longer than HEARTBEAT_RECORD_MAX, not UTF-8, or has control characters (below U+0020, U+007F to U+009F). */
size_t heartbeat_pack_record(const char *text, uint8_t bytes[static HEARTBEAT_RECORD_MAX]);

/* Reads an opened body of `version` into `text`. 0; -ENOTSUP (a version that this code does not speak);
 * -EBADMSG (no text that heartbeat_pack_record() would have written). */
int heartbeat_parse_record(uint8_t version, const uint8_t *bytes, size_t size,
                           char text[static HEARTBEAT_RECORD_MAX + 1]);

bool heartbeat_session_equal(const struct heartbeat_session *a, const struct heartbeat_session *b);

enum { HEARTBEAT_SESSION_TEXT_MAX = 33 };
void heartbeat_session_print(const struct heartbeat_session *session,
                             char text[static HEARTBEAT_SESSION_TEXT_MAX]);
