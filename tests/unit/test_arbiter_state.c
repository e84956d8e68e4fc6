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

static struct scribe *scribe;

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-state-XXXXXX");
    return mkdtemp(directory) ? scribe_open(&scribe) : -1;
}

/* What was to be written is. */
static void settle(struct history *history)
{
    scribe_close(scribe);
    assert_int_equal(scribe_open(&scribe), 0);
    history->own.scribe = scribe;
}

/* … and a power cut came in the middle of the next line. */
static void settle_torn(struct history *history, const char *path)
{
    settle(history);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("{\"torn\": ", file);
    fclose(file);
}

static int remove_directory(void **state)
{
    char path[128];

    (void)state;
    scribe_close(scribe);
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

    history_change(history, &message, at_ns);
}

static void test_history_has_what_led_to_a_change_and_what_followed(void **state)
{
    static struct history history;
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    assert_null(chronicle_get(&history.own, 0));
    history_note(&history, NS_PER_S, NULL, "too long ago");
    history_note(&history, 99 * NS_PER_S, "heartbeatd:5", "the peer fell silent");
    change(&history, 3, 100 * NS_PER_S);
    history_note(&history, 100 * NS_PER_S + NS_PER_MS, NULL, "addresses up");
    const struct change_message *last = chronicle_get(&history.own, 0);
    assert_int_equal(last->steps_count, 2);
    assert_string_equal(last->steps[0].text, "the peer fell silent");
    assert_string_equal(last->steps[0].cause, "heartbeatd:5");
    assert_string_equal(last->steps[1].text, "addresses up");
    history_tick(&history, 200 * NS_PER_S);
    history_note(&history, 200 * NS_PER_S, NULL, "later, and not of it");
    assert_int_equal(chronicle_get(&history.own, 0)->steps_count, 2);
}

static void test_history_outlives_the_process_and_is_bounded(void **state)
{
    static struct history history, again;
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    for (int64_t i = 1; i <= HISTORY_CHANGES + 20; i++) {
        change(&history, i, i * NS_PER_S);
        if (i % 50 == 0)
            settle_torn(&history, path);
    }
    history_tick(&history, 10000 * NS_PER_S);
    settle_torn(&history, path);
    for (int i = 0; i < 2; i++) { /* the first one shortens the file */
        history_load(&again, path, scribe);
        assert_int_equal(chronicle_get(&again.own, 0)->epoch, HISTORY_CHANGES + 20);
        assert_int_equal(chronicle_get(&again.own, HISTORY_CHANGES - 1)->epoch, 21);
        assert_null(chronicle_get(&again.own, HISTORY_CHANGES));
        assert_null(chronicle_get(&again.own, -1));
    }
}

static void resume(struct history *history, int64_t epoch, int64_t at_ns)
{
    const struct change_message message = {
        .epoch = epoch, .at_ns = at_ns, .from = PHASE_SEARCHING, .to = PHASE_ACTIVE, .rule = "R1-resume"};

    history_change(history, &message, at_ns);
}

static int lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    int count = 0;

    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        count += c == '\n';
    fclose(file);
    return count;
}

/* An arbiterd that ends again and again, and goes on each time: the first and the last one tell it. */
static void test_restarts_in_a_row_push_out_nothing(void **state)
{
    static struct history history;
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    change(&history, 3, NS_PER_S);
    history_finish(&history);
    for (int64_t i = 1; i <= HISTORY_CHANGES + 50; i++) {
        settle(&history);
        history_load(&history, path, scribe);
        resume(&history, 3, i * 10 * NS_PER_S);
        assert_int_equal(chronicle_get(&history.own, 0)->repeats, MAX(i - 2, 0));
        history_finish(&history);
    }
    settle(&history);
    history_load(&history, path, scribe);
    assert_int_equal(history.own.count, 3);
    assert_string_equal(chronicle_get(&history.own, 2)->rule, "");
    assert_int_equal(chronicle_get(&history.own, 1)->at_ns, 10 * NS_PER_S);
    assert_int_equal(chronicle_get(&history.own, 0)->at_ns, (HISTORY_CHANGES + 50) * 10 * NS_PER_S);
    assert_int_equal(chronicle_get(&history.own, 0)->repeats, HISTORY_CHANGES + 48);
    assert_true(chronicle_get(&history.own, 0)->number > chronicle_get(&history.own, 1)->number);
    assert_true(lines_of(path) <= HISTORY_CHANGES);
    resume(&history, 5, 5000 * NS_PER_S); /* of another time of service */
    change(&history, 5, 5010 * NS_PER_S);
    resume(&history, 5, 5020 * NS_PER_S);
    resume(&history, 5, 5030 * NS_PER_S);
    assert_int_equal(history.own.count, 7);
    assert_int_equal(chronicle_get(&history.own, 0)->repeats, 0);
}

/* An offer may take longer than the lead: what began it is part of the chain all the same. */
static void test_history_leads_from_where_the_change_began(void **state)
{
    static struct history history;
    static char path[128];
    const struct change_message message = {.at_ns = 120 * NS_PER_S};

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    history_note(&history, 94 * NS_PER_S, NULL, "too long ago");
    history_note(&history, 96 * NS_PER_S, NULL, "a service failed");
    history_note(&history, 100 * NS_PER_S, NULL, "offering");
    history_change(&history, &message, 100 * NS_PER_S);
    assert_int_equal(chronicle_get(&history.own, 0)->steps_count, 2);
    assert_string_equal(chronicle_get(&history.own, 0)->steps[0].text, "a service failed");
}

/* The wall clock may be set back: what comes later has a higher number all the same. */
static void test_numbers_of_records_grow(void **state)
{
    static struct history history;
    const int64_t given[] = {500, 700, 600, 0}, kept[] = {500, 700, 701, 702};
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    for (size_t i = 0; i < ARRAY_LENGTH(given); i++) {
        const struct change_message message = {.number = given[i], .at_ns = NS_PER_S};
        history_change(&history, &message, NS_PER_S);
        assert_int_equal(chronicle_newest(&history.own, 0), kept[i]);
    }
    assert_int_equal(chronicle_newest(&history.own, 1), 701);
    assert_int_equal(chronicle_after(&history.own, 600, 0)->number, 700);
    assert_int_equal(chronicle_after(&history.own, 700, 0)->number, 701);
    assert_null(chronicle_after(&history.own, 701, 1)); /* the one that is still open */
    assert_null(chronicle_after(&history.own, 702, 0));
}

/* A record whose text cannot be written would be lost. */
static void test_a_note_is_one_line_of_whole_characters(void **state)
{
    static struct history history, again;
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    history_load(&history, path, scribe);
    history_note(&history, NS_PER_S, NULL, "two\nlines");
    history_note(&history, NS_PER_S, NULL, "cut: %.3s", "d\xc3\xa4\xc3\xb6");
    history_note(&history, NS_PER_S, NULL, "cut: %.4s", "d\xc3\xa4\xc3\xb6");
    history_note(&history, NS_PER_S, NULL, "%.2s and more", "\xe2\x82\xac");
    change(&history, 3, NS_PER_S);
    history_finish(&history);
    settle(&history);
    history_load(&again, path, scribe);
    const struct change_message *kept = chronicle_get(&again.own, 0);
    assert_non_null(kept);
    assert_string_equal(kept->steps[0].text, "two lines");
    assert_string_equal(kept->steps[1].text, "cut: d\xc3\xa4");
    assert_string_equal(kept->steps[2].text, "cut: d\xc3\xa4?");
    assert_string_equal(kept->steps[3].text, "?? and more");
}

/* What a version before this one wrote: without a number, a boot, or what was considered. */
static void test_records_of_the_version_before_are_read(void **state)
{
    static struct history history;
    static char path[128]; /* the scribe keeps it by reference */

    (void)state;
    snprintf(path, sizeof path, "%s/changes.jsonl", directory);
    FILE *file = fopen(path, "w");
    fputs(
        "{\"ok\":true,\"error\":\"\",\"node\":\"alpha\",\"from\":\"passive\",\"to\":\"claiming\",\"epoch\":3,"
        "\"rule\":\"R2-vacancy\",\"reason\":\"nobody "
        "serves\",\"at\":\"2026-11-22T12:11:16.123456Z\",\"at_ns\":7,"
        "\"steps\":[{\"at_ns\":5,\"cause\":\"\",\"text\":\"arbiterd of this node starts\"}]}\n",
        file);
    fclose(file);
    history_load(&history, path, scribe);
    assert_int_equal(history.own.count, 1);
    assert_string_equal(chronicle_get(&history.own, 0)->steps[0].text, "arbiterd of this node starts");
    assert_string_equal(chronicle_get(&history.own, 0)->steps[0].considered, "");
    assert_int_equal(chronicle_get(&history.own, 0)->number, 0);
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
        TEST(test_restarts_in_a_row_push_out_nothing),
        TEST(test_history_leads_from_where_the_change_began),
        TEST(test_numbers_of_records_grow),
        TEST(test_a_note_is_one_line_of_whole_characters),
        TEST(test_records_of_the_version_before_are_read),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
