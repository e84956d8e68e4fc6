/* gate_text: which rung a lease gets, what the frame says, and what the table is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "takeoverd/gate_text.h"

#define MS(n) ((int64_t)(n)*NS_PER_MS)

static const int64_t leases_ns[] = {MS(20), MS(60), MS(200), MS(2000), MS(1100)};

static void test_no_rung_outlives_the_lease(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(leases_ns); i++) {
        const int64_t lease_ns = leases_ns[i], step_ms = lease_ns / NS_PER_MS;
        for (int64_t left_ns = -MS(5); left_ns < 2 * lease_ns; left_ns += lease_ns / 97) {
            const unsigned rung = gate_rung(left_ns, lease_ns);
            assert_in_range(rung, 0, GATE_RUNGS);
            assert_true(rung == 0 || step_ms * rung / GATE_RUNGS * NS_PER_MS <= left_ns);
            assert_int_equal(gate_rung_ns(rung, lease_ns), step_ms * rung / GATE_RUNGS * NS_PER_MS);
            assert_true(rung == GATE_RUNGS || step_ms * (rung + 1) / GATE_RUNGS * NS_PER_MS > left_ns ||
                        step_ms * (rung + 1) / GATE_RUNGS == 0);
        }
    }
    assert_int_equal(gate_rung(MS(200), MS(200)), GATE_RUNGS);
    assert_int_equal(gate_rung(MS(198), MS(200)), GATE_RUNGS - 1);
    assert_int_equal(gate_rung(0, MS(200)), 0);
}

static void test_every_frame_says_something_else(void **state)
{
    uint8_t frames[2 * GATE_RUNGS + 2][GATE_FRAME_SIZE];
    size_t count = 0;

    (void)state;
    gate_frame(GATE_CLOSED, 0, 7, frames[count++]);
    gate_frame(GATE_TRAFFIC, 0, 7, frames[count++]); /* no time is left, and answers end nevertheless */
    for (unsigned rung = 1; rung <= GATE_RUNGS; rung++) {
        gate_frame(GATE_TRAFFIC, rung, 7, frames[count++]);
        gate_frame(GATE_OPEN, rung, 7, frames[count++]);
    }
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(frames[i] + 12, "\x88\xb5", 2);
        assert_int_equal(gate_frame_sent_ns(frames[i]), 7);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(frames[i], frames[k], GATE_FRAME_SIZE);
    }
}

static const char *const devices[] = {"eth0", "ens3.7"};

static char *script_of(int second_link, enum gate_state state, unsigned rung)
{
    struct plan_address addresses[4] = {{.channel = 0, .active = true},
                                        {.channel = 0, .active = false},
                                        {.channel = 0, .active = true},
                                        {.channel = 1, .active = true}};
    static const char *const texts[] = {"192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64", "10.0.0.1/24"};
    const struct plan plan = {
        .channel_count = 2, .links = {4, second_link}, .addresses = addresses, .address_count = 4};

    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++)
        assert_int_equal(net_address_parse(texts[i], &addresses[i].address), 0);
    char *script = gate_script(&plan, devices, MS(160), state, rung);
    assert_non_null(script);
    return script;
}

static bool has(const char *script, const char *words)
{
    return strstr(script, words) != NULL;
}

static void test_the_table_has_the_active_addresses_and_no_others(void **state)
{
    char *script = script_of(7, GATE_CLOSED, 0);

    (void)state;
    assert_true(has(script, "192.0.2.10,") && has(script, "2001:db8::10,") && has(script, "10.0.0.1,"));
    assert_false(has(script, "192.0.2.11"));
    assert_true(has(script, "hook ingress device \"eth0\"") && has(script, "hook egress device \"eth0\""));
    assert_true(has(script, "hook ingress device \"ens3.7\"") &&
                has(script, "hook egress device \"ens3.7\""));
    const char *ens3 = strstr(script, "hook egress device \"ens3.7\"");
    assert_true(has(ens3, "@active4") && has(ens3, "@active6")); /* those of other channels, too */
    assert_true(has(script, "timeout 10ms") && has(script, "timeout 160ms"));
    free(script);
}

/* A frame that no rule knows would be dropped, and nothing come back. */
static void test_a_rule_obeys_each_frame_and_lets_its_echo_pass(void **state)
{
    char *script = script_of(7, GATE_CLOSED, 0);
    uint8_t frame[GATE_FRAME_SIZE];

    (void)state;
    for (unsigned rung = 0; rung <= GATE_RUNGS; rung++)
        for (enum gate_state want = GATE_CLOSED; want <= GATE_OPEN; want++) {
            char words[40];
            if (want == GATE_OPEN && rung == 0)
                continue; /* is not sent: there is nothing to be opened */
            gate_frame(want, rung, 7, frame);
            snprintf(words, sizeof words, "\n@nh,0,8 %u ", frame[14]);
            const char *rule = strstr(script, words);
            assert_non_null(rule);
            const char *echo = strstr(rule, "meta mark set 0x64756575 accept\n");
            assert_non_null(echo);
            assert_ptr_equal(strchr(rule + 1, '\n'), strchr(echo, '\n')); /* of this very rule, at its end */
        }
    free(script);
}

static void test_a_device_that_is_not_there_is_left_out(void **state)
{
    char *script = script_of(0, GATE_CLOSED, 0);

    (void)state;
    assert_true(has(script, "\"eth0\""));
    assert_false(has(script, "ens3.7"));
    free(script);
}

static void test_the_table_begins_as_the_gate_is(void **state)
{
    char *closed = script_of(7, GATE_CLOSED, 0), *traffic = script_of(7, GATE_TRAFFIC, 8),
         *open = script_of(7, GATE_OPEN, 16);

    (void)state;
    assert_false(has(closed, "elements = { 1"));
    assert_true(has(traffic, "elements = { 1 timeout 80ms }"));
    assert_true(has(open, "elements = { 1 timeout 160ms, 2 timeout 160ms }"));
    free(closed);
    free(traffic);
    free(open);
}

static void test_names_that_nftables_cannot_read(void **state)
{
    static const char *const good[] = {"eth0", "br-lan.12", "wg_0", "a@b", "veth+1"};
    static const char *const bad[] = {"", "a\"b", "eth*", "a b", "a;b", "a\nb", "a\\b", "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        assert_true(gate_can_name(good[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_false(gate_can_name(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rung_outlives_the_lease),
        cmocka_unit_test(test_every_frame_says_something_else),
        cmocka_unit_test(test_the_table_has_the_active_addresses_and_no_others),
        cmocka_unit_test(test_a_rule_obeys_each_frame_and_lets_its_echo_pass),
        cmocka_unit_test(test_a_device_that_is_not_there_is_left_out),
        cmocka_unit_test(test_the_table_begins_as_the_gate_is),
        cmocka_unit_test(test_names_that_nftables_cannot_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
