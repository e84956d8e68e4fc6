/* lease: what a restarted takeoverd believes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "takeoverd/lease.h"

static const char boot[] = "0f4b1c9e-8a5d-4a43-9a67-1d2c3b4a5968";
static const char other_boot[] = "0f4b1c9e-8a5d-4a43-9a67-1d2c3b4a5969";

static struct lease_record record_of(int64_t epoch, int64_t lease_ns)
{
    struct lease_record record = {.epoch = epoch, .lease_ns = lease_ns};

    memcpy(record.boot_id, boot, sizeof boot);
    return record;
}

static void test_there_and_back(void **state)
{
    static const int64_t values[] = {0, 1, 17, INT64_C(123456789012345678), INT64_MAX};
    char line[LEASE_LINE_SIZE];
    struct lease_record back;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        const struct lease_record record = record_of(values[i], values[ARRAY_LENGTH(values) - 1 - i]);
        lease_print(&record, line);
        assert_int_equal(line[LEASE_LINE_SIZE - 1], '\n');
        assert_null(memchr(line, '\0', sizeof line));
        assert_int_equal(lease_parse(line, sizeof line, &back), 0);
        assert_int_equal(back.epoch, record.epoch);
        assert_int_equal(back.lease_ns, record.lease_ns);
        assert_string_equal(back.boot_id, boot);
    }
}

static void test_every_damage_is_seen(void **state)
{
    const struct lease_record record = record_of(17, 1000);
    char line[LEASE_LINE_SIZE], damaged[LEASE_LINE_SIZE];
    struct lease_record back;

    (void)state;
    lease_print(&record, line);
    for (size_t i = 0; i < sizeof line; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(damaged, line, sizeof line);
            damaged[i] = (char)(damaged[i] ^ 1 << bit);
            assert_int_equal(lease_parse(damaged, sizeof damaged, &back), -EBADMSG);
        }
    for (size_t size = 0; size < sizeof line; size++)
        assert_int_equal(lease_parse(line, size, &back), -EBADMSG);
}

static void test_garbage(void **state)
{
    char line[LEASE_LINE_SIZE + 1];
    struct lease_record back;

    (void)state;
    for (int fill = 0; fill < 256; fill++) {
        memset(line, fill, sizeof line);
        for (size_t size = 0; size <= sizeof line; size++)
            assert_int_equal(lease_parse(line, size, &back), -EBADMSG);
    }
}

static void test_stands(void **state)
{
    const struct lease_record record = record_of(17, 1000), none = record_of(17, 0);

    (void)state;
    assert_true(lease_stands(&record, boot, 999));
    assert_false(lease_stands(&record, boot, 1000));
    assert_false(lease_stands(&record, other_boot, 999));
    assert_false(lease_stands(&none, boot, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_every_damage_is_seen),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
