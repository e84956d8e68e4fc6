/* The ids of the journal's lines: as deploy/systemd/catalog.py computes them (system/test_units.py has the
 * same value). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"

static void test_message_id(void **state)
{
    char field[LOG_MESSAGE_ID_MAX], other[LOG_MESSAGE_ID_MAX];

    (void)state;
    assert_string_equal(log_message_id("role/active", field), "MESSAGE_ID=eee34b6d3e8145d1895ce93274549cf7");
    assert_string_not_equal(log_message_id("role/passive", other), field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_message_id)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
