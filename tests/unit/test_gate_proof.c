/* gate_proof: which echo proves what, and when the gate is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "takeoverd/gate_proof.h"

enum { LEASE = 200 };

static struct gate_proof begun(int64_t now_ns)
{
    struct gate_proof proof;

    gate_proof_begin(&proof, now_ns);
    return proof;
}

static void test_an_echo_proves_the_state_that_it_was_sent_for(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    assert_int_equal(proof.proved_ns, 0);
    gate_proof_sent(&proof, 101);
    assert_false(gate_proof_heard(&proof, 99));  /* of the state before */
    assert_false(gate_proof_heard(&proof, 102)); /* never sent */
    assert_int_equal(proof.proved_ns, 0);
    assert_true(gate_proof_heard(&proof, 101));
    assert_int_equal(proof.proved_ns, 101);
    gate_proof_begin(&proof, 110);
    assert_int_equal(proof.proved_ns, 0);
    assert_false(gate_proof_heard(&proof, 101));
}

static void test_nothing_is_given_up_while_each_frame_comes_back(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    for (int64_t now = 100; now < 1000; now += 50) {
        gate_proof_sent(&proof, now);
        assert_true(gate_proof_heard(&proof, now));
        assert_int_equal(gate_proof_until_ns(&proof, LEASE), 0);
    }
}

static void test_half_a_lease_after_the_last_proof_it_is_given_up(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    gate_proof_sent(&proof, 100);
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 200); /* never proved: as of the change */
    assert_true(gate_proof_heard(&proof, 100));
    for (int64_t now = 150; now < 400; now += 50) {
        gate_proof_sent(&proof, now);
        assert_int_equal(gate_proof_until_ns(&proof, LEASE), 200);
    }
}

static void test_a_late_echo_is_none_lost(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    gate_proof_sent(&proof, 100);
    gate_proof_sent(&proof, 150);
    assert_true(gate_proof_heard(&proof, 100));
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 200); /* the second one is still waited for */
    assert_true(gate_proof_heard(&proof, 150));
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 0);
}

static void test_after_a_stall_the_echo_has_its_time(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    gate_proof_sent(&proof, 100);
    assert_true(gate_proof_heard(&proof, 100));
    gate_proof_sent(&proof, 400);
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 425);
}

static void test_a_transaction_is_a_proof(void **state)
{
    struct gate_proof proof = begun(100);

    (void)state;
    gate_proof_sent(&proof, 100);
    gate_proof_set(&proof, 120);
    assert_int_equal(proof.proved_ns, 120);
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 0);
    gate_proof_sent(&proof, 121);
    assert_int_equal(gate_proof_until_ns(&proof, LEASE), 220);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_echo_proves_the_state_that_it_was_sent_for),
        cmocka_unit_test(test_nothing_is_given_up_while_each_frame_comes_back),
        cmocka_unit_test(test_half_a_lease_after_the_last_proof_it_is_given_up),
        cmocka_unit_test(test_a_late_echo_is_none_lost),
        cmocka_unit_test(test_after_a_stall_the_echo_has_its_time),
        cmocka_unit_test(test_a_transaction_is_a_proof),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
