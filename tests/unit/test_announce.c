/* announce: every byte of the frames. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "takeoverd/announce.h"

static const struct mac mac = {{0x02, 0x00, 0x5e, 0x10, 0x00, 0x01}};

static size_t build(const char *text, struct announce_frame frames[static ANNOUNCE_FRAMES_MAX])
{
    struct net_address address;

    assert_int_equal(net_address_parse(text, &address), 0);
    memset(frames, 0xa5, ANNOUNCE_FRAMES_MAX * sizeof *frames);
    return announce_build(&address, &mac, frames);
}

static void test_arp(void **state)
{
    static const uint8_t request[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x08, 0x06, /* Ethernet */
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,                                     /* request */
        0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 203,  0,    113,  10,                           /* sender */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 203,  0,    113,  10,                           /* target */
    };
    static const uint8_t reply[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x08, 0x06, /* Ethernet */
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02,                                     /* reply */
        0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 203,  0,    113,  10,                           /* sender */
        0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 203,  0,    113,  10,                           /* target */
    };
    struct announce_frame frames[ANNOUNCE_FRAMES_MAX];

    (void)state;
    assert_int_equal(build("203.0.113.10/24", frames), 2);
    assert_int_equal(frames[0].size, sizeof request);
    assert_memory_equal(frames[0].bytes, request, sizeof request);
    assert_int_equal(frames[1].size, sizeof reply);
    assert_memory_equal(frames[1].bytes, reply, sizeof reply);
}

static void test_neighbor_advertisement(void **state)
{
    static const uint8_t advertisement[] = {
        0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x86, 0xdd, /* Ethernet */
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff,                                     /* IPv6 */
        0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    0x10, /* from the address */
        0xff, 0x02, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    0x01,                                     /* to all nodes */
        0x88, 0x00, 0x1a, 0xfc, 0xa0, 0x00, 0x00, 0x00, /* router, override */
        0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    0x10,                                     /* target */
        0x02, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, /* its MAC address */
    };
    struct announce_frame frames[ANNOUNCE_FRAMES_MAX];

    (void)state;
    assert_int_equal(build("2001:db8::10/64", frames), 1);
    assert_int_equal(frames[0].size, sizeof advertisement);
    assert_memory_equal(frames[0].bytes, advertisement, sizeof advertisement);
}

static void test_no_address(void **state)
{
    struct announce_frame frames[ANNOUNCE_FRAMES_MAX];

    (void)state;
    assert_int_equal(announce_build(&(struct net_address){0}, &mac, frames), 0);
}

static void ask(const char *own, const char *neighbour, const struct mac *neighbour_mac,
                struct announce_frame *frame)
{
    struct net_address from, to;

    assert_int_equal(net_address_parse(own, &from), 0);
    assert_int_equal(net_address_parse(neighbour, &to), 0);
    announce_ask(&from, &mac, &to, neighbour_mac, frame);
}

static void test_a_question_by_arp(void **state)
{
    static const uint8_t expected[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x08, 0x06, /* Ethernet */
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,                                     /* request */
        0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 203,  0,    113,  10,                           /* sender */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 203,  0,    113,  1,                            /* target */
    };
    static const struct mac nobody, there = {{2, 0, 0, 0, 0, 9}};
    struct announce_frame frame;

    (void)state;
    ask("203.0.113.10/24", "203.0.113.1", &nobody, &frame);
    assert_int_equal(frame.size, sizeof expected);
    assert_memory_equal(frame.bytes, expected, sizeof expected);
    ask("203.0.113.10/24", "203.0.113.1", &there, &frame);
    assert_memory_equal(frame.bytes, there.bytes, 6);
    assert_memory_equal(frame.bytes + 6, expected + 6, sizeof expected - 6);
}

/* RFC 4861, section 7.2.2: to the solicited-node address, with the option source link-layer address. */
static void test_a_question_by_neighbour_discovery(void **state)
{
    static const struct mac nobody, there = {{2, 0, 0, 0, 0, 9}};
    struct announce_frame frame;
    struct announce_heard heard;

    (void)state;
    ask("2001:db8::10/64", "2001:db8::ab:cdef", &nobody, &frame);
    assert_int_equal(frame.size, 86);
    assert_memory_equal(frame.bytes, "\x33\x33\xff\xab\xcd\xef", 6);
    assert_memory_equal(frame.bytes + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\xab\xcd\xef", 16);
    assert_int_equal(frame.bytes[21], 255);
    assert_int_equal(frame.bytes[54], 135);
    assert_memory_equal(frame.bytes + 78, "\x01\x01\x02\x00\x5e\x10\x00\x01", 8);
    assert_int_equal(announce_parse(frame.bytes, frame.size, &heard), 0);
    assert_true(heard.kind == ANNOUNCE_QUESTION && mac_equal(&heard.mac, &mac));
    ask("2001:db8::10/64", "2001:db8::1", &there, &frame);
    assert_memory_equal(frame.bytes, there.bytes, 6);
    assert_memory_equal(frame.bytes + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\0\0\x01", 16);
}

static void test_what_is_heard(void **state)
{
    static const struct mac nobody;
    struct announce_frame frame, frames[ANNOUNCE_FRAMES_MAX];
    struct announce_heard heard;

    (void)state;
    ask("203.0.113.10/24", "203.0.113.1", &nobody, &frame);
    frame.bytes[21] = 2; /* as an answer */
    assert_int_equal(announce_parse(frame.bytes, frame.size, &heard), 0);
    assert_int_equal(heard.kind, ANNOUNCE_ANSWER);
    for (size_t size = 0; size < frame.size; size++)
        assert_int_equal(announce_parse(frame.bytes, size, &heard), -EBADMSG);
    build("203.0.113.10", frames);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(announce_parse(frames[i].bytes, frames[i].size, &heard), 0);
        assert_int_equal(heard.kind, ANNOUNCE_CLAIM);
    }
    build("2001:db8::10", frames);
    assert_int_equal(announce_parse(frames[0].bytes, frames[0].size, &heard), 0);
    assert_int_equal(heard.kind, ANNOUNCE_CLAIM);
    ask("2001:db8::10/64", "2001:db8::1", &nobody, &frame);
    frame.bytes[21] = 254; /* forwarded: from another network */
    assert_int_equal(announce_parse(frame.bytes, frame.size, &heard), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_a_question_by_arp),
        cmocka_unit_test(test_a_question_by_neighbour_discovery),
        cmocka_unit_test(test_what_is_heard),
        cmocka_unit_test(test_neighbor_advertisement),
        cmocka_unit_test(test_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
