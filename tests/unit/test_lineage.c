/* The epochs that a set's data went through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/lineage.h"

static void test_epochs_are_kept_in_order_each_once(void **state)
{
    struct lineage lineage = {0};

    (void)state;
    assert_true(lineage_add(&lineage, 3));
    assert_true(lineage_add(&lineage, 7));
    assert_true(lineage_add(&lineage, 5));
    assert_false(lineage_add(&lineage, 5));
    assert_false(lineage_add(&lineage, 0));
    assert_int_equal(lineage.count, 3);
    assert_int_equal(lineage.epochs[0], 7);
    assert_int_equal(lineage.epochs[2], 3);
    assert_true(lineage_has(&lineage, 5));
    assert_false(lineage_has(&lineage, 4));
}

static void test_the_oldest_falls_off(void **state)
{
    struct lineage lineage = {0};

    (void)state;
    for (uint64_t epoch = 1; epoch <= LINEAGE_MAX + 5; epoch++)
        assert_true(lineage_add(&lineage, epoch));
    assert_int_equal(lineage.count, LINEAGE_MAX);
    assert_int_equal(lineage.epochs[0], LINEAGE_MAX + 5);
    assert_false(lineage_has(&lineage, 5));
    assert_false(lineage_add(&lineage, 1)); /* older than all that are kept */
}

static void test_it_comes_back_as_it_went(void **state)
{
    struct lineage lineage = {0}, back;
    char text[1024];

    (void)state;
    lineage_print(&lineage, text, sizeof text);
    assert_int_equal(lineage_parse(&back, text), 0);
    assert_int_equal(back.count, 0);
    for (uint64_t epoch = 1; epoch <= LINEAGE_MAX; epoch++)
        lineage_add(&lineage, epoch * UINT64_C(123456789012));
    lineage_print(&lineage, text, sizeof text);
    assert_int_equal(lineage_parse(&back, text), 0);
    assert_memory_equal(&back, &lineage, sizeof back);
}

static void test_what_is_not_clean_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "epoch 1\n",
                                        "epochs 1",
                                        "epochs x\n",
                                        "epochs 0\n",
                                        "epochs -1\n",
                                        "epochs 1 1\n",
                                        "epochs  1\n",
                                        "epochs 1\nmore",
                                        "epochs 99999999999999999999999\n"};
    struct lineage back;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(lineage_parse(&back, texts[i]) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_are_kept_in_order_each_once),
        cmocka_unit_test(test_the_oldest_falls_off),
        cmocka_unit_test(test_it_comes_back_as_it_went),
        cmocka_unit_test(test_what_is_not_clean_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
