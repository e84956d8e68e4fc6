/* What arbiterd keeps on disk: the state file's text, the thread that writes it, and the record of changes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiterd/history.h"
#include "arbiterd/state.h"

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-state-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, i ? "state" : "changes.jsonl");
        unlink(path);
    }
    return rmdir(directory);
}

static const struct arbiter_durable sample = {
    .epoch = 17, .next_epoch = 19, .was_active = true, .held = true, .hold_version = 3, .hold_left_ns = 5};

static void test_state_comes_back_as_it_went(void **state)
{
    char text[STATEFILE_MAX];
    struct arbiter_durable back;

    (void)state;
    state_print(&sample, text);
    assert_int_equal(state_parse(text, &back), 0);
    assert_memory_equal(&back, &sample, sizeof back);
}

static void test_state_that_is_not_whole_is_refused(void **state)
{
    char text[STATEFILE_MAX];
    struct arbiter_durable back;

    (void)state;
    state_print(&sample, text);
    for (size_t length = 0; length < strlen(text); length++) {
        char torn[STATEFILE_MAX];
        text_copy(torn, sizeof torn, text);
        torn[length] = '\0';
        assert_true(state_parse(torn, &back) < 0);
    }
    const char *const bad[] = {"",
                               "epoch -1\nnext-epoch 3\nwas-active 0\nheld 0\nhold-version 0\nhold-left-ns "
                               "0\ndata-whole 0\ndata-epoch 0\n",
                               "epoch 1\nnext-epoch 3\nwas-active 2\nheld 0\nhold-version 0\nhold-left-ns "
                               "0\ndata-whole 0\ndata-epoch 0\n",
                               "epoch 1\nnext-epoch 3\nwas-active 0\nheld 0\nhold-version 0\nhold-left-ns "
                               "0\ndata-whole 0\ndata-epoch 0\nmore\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_true(state_parse(bad[i], &back) < 0);
}

static void test_state_file_survives_and_damage_is_noticed(void **state)
{
    char path[128], text[STATEFILE_MAX], again[STATEFILE_MAX];

    (void)state;
    snprintf(path, sizeof path, "%s/state", directory);
    assert_int_equal(statefile_read(path, again), -ENOENT);
    state_print(&sample, text);
    assert_int_equal(statefile_write(path, text), 0);
    assert_int_equal(statefile_read(path, again), 0);
    assert_string_equal(again, text);
    FILE *file = fopen(path, "r+");
    fseek(file, 6, SEEK_SET);
    fputc('9', file);
    fclose(file);
    assert_int_equal(statefile_read(path, again), -EUCLEAN);
}

struct written {
    struct loop *loop;
    struct arbiter_durable durable;
    int times;
};

static void on_written(void *userdata, const struct arbiter_durable *durable, int error)
{
    struct written *w = userdata;

    assert_int_equal(error, 0);
    w->durable = *durable;
    w->times++;
    loop_exit(w->loop, 0);
}

static void test_state_writer_tells_only_what_is_on_disk(void **state)
{
    char path[128], text[STATEFILE_MAX];
    struct written w = {0};
    static struct state_writer *writer; /* lives as long as the process */
    struct arbiter_durable back;

    (void)state;
    snprintf(path, sizeof path, "%s/state", directory);
    assert_int_equal(loop_new(&w.loop), 0);
    assert_int_equal(state_writer_start(w.loop, path, on_written, &w, &writer), 0);
    state_write(writer, &sample);
    assert_int_equal(loop_run(w.loop), 0);
    assert_int_equal(w.times, 1);
    assert_int_equal(statefile_read(path, text), 0);
    assert_int_equal(state_parse(text, &back), 0);
    assert_memory_equal(&back, &w.durable, sizeof back);
    loop_free(w.loop);
}

static void change(struct history *history, int64_t epoch, int64_t at_ns)
{
    struct change_message message = {
        .epoch = epoch, .at_ns = at_ns, .from = PHASE_PASSIVE, .to = PHASE_CLAIMING};

    history_change(history, &message);
}

static void test_history_has_what_led_to_a_change_and_what_followed(void **state)
{
    static struct history history;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path);
    assert_null(history_get(&history, 0));
    history_note(&history, NS_PER_S, NULL, "too long ago");
    history_note(&history, 99 * NS_PER_S, "heartbeatd:5", "the peer fell silent");
    change(&history, 3, 100 * NS_PER_S);
    history_note(&history, 100 * NS_PER_S + NS_PER_MS, NULL, "addresses up");
    const struct change_message *last = history_get(&history, 0);
    assert_int_equal(last->steps_count, 2);
    assert_string_equal(last->steps[0].text, "the peer fell silent");
    assert_string_equal(last->steps[0].cause, "heartbeatd:5");
    assert_string_equal(last->steps[1].text, "addresses up");
    history_tick(&history, 200 * NS_PER_S);
    history_note(&history, 200 * NS_PER_S, NULL, "later, and not of it");
    assert_int_equal(history_get(&history, 0)->steps_count, 2);
}

static void test_history_outlives_the_process_and_is_bounded(void **state)
{
    static struct history history, again;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path);
    for (int64_t i = 1; i <= HISTORY_CHANGES + 20; i++)
        change(&history, i, i * NS_PER_S);
    history_tick(&history, 10000 * NS_PER_S);
    FILE *file = fopen(path, "a");
    fputs("{\"torn\": \n", file); /* a power cut in the middle of a line */
    fclose(file);
    for (int i = 0; i < 2; i++) { /* the first one shortens the file */
        history_load(&again, path);
        assert_int_equal(history_get(&again, 0)->epoch, HISTORY_CHANGES + 20);
        assert_int_equal(history_get(&again, HISTORY_CHANGES - 1)->epoch, 21);
        assert_null(history_get(&again, HISTORY_CHANGES));
        assert_null(history_get(&again, -1));
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(test_state_comes_back_as_it_went),
        TEST(test_state_that_is_not_whole_is_refused),
        TEST(test_state_file_survives_and_damage_is_noticed),
        TEST(test_state_writer_tells_only_what_is_on_disk),
        TEST(test_history_has_what_led_to_a_change_and_what_followed),
        TEST(test_history_outlives_the_process_and_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
