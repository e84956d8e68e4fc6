/* Whether services of the active role go on while arbiterd is not heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "superviserd/tenure.h"

static const int64_t start_ns = 1000 * NS_PER_S, lease_ns = 200 * NS_PER_MS;

static struct tenure active_since_start(void)
{
    struct tenure tenure;

    tenure_init(&tenure, start_ns);
    tenure_role(&tenure, true, start_ns + lease_ns, start_ns);
    tenure_address(&tenure, false);
    return tenure;
}

static void test_both_the_lease_and_the_addresses_must_be_gone(void **unused)
{
    struct tenure tenure = active_since_start();

    (void)unused;
    assert_false(tenure_is_over(&tenure, start_ns + 1000 * NS_PER_S)); /* takeoverd hangs, and holds them */
    assert_int_equal(tenure_over_ns(&tenure), 0);
    tenure_address(&tenure, true);
    assert_int_equal(tenure_over_ns(&tenure), start_ns + lease_ns + TENURE_GRACE_NS);
    assert_false(tenure_is_over(&tenure, start_ns + lease_ns + TENURE_GRACE_NS - 1));
    assert_true(tenure_is_over(&tenure, start_ns + lease_ns + TENURE_GRACE_NS));
}

static void test_a_fresh_lease_begins_anew(void **unused)
{
    struct tenure tenure = active_since_start();
    const int64_t later_ns = start_ns + 10 * NS_PER_S;

    (void)unused;
    tenure_address(&tenure, true);
    assert_true(tenure_is_over(&tenure, later_ns));
    tenure_role(&tenure, true, start_ns + lease_ns, later_ns); /* told again, not renewed */
    assert_true(tenure_is_over(&tenure, later_ns));
    tenure_role(&tenure, true, later_ns + lease_ns, later_ns);
    assert_false(tenure_is_over(&tenure, later_ns));
}

static void test_a_claim_has_its_grace_before_its_addresses(void **unused)
{
    struct tenure tenure;

    (void)unused;
    tenure_init(&tenure, start_ns);
    tenure_address(&tenure, true);
    tenure_role(&tenure, false, 0, start_ns);
    tenure_role(&tenure, true, 0, start_ns + 60 * NS_PER_S);
    assert_false(tenure_is_over(&tenure, start_ns + 60 * NS_PER_S + TENURE_GRACE_NS - 1));
    assert_true(tenure_is_over(&tenure, start_ns + 60 * NS_PER_S + TENURE_GRACE_NS));
}

static void test_a_passive_role_has_nothing_to_end(void **unused)
{
    struct tenure tenure = active_since_start();

    (void)unused;
    tenure_address(&tenure, true);
    tenure_role(&tenure, false, 0, start_ns);
    assert_int_equal(tenure_over_ns(&tenure), 0);
    assert_false(tenure_is_over(&tenure, start_ns + 1000 * NS_PER_S));
}

static void test_what_was_adopted_does_not_wait_for_a_role_for_ever(void **unused)
{
    struct tenure tenure;

    (void)unused;
    tenure_init(&tenure, start_ns);
    assert_false(tenure_is_over(&tenure, start_ns + 1000 * NS_PER_S));
    tenure_address(&tenure, true);
    assert_false(tenure_is_over(&tenure, start_ns + TENURE_GRACE_NS - 1));
    assert_true(tenure_is_over(&tenure, start_ns + TENURE_GRACE_NS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_the_lease_and_the_addresses_must_be_gone),
        cmocka_unit_test(test_a_fresh_lease_begins_anew),
        cmocka_unit_test(test_a_claim_has_its_grace_before_its_addresses),
        cmocka_unit_test(test_a_passive_role_has_nothing_to_end),
        cmocka_unit_test(test_what_was_adopted_does_not_wait_for_a_role_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
