/* The bytes of a request, by ARP and by Neighbor Discovery, and what is neither. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heartbeatd/neighbour.h"

enum { ARP_SIZE = 42 };

static const uint8_t request_bytes[ARP_SIZE] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0,   0,  0, 0x01, 0x08, 0x06, /* Ethernet */
    0,    1,    0x08, 0,    6,    4,    0,    1,                               /* who has */
    0x02, 0,    0,    0,    0,    0x01, 203,  0, 113, 11,                      /* sender */
    0,    0,    0,    0,    0,    0,    203,  0, 113, 1,                       /* target */
};

static size_t pack(const char *sender, const char *target, const struct mac *to, uint8_t *frame)
{
    struct neighbour_request request = {.from = {{2, 0, 0, 0, 0, 1}}, .to = *to};

    assert_int_equal(net_address_parse(sender, &request.sender), 0);
    assert_int_equal(net_address_parse(target, &request.target), 0);
    return neighbour_pack(&request, frame);
}

static void test_request_has_the_bytes_of_rfc_826(void **state)
{
    uint8_t frame[NEIGHBOUR_FRAME_MAX];

    (void)state;
    assert_int_equal(pack("203.0.113.11", "203.0.113.1", &mac_broadcast, frame), ARP_SIZE);
    assert_memory_equal(frame, request_bytes, sizeof request_bytes);
}

/* To the solicited-node address, also in a frame to one alone. */
static void test_request_has_the_bytes_of_rfc_4861(void **state)
{
    static const struct mac there = {{2, 0, 0, 0, 0, 9}};
    uint8_t frame[NEIGHBOUR_FRAME_MAX];

    (void)state;
    assert_int_equal(pack("2001:db8::b", "2001:db8::ab:cdef", &mac_broadcast, frame), ND_FRAME_BYTES);
    assert_memory_equal(frame, "\x33\x33\xff\xab\xcd\xef\x02\0\0\0\0\x01\x86\xdd", 14);
    assert_memory_equal(frame + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\xab\xcd\xef", 16);
    assert_int_equal(frame[54], 135);
    pack("2001:db8::b", "2001:db8::ab:cdef", &there, frame);
    assert_memory_equal(frame, there.bytes, 6);
    assert_memory_equal(frame + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\xab\xcd\xef", 16);
}

static void test_who_uses_an_ipv6_address_is_read(void **state)
{
    uint8_t frame[NEIGHBOUR_FRAME_MAX];
    struct neighbour neighbour;
    struct net_address expected;

    (void)state;
    pack("2001:db8::b", "2001:db8::10", &mac_broadcast, frame);
    assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), 0);
    net_address_parse("2001:db8::b", &expected);
    assert_true(net_address_equal(&neighbour.address, &expected)); /* a question tells who asks */
    frame[54] = 136;
    assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), 0);
    net_address_parse("2001:db8::10", &expected);
    assert_true(net_address_equal(&neighbour.address, &expected)); /* an answer whom it is about */
    for (size_t cut = 0; cut < 78; cut++)
        assert_int_equal(neighbour_parse(frame, cut, &neighbour), -EBADMSG);
    frame[21] = 254;
    assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), -EBADMSG); /* forwarded */
}

static void test_the_sender_is_read(void **state)
{
    struct neighbour neighbour;
    uint8_t reply[60] = {0}; /* as the medium pads it */

    (void)state;
    memcpy(reply, request_bytes, sizeof request_bytes);
    reply[21] = 2;
    assert_int_equal(neighbour_parse(reply, sizeof reply, &neighbour), 0);
    assert_int_equal(neighbour.address.v4.s_addr, inet_addr("203.0.113.11"));
    assert_true(mac_equal(&neighbour.mac, &(struct mac){{2, 0, 0, 0, 0, 1}}));
}

static void test_what_is_no_arp_is_refused(void **state)
{
    static const size_t words[] = {12, 13, 14, 15, 16, 17, 18, 19, 20, 21};
    uint8_t frame[ARP_SIZE];
    struct neighbour neighbour;

    (void)state;
    for (size_t cut = 0; cut < ARP_SIZE; cut++)
        assert_int_equal(neighbour_parse(request_bytes, cut, &neighbour), -EBADMSG);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        memcpy(frame, request_bytes, sizeof frame);
        frame[words[i]] ^= 0x40;
        assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), -EBADMSG);
    }
    memcpy(frame, request_bytes, sizeof frame);
    frame[22] = 0x03; /* a group as sender */
    assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), -EBADMSG);
    memset(frame + 22, 0, 6);
    assert_int_equal(neighbour_parse(frame, sizeof frame, &neighbour), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_has_the_bytes_of_rfc_826),
        cmocka_unit_test(test_request_has_the_bytes_of_rfc_4861),
        cmocka_unit_test(test_who_uses_an_ipv6_address_is_read),
        cmocka_unit_test(test_the_sender_is_read),
        cmocka_unit_test(test_what_is_no_arp_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
