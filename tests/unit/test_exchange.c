/* The exchange of records: two arbiters, a line between them that loses and repeats, and restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arbiterd/chronicle.h"
#include "arbiterd/exchange.h"

enum { INTERVAL_MS = 50, RETRY_MS = 200 };

/* One node: its own records, the peer's that it has, and the exchange. Its clock began `boot_ns` after the
 * world's. */
struct node {
    const char *name;
    struct exchange exchange;
    struct chronicle own, peers;
    int64_t boot_ns;
    int sent;
};

static struct node alpha, beta;
static int64_t now_ns;
static unsigned seed;
static unsigned loss_percent;

static unsigned below(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void begin_node(struct node *node, const char *name, int64_t boot_ns)
{
    memset(node, 0, sizeof *node);
    node->name = name;
    node->boot_ns = boot_ns;
    exchange_open(&node->exchange, name, 0);
}

static int begin(void **state)
{
    (void)state;
    now_ns = 1000 * NS_PER_S;
    seed = 1;
    loss_percent = 0;
    begin_node(&alpha, "alpha", 0);
    begin_node(&beta, "beta", 700 * NS_PER_S);
    return 0;
}

static int64_t clock_of(const struct node *node)
{
    return now_ns - node->boot_ns;
}

/* A change of role, with so many steps, the first ones before it. */
static void change(struct node *node, int64_t number, size_t steps)
{
    static const struct change_message none;
    struct change_message *change = chronicle_add(&node->own, &none);

    *change = (struct change_message){.ok = true,
                                      .number = number,
                                      .from = PHASE_ACTIVE,
                                      .to = PHASE_RELEASING,
                                      .epoch = number * 2 + 1,
                                      .rule = "R9-yield",
                                      .reason = "the peer serves under a higher epoch",
                                      .at_ns = clock_of(node),
                                      .steps_count = steps};
    for (size_t i = 0; i < steps; i++) {
        struct step *step = &change->steps[i];
        step->at_ns = change->at_ns + ((int64_t)i - 2) * NS_PER_MS;
        snprintf(step->text, sizeof step->text, "step %zu of %s's %d", i, node->name, (int)number);
        text_copy(step->cause, sizeof step->cause, i % 2 ? "heartbeatd:12" : "");
        text_copy(step->considered, sizeof step->considered, i % 3 ? "" : "R4-mute");
    }
}

static void take(struct node *to, const struct piece_message *piece)
{
    static struct change_message whole;

    if (exchange_take(&to->exchange, piece, clock_of(to), &whole))
        chronicle_add(&to->peers, &whole);
}

static void tell(struct node *from, struct node *to)
{
    static struct piece_message piece;
    const struct change_message *next = chronicle_after(&from->own, from->exchange.given, 0);

    if (!exchange_due(&from->exchange, next, clock_of(from), RETRY_MS * NS_PER_MS))
        return;
    exchange_compose(&from->exchange, next, chronicle_newest(&from->own, 0),
                     next ? clock_of(from) - next->at_ns : 0, 1 + below(3), &piece);
    exchange_sent(&from->exchange, &piece, clock_of(from));
    from->sent++;
    if (below(100) < loss_percent)
        return;
    now_ns += (int64_t)below(3) * NS_PER_MS; /* on its way */
    take(to, &piece);
    if (loss_percent > 0 && below(10) == 0)
        take(to, &piece);
}

static void pass(int64_t seconds)
{
    for (const int64_t end = now_ns + seconds * NS_PER_S; now_ns < end; now_ns += INTERVAL_MS * NS_PER_MS) {
        tell(&alpha, &beta);
        tell(&beta, &alpha);
    }
}

/* The other one has each record, whole, once, in order, at its own clock's time. */
static void assert_has_all(const struct node *has, const struct node *of)
{
    assert_int_equal(has->peers.count, of->own.count);
    for (int64_t i = 0; chronicle_get(&of->own, i); i++) {
        const struct change_message *a = chronicle_get(&of->own, i), *b = chronicle_get(&has->peers, i);
        const int64_t shift = b->at_ns + has->boot_ns - (a->at_ns + of->boot_ns);
        assert_true(b->ok && strcmp(b->node, of->name) == 0 && strcmp(a->rule, b->rule) == 0);
        assert_true(a->number == b->number && a->epoch == b->epoch && a->from == b->from && a->to == b->to);
        assert_string_equal(a->reason, b->reason);
        assert_true(shift >= 0 && shift <= 2 * NS_PER_MS); /* what the fastest of its pieces took */
        assert_int_equal(a->steps_count, b->steps_count);
        for (size_t k = 0; k < a->steps_count; k++) {
            assert_string_equal(a->steps[k].text, b->steps[k].text);
            assert_string_equal(a->steps[k].cause, b->steps[k].cause);
            assert_string_equal(a->steps[k].considered, b->steps[k].considered);
            assert_int_equal(b->steps[k].at_ns - b->at_ns, a->steps[k].at_ns - a->at_ns);
        }
    }
}

static void assert_quiet(void)
{
    const int before = alpha.sent + beta.sent;

    loss_percent = 0;
    pass(5); /* a last answer may have been lost */
    const int answered = alpha.sent + beta.sent;
    assert_true(answered - before <= 8);
    pass(60);
    assert_int_equal(alpha.sent + beta.sent, answered);
}

static void test_each_gets_what_the_other_has(void **state)
{
    (void)state;
    change(&alpha, 10, 7);
    change(&alpha, 11, 0);
    change(&beta, 4, 40);
    pass(5);
    assert_has_all(&beta, &alpha);
    assert_has_all(&alpha, &beta);
    assert_quiet();
    change(&beta, 5, 1);
    pass(2);
    assert_has_all(&alpha, &beta);
    assert_quiet();
}

static void test_nothing_is_lost_on_lines_that_lose(void **state)
{
    (void)state;
    for (unsigned s = 1; s <= 50; s++) {
        begin(NULL);
        seed = s;
        loss_percent = 40;
        for (int64_t i = 1; i <= 8; i++) {
            change(below(2) ? &alpha : &beta, i * 10 + (int64_t)below(9), below(41));
            pass((int64_t)below(3));
        }
        pass(120);
        assert_has_all(&beta, &alpha);
        assert_has_all(&alpha, &beta);
        assert_quiet();
    }
}

/* It has its records, and what it had taken whole, from disk. */
static void restart(struct node *node)
{
    const int64_t taken = chronicle_newest(&node->peers, 0);

    exchange_open(&node->exchange, node->name, taken);
}

static void test_restarts_at_any_moment(void **state)
{
    (void)state;
    for (unsigned s = 1; s <= 50; s++) {
        begin(NULL);
        seed = s;
        loss_percent = below(30);
        for (int64_t i = 1; i <= 8; i++) {
            change(below(2) ? &alpha : &beta, i * 10, below(41));
            for (unsigned turns = below(20); turns > 0; turns--) {
                tell(&alpha, &beta);
                tell(&beta, &alpha);
                now_ns += INTERVAL_MS * NS_PER_MS;
            }
            restart(below(2) ? &alpha : &beta);
        }
        pass(120);
        assert_has_all(&beta, &alpha);
        assert_has_all(&alpha, &beta);
        assert_quiet();
    }
}

static void test_a_node_that_lost_its_records_is_taken_anew(void **state)
{
    (void)state;
    change(&alpha, 100, 3);
    change(&alpha, 101, 3);
    pass(5);
    assert_has_all(&beta, &alpha);
    begin_node(&alpha, "alpha", 0);
    change(&alpha, 5, 2); /* its clock was set back, too */
    pass(5);
    assert_int_equal(beta.peers.count, 3);
    assert_int_equal(chronicle_get(&beta.peers, 0)->number, 5);
    assert_int_equal(chronicle_get(&beta.peers, 0)->steps_count, 2);
}

static void test_who_lost_what_it_had_taken_gets_it_again(void **state)
{
    (void)state;
    change(&alpha, 100, 3);
    pass(5);
    begin_node(&beta, "beta", 900 * NS_PER_S);
    pass(5);
    assert_has_all(&beta, &alpha);
}

static void test_the_fastest_piece_tells_the_time(void **state)
{
    struct piece_message piece = {
        .node = "beta", .heard = true, .newest = 9, .number = 9, .total = 3, .steps_count = 1};
    const int64_t delays[] = {40 * NS_PER_MS, 1 * NS_PER_MS, 30 * NS_PER_MS};
    static struct change_message whole;

    (void)state;
    for (piece.first = 0; piece.first < 3; piece.first++) {
        piece.age_ns = (piece.first + 1) * NS_PER_S;
        assert_int_equal(
            exchange_take(&alpha.exchange, &piece, now_ns + piece.age_ns + delays[piece.first], &whole),
            piece.first == 2);
    }
    assert_int_equal(whole.at_ns, now_ns + 1 * NS_PER_MS);
}

/* What the peer has in part is another record, which is gone here. */
static void test_a_record_is_begun_at_its_first_step(void **state)
{
    static struct piece_message piece;

    (void)state;
    change(&alpha, 10, 7);
    alpha.exchange.giving = 9;
    alpha.exchange.giving_steps = 5;
    exchange_compose(&alpha.exchange, chronicle_get(&alpha.own, 0), 10, 0, 3, &piece);
    assert_int_equal(piece.first, 0);
    alpha.exchange.giving = 10;
    exchange_compose(&alpha.exchange, chronicle_get(&alpha.own, 0), 10, 0, 3, &piece);
    assert_int_equal(piece.first, 5);
    assert_int_equal(piece.steps_count, 2);
}

/* Whoever has the other node has not this one's operator's terminal. */
static void test_the_peer_writes_no_controls(void **state)
{
    struct piece_message piece = {.node = "beta", .number = 9, .newest = 9, .total = 1, .steps_count = 1};
    static struct change_message whole;

    (void)state;
    strcpy(piece.reason, "red \x1b[31m");
    strcpy(piece.steps[0].text, "a\nb\x7f \xc2\x9b\x31m \xc3\xa4");
    assert_true(exchange_take(&alpha.exchange, &piece, now_ns, &whole));
    assert_string_equal(whole.reason, "red  [31m");
    assert_string_equal(whole.steps[0].text, "a b    1m \xc3\xa4");
}

static void test_times_beyond_measure_overflow_nothing(void **state)
{
    struct piece_message piece = {.node = "beta", .number = 9, .newest = 9, .total = 2, .steps_count = 2};
    static struct change_message whole;

    (void)state;
    piece.age_ns = piece.steps[0].before_ns = piece.steps[1].after_ns = INT64_MAX;
    assert_true(exchange_take(&alpha.exchange, &piece, now_ns, &whole));
    assert_true(whole.at_ns == now_ns - (INT64_C(1) << 58));
    assert_true(whole.at_ns - whole.steps[0].at_ns == EXCHANGE_BIAS);
    assert_true(whole.steps[1].at_ns - whole.at_ns == EXCHANGE_BIAS);
}

static void test_a_record_longer_than_there_is_room_for_is_cut(void **state)
{
    struct piece_message piece = {.node = "beta", .heard = true, .newest = 9, .number = 9, .total = 60};
    static struct change_message whole;

    (void)state;
    piece.steps_count = 2;
    for (piece.first = 0; piece.first < 38; piece.first += 2)
        assert_false(exchange_take(&alpha.exchange, &piece, now_ns, &whole));
    assert_true(exchange_take(&alpha.exchange, &piece, now_ns, &whole));
    assert_int_equal(whole.steps_count, ARRAY_LENGTH(whole.steps));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_each_gets_what_the_other_has),
        TEST(test_nothing_is_lost_on_lines_that_lose),
        TEST(test_restarts_at_any_moment),
        TEST(test_a_node_that_lost_its_records_is_taken_anew),
        TEST(test_who_lost_what_it_had_taken_gets_it_again),
        TEST(test_the_fastest_piece_tells_the_time),
        TEST(test_a_record_is_begun_at_its_first_step),
        TEST(test_the_peer_writes_no_controls),
        TEST(test_times_beyond_measure_overflow_nothing),
        TEST(test_a_record_longer_than_there_is_room_for_is_cut),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
