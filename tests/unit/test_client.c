/* Small parts of the client: whom the page answers, the bytes of an echo request, WireGuard's handshakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/echo.h"
#include "client/guard.h"

static const struct guard guard = {.hosts = {"127.0.0.1:8642", "localhost:8642"},
                                   .token = "0123456789abcdef"};

static void test_the_page_answers_itself_only(void **state)
{
    static const struct {
        struct guard_request request;
        bool answered;
    } cells[] = {
        {{.host = "127.0.0.1:8642"}, true},
        {{.host = "localhost:8642"}, true},
        {{.host = "127.0.0.1"}, false},
        {{.host = "evil.example:8642"}, false},
        {{.host = NULL}, false},
        /* from elsewhere, what changes nothing: the answer is not for them to read */
        {{.host = "localhost:8642", .origin = "http://evil.example"}, true},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdef"}, true},
        {{.host = "localhost:8642",
          .changes = true,
          .token = "0123456789abcdef",
          .origin = "http://localhost:8642"},
         true},
        {{.host = "localhost:8642",
          .changes = true,
          .token = "0123456789abcdef",
          .origin = "http://127.0.0.1:8642"},
         false},
        {{.host = "localhost:8642",
          .changes = true,
          .token = "0123456789abcdef",
          .origin = "https://localhost:8642"},
         false},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdef", .origin = "null"}, false},
        {{.host = "localhost:8642",
          .changes = true,
          .token = "0123456789abcdef",
          .fetch_site = "same-origin"},
         true},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdef", .fetch_site = "same-site"},
         false},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdef", .fetch_site = "none"},
         false},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdeF"}, false},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcde"}, false},
        {{.host = "localhost:8642", .changes = true, .token = "0123456789abcdef0"}, false},
        {{.host = "localhost:8642", .changes = true, .token = ""}, false},
        {{.host = "localhost:8642", .changes = true, .token = NULL}, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cells); i++)
        if ((guard_refuses(&guard, &cells[i].request) == NULL) != cells[i].answered)
            fail_msg("cell %zu", i);
}

static void test_no_token_opens_a_guard_without_one(void **state)
{
    static const struct guard none = {.hosts = {"localhost:1", "localhost:1"}};
    const struct guard_request request = {.host = "localhost:1", .changes = true, .token = ""};

    (void)state;
    assert_non_null(guard_refuses(&none, &request));
}

static void test_an_echo_request_is_what_the_kernel_takes_for_one(void **state)
{
    unsigned char bytes[ECHO_SIZE];
    uint32_t sum = 0;

    (void)state;
    echo_request(false, UINT64_C(0x1122334455667788), bytes);
    assert_int_equal(bytes[0], 8);
    for (size_t i = 0; i < ECHO_SIZE; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff); /* RFC 1071: with its checksum, all ones */
    echo_request(true, 1, bytes);
    assert_int_equal(bytes[0], 128);
}

static void test_only_its_own_answer_counts(void **state)
{
    const uint64_t nonce = UINT64_C(0xfedcba9876543210);
    unsigned char packet[20 + ECHO_SIZE] = {0x45};

    (void)state;
    echo_request(false, nonce, packet + 20);
    assert_false(
        echo_is_answer(false, packet, sizeof packet, nonce)); /* the request itself, seen on loopback */
    packet[20] = 0;
    assert_true(echo_is_answer(false, packet, sizeof packet, nonce));
    assert_false(echo_is_answer(false, packet, sizeof packet, nonce + 1));
    assert_false(echo_is_answer(false, packet, sizeof packet - 1, nonce));
    packet[0] = 0x4f; /* a header longer than the packet */
    assert_false(echo_is_answer(false, packet, sizeof packet, nonce));
    assert_false(echo_is_answer(false, packet, 0, nonce));
    packet[20] = 129;
    assert_true(echo_is_answer(true, packet + 20, ECHO_SIZE, nonce));
}

static void test_handshakes_are_read_from_what_wg_prints(void **state)
{
    (void)state;
    assert_int_equal(handshake_of_line("KEY=\t1764100000", ""), 1764100000);
    assert_int_equal(handshake_of_line("KEY=\t1764100000", "KEY="), 1764100000);
    assert_int_equal(handshake_of_line("KEY=\t1764100000", "KEY"), 0);
    assert_int_equal(handshake_of_line("KEY=\t1764100000", "OTHER="), 0);
    assert_int_equal(handshake_of_line("KEY=\t0", ""), 0);
    assert_int_equal(handshake_of_line("KEY=\t", ""), 0);
    assert_int_equal(handshake_of_line("KEY=\t-5", ""), 0);
    assert_int_equal(handshake_of_line("KEY=\t12x", ""), 0);
    assert_int_equal(handshake_of_line("Unable to access interface", ""), 0);
    assert_int_equal(handshake_of_line("KEY=\t99999999999999999999", ""), 0);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_the_page_answers_itself_only),
        cmocka_unit_test(test_no_token_opens_a_guard_without_one),
        cmocka_unit_test(test_an_echo_request_is_what_the_kernel_takes_for_one),
        cmocka_unit_test(test_only_its_own_answer_counts),
        cmocka_unit_test(test_handshakes_are_read_from_what_wg_prints),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
