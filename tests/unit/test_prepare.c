/* How long a claim's addresses wait for the before-active hooks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "takeoverd/prepare.h"

static const int64_t now_ns = 100 * NS_PER_S;

static struct role_message claim_of(int64_t epoch, int64_t ago_ns)
{
    return (struct role_message){
        .role = ROLE_ACTIVE, .phase = PHASE_CLAIMING, .epoch = epoch, .since_ns = now_ns - ago_ns};
}

static void test_a_claim_waits_for_the_word_or_the_time(void **state)
{
    struct prepare prepare;
    struct role_message role = claim_of(7, 0);

    (void)state;
    prepare_init(&prepare, 400 * NS_PER_MS, NS_PER_S);
    assert_int_equal(prepare_until(&prepare, &role, now_ns), now_ns + 450 * NS_PER_MS);
    prepare.prepared = 5; /* an earlier claim */
    assert_int_equal(prepare_until(&prepare, &role, now_ns), now_ns + 450 * NS_PER_MS);
    prepare.prepared = 7;
    assert_int_equal(prepare_until(&prepare, &role, now_ns), 0);

    prepare.prepared = 5;
    role = claim_of(7, 300 * NS_PER_MS); /* counted from the claim, not from when it was read */
    assert_int_equal(prepare_until(&prepare, &role, now_ns), now_ns + 150 * NS_PER_MS);
    role = claim_of(7, 450 * NS_PER_MS);
    assert_int_equal(prepare_until(&prepare, &role, now_ns), 0);
    role = claim_of(7, -NS_PER_S); /* a time that cannot be makes the wait no longer */
    assert_int_equal(prepare_until(&prepare, &role, now_ns), now_ns + 450 * NS_PER_MS);
}

static void test_what_does_not_wait(void **state)
{
    struct prepare prepare;
    struct role_message role = claim_of(7, 0);

    (void)state;
    prepare_init(&prepare, 0, NS_PER_S); /* without such hooks */
    assert_int_equal(prepare_until(&prepare, &role, now_ns), 0);
    prepare_init(&prepare, 400 * NS_PER_MS, NS_PER_S);
    role.phase = PHASE_ACTIVE; /* resumed, or raised */
    assert_int_equal(prepare_until(&prepare, &role, now_ns), 0);
    role.phase = PHASE_OFFERING;
    assert_int_equal(prepare_until(&prepare, &role, now_ns), 0);
}

static void test_the_wait_leaves_time_for_the_addresses(void **state)
{
    struct prepare prepare;

    (void)state;
    for (int64_t claim_ns = 20 * NS_PER_MS; claim_ns <= 100 * NS_PER_S; claim_ns *= 3) {
        prepare_init(&prepare, claim_ns / 2,
                     claim_ns); /* the longest that the configuration check lets pass */
        assert_true(prepare.limit_ns <= claim_ns * 6 / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_waits_for_the_word_or_the_time),
        cmocka_unit_test(test_what_does_not_wait),
        cmocka_unit_test(test_the_wait_leaves_time_for_the_addresses),
    };

    return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}
