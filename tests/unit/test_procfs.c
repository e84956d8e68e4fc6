/* What /proc/PID/stat, a pidfile and the note of a kept service say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/procfs.h"
#include "superviserd/service_record.h"

static int parse(const char *text, struct procfs_stat *stat)
{
    return procfs_parse_stat(text, strlen(text), stat);
}

#define REST " 34816 5 4194304 100 0 1 0 2 3 0 0 20 0 1 0 63937 3133440 410 18446744073709551615\n"

static void test_stat(void **unused)
{
    struct procfs_stat stat;

    (void)unused;
    assert_int_equal(parse("15466 (cat) R 15431 15430 1290" REST, &stat), 0);
    assert_int_equal(stat.pid, 15466);
    assert_string_equal(stat.name, "cat");
    assert_int_equal(stat.state, 'R');
    assert_int_equal(stat.parent, 15431);
    assert_int_equal(stat.group, 15430);
    assert_int_equal(stat.session, 1290);
    assert_int_equal(stat.started_ticks, 63937);
    assert_false(procfs_is_dead(&stat));
    assert_int_equal(parse("7 (a) b (c)) Z 1 7 7" REST, &stat), 0); /* a name may hold anything */
    assert_string_equal(stat.name, "a) b (c)");
    assert_true(procfs_is_dead(&stat));
}

static void test_stat_that_is_none(void **unused)
{
    static const char *const bad[] = {"",
                                      "12",
                                      "12 (cat)",
                                      "12 (cat R 1 2 3" REST,
                                      "12 )cat( R 1 2 3" REST,
                                      "x (cat) R 1 2 3" REST,
                                      "12 (cat) R 1 2 3 4",
                                      "-12 (cat) R 1 2 3" REST};
    struct procfs_stat stat;
    char big[4096];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_int_equal(parse(bad[i], &stat), -EBADMSG);
    memset(big, ' ', sizeof big);
    assert_int_equal(procfs_parse_stat(big, sizeof big, &stat), -EBADMSG);
}

static void test_names(void **unused)
{
    const struct procfs_stat openvpn = {.name = "openvpn"}, cut = {.name = "a-rather-long-n"};

    (void)unused;
    assert_true(procfs_is_called(&openvpn, "/usr/sbin/openvpn", "", 0, "openvpn"));
    assert_true(procfs_is_called(&openvpn, "", "", 0, "openvpn"));
    assert_true(procfs_is_called(&openvpn, "/usr/sbin/other", "", 0, "other"));
    assert_false(procfs_is_called(&openvpn, "/usr/sbin/openvpn", "", 0, "vpn"));
    assert_false(procfs_is_called(&openvpn, "/usr/sbin/openvpn", "", 0, "openvpn2"));
    assert_true(procfs_is_called(&cut, "/usr/sbin/a-rather-long-name", "", 0, "a-rather-long-name"));
}

/* Of the long name the kernel keeps what another one may begin with. */
static void test_a_cut_name_alone_is_not_enough(void **unused)
{
    static const char script[] = "/bin/sh\0/usr/sbin/a-rather-long-name\0-d";
    static const char argument[] = "/usr/bin/cat\0-u\0/usr/sbin/a-rather-long-name";
    static const char whole[] = "a-rather-long-name";
    const struct procfs_stat cut = {.name = "a-rather-long-n"};

    (void)unused;
    assert_false(procfs_is_called(&cut, "", "", 0, "a-rather-long-name"));
    assert_false(procfs_is_called(&cut, "/usr/sbin/a-rather-long-net", "", 0, "a-rather-long-name"));
    assert_false(procfs_is_called(&cut, "/usr/sbin/a-rather-long-name", "", 0, "a-rather-long-n"));
    assert_true(procfs_is_called(&cut, "/bin/dash", script, sizeof script, "a-rather-long-name"));
    assert_false(procfs_is_called(&cut, "/bin/cat", argument, sizeof argument, "a-rather-long-name"));
    assert_true(procfs_is_called(&cut, "/bin/dash", whole, sizeof whole, "a-rather-long-name"));
    assert_false(procfs_is_called(&cut, "/bin/dash", whole, sizeof whole - 1, "a-rather-long-name"));
}

static void test_pidfiles(void **unused)
{
    static const struct {
        const char *text;
        int pid; /* 0: refused */
    } files[] = {
        {"123\n", 123},       {"123", 123},    {"  123 \n", 123},
        {"123\r\n", 123},     {"0123\n", 123}, {"77\nmore\nlines", 77},
        {"4194304", 4194304}, {"", 0},         {"\n", 0},
        {"0\n", 0},           {"1\n", 0},      {"-5\n", 0},
        {"4194305\n", 0},     {"12 34\n", 0},  {"12x\n", 0},
        {"x12\n", 0},         {"+12\n", 0},    {"18446744073709551617\n", 0},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        int pid = 0;
        const int r = procfs_parse_pidfile(files[i].text, strlen(files[i].text), &pid);
        if (r != (files[i].pid ? 0 : -EBADMSG) || pid != files[i].pid)
            fail_msg("'%s': %d, %d", files[i].text, r, pid);
    }
}

static void test_record_is_what_was_written(void **unused)
{
    const struct service_record record = {.boot_id = "01234567-89ab-cdef-0123-456789abcdef",
                                          .pid = 4711,
                                          .started_ticks = 123456789012,
                                          .command = 0xfedcba9876543210u};
    struct service_record again;
    char text[STATEFILE_MAX];

    (void)unused;
    service_record_print(&record, text);
    assert_int_equal(service_record_parse(text, &again), 0);
    assert_string_equal(again.boot_id, record.boot_id);
    assert_int_equal(again.pid, record.pid);
    assert_int_equal(again.started_ticks, record.started_ticks);
    assert_true(again.command == record.command);
    text[strlen(text) - 1] = '\0';
    assert_int_equal(service_record_parse(text, &again), -EBADMSG);
    assert_int_equal(service_record_parse("", &again), -EBADMSG);
}

static void test_commands_are_told_apart(void **unused)
{
    char program[] = "/bin/a", word[] = "b", both[] = "/bin/a b";
    char *const one[] = {program, word, NULL}, *const other[] = {both, NULL};
    const uint64_t hash = service_record_hash(one, "", "");

    (void)unused;
    assert_true(hash == service_record_hash(one, "", ""));
    assert_false(hash == service_record_hash(other, "", ""));
    assert_false(hash == service_record_hash(one, "nobody", ""));
    assert_false(service_record_hash(one, "nobody", "") == service_record_hash(one, "", "nobody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_stat_that_is_none),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_cut_name_alone_is_not_enough),
        cmocka_unit_test(test_pidfiles),
        cmocka_unit_test(test_record_is_what_was_written),
        cmocka_unit_test(test_commands_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
