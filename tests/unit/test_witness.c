/* What to ask the witness (ballot), and the words of etcd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "witnessd/ballot.h"
#include "witnessd/etcd_text.h"

#define MS(n) ((n)*NS_PER_MS)

static struct ballot b;
static struct ballot_question q;
static struct ballot_answer a;
static int64_t now;

static int begin(void **state)
{
    const struct ballot_settings settings = {.node = "alpha", .after = MS(200), .salt = 1000};

    (void)state;
    now = MS(10000);
    a = (struct ballot_answer){0};
    ballot_init(&b, &settings);
    return 0;
}

static void ask(enum question kind, int64_t number, int64_t epoch)
{
    ballot_ask(&b, kind, number, epoch, now);
}

/* The arbiter says it again, as it does, and time passes. */
static void pass(int64_t duration)
{
    for (const int64_t end = now + duration; now < end;) {
        now += MS(1);
        b.told = now;
    }
}

static void assert_asks(enum ballot_kind kind)
{
    assert_true(ballot_next(&b, now, &q));
    assert_int_equal(q.kind, kind);
}

static void assert_asks_nothing(void)
{
    assert_false(ballot_next(&b, now, &q));
}

static void answer(const char *holder, int64_t epoch, int64_t revision)
{
    a = (struct ballot_answer){
        .record = {.revision = revision, .stamp = (uint64_t)revision * 7, .epoch = epoch}};
    text_copy(a.record.holder, sizeof a.record.holder, holder);
    ballot_take(&b, &a, now);
}

static void answer_swapped(int64_t revision)
{
    a = (struct ballot_answer){.swapped = true,
                               .record = {.revision = revision, .stamp = q.stamp, .epoch = q.epoch}};
    text_copy(a.record.holder, sizeof a.record.holder, "alpha");
    ballot_take(&b, &a, now);
}

static void test_keep_writes_each_quarter(void **state)
{
    (void)state;
    ask(QUESTION_KEEP, 1, 7);
    assert_asks(BALLOT_READ);
    answer("", 0, 0);
    assert_asks(BALLOT_SWAP);
    assert_int_equal(q.epoch, 7);
    const int64_t sent = now;
    pass(MS(5));
    answer_swapped(3);
    assert_int_equal(b.view.state, WITNESS_STATE_GRANTED);
    assert_int_equal(b.view.granted_epoch, 7);
    assert_int_equal(b.view.granted_ns, sent); /* not when the answer came */
    pass(MS(40));
    assert_asks_nothing();
    pass(MS(6));
    assert_asks(BALLOT_SWAP);
    assert_int_equal(q.seen.revision, 3);
}

static void test_keep_is_denied_by_a_higher_epoch(void **state)
{
    (void)state;
    ask(QUESTION_KEEP, 1, 7);
    assert_asks(BALLOT_READ);
    answer("beta", 8, 5);
    assert_int_equal(b.view.state, WITNESS_STATE_DENIED);
    assert_string_equal(b.view.holder, "beta");
    assert_int_equal(b.view.epoch, 8);
    assert_asks_nothing();
    pass(MS(201));
    assert_asks(BALLOT_READ); /* now and then it is looked again */
}

static void test_keep_goes_over_a_lower_epoch_of_the_peer(void **state)
{
    (void)state;
    ask(QUESTION_KEEP, 1, 7);
    assert_asks(BALLOT_READ);
    answer("beta", 6, 5);
    assert_asks(BALLOT_SWAP);
}

static void test_claim_waits_until_the_record_stood_unchanged(void **state)
{
    (void)state;
    ask(QUESTION_WATCH, 1, 0);
    assert_asks(BALLOT_READ);
    pass(MS(10));
    answer("beta", 8, 5);
    assert_asks_nothing();
    pass(MS(300));
    assert_asks_nothing(); /* watching takes nothing away */
    ask(QUESTION_CLAIM, 1, 9);
    assert_asks(BALLOT_SWAP);
    answer("beta", 8, 6); /* it was renewed */
    assert_asks_nothing();
    pass(MS(224));
    assert_asks_nothing();
    pass(MS(1));
    assert_asks(BALLOT_SWAP);
    assert_int_equal(q.seen.revision, 6);
    answer_swapped(7);
    assert_int_equal(b.view.state, WITNESS_STATE_GRANTED);
    assert_int_equal(b.view.granted_epoch, 9);
}

static void test_a_new_question_does_not_know_what_was_seen_before(void **state)
{
    (void)state;
    ask(QUESTION_WATCH, 1, 0);
    assert_asks(BALLOT_READ);
    answer("beta", 8, 5);
    pass(MS(1000));
    ask(QUESTION_NONE, 2, 0);
    ask(QUESTION_CLAIM, 3, 9);
    assert_asks(BALLOT_READ);
    answer("beta", 8, 5);
    assert_asks_nothing();
    pass(MS(225));
    assert_asks(BALLOT_SWAP);
}

static void test_an_answer_to_an_earlier_question_shows_nothing(void **state)
{
    (void)state;
    ask(QUESTION_WATCH, 1, 0);
    assert_asks(BALLOT_READ);
    ask(QUESTION_CLAIM, 2, 9);
    answer("beta", 8, 5); /* it was on its way */
    assert_asks(BALLOT_READ);
}

static void test_a_restored_witness_is_another_one(void **state)
{
    (void)state;
    ask(QUESTION_CLAIM, 1, 9);
    assert_asks(BALLOT_READ);
    answer("beta", 8, 5);
    pass(MS(225));
    assert_asks(BALLOT_SWAP);
    a = (struct ballot_answer){.swapped = true,
                               .record = {.era = 1, .revision = 6, .epoch = 9, .holder = "alpha"}};
    ballot_take(&b, &a, now); /* beta may have renewed what the backup does not know */
    assert_int_equal(b.view.granted_epoch, 0);
    assert_asks_nothing();
    pass(MS(225));
    assert_asks(BALLOT_SWAP);
}

static void test_who_does_not_answer_is_told_and_asked_again(void **state)
{
    (void)state;
    ask(QUESTION_KEEP, 1, 7);
    assert_asks(BALLOT_READ);
    ballot_fail(&b, "connection refused", now);
    assert_int_equal(b.view.state, WITNESS_STATE_UNREACHABLE);
    assert_string_equal(b.view.text, "connection refused");
    assert_asks_nothing();
    pass(MS(25));
    assert_asks(BALLOT_READ);
    answer("alpha", 7, 5);
    assert_string_equal(b.view.text, "");
}

static void test_a_swap_whose_answer_was_lost_is_own(void **state)
{
    (void)state;
    ask(QUESTION_CLAIM, 1, 9);
    assert_asks(BALLOT_READ);
    answer("beta", 8, 5);
    pass(MS(225));
    assert_asks(BALLOT_SWAP);
    ballot_fail(&b, "timed out", now);
    pass(MS(25));
    assert_asks(BALLOT_SWAP);
    answer("alpha", 9, 6); /* the first one had been made */
    assert_asks_nothing();
    pass(MS(225));
    assert_asks(BALLOT_SWAP);
    answer_swapped(7);
    assert_int_equal(b.view.granted_epoch, 9);
}

static void test_a_dead_arbiter_renews_nothing(void **state)
{
    (void)state;
    ask(QUESTION_KEEP, 1, 7);
    assert_asks(BALLOT_READ);
    answer("", 0, 0);
    assert_asks(BALLOT_SWAP);
    answer_swapped(3);
    now += MS(201);
    assert_true(!ballot_next(&b, now, &q) || q.kind == BALLOT_READ);
    assert_int_equal(b.ask, QUESTION_NONE);
}

static void test_with_nothing_asked_it_is_read_now_and_then(void **state)
{
    (void)state;
    assert_asks(BALLOT_READ);
    answer("", 0, 0);
    assert_int_equal(b.view.state, WITNESS_STATE_IDLE);
    pass(MS(19000));
    assert_asks_nothing();
    pass(MS(1001));
    assert_asks(BALLOT_READ);
}

/* ---- etcd */

static int parse(const char *text, enum ballot_kind kind, char *error)
{
    q = (struct ballot_question){.kind = kind, .epoch = 7, .stamp = 9};
    return etcd_parse_answer(text, strlen(text), &q, &a, error);
}

static void test_etcd_questions(void **state)
{
    const struct ballot_question swap = {.kind = BALLOT_SWAP,
                                         .epoch = 7,
                                         .stamp = 0xab,
                                         .seen = {.revision = 5, .stamp = 1, .epoch = 6, .holder = "beta"}};

    (void)state;
    char *text = etcd_print_question(&(struct ballot_question){0}, "alpha", "/duet/gate");
    assert_string_equal(text, "{\"success\":[{\"request_range\":{\"key\":\"L2R1ZXQvZ2F0ZQ==\"}}]}");
    free(text);
    text = etcd_print_question(&swap, "alpha", "/duet/gate");
    assert_non_null(strstr(text, "\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"5\""));
    assert_non_null(strstr(text, "\"target\":\"VALUE\""));
    assert_non_null(strstr(text, "request_put"));
    free(text);
}

static void test_etcd_answers(void **state)
{
    char error[ETCD_ERROR_MAX];

    (void)state;
    /* what etcd 3.4 says of a key that is not there, of a swap, and of a key that is */
    assert_int_equal(
        parse("{\"header\":{\"revision\":\"1\"},\"succeeded\":true,\"responses\":[{\"response_range\":{"
              "\"header\":{\"revision\":\"1\"}}}]}",
              BALLOT_READ, error),
        0);
    assert_int_equal(a.record.revision, 0);
    assert_int_equal(
        parse("{\"header\":{\"revision\":\"12\"},\"succeeded\":true,\"responses\":[{\"response_put\":{"
              "\"header\":{\"revision\":\"12\"}}}]}",
              BALLOT_SWAP, error),
        0);
    assert_true(a.swapped && a.record.revision == 12 && a.record.epoch == 7 && a.record.stamp == 9);
    assert_int_equal(parse("{\"header\":{\"revision\":\"12\"},\"responses\":[{\"response_range\":{\"kvs\":[{"
                           "\"key\":\"L2R1ZXQvZ2F0ZQ==\","
                           "\"mod_revision\":\"12\",\"value\":"
                           "\"eyJob2xkZXIiOiJiZXRhIiwiZXBvY2giOjgsInN0YW1wIjoiMDAwMDAwMDAwMDAwMDBmZiJ9\"}]"
                           ",\"count\":\"1\"}}]}",
                           BALLOT_SWAP, error),
                     0);
    assert_true(!a.swapped && a.record.revision == 12 && a.record.epoch == 8 && a.record.stamp == 0xff);
    assert_string_equal(a.record.holder, "beta");
}

static void test_etcd_answers_that_are_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
    } wrong[] = {
        {"", -EBADMSG},
        {"<html>", -EBADMSG},
        {"[]", -EBADMSG},
        {"{}", -EBADMSG},
        {"{\"responses\":[{}]}", -EBADMSG},
        {"{\"responses\":[{\"response_range\":{\"kvs\":[{\"mod_revision\":\"-4\",\"value\":\"e30=\"}]}}]}",
         -EBADMSG},
        {"{\"responses\":[{\"response_range\":{\"kvs\":[{\"mod_revision\":\"4\",\"value\":\"e30=\"}]}}]}",
         -EBADMSG},
        {"{\"responses\":[{\"response_range\":{\"kvs\":[{\"mod_revision\":\"4\",\"value\":\"!!\"}]}}]}",
         -EBADMSG},
        {"{\"responses\":[{\"response_range\":{\"kvs\":[{},{}]}}]}", -EBADMSG},
        {"{\"error\":\"etcdserver: invalid auth token\",\"code\":16}", -EACCES},
        {"{\"error\":\"etcdserver: user name is empty\",\"code\":3}", -EACCES},
        {"{\"error\":\"etcdserver: no leader\",\"code\":14}", -EREMOTEIO},
    };
    char error[ETCD_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(parse(wrong[i].text, BALLOT_READ, error), wrong[i].code);
        assert_true(error[0] != '\0');
    }
    assert_int_equal(parse("{\"succeeded\":true}", BALLOT_SWAP, error), -EBADMSG);
}

static void test_etcd_tokens(void **state)
{
    char token[ETCD_TOKEN_MAX], error[ETCD_ERROR_MAX];
    const char good[] = "{\"header\":{},\"token\":\"abc.12\"}", header[] = "{\"token\":\"a\\r\\nX: y\"}";

    (void)state;
    assert_int_equal(etcd_parse_token(good, sizeof good - 1, token, error), 0);
    assert_string_equal(token, "abc.12");
    assert_int_equal(etcd_parse_token(header, sizeof header - 1, token, error), -EBADMSG);
    assert_int_equal(etcd_parse_token("{}", 2, token, error), -EBADMSG);
}

int main(void)
{
#define BALLOT(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        BALLOT(test_keep_writes_each_quarter),
        BALLOT(test_keep_is_denied_by_a_higher_epoch),
        BALLOT(test_keep_goes_over_a_lower_epoch_of_the_peer),
        BALLOT(test_claim_waits_until_the_record_stood_unchanged),
        BALLOT(test_a_new_question_does_not_know_what_was_seen_before),
        BALLOT(test_an_answer_to_an_earlier_question_shows_nothing),
        BALLOT(test_a_restored_witness_is_another_one),
        BALLOT(test_who_does_not_answer_is_told_and_asked_again),
        BALLOT(test_a_swap_whose_answer_was_lost_is_own),
        BALLOT(test_a_dead_arbiter_renews_nothing),
        BALLOT(test_with_nothing_asked_it_is_read_now_and_then),
        cmocka_unit_test(test_etcd_questions),
        cmocka_unit_test(test_etcd_answers),
        cmocka_unit_test(test_etcd_answers_that_are_refused),
        cmocka_unit_test(test_etcd_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
