/* The guard's core: every cell of state × event, then stories that run through several of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/guard.h"

/* A guard with a hand to feed it. */
struct play {
    struct guard guard;
    struct guard_effects effects; /* of the latest event */
    int64_t now_ns;
};

static const struct guard_settings with_check = {.check_interval_ns = 2 * NS_PER_S,
                                                 .check_timeout_ns = 1 * NS_PER_S,
                                                 .retry_interval_ns = 1 * NS_PER_S,
                                                 .stop_timeout_ns = 3 * NS_PER_S,
                                                 .check_failures = 2,
                                                 .start_retries = 2,
                                                 .look_interval_ns = 2 * NS_PER_S};
static const struct guard_settings without_check = {.retry_interval_ns = 1 * NS_PER_S,
                                                    .stop_timeout_ns = 3 * NS_PER_S,
                                                    .check_failures = 2,
                                                    .start_retries = 2};

static void open_play(struct play *play, const struct guard_settings *settings)
{
    *play = (struct play){.now_ns = 100 * NS_PER_S};
    guard_init(&play->guard, settings, play->now_ns);
}

static void feed(struct play *play, enum guard_event_kind kind)
{
    play->now_ns += NS_PER_MS;
    const struct guard_event event = {.kind = kind,
                                      .at_ns = play->now_ns,
                                      .pid = kind == GUARD_STARTED   ? 77
                                             : kind == GUARD_ADOPTED ? 88
                                                                     : 0,
                                      .text = "killed by signal 9"};
    guard_step(&play->guard, &event, &play->effects);
}

static void feed_all(struct play *play, const enum guard_event_kind *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        feed(play, kinds[i]);
}

#define FEED(play, ...)                                                                                      \
    feed_all(play, (const enum guard_event_kind[]){__VA_ARGS__},                                             \
             sizeof((const enum guard_event_kind[]){__VA_ARGS__}) / sizeof(enum guard_event_kind))

/* The timer that was asked for runs, when it is due. */
static void ring(struct play *play)
{
    assert_true(play->effects.timer_ns > play->now_ns);
    play->now_ns = play->effects.timer_ns - NS_PER_MS; /* feed() adds it */
    feed(play, GUARD_TIMER);
}

/* K: kill the check, T: TERM, 9: KILL, S: spawn, L: look, C: run a check, P: publish, t: a timer is set. */
static const char *effects_text(const struct guard_effects *effects)
{
    static char text[16];

    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", effects->kill_check ? "K" : "",
             effects->signal == GUARD_TERM   ? "T"
             : effects->signal == GUARD_KILL ? "9"
                                             : "",
             effects->spawn ? "S" : "", effects->look ? "L" : "", effects->run_check ? "C" : "",
             effects->publish ? "P" : "", effects->timer_ns ? "t" : "");
    return text;
}

static void expect(const struct play *play, enum guard_state state, enum service_state shown,
                   const char *effects)
{
    assert_string_equal(guard_state_names[play->guard.state], guard_state_names[state]);
    assert_string_equal(service_state_names[play->guard.view.state], service_state_names[shown]);
    assert_string_equal(effects_text(&play->effects), effects);
}

#define STOPPED SERVICE_STATE_STOPPED
#define STARTING SERVICE_STATE_STARTING
#define RUNNING SERVICE_STATE_RUNNING
#define FAILED SERVICE_STATE_FAILED

/* ---------------------------------------------------------------- every cell */

/* Brings a fresh guard into a state, in a usual way; `running` with a check that runs. */
static void bring_into(struct play *play, enum guard_state state)
{
    open_play(play, &with_check);
    if (state == GUARD_STOPPED)
        return;
    feed(play, GUARD_WANTED);
    if (state == GUARD_WAITING || state == GUARD_FAILED)
        FEED(play, GUARD_START_FAILED, GUARD_START_FAILED);
    if (state == GUARD_FAILED) {
        ring(play);
        feed(play, GUARD_START_FAILED);
    }
    if (state == GUARD_RUNNING || state == GUARD_RESTARTING || state == GUARD_STOPPING) {
        feed(play, GUARD_STARTED);
        ring(play);
        assert_true(play->effects.run_check);
    }
    if (state == GUARD_RESTARTING) {
        feed(play, GUARD_CHECK_FAILED);
        ring(play);
        feed(play, GUARD_CHECK_FAILED);
    }
    if (state == GUARD_STOPPING)
        feed(play, GUARD_UNWANTED);
    assert_int_equal(play->guard.state, state);
}

struct cell {
    enum guard_state next;
    const char *effects;
};

/* clang-format off */
static const struct cell cells[GUARD_STATE_COUNT][GUARD_EVENT_COUNT] = {
    [GUARD_STOPPED] = {
        [GUARD_WANTED] = {GUARD_STARTING, "SP"},      [GUARD_UNWANTED] = {GUARD_STOPPED, ""},
        [GUARD_STARTED] = {GUARD_STOPPED, ""},        [GUARD_START_FAILED] = {GUARD_STOPPED, ""},
        [GUARD_ENDED] = {GUARD_STOPPED, ""},          [GUARD_CHECK_OK] = {GUARD_STOPPED, ""},
        [GUARD_CHECK_FAILED] = {GUARD_STOPPED, ""},   [GUARD_TIMER] = {GUARD_STOPPED, ""},
        [GUARD_CLEAR] = {GUARD_STOPPED, ""},         [GUARD_ADOPTED] = {GUARD_RUNNING, "Pt"}},
    [GUARD_STARTING] = {
        [GUARD_WANTED] = {GUARD_STARTING, ""},        [GUARD_UNWANTED] = {GUARD_STOPPING, "TPt"},
        [GUARD_STARTED] = {GUARD_RUNNING, "Pt"},      [GUARD_START_FAILED] = {GUARD_STARTING, "SP"},
        [GUARD_ENDED] = {GUARD_STARTING, "SP"},       [GUARD_CHECK_OK] = {GUARD_STARTING, ""},
        [GUARD_CHECK_FAILED] = {GUARD_STARTING, ""},  [GUARD_TIMER] = {GUARD_STARTING, ""},
        [GUARD_CLEAR] = {GUARD_STARTING, ""},         [GUARD_ADOPTED] = {GUARD_RUNNING, "Pt"}},
    [GUARD_RUNNING] = {
        [GUARD_WANTED] = {GUARD_RUNNING, "t"},        [GUARD_UNWANTED] = {GUARD_STOPPING, "KTPt"},
        [GUARD_STARTED] = {GUARD_RUNNING, "t"},       [GUARD_START_FAILED] = {GUARD_STARTING, "KSP"},
        [GUARD_ENDED] = {GUARD_STARTING, "KSP"},      [GUARD_CHECK_OK] = {GUARD_RUNNING, "t"},
        [GUARD_CHECK_FAILED] = {GUARD_RUNNING, "Pt"}, [GUARD_TIMER] = {GUARD_RUNNING, "KPt"},
        [GUARD_CLEAR] = {GUARD_RUNNING, "t"},         [GUARD_ADOPTED] = {GUARD_RUNNING, "t"}},
    [GUARD_WAITING] = {
        [GUARD_WANTED] = {GUARD_WAITING, "t"},        [GUARD_UNWANTED] = {GUARD_STOPPED, "P"},
        [GUARD_STARTED] = {GUARD_WAITING, "t"},       [GUARD_START_FAILED] = {GUARD_WAITING, "t"},
        [GUARD_ENDED] = {GUARD_WAITING, "t"},         [GUARD_CHECK_OK] = {GUARD_WAITING, "t"},
        [GUARD_CHECK_FAILED] = {GUARD_WAITING, "t"},  [GUARD_TIMER] = {GUARD_STARTING, "SP"},
        [GUARD_CLEAR] = {GUARD_STARTING, "SP"},         [GUARD_ADOPTED] = {GUARD_RUNNING, "Pt"}},
    [GUARD_RESTARTING] = {
        [GUARD_WANTED] = {GUARD_RESTARTING, "t"},       [GUARD_UNWANTED] = {GUARD_STOPPING, "Pt"},
        [GUARD_STARTED] = {GUARD_RESTARTING, "t"},      [GUARD_START_FAILED] = {GUARD_STARTING, "SP"},
        [GUARD_ENDED] = {GUARD_STARTING, "SP"},         [GUARD_CHECK_OK] = {GUARD_RESTARTING, "t"},
        [GUARD_CHECK_FAILED] = {GUARD_RESTARTING, "t"}, [GUARD_TIMER] = {GUARD_RESTARTING, "9t"},
        [GUARD_CLEAR] = {GUARD_RESTARTING, "Pt"},         [GUARD_ADOPTED] = {GUARD_RESTARTING, "t"}},
    [GUARD_STOPPING] = {
        [GUARD_WANTED] = {GUARD_STOPPING, "t"},       [GUARD_UNWANTED] = {GUARD_STOPPING, "t"},
        [GUARD_STARTED] = {GUARD_STOPPING, "t"},      [GUARD_START_FAILED] = {GUARD_STOPPED, "P"},
        [GUARD_ENDED] = {GUARD_STOPPED, "P"},         [GUARD_CHECK_OK] = {GUARD_STOPPING, "t"},
        [GUARD_CHECK_FAILED] = {GUARD_STOPPING, "t"}, [GUARD_TIMER] = {GUARD_STOPPING, "9t"},
        [GUARD_CLEAR] = {GUARD_STOPPING, "t"},         [GUARD_ADOPTED] = {GUARD_STOPPING, "t"}},
    [GUARD_FAILED] = {
        [GUARD_WANTED] = {GUARD_FAILED, "t"},         [GUARD_UNWANTED] = {GUARD_FAILED, ""},
        [GUARD_STARTED] = {GUARD_FAILED, "t"},        [GUARD_START_FAILED] = {GUARD_FAILED, "t"},
        [GUARD_ENDED] = {GUARD_FAILED, "t"},          [GUARD_CHECK_OK] = {GUARD_FAILED, "t"},
        [GUARD_CHECK_FAILED] = {GUARD_FAILED, "t"},   [GUARD_TIMER] = {GUARD_FAILED, "Lt"},
        [GUARD_CLEAR] = {GUARD_STARTING, "SP"},         [GUARD_ADOPTED] = {GUARD_RUNNING, "Pt"}},
};
/* clang-format on */

static void test_every_cell(void **unused)
{
    struct play play;

    (void)unused;
    for (int state = 0; state < GUARD_STATE_COUNT; state++)
        for (int event = 0; event < GUARD_EVENT_COUNT; event++) {
            const struct cell *cell = &cells[state][event];
            assert_non_null(cell->effects); /* a cell that was forgotten here */
            bring_into(&play, (enum guard_state)state);
            if (event == GUARD_TIMER && play.effects.timer_ns)
                ring(&play);
            else
                feed(&play, (enum guard_event_kind)event);
            if (play.guard.state != cell->next || strcmp(effects_text(&play.effects), cell->effects) != 0)
                fail_msg("%s, %s: now %s with '%s', not %s with '%s'", guard_state_names[state],
                         guard_event_names[event], guard_state_names[play.guard.state],
                         effects_text(&play.effects), guard_state_names[cell->next], cell->effects);
        }
}

/* Whatever comes in whatever order: a process is started only where none runs, and the numbers stay sane. */
static void test_all_sequences_keep_their_word(void **unused)
{
    enum { DEPTH = 7 };
    int sequence[DEPTH];
    long total = 1;

    (void)unused;
    for (int i = 0; i < DEPTH; i++)
        total *= GUARD_EVENT_COUNT;
    for (long n = 0; n < total; n++) {
        struct play play;
        bool alive = false, started = false; /* the process, as the shell would know it */
        open_play(&play, &with_check);
        for (long i = 0, rest = n; i < DEPTH; i++, rest /= GUARD_EVENT_COUNT)
            sequence[i] = (int)(rest % GUARD_EVENT_COUNT);
        for (int i = 0; i < DEPTH; i++) {
            const enum guard_event_kind kind = (enum guard_event_kind)sequence[i];
            if (((kind == GUARD_STARTED || kind == GUARD_START_FAILED) && (!alive || started)) ||
                (kind == GUARD_ENDED && !alive) || (kind == GUARD_ADOPTED && alive))
                break; /* the shell never tells that */
            if (kind == GUARD_ENDED || kind == GUARD_START_FAILED)
                alive = started = false;
            started = started || kind == GUARD_STARTED || kind == GUARD_ADOPTED;
            alive = alive || kind == GUARD_ADOPTED;
            if (kind == GUARD_TIMER && play.effects.timer_ns)
                ring(&play);
            else
                feed(&play, kind);
            assert_false(play.effects.spawn && alive);
            alive = alive || play.effects.spawn;
            if (guard_at_rest(&play.guard))
                assert_false(alive);
            if (play.guard.state == GUARD_WAITING || play.guard.state == GUARD_RESTARTING)
                assert_true(play.effects.timer_ns != 0 || play.guard.killed);
            if (play.guard.state == GUARD_RUNNING)
                assert_true(play.effects.timer_ns != 0);
            assert_true(play.effects.signal == GUARD_NO_SIGNAL || alive);
        }
    }
}

/* -------------------------------------------------------------------- stories */

static void test_waits_grow_up_to_a_limit(void **unused)
{
    static const int64_t waits_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
    struct guard_settings settings = without_check;
    struct play play;

    (void)unused;
    settings.start_retries = 100;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_ENDED);
    for (size_t i = 0; i < ARRAY_LENGTH(waits_s); i++) {
        FEED(&play, GUARD_STARTED, GUARD_ENDED);
        assert_int_equal(play.effects.timer_ns - play.now_ns, waits_s[i] * NS_PER_S);
        ring(&play);
    }
}

static void test_a_long_interval_does_not_grow(void **unused)
{
    struct guard_settings settings = without_check;
    struct play play;

    (void)unused;
    settings.start_retries = 100;
    settings.retry_interval_ns = 90 * NS_PER_S;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_ENDED);
    for (int i = 0; i < 40; i++) {
        FEED(&play, GUARD_STARTED, GUARD_ENDED);
        assert_int_equal(play.effects.timer_ns - play.now_ns, 90 * NS_PER_S);
        ring(&play);
    }
}

static void test_adopted_before_the_role_is_known(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    feed(&play, GUARD_ADOPTED);
    expect(&play, GUARD_RUNNING, RUNNING, "Pt");
    assert_int_equal(play.guard.view.pid, 88);
    feed(&play, GUARD_WANTED); /* it is left as it is */
    expect(&play, GUARD_RUNNING, RUNNING, "t");
    assert_int_equal(play.guard.view.restarts, 0);
    feed(&play, GUARD_ENDED); /* and guarded from then on */
    expect(&play, GUARD_STARTING, STARTING, "SP");
}

static void test_adopted_and_not_wanted(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_ADOPTED, GUARD_UNWANTED);
    expect(&play, GUARD_STOPPING, RUNNING, "TPt");
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_STOPPED, STOPPED, "P");
    FEED(&play, GUARD_ADOPTED, GUARD_ENDED); /* ended before the role was known: not started */
    expect(&play, GUARD_STOPPED, STOPPED, "P");
    assert_int_equal(play.guard.view.first_sign_ns, 0);
}

static void test_a_failure_of_an_earlier_run(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    guard_restore_failure(&play.guard, "failed before", play.now_ns);
    assert_true(guard_at_rest(&play.guard));
    assert_int_equal(play.guard.view.state, SERVICE_STATE_FAILED);
    feed(&play, GUARD_UNWANTED);
    expect(&play, GUARD_FAILED, FAILED, "");
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    expect(&play, GUARD_RUNNING, FAILED, "Pt"); /* until it is a success */
    ring(&play);
    expect(&play, GUARD_RUNNING, RUNNING, "P");
}

static void test_who_failed_is_looked_for(void **unused)
{
    struct guard_settings settings = with_check;
    struct play play;

    (void)unused;
    settings.start_retries = 0;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_START_FAILED);
    for (int i = 0; i < 3; i++) {
        ring(&play);
        expect(&play, GUARD_FAILED, FAILED, "Lt");
    }
    feed(&play, GUARD_ADOPTED); /* somebody started it by hand */
    expect(&play, GUARD_RUNNING, FAILED, "Pt");
    FEED(&play, GUARD_UNWANTED, GUARD_ENDED);
    expect(&play, GUARD_FAILED, FAILED, "P"); /* not looked for any more */
}

static void test_goes_on_as_another_process(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_ADOPTED, GUARD_WANTED, GUARD_STARTED);
    expect(&play, GUARD_RUNNING, RUNNING, "Pt");
    assert_int_equal(play.guard.view.pid, 77);
    assert_int_equal(play.guard.view.restarts, 0);
}

static void test_crash_loop_fails_after_start_retries(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_STARTING, STARTING, "SP"); /* the first restart comes at once */
    const int64_t first_ns = play.now_ns;
    FEED(&play, GUARD_STARTED, GUARD_ENDED);
    expect(&play, GUARD_WAITING, STARTING, "Pt"); /* the second one after retry-interval */
    assert_int_equal(play.effects.timer_ns - play.now_ns, NS_PER_S);
    ring(&play);
    expect(&play, GUARD_STARTING, STARTING, "SP");
    FEED(&play, GUARD_STARTED, GUARD_ENDED);
    expect(&play, GUARD_FAILED, FAILED, "P");
    assert_int_equal(play.guard.view.restarts, 2);
    assert_int_equal(play.guard.view.first_sign_ns, first_ns);
    assert_int_equal(play.guard.view.since_ns, play.now_ns);
    assert_string_equal(play.guard.view.text, "killed by signal 9");
}

static void test_a_program_that_is_not_there_fails_the_same(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_WANTED, GUARD_START_FAILED, GUARD_START_FAILED);
    ring(&play);
    feed(&play, GUARD_START_FAILED);
    expect(&play, GUARD_FAILED, FAILED, "P");
    assert_true(play.now_ns - play.guard.view.first_sign_ns < 2 * NS_PER_S);
}

static void test_without_retries_the_first_end_is_the_last(void **unused)
{
    struct guard_settings settings = without_check;
    struct play play;

    (void)unused;
    settings.start_retries = 0;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_ENDED);
    expect(&play, GUARD_FAILED, FAILED, "P");
}

static void test_steady_time_forgets_retries(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    for (int i = 0; i < 10; i++) {
        FEED(&play, GUARD_ENDED, GUARD_STARTED);
        assert_int_equal(play.effects.timer_ns - play.now_ns, GUARD_STEADY_NS);
        assert_true(play.guard.view.first_sign_ns != 0);
        ring(&play);
        expect(&play, GUARD_RUNNING, RUNNING, "P"); /* the trouble is over */
        assert_int_equal(play.guard.view.first_sign_ns, 0);
    }
    assert_int_equal(play.guard.view.restarts, 10);
}

static void test_an_answer_alone_does_not_forget_retries(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &with_check);
    feed(&play, GUARD_WANTED);
    for (int i = 0; i < 3; i++) {
        feed(&play, GUARD_STARTED);
        ring(&play);
        feed(&play, GUARD_CHECK_OK);
        feed(&play, GUARD_ENDED);
        if (play.guard.state == GUARD_WAITING)
            ring(&play);
    }
    expect(&play, GUARD_FAILED, FAILED, "Pt");
}

static void test_steady_but_never_checked_well_is_no_success(void **unused)
{
    struct guard_settings settings = with_check;
    struct play play;

    (void)unused;
    settings.check_interval_ns = 60 * NS_PER_S;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_ENDED, GUARD_STARTED);
    ring(&play); /* steady */
    assert_true(play.guard.view.first_sign_ns != 0);
    ring(&play); /* the first check */
    assert_true(play.effects.run_check);
    feed(&play, GUARD_CHECK_OK);
    assert_int_equal(play.guard.view.first_sign_ns, 0);
    assert_int_equal(play.guard.retries, 0);
}

static void test_steady_while_its_check_fails_is_no_success(void **unused)
{
    struct guard_settings settings = with_check;
    struct play play;

    (void)unused;
    settings.check_interval_ns = 4 * NS_PER_S; /* checks at 4 s and 8 s, steady at 10 s */
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_ENDED, GUARD_STARTED);
    ring(&play);
    feed(&play, GUARD_CHECK_OK);
    ring(&play);
    feed(&play, GUARD_CHECK_FAILED);
    ring(&play);
    assert_true(play.guard.steady);
    assert_int_equal(play.guard.retries, 1);
    assert_true(play.guard.view.first_sign_ns != 0);
    ring(&play);
    feed(&play, GUARD_CHECK_OK); /* now it is one */
    assert_int_equal(play.guard.retries, 0);
    assert_int_equal(play.guard.view.first_sign_ns, 0);
}

static void test_failed_checks_end_in_a_restart(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &with_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    ring(&play);
    feed(&play, GUARD_CHECK_FAILED);
    expect(&play, GUARD_RUNNING, RUNNING, "Pt");
    const int64_t first_ns = play.now_ns;
    assert_string_equal(play.guard.view.text, "check failed, 1 of 2: killed by signal 9");
    ring(&play);
    feed(&play, GUARD_CHECK_FAILED);
    expect(&play, GUARD_RESTARTING, STARTING, "TPt");
    assert_int_equal(play.guard.view.pid, 77);
    ring(&play); /* stop-timeout */
    expect(&play, GUARD_RESTARTING, STARTING, "9t");
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_STARTING, STARTING, "SP");
    assert_int_equal(play.guard.retries, 1);
    assert_int_equal(play.guard.view.first_sign_ns, first_ns);
}

static void test_a_failed_check_that_passes_again_is_no_trouble(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &with_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    for (int i = 0; i < 8; i++) { /* every other one fails: never two in a row */
        ring(&play);
        if (play.effects.run_check)
            feed(&play, i % 2 ? GUARD_CHECK_OK : GUARD_CHECK_FAILED);
    }
    assert_int_equal(play.guard.state, GUARD_RUNNING);
    if (play.guard.failed_checks == 0)
        assert_int_equal(play.guard.view.first_sign_ns, 0);
}

static void test_a_hanging_check_is_a_failed_one(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &with_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED);
    ring(&play);
    expect(&play, GUARD_RUNNING, RUNNING, "Ct");
    assert_int_equal(play.effects.timer_ns - play.now_ns, NS_PER_S); /* check-timeout */
    ring(&play);
    expect(&play, GUARD_RUNNING, RUNNING, "KPt");
    feed(&play, GUARD_CHECK_OK); /* too late: of no interest */
    assert_int_equal(play.guard.failed_checks, 1);
    ring(&play);
    assert_true(play.effects.run_check);
    ring(&play);
    expect(&play, GUARD_RESTARTING, STARTING, "KTPt");
}

static void test_an_early_timer_does_nothing(void **unused)
{
    struct play play;

    (void)unused;
    for (int state = 0; state < GUARD_STATE_COUNT; state++) {
        bring_into(&play, (enum guard_state)state);
        const int64_t timer_ns = play.effects.timer_ns;
        feed(&play, GUARD_TIMER);
        assert_int_equal(play.guard.state, state);
        assert_string_equal(effects_text(&play.effects), timer_ns ? "t" : "");
        assert_int_equal(play.effects.timer_ns, timer_ns);
    }
}

static void make_failed(struct play *play)
{
    open_play(play, &without_check);
    FEED(play, GUARD_WANTED, GUARD_START_FAILED, GUARD_START_FAILED);
    ring(play);
    feed(play, GUARD_START_FAILED);
    assert_int_equal(play->guard.state, GUARD_FAILED);
}

static void test_failed_sticks_through_roles_and_new_tries(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    const int64_t since_ns = play.guard.view.since_ns, sign_ns = play.guard.view.first_sign_ns;
    assert_false(guard_at_rest(&play.guard));
    feed(&play, GUARD_UNWANTED);
    expect(&play, GUARD_FAILED, FAILED, "");
    assert_true(guard_at_rest(&play.guard));
    feed(&play, GUARD_WANTED);
    expect(&play, GUARD_STARTING, FAILED, "SP");
    feed(&play, GUARD_STARTED);
    expect(&play, GUARD_RUNNING, FAILED, "Pt");
    feed(&play, GUARD_UNWANTED); /* passive again, before it was a success */
    expect(&play, GUARD_STOPPING, FAILED, "TPt");
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_FAILED, FAILED, "P");
    assert_int_equal(play.guard.view.since_ns, since_ns);
    assert_int_equal(play.guard.view.first_sign_ns, sign_ns);
}

static void test_success_ends_failed(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    FEED(&play, GUARD_UNWANTED, GUARD_WANTED, GUARD_STARTED);
    ring(&play);
    expect(&play, GUARD_RUNNING, RUNNING, "P");
    assert_int_equal(play.guard.view.since_ns, play.now_ns);
    assert_int_equal(play.guard.view.first_sign_ns, 0);
}

static void test_a_new_try_has_all_its_retries(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    FEED(&play, GUARD_UNWANTED, GUARD_WANTED);
    FEED(&play, GUARD_START_FAILED, GUARD_START_FAILED);
    expect(&play, GUARD_WAITING, FAILED, "t"); /* nothing that others could see changed */
    ring(&play);
    feed(&play, GUARD_START_FAILED);
    assert_int_equal(play.guard.state, GUARD_FAILED);
}

static void test_clear_starts_what_is_wanted(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    feed(&play, GUARD_CLEAR);
    expect(&play, GUARD_STARTING, STARTING, "SP");
    assert_int_equal(play.guard.view.restarts, 0);
    assert_int_equal(play.guard.view.first_sign_ns, 0);
}

static void test_clear_only_stops_what_is_not_wanted(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    FEED(&play, GUARD_UNWANTED, GUARD_CLEAR);
    expect(&play, GUARD_STOPPED, STOPPED, "P");
}

static void test_clear_while_it_is_tried_again(void **unused)
{
    struct play play;

    (void)unused;
    make_failed(&play);
    FEED(&play, GUARD_UNWANTED, GUARD_WANTED, GUARD_STARTED, GUARD_CLEAR);
    expect(&play, GUARD_RUNNING, RUNNING, "Pt");
}

static void test_role_flips(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &with_check);
    FEED(&play, GUARD_WANTED, GUARD_UNWANTED); /* before it was its program */
    expect(&play, GUARD_STOPPING, RUNNING, "TPt");
    FEED(&play, GUARD_STARTED, GUARD_ENDED);
    expect(&play, GUARD_STOPPED, STOPPED, "P");
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_UNWANTED, GUARD_WANTED); /* wanted again while it stops */
    expect(&play, GUARD_STOPPING, RUNNING, "t");
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_STARTING, STARTING, "SP");
    FEED(&play, GUARD_STARTED, GUARD_UNWANTED, GUARD_WANTED, GUARD_UNWANTED, GUARD_ENDED);
    expect(&play, GUARD_STOPPED, STOPPED, "P");
    assert_int_equal(play.guard.view.first_sign_ns, 0);
    bring_into(&play, GUARD_RESTARTING);
    FEED(&play, GUARD_UNWANTED, GUARD_ENDED); /* not wanted while it is restarted */
    expect(&play, GUARD_STOPPED, STOPPED, "P");
    bring_into(&play, GUARD_WAITING);
    FEED(&play, GUARD_UNWANTED, GUARD_WANTED); /* a start on purpose: all retries anew */
    expect(&play, GUARD_STARTING, STARTING, "SP");
    assert_int_equal(play.guard.retries, 0);
}

static void test_what_ignores_term_is_killed(void **unused)
{
    struct play play;

    (void)unused;
    open_play(&play, &without_check);
    FEED(&play, GUARD_WANTED, GUARD_STARTED, GUARD_UNWANTED);
    assert_int_equal(play.effects.timer_ns - play.now_ns, 3 * NS_PER_S);
    ring(&play);
    expect(&play, GUARD_STOPPING, RUNNING, "9t");
    feed(&play, GUARD_ENDED);
    expect(&play, GUARD_STOPPED, STOPPED, "P");
}

static void test_what_cannot_be_killed_has_failed(void **unused)
{
    struct play play;

    (void)unused;
    bring_into(&play, GUARD_RESTARTING);
    ring(&play);
    ring(&play);
    expect(&play, GUARD_RESTARTING, FAILED, "P");
    feed(&play, GUARD_ENDED); /* it did end, much later */
    expect(&play, GUARD_STARTING, FAILED, "SP");
    bring_into(&play, GUARD_STOPPING);
    ring(&play);
    ring(&play);
    expect(&play, GUARD_STOPPING, RUNNING, "P");
}

/* Its file system hangs: the program does not begin, and no word of it comes. */
static void test_a_start_that_hangs_is_killed(void **unused)
{
    struct guard_settings settings = without_check;
    struct play play;

    (void)unused;
    settings.start_timeout_ns = 30 * NS_PER_S;
    open_play(&play, &settings);
    FEED(&play, GUARD_WANTED);
    assert_int_equal(play.effects.timer_ns, play.now_ns + settings.start_timeout_ns);
    FEED(&play, GUARD_TIMER); /* too early */
    assert_int_equal(play.effects.signal, GUARD_NO_SIGNAL);
    play.now_ns += settings.start_timeout_ns;
    FEED(&play, GUARD_TIMER);
    assert_int_equal(play.effects.signal, GUARD_KILL);
    assert_int_equal(play.effects.timer_ns, play.now_ns + settings.stop_timeout_ns);
    play.now_ns += settings.stop_timeout_ns;
    FEED(&play, GUARD_TIMER); /* not even that helps */
    assert_int_equal(play.guard.view.state, SERVICE_STATE_FAILED);
    assert_int_equal(play.effects.timer_ns, 0);
    FEED(&play, GUARD_ENDED);
    assert_int_equal(play.guard.state, GUARD_STARTING);
    assert_true(play.effects.spawn);
    FEED(&play, GUARD_STARTED);
    assert_int_equal(play.guard.state, GUARD_RUNNING);
    assert_int_not_equal(play.effects.timer_ns, play.now_ns + settings.start_timeout_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_all_sequences_keep_their_word),
        cmocka_unit_test(test_waits_grow_up_to_a_limit),
        cmocka_unit_test(test_a_long_interval_does_not_grow),
        cmocka_unit_test(test_adopted_before_the_role_is_known),
        cmocka_unit_test(test_adopted_and_not_wanted),
        cmocka_unit_test(test_a_failure_of_an_earlier_run),
        cmocka_unit_test(test_who_failed_is_looked_for),
        cmocka_unit_test(test_goes_on_as_another_process),
        cmocka_unit_test(test_crash_loop_fails_after_start_retries),
        cmocka_unit_test(test_a_program_that_is_not_there_fails_the_same),
        cmocka_unit_test(test_without_retries_the_first_end_is_the_last),
        cmocka_unit_test(test_steady_time_forgets_retries),
        cmocka_unit_test(test_an_answer_alone_does_not_forget_retries),
        cmocka_unit_test(test_steady_but_never_checked_well_is_no_success),
        cmocka_unit_test(test_steady_while_its_check_fails_is_no_success),
        cmocka_unit_test(test_failed_checks_end_in_a_restart),
        cmocka_unit_test(test_a_failed_check_that_passes_again_is_no_trouble),
        cmocka_unit_test(test_a_hanging_check_is_a_failed_one),
        cmocka_unit_test(test_an_early_timer_does_nothing),
        cmocka_unit_test(test_failed_sticks_through_roles_and_new_tries),
        cmocka_unit_test(test_success_ends_failed),
        cmocka_unit_test(test_a_new_try_has_all_its_retries),
        cmocka_unit_test(test_clear_starts_what_is_wanted),
        cmocka_unit_test(test_clear_only_stops_what_is_not_wanted),
        cmocka_unit_test(test_clear_while_it_is_tried_again),
        cmocka_unit_test(test_role_flips),
        cmocka_unit_test(test_what_ignores_term_is_killed),
        cmocka_unit_test(test_what_cannot_be_killed_has_failed),
        cmocka_unit_test(test_a_start_that_hangs_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
