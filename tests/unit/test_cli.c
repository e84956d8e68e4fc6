/* The other pure parts of the duet command: what a message changes, the chain of `duet why`, the pauses
 * before restarts, and the taking of arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"
#include "cli/respawn.h"
#include "cli/why.h"
#include "common/changes.h"
#include "proto/topics.h"

static const int64_t now_ns = 100 * NS_PER_S;

/* ---------------------------------------------------------------- changes */

static char *changes_of(const struct message_type *type, const void *before, const void *after)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    changes_print(out, type->record, before, after);
    fclose(out);
    return text;
}

static void test_changes_name_old_and_new(void **state)
{
    struct role_message before = {.phase = PHASE_ACTIVE, .lease_ns = 100, .reason = "the peer fell silent"},
                        after = before;

    (void)state;
    after.phase = PHASE_OFFERING;
    after.lease_ns = 0;
    text_copy(after.reason, sizeof after.reason, "an \"order\"\033[2J");
    char *text = changes_of(&role_type, &before, &after);
    assert_string_equal(text, "phase=offering (was active) "
                              "reason=\"an \\\"order\\\"?[2J\" (was \"the peer fell silent\")");
    free(text);
}

static void test_changes_of_a_list(void **state)
{
    struct address_channel_message before = {.addresses_count = 2}, after;

    (void)state;
    before.addresses[0] = (struct held_address){"192.0.2.1/24", true, false};
    before.addresses[1] = (struct held_address){"192.0.2.2/24", false, true};
    after = before;
    after.addresses[0].held = true;
    char *text = changes_of(&address_channel_type, &before, &after);
    assert_string_equal(text, "addresses=[address=\"192.0.2.1/24\" active=true held=true]");
    free(text);
}

/* -------------------------------------------------------------------- why */

static void test_why(void **state)
{
    struct change_message change = {.ok = true,
                                    .node = "beta",
                                    .from = PHASE_PASSIVE,
                                    .to = PHASE_CLAIMING,
                                    .epoch = 18,
                                    .rule = "takeover",
                                    .reason = "the peer fell silent",
                                    .at = "2026-11-22T12:11:16.123456Z",
                                    .at_ns = 5 * NS_PER_S,
                                    .steps_count = 3};
    char *text = NULL;
    size_t size;
    const struct change_message none = {.ok = false};
    const struct paper paper = {.out = open_memstream(&text, &size)};

    (void)state;
    change.steps[0] = (struct step){5 * NS_PER_S - 312400 * NS_PER_US, "heartbeatd:99", "the last heartbeat"};
    change.steps[1] = (struct step){5 * NS_PER_S + 800 * NS_PER_US, "takeoverd:7", "addresses up"};
    change.steps[2] = (struct step){5 * NS_PER_S - 20 * NS_PER_MS, "heartbeatd:101", "told late"};
    why_print(&paper, &change, &none);
    fclose(paper.out);
    assert_string_equal(
        text, "beta took the active role at 2026-11-22T12:11:16.123456Z, epoch 18\n"
              "because the peer fell silent\n\n"
              "     -312.4 ms  heartbeatd: the last heartbeat\n"
              "      -20.0 ms  heartbeatd: told late\n"
              "          0 ms  arbiterd: passive -> claiming by rule \"takeover\": the peer fell silent\n"
              "       +0.8 ms  takeoverd: addresses up\n");
    free(text);
}

/* One chain of both nodes' records: by the clock of the boot if both are of one, else by the wall clock. */
static void test_why_of_both_nodes(void **state)
{
    struct change_message change = {.ok = true,
                                    .node = "beta",
                                    .from = PHASE_PASSIVE,
                                    .to = PHASE_CLAIMING,
                                    .epoch = 18,
                                    .rule = "R2-offered",
                                    .reason = "the peer gave the role to this node",
                                    .at = "2026-11-22T12:11:16.123456Z",
                                    .at_ns = 5 * NS_PER_S,
                                    .boot = "one",
                                    .steps_count = 2},
                          peer = {.ok = true,
                                  .node = "al",
                                  .from = PHASE_OFFERING,
                                  .to = PHASE_RELEASING,
                                  .rule = "R7-service",
                                  .reason = "a service stays down here",
                                  .at = "2026-11-22T12:11:16.126456Z",
                                  .at_ns = 5 * NS_PER_S + 2 * NS_PER_MS,
                                  .boot = "one",
                                  .steps_count = 1};
    char *text = NULL;
    size_t size;

    (void)state;
    change.steps[0] = (struct step){5 * NS_PER_S, "", "a hold stands, but it bars no order", "R15-hold"};
    change.steps[1] = (struct step){5 * NS_PER_S + 4 * NS_PER_MS, "takeoverd:7", "addresses up", ""};
    peer.steps[0] = (struct step){5 * NS_PER_S - 1 * NS_PER_MS, "superviserd:4", "service x: failed", ""};
    for (int boots = 1; boots <= 2; boots++) {
        const struct paper paper = {.out = open_memstream(&text, &size)};
        why_print(&paper, &change, &peer);
        fclose(paper.out);
        assert_non_null(strstr(text, boots == 1 ? "       -1.0 ms  al    superviserd: service x: failed\n"
                                                : "          0 ms  al    superviserd: service x: failed\n"));
        assert_non_null(
            strstr(text, "          0 ms  beta  considered R15-hold: a hold stands, but it bars no order\n"
                         "          0 ms  beta  arbiterd: passive -> claiming by rule \"R2-offered\""));
        assert_non_null(strstr(text, boots == 1 ? "       +2.0 ms  al    arbiterd: offering -> releasing"
                                                : "       +3.0 ms  al    arbiterd: offering -> releasing"));
        assert_non_null(strstr(text, "       +4.0 ms  beta  takeoverd: addresses up\n"));
        assert_true(boots > 1 || strstr(text, "service x: failed") < strstr(text, "considered R15-hold"));
        assert_true(strstr(text, "offering -> releasing") < strstr(text, "addresses up"));
        free(text);
        peer.boot[0] = '\0'; /* told after this node was restarted */
    }
}

static void test_why_counts_restarts_in_a_row(void **state)
{
    struct change_message change = {.ok = true, .node = "beta", .to = PHASE_ACTIVE, .epoch = 3};
    const struct change_message none = {.ok = false};
    static const char *const words[] = {
        " of its arbiterd at , epoch 3\nbecause \n",
        " of its arbiterd at , epoch 3\nthe last of 7 such restarts in a row\n"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char *text = NULL;
        size_t size;
        const struct paper paper = {.out = open_memstream(&text, &size)};
        change.repeats = i * 5;
        why_print(&paper, &change, &none);
        fclose(paper.out);
        assert_non_null(strstr(text, words[i]));
        free(text);
    }
}

static void test_why_tells_that_the_peer_has_no_record(void **state)
{
    const struct change_message change = {.ok = true, .node = "beta", .at_ns = 5},
                                peer = {.error = "alpha has told of no change"};
    char *text = NULL;
    size_t size;
    const struct paper paper = {.out = open_memstream(&text, &size)};

    (void)state;
    why_print(&paper, &change, &peer);
    fclose(paper.out);
    assert_non_null(strstr(text, "\n(alpha has told of no change)\n"));
    free(text);
}

static void test_why_tells_what_came_since(void **state)
{
    struct recent_message recent = {.ok = true};
    char *text = NULL;
    size_t size;
    const struct paper paper = {.out = open_memstream(&text, &size)};

    (void)state;
    why_print_recent(&paper, &recent, 9 * NS_PER_S);
    recent.steps_count = 2;
    recent.steps[0] = (struct step){5 * NS_PER_S, "heartbeatd:99", "path reserved is down"};
    recent.steps[1] = (struct step){8 * NS_PER_S, "", "the operator ordered: hold"};
    why_print_recent(&paper, &recent, 9 * NS_PER_S);
    fclose(paper.out);
    assert_string_equal(text, "\nlately, without a change of role:\n\n"
                              "       4.0 s ago  heartbeatd: path reserved is down\n"
                              "       1.0 s ago  the operator ordered: hold\n");
    free(text);
}

static void test_why_numbers(void **state)
{
    static const char *const bad[] = {"0", "-1", "x", "", "2x", "1001", "99999999999999999999"};
    int64_t nth;

    (void)state;
    assert_int_equal(why_parse_number("1", &nth), 0);
    assert_int_equal(nth, 0);
    assert_int_equal(why_parse_number("2", &nth), 0);
    assert_int_equal(nth, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_true(why_parse_number(bad[i], &nth) < 0);
}

/* ---------------------------------------------------------------- the rest */

static void test_respawn(void **state)
{
    static const int64_t pauses_ms[] = {0, 100, 200, 400, 800, 1000, 1000};
    struct respawn respawn = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(pauses_ms); i++)
        assert_int_equal(respawn_pause(&respawn, now_ns, now_ns + 5 * NS_PER_MS), pauses_ms[i] * NS_PER_MS);
    assert_int_equal(respawn_pause(&respawn, now_ns, now_ns + NS_PER_S), 0);
    assert_int_equal(respawn_pause(&respawn, now_ns, now_ns + 5 * NS_PER_MS), 100 * NS_PER_MS);
}

static void test_arguments(void **state)
{
    static char words[][8] = {"1", "--json", "--for", "30m", "--node"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    struct invocation invocation = {.name = "test", .argc = 5, .argv = argv};
    const char *value = NULL;

    (void)state;
    assert_true(command_take_flag(&invocation, "--json"));
    assert_false(command_take_flag(&invocation, "--json"));
    assert_int_equal(command_take_value(&invocation, "--for", &value), 1);
    assert_string_equal(value, "30m");
    assert_true(command_take_value(&invocation, "--node", &value) < 0);
    assert_int_equal(invocation.argc, 2);
    assert_string_equal(invocation.argv[0], "1");
    assert_null(invocation.argv[2]);
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(command_distance("status", "status"), 0);
    assert_int_equal(command_distance("stauts", "status"), 2);
    assert_int_equal(command_distance("", "run"), 3);
    assert_int_equal(command_distance("kitten", "sitting"), 3);
    char longer[500] = {0};
    memset(longer, 'a', sizeof longer - 1);
    assert_int_equal(command_distance(longer, longer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_name_old_and_new),
        cmocka_unit_test(test_changes_of_a_list),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_why_of_both_nodes),
        cmocka_unit_test(test_why_counts_restarts_in_a_row),
        cmocka_unit_test(test_why_tells_that_the_peer_has_no_record),
        cmocka_unit_test(test_why_tells_what_came_since),
        cmocka_unit_test(test_why_numbers),
        cmocka_unit_test(test_respawn),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_distance),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
