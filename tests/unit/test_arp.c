/* ARP frames: the bytes of a request, and what is no ARP. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heartbeatd/arp.h"

static const uint8_t request_bytes[ARP_FRAME_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0,   0,  0, 0x01, 0x08, 0x06, /* Ethernet */
    0,    1,    0x08, 0,    6,    4,    0,    1,                               /* who has */
    0x02, 0,    0,    0,    0,    0x01, 203,  0, 113, 11,                      /* sender */
    0,    0,    0,    0,    0,    0,    203,  0, 113, 1,                       /* target */
};

static void test_request_has_the_bytes_of_rfc_826(void **state)
{
    struct arp_request request = {.from = {{2, 0, 0, 0, 0, 1}}, .to = mac_broadcast};
    uint8_t frame[ARP_FRAME_BYTES];

    (void)state;
    inet_pton(AF_INET, "203.0.113.11", &request.sender);
    inet_pton(AF_INET, "203.0.113.1", &request.target);
    arp_pack(&request, frame);
    assert_memory_equal(frame, request_bytes, sizeof frame);
}

static void test_sender_and_target_are_read(void **state)
{
    struct arp arp;
    uint8_t reply[60] = {0}; /* as the medium pads it */

    (void)state;
    memcpy(reply, request_bytes, sizeof request_bytes);
    reply[21] = 2;
    assert_int_equal(arp_parse(reply, sizeof reply, &arp), 0);
    assert_int_equal(arp.sender.s_addr, inet_addr("203.0.113.11"));
    assert_int_equal(arp.target.s_addr, inet_addr("203.0.113.1"));
    assert_true(mac_equal(&arp.sender_mac, &(struct mac){{2, 0, 0, 0, 0, 1}}));
}

static void test_what_is_no_arp_is_refused(void **state)
{
    static const size_t words[] = {12, 13, 14, 15, 16, 17, 18, 19, 20, 21};
    uint8_t frame[ARP_FRAME_BYTES];
    struct arp arp;

    (void)state;
    for (size_t cut = 0; cut < ARP_FRAME_BYTES; cut++)
        assert_int_equal(arp_parse(request_bytes, cut, &arp), -EBADMSG);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        memcpy(frame, request_bytes, sizeof frame);
        frame[words[i]] ^= 0x40;
        assert_int_equal(arp_parse(frame, sizeof frame, &arp), -EBADMSG);
    }
    memcpy(frame, request_bytes, sizeof frame);
    frame[22] = 0x03; /* a group as sender */
    assert_int_equal(arp_parse(frame, sizeof frame, &arp), -EBADMSG);
    memset(frame + 22, 0, 6);
    assert_int_equal(arp_parse(frame, sizeof frame, &arp), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_has_the_bytes_of_rfc_826),
        cmocka_unit_test(test_sender_and_target_are_read),
        cmocka_unit_test(test_what_is_no_arp_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
