/* What trapd remembers over the end of its process and of the machine, and what it makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/statefile.h"
#include "trapd/memory.h"

#define OTHER_BOOT "boot 11111111-1111-1111-1111-111111111111\n"
#define WATCHED "role 1\nnot-ready 0\npeer-lost 0\ndual-active 0\nreboot %s\n"

static char directory[] = "/tmp/duet-memory-XXXXXX";

static int make_directory(void **unused)
{
    (void)unused;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **unused)
{
    char command[64];

    (void)unused;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* What an earlier run left. */
static void left(const char *clean, const char *reboot)
{
    char path[64], text[512];

    snprintf(path, sizeof path, "%s/told", directory);
    snprintf(text, sizeof text, OTHER_BOOT "%s\n" WATCHED, clean, reboot);
    assert_int_equal(statefile_write(path, text), 0);
}

/* What this start has to tell, when superviserd does not come; NULL: nothing. */
static const char *told(struct memory *memory, struct watch *watch)
{
    const struct event *events;

    memset(memory, 0, sizeof *memory);
    memset(watch, 0, sizeof *watch);
    assert_int_equal(memory_open(directory, "gate", "alpha", memory, watch), 0);
    assert_false(memory_tell_past(memory, watch, clock_now_ns()));
    if (!memory_tell_past(memory, watch, clock_now_ns() + 60 * NS_PER_S))
        return NULL;
    assert_false(memory_tell_past(memory, watch, clock_now_ns() + 120 * NS_PER_S));
    assert_int_equal(watch_take(watch, &events), 1);
    assert_int_equal(events[0].kind, MIB_TRAP_WATCHDOG_REBOOT);
    return events[0].text;
}

static struct memory memory;
static struct watch watch;

static void test_nothing_is_told_of_a_past_that_nobody_knows(void **unused)
{
    (void)unused;
    assert_null(told(&memory, &watch));
}

/* Stopped again before it was told: the next start tells it. */
static void test_what_is_untold_stays(void **unused)
{
    (void)unused;
    left("clean 0", "");
    memset(&memory, 0, sizeof memory);
    memset(&watch, 0, sizeof watch);
    assert_int_equal(memory_open(directory, "gate", "alpha", &memory, &watch), 0);
    assert_int_equal(memory_write(&memory, &watch, true), 0);
    assert_non_null(told(&memory, &watch));
}

static void test_how_the_boot_before_ended(void **unused)
{
    (void)unused;
    left("clean 0", "");
    assert_string_equal(told(&memory, &watch), "the machine started again without having been stopped");
    left("clean 0", "channel outside: no carrier");
    assert_string_equal(told(&memory, &watch), "this node restarted itself: channel outside: no carrier");
    left("clean 1", "");
    assert_null(told(&memory, &watch));
}

/* The run before it in the same boot ended cleanly: that says nothing of the machine. */
static void test_a_run_that_has_begun_is_known(void **unused)
{
    char path[64], text[STATEFILE_MAX];

    (void)unused;
    assert_null(told(&memory, &watch));
    assert_int_equal(memory_write(&memory, &watch, true), 0);
    assert_null(told(&memory, &watch));
    assert_int_equal(memory_begin(&memory, &watch), 0);
    snprintf(path, sizeof path, "%s/told", directory);
    assert_int_equal(statefile_read(path, text), 0);
    assert_non_null(strstr(text, "\nclean 0\n"));
    assert_null(told(&memory, &watch)); /* the same boot: it has not ended */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_told_of_a_past_that_nobody_knows),
        cmocka_unit_test(test_what_is_untold_stays),
        cmocka_unit_test(test_how_the_boot_before_ended),
        cmocka_unit_test(test_a_run_that_has_begun_is_known),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
