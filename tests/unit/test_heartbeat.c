/* The heartbeat datagram, and the record: vectors of a second implementation (proto/vectors), round trip, and
 * what is refused. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/net.h"
#include "common/seal.h"
#include "proto/heartbeat.h"

static const char context[SEAL_CONTEXT_BYTES] = "duet-hb";

/* One block of the vector file: names and values as text. */
struct vector {
    size_t count;
    struct {
        char name[24], value[3072];
    } lines[96];
};

static const char *text_of(const struct vector *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->lines[i].name, name) == 0)
            return v->lines[i].value;
    fail_msg("the vector has no %s", name);
    return NULL;
}

static uint64_t number_of(const struct vector *v, const char *name)
{
    return strtoull(text_of(v, name), NULL, 10);
}

static size_t bytes_of(const char *hex, uint8_t *bytes, size_t most)
{
    size_t n = 0;
    unsigned byte;

    for (; sscanf(hex, "%2x", &byte) == 1 && n < most; hex += 2)
        bytes[n++] = (uint8_t)byte;
    return n;
}

static bool next_vector(FILE *file, struct vector *v)
{
    static char line[4096];

    v->count = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        if (line[0] == '\0' && v->count > 0)
            return true;
        if (line[0] == '\0')
            continue;
        assert_true(v->count < 96);
        assert_int_equal(sscanf(line, "%23s %3071[^\n]", v->lines[v->count].name, v->lines[v->count].value),
                         2);
        v->count++;
    }
    return v->count > 0;
}

static unsigned index_of(const char *const *names, const char *name)
{
    for (unsigned i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("%s is no such value", name);
    return 0;
}

static void assert_channels(const struct vector *v, const struct heartbeat *h)
{
    size_t seen = 0;
    char name[32], mac_text[32];
    unsigned usable;
    int64_t age;
    struct mac mac;

    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->lines[i].name, "channel") != 0)
            continue;
        assert_int_equal(sscanf(v->lines[i].value, "%31s %31s %u %" SCNd64, name, mac_text, &usable, &age),
                         4);
        assert_int_equal(mac_parse(mac_text, &mac), 0);
        assert_true(seen < h->channel_count);
        assert_int_equal(h->channels[seen].id, heartbeat_hash(name));
        assert_memory_equal(h->channels[seen].mac, mac.bytes, 6);
        assert_int_equal(h->channels[seen].usable, usable);
        assert_int_equal(h->channels[seen].evidence_age_us, age);
        seen++;
    }
    assert_int_equal(seen, h->channel_count);
}

#define SAME(field) assert_int_equal(h->field, number_of(v, #field))

static void assert_body(const struct vector *v, const struct heartbeat *h)
{
    uint8_t random[8];

    assert_int_equal(h->role, index_of(role_names, text_of(v, "role")));
    assert_int_equal(h->phase, index_of(phase_names, text_of(v, "phase")));
    assert_int_equal(h->offer, index_of(offer_names, text_of(v, "offer")));
    assert_int_equal(h->prefers, index_of(prefers_names, text_of(v, "prefers")));
    SAME(whole), SAME(held), SAME(unfit), SAME(released), SAME(silent), SAME(suspicious), SAME(takes_silent);
    SAME(takes_records);
    SAME(epoch), SAME(next_epoch), SAME(arbiter_age_us), SAME(lease_us), SAME(phase_age_us);
    SAME(change), SAME(considered), SAME(hold_version), SAME(hold_left_ms), SAME(data_epoch);
    SAME(data_generation), SAME(services_failed), SAME(late_us), SAME(config_hash), SAME(path_count),
        SAME(stamp);
    assert_int_equal(h->echo.session.start, number_of(v, "echo_start"));
    assert_int_equal(bytes_of(text_of(v, "echo_random"), random, 8), 8);
    assert_memory_equal(h->echo.session.random, random, 8);
    assert_int_equal(h->echo.sequence, number_of(v, "echo_sequence"));
    assert_int_equal(h->echo.path_sequence, number_of(v, "echo_path_sequence"));
    assert_int_equal(h->echo.stamp, number_of(v, "echo_stamp"));
    assert_int_equal(h->echo.held_us, number_of(v, "echo_held_us"));
    assert_channels(v, h);
}

static void ring_of(const struct vector *v, struct seal_ring *ring)
{
    uint8_t key[SEAL_KEY_BYTES];

    assert_int_equal(bytes_of(text_of(v, "cluster_key"), key, sizeof key), sizeof key);
    assert_int_equal(seal_ring_open(ring), 0);
    assert_int_equal(seal_ring_add(ring, context, key), 0);
}

static bool is_record(const struct vector *v)
{
    return strcmp(v->lines[v->count - 2].name, "record") == 0;
}

/* Compares what was opened with what is meant, and packs it again. */
static size_t check_body(const struct vector *v, const struct heartbeat_header *header, const uint8_t *body,
                         uint8_t packed[static HEARTBEAT_RECORD_MAX])
{
    const size_t size = header->sealed_bytes - SEAL_TAG_BYTES;
    struct heartbeat heartbeat;
    char text[HEARTBEAT_RECORD_MAX + 1];

    if (header->kind == DATAGRAM_RECORD) {
        assert_int_equal(heartbeat_parse_record(header->version, body, size, text), 0);
        assert_string_equal(text, text_of(v, "record"));
        return heartbeat_pack_record(text, packed);
    }
    assert_int_equal(heartbeat_parse_body(header->version, body, size, &heartbeat), 0);
    assert_body(v, &heartbeat);
    return heartbeat_pack_body(&heartbeat, packed);
}

/* Opens the vector's datagram, compares every field, and makes the same bytes again. */
static void check_vector(const struct vector *v)
{
    uint8_t datagram[HEARTBEAT_DATAGRAM_MAX + 1], again[HEARTBEAT_DATAGRAM_MAX], body[HEARTBEAT_RECORD_MAX],
        packed[HEARTBEAT_RECORD_MAX];
    struct heartbeat_header header;
    struct seal_ring ring;
    const struct seal_place place = {.cluster = text_of(v, "cluster"),
                                     .path = text_of(v, "path"),
                                     .direction = (enum seal_direction)number_of(v, "direction")};

    ring_of(v, &ring);
    const size_t size = bytes_of(text_of(v, "datagram"), datagram, sizeof datagram);
    assert_int_equal(heartbeat_parse_header(datagram, size, &header), 0);
    assert_int_equal(header.kind, is_record(v) ? DATAGRAM_RECORD : DATAGRAM_HEARTBEAT);
    assert_int_equal(header.cluster, heartbeat_hash(place.cluster));
    assert_int_equal(header.version, 1);
    assert_int_equal(header.session.start, number_of(v, "start"));
    assert_int_equal(header.sequence, number_of(v, "sequence"));
    assert_int_equal(header.sealed_bytes, size - HEARTBEAT_HEADER_BYTES);
    assert_in_range(header.sealed_bytes, 1, heartbeat_body_max(header.kind) + SEAL_TAG_BYTES);
    assert_int_equal(seal_open(&ring, header.key_id, &place, datagram + HEARTBEAT_NONCE_AT, datagram,
                               HEARTBEAT_HEADER_BYTES, datagram + HEARTBEAT_HEADER_BYTES, header.sealed_bytes,
                               body),
                     0);

    const size_t length = check_body(v, &header, body, packed);
    assert_int_equal(length, header.sealed_bytes - SEAL_TAG_BYTES);
    assert_memory_equal(packed, body, length);
    heartbeat_pack_header(&header, again);
    assert_int_equal(seal_message(&ring, &place, again + HEARTBEAT_NONCE_AT, again, HEARTBEAT_HEADER_BYTES,
                                  packed, length, again + HEARTBEAT_HEADER_BYTES),
                     header.sealed_bytes);
    assert_memory_equal(again, datagram, size);
    seal_ring_close(&ring);
}

static void test_vectors(void **state)
{
    FILE *file = fopen(DUET_VECTORS, "re");
    static struct vector v;
    int count = 0;

    (void)state;
    assert_non_null(file);
    for (; next_vector(file, &v); count++)
        check_vector(&v);
    assert_int_equal(count, 5);
    fclose(file);
}

/* -------------------------------------------------------- what is refused */

static struct heartbeat example(void)
{
    struct heartbeat h = {
        .role = ROLE_ACTIVE, .phase = PHASE_ACTIVE, .whole = true, .epoch = 17, .channel_count = 2};

    h.channels[0] = (struct heartbeat_channel){.id = 1, .mac = {2, 0, 0, 0, 0, 1}, .usable = true};
    h.channels[1] = (struct heartbeat_channel){.id = 2, .evidence_age_us = HEARTBEAT_NUMBER_MAX};
    return h;
}

static void test_every_truncation_is_refused(void **state)
{
    const struct heartbeat h = example();
    struct heartbeat parsed;
    struct heartbeat_header header = {.session.start = 1, .sequence = 1};
    uint8_t bytes[HEARTBEAT_MAX] = {0}, body[HEARTBEAT_BODY_MAX];

    (void)state;
    const size_t length = heartbeat_pack_body(&h, body);
    assert_int_equal(heartbeat_parse_body(1, body, length, &parsed), 0);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees each byte too many */
        memcpy(exact, body, cut);
        assert_int_equal(heartbeat_parse_body(1, exact, cut, &parsed), -EBADMSG);
        free(exact);
    }
    header.sealed_bytes = (uint16_t)(length + SEAL_TAG_BYTES);
    heartbeat_pack_header(&header, bytes);
    const size_t size = HEARTBEAT_HEADER_BYTES + header.sealed_bytes;
    assert_int_equal(heartbeat_parse_header(bytes, size, &header), 0);
    assert_int_equal(heartbeat_parse_header(bytes, size + 7, &header), 0); /* the medium's padding */
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(heartbeat_parse_header(bytes, cut, &header), -EBADMSG);
}

static void test_values_out_of_range_are_refused(void **state)
{
    const struct heartbeat h = example();
    struct heartbeat parsed;
    uint8_t body[HEARTBEAT_BODY_MAX + 1];
    const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 2}, {1, 6}, {2, 3}, {3, 3}, {6, 0xff}, {30, 0x20}, {174, 3}, {174, 255}};

    (void)state;
    const size_t length = heartbeat_pack_body(&h, body);
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        const uint8_t right = body[wrong[i].at];
        body[wrong[i].at] = wrong[i].value;
        assert_int_equal(heartbeat_parse_body(1, body, length, &parsed), -EBADMSG);
        body[wrong[i].at] = right;
    }
    assert_int_equal(heartbeat_parse_body(1, body, length + 1, &parsed), -EBADMSG);
    assert_int_equal(heartbeat_parse_body(2, body, length, &parsed), -ENOTSUP);
    assert_int_equal(heartbeat_parse_body(1, body, length, &parsed), 0);
}

static void test_numbers_are_kept_in_range(void **state)
{
    struct heartbeat h = example(), parsed;
    uint8_t body[HEARTBEAT_BODY_MAX];

    (void)state;
    h.epoch = INT64_MAX;
    h.lease_us = -5;
    const size_t length = heartbeat_pack_body(&h, body);
    assert_int_equal(heartbeat_parse_body(1, body, length, &parsed), 0);
    assert_int_equal(parsed.epoch, HEARTBEAT_NUMBER_MAX);
    assert_int_equal(parsed.lease_us, 0);
}

/* ----------------------------------------------------------------- records */

static int parse_text(const char *text, size_t size)
{
    char parsed[HEARTBEAT_RECORD_MAX + 1], *exact = malloc(size + 1); /* as above */

    memcpy(exact, text, size);
    const int r = heartbeat_parse_record(1, (const uint8_t *)exact, size, parsed);
    if (r == 0)
        assert_memory_equal(parsed, text, size);
    free(exact);
    return r;
}

static void test_texts_that_records_take(void **state)
{
    static const char *const taken[] = {
        "{}",     " ",      "~",      "\u00a0",     "\u07ff",     "\u0800",
        "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff",
    };
    uint8_t bytes[HEARTBEAT_RECORD_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(taken); i++) {
        assert_int_equal(parse_text(taken[i], strlen(taken[i])), 0);
        assert_int_equal(heartbeat_pack_record(taken[i], bytes), strlen(taken[i]));
        assert_memory_equal(bytes, taken[i], strlen(taken[i]));
    }
}

/* Stray and missing bytes within a character, longer forms than need be, halves of surrogate pairs, and what
 * is beyond U+10FFFF; control characters. */
static void test_other_texts_are_refused(void **state)
{
    static const char *const refused[] = {
        "",
        "\n",
        "a\tb",
        "\x1f",
        "\x7f",
        "a\xc2\x80",
        "\xc2\x9f",
        "\x80",
        "a\xbf",
        "\xc2",
        "\xc2z",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xe2\x82z",
        "\xf0\x9f",
        "\xf0\x9f\x98",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
    };
    uint8_t bytes[HEARTBEAT_RECORD_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        assert_int_equal(parse_text(refused[i], strlen(refused[i])), -EBADMSG);
        assert_int_equal(heartbeat_pack_record(refused[i], bytes), 0);
    }
    assert_int_equal(parse_text("a\0b", 3), -EBADMSG);
    char parsed[HEARTBEAT_RECORD_MAX + 1];
    const uint8_t *euro = (const uint8_t *)"\u20ac";
    assert_int_equal(heartbeat_parse_record(1, euro, 2, parsed), -EBADMSG); /* what follows is not of it */
    assert_int_equal(heartbeat_parse_record(2, euro, 3, parsed), -ENOTSUP);
}

static void test_records_are_as_long_as_they_may_be(void **state)
{
    char text[HEARTBEAT_RECORD_MAX + 2];
    uint8_t bytes[HEARTBEAT_RECORD_MAX];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(parse_text(text, HEARTBEAT_RECORD_MAX + 1), -EBADMSG);
    assert_int_equal(heartbeat_pack_record(text, bytes), 0);
    text[HEARTBEAT_RECORD_MAX] = '\0';
    assert_int_equal(parse_text(text, HEARTBEAT_RECORD_MAX), 0);
    assert_int_equal(heartbeat_pack_record(text, bytes), HEARTBEAT_RECORD_MAX);
}

static void test_a_header_of_another_magic_is_refused(void **state)
{
    static const char *const magics[] = {[DATAGRAM_HEARTBEAT] = "DUHB", [DATAGRAM_RECORD] = "DURC"};
    struct heartbeat_header header = {.session.start = 1, .sequence = 1, .sealed_bytes = SEAL_TAG_BYTES + 1};
    uint8_t bytes[HEARTBEAT_HEADER_BYTES + SEAL_TAG_BYTES + 1] = {0};

    (void)state;
    for (unsigned kind = 0; kind < ARRAY_LENGTH(magics); kind++) {
        header.kind = (enum datagram_kind)kind;
        heartbeat_pack_header(&header, bytes);
        assert_memory_equal(bytes, magics[kind], 4);
        assert_int_equal(heartbeat_parse_header(bytes, sizeof bytes, &header), 0);
        assert_int_equal(header.kind, kind);
        for (size_t bit = 0; bit < 32; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(heartbeat_parse_header(bytes, sizeof bytes, &header), -EBADMSG);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* ------------------------------------------------------------------- seal */

enum { HEADER = HEARTBEAT_HEADER_BYTES, PLAIN = 100 };

struct sealed {
    uint8_t header[HEADER], bytes[PLAIN + SEAL_TAG_BYTES];
};

static void ring_with(struct seal_ring *ring, int first, int second)
{
    uint8_t key[SEAL_KEY_BYTES];

    assert_int_equal(seal_ring_open(ring), 0);
    memset(key, first, sizeof key);
    assert_int_equal(seal_ring_add(ring, context, key), 0);
    if (second == 0)
        return;
    memset(key, second, sizeof key);
    assert_int_equal(seal_ring_add(ring, context, key), 0);
}

static const struct seal_place here = {"gate", "outside", SEAL_FIRST_TO_SECOND};

static struct sealed sealed_here(const struct seal_ring *ring)
{
    static const uint8_t plain[PLAIN] = "text";
    struct sealed s;

    memset(s.header, 7, sizeof s.header);
    assert_int_equal(
        seal_message(ring, &here, s.header + HEARTBEAT_NONCE_AT, s.header, HEADER, plain, PLAIN, s.bytes),
        sizeof s.bytes);
    return s;
}

static int try_open(const struct seal_ring *ring, uint8_t key_id, const struct seal_place *place,
                    const struct sealed *s)
{
    uint8_t plain[PLAIN];
    const int r = seal_open(ring, key_id, place, s->header + HEARTBEAT_NONCE_AT, s->header, HEADER, s->bytes,
                            sizeof s->bytes, plain);

    if (r == 0)
        assert_string_equal((const char *)plain, "text");
    return r;
}

static void test_sealed_opens_only_in_its_place(void **state)
{
    struct seal_ring ring;

    (void)state;
    ring_with(&ring, 1, 0);
    const struct sealed s = sealed_here(&ring);
    const uint8_t id = ring.keys[0].id;
    assert_int_equal(try_open(&ring, id, &here, &s), 0);
    const struct seal_place elsewhere[] = {
        {"gate", "inside", SEAL_FIRST_TO_SECOND},
        {"gate", "outside", SEAL_SECOND_TO_FIRST},
        {"gat", "eoutside", SEAL_FIRST_TO_SECOND}, /* the same letters in a row */
        {"other", "outside", SEAL_FIRST_TO_SECOND},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(elsewhere); i++)
        assert_int_equal(try_open(&ring, id, &elsewhere[i], &s), -EBADMSG);
    seal_ring_close(&ring);
}

static void test_any_changed_bit_is_refused(void **state)
{
    struct seal_ring ring;

    (void)state;
    ring_with(&ring, 1, 0);
    const struct sealed s = sealed_here(&ring);
    for (size_t bit = 0; bit < 8 * sizeof s; bit++) {
        struct sealed changed = s;
        ((uint8_t *)&changed)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(try_open(&ring, ring.keys[0].id, &here, &changed), -EBADMSG);
    }
    seal_ring_close(&ring);
}

/* old → old+new … → new: at each step the two nodes understand each other. */
static void test_a_key_is_changed_without_an_outage(void **state)
{
    struct seal_ring old, both, new;

    (void)state;
    ring_with(&old, 1, 0);
    ring_with(&both, 2, 1);
    ring_with(&new, 2, 0);
    const struct sealed by_old = sealed_here(&old), by_both = sealed_here(&both);
    assert_int_equal(try_open(&both, old.keys[0].id, &here, &by_old), 0);
    assert_int_equal(try_open(&new, new.keys[0].id, &here, &by_both), 0);
    assert_int_equal(try_open(&new, old.keys[0].id, &here, &by_old), -EBADMSG);
    assert_int_equal(try_open(&new, new.keys[0].id, &here, &by_old), -EBADMSG);
    seal_ring_close(&old), seal_ring_close(&both), seal_ring_close(&new);
}

static void test_closing_wipes_the_keys(void **state)
{
    static const struct seal_ring nothing;
    struct seal_ring ring;

    (void)state;
    ring_with(&ring, 1, 2);
    assert_memory_not_equal(ring.keys[0].direction[0], ring.keys[0].direction[1], SEAL_KEY_BYTES);
    seal_ring_close(&ring);
    assert_memory_equal(&ring, &nothing, sizeof ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_values_out_of_range_are_refused),
        cmocka_unit_test(test_numbers_are_kept_in_range),
        cmocka_unit_test(test_texts_that_records_take),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_records_are_as_long_as_they_may_be),
        cmocka_unit_test(test_a_header_of_another_magic_is_refused),
        cmocka_unit_test(test_sealed_opens_only_in_its_place),
        cmocka_unit_test(test_any_changed_bit_is_refused),
        cmocka_unit_test(test_a_key_is_changed_without_an_outage),
        cmocka_unit_test(test_closing_wipes_the_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
