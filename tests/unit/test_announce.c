/* announce: every byte of the frames. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_neighbor_advertisement),
        cmocka_unit_test(test_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
