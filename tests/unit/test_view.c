/* The tables of DUET-MIB: the words of the MIB are those of the bus, dates are right, and the list is in
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trapd/moment.h"
#include "trapd/view.h"

static void assert_words(const char *tc, const char *const names[], size_t count)
{
    for (const struct mib_words *words = mib_words; words->name; words++) {
        if (strcmp(words->name, tc) != 0)
            continue;
        assert_int_equal(words->count, count + 1);
        assert_string_equal(words->words[0], "unknown");
        for (size_t i = 0; i < count; i++)
            if (strcmp(names[i], "one-way") != 0)
                assert_string_equal(words->words[i + 1], names[i]);
        return;
    }
    fail_msg("the MIB has no %s", tc);
}

static void test_the_words_are_those_of_the_bus(void **state)
{
    (void)state;
    assert_words("DuetRoleTC", role_names, ROLE_COUNT);
    assert_words("DuetPhaseTC", phase_names, PHASE_COUNT);
    assert_words("DuetPathStateTC", path_state_names, PATH_STATE_COUNT);
    assert_words("DuetServiceStateTC", service_state_names, SERVICE_STATE_COUNT);
    assert_words("DuetSyncStateTC", sync_state_names, SYNC_STATE_COUNT);
    assert_words("DuetWatchdogStateTC", watchdog_state_names, WATCHDOG_STATE_COUNT);
    assert_words("DuetRebootStateTC", reboot_state_names, REBOOT_STATE_COUNT);
}

static void test_dates_are_right(void **state)
{
    static const struct {
        int64_t seconds;
        uint8_t octets[8];
    } dates[] = {{0, {7, 178, 1, 1, 0, 0, 0, 0}},
                 {951782400, {7, 208, 2, 29, 0, 0, 0, 0}},     /* 2000-02-29 */
                 {951868799, {7, 208, 2, 29, 23, 59, 59, 0}},  /* and its end */
                 {1709251199, {7, 232, 2, 29, 23, 59, 59, 0}}, /* 2024-02-29 */
                 {4107542400, {8, 52, 3, 1, 0, 0, 0, 0}}};     /* 2100-03-01: no leap year */
    uint8_t octets[MOMENT_OCTETS];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(dates); i++) {
        moment_octets(dates[i].seconds * NS_PER_S, octets);
        assert_memory_equal(octets, dates[i].octets, 8);
        assert_int_equal(octets[8], '+');
    }
}

static void tell_service(struct model *model, const char *name)
{
    const struct envelope envelope = {.node = "alpha", .from = "superviserd", .seq = 1};
    const struct service_message service = {.state = SERVICE_STATE_RUNNING, .pid = 7, .restarts = -1};

    model_take(model, &service_type, name, &envelope, &service, NS_PER_S);
}

static void test_a_walk_meets_each_value_once_and_in_order(void **state)
{
    static struct model model;
    struct view *view = calloc(1, sizeof *view);
    const struct view_source source = {&model, "gate", "alpha", NS_PER_S, 0};
    const struct view_cell *cell;
    size_t met = 0;

    (void)state;
    assert_non_null(view);
    tell_service(&model, "web");
    tell_service(&model, "vpn");
    view_make(view, &source);
    cell = view_after(view, NULL, 0, true);
    for (; cell; cell = view_after(view, cell->arcs, cell->length, false), met++)
        assert_ptr_equal(view_at(view, cell->arcs, cell->length), cell);
    assert_int_equal(met, view->count);
    assert_true(met > 24 + 12);
    const uint32_t pid[] = {1, 7, 1, 3, 'v', 'p', 'n'}, before[] = {1, 7, 1, 3};
    assert_int_equal(view_at(view, pid, ARRAY_LENGTH(pid))->number, 7);
    assert_ptr_equal(view_after(view, before, ARRAY_LENGTH(before), false),
                     view_at(view, pid, ARRAY_LENGTH(pid)));
    assert_null(view_at(view, before, ARRAY_LENGTH(before)));
    model_clear(&model);
    free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_words_are_those_of_the_bus),
        cmocka_unit_test(test_dates_are_right),
        cmocka_unit_test(test_a_walk_meets_each_value_once_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
