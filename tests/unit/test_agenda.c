/* The agenda of hooks: what a role makes due, in which order, and what remains of it for the next run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/agenda.h"

/* Two before-active hooks with others between them: the order of the file counts within an event only. */
enum { COMMIT, BULK, FLUSH, REPORT, TIMERS, RESYNC, HOOKS };

static const struct {
    enum hook_event event;
    int64_t timeout_ns;
} table[HOOKS] = {
    [COMMIT] = {HOOK_EVENT_BEFORE_ACTIVE, 100 * NS_PER_MS},
    [BULK] = {HOOK_EVENT_ACTIVE, NS_PER_S},
    [FLUSH] = {HOOK_EVENT_BEFORE_ACTIVE, 200 * NS_PER_MS},
    [REPORT] = {HOOK_EVENT_FAULT, NS_PER_S},
    [TIMERS] = {HOOK_EVENT_PASSIVE, NS_PER_S},
    [RESYNC] = {HOOK_EVENT_PASSIVE, NS_PER_S},
};

struct play {
    struct agenda agenda;
    struct agenda_effects effects; /* of the latest event */
    struct role_message role;
    int64_t now_ns;
    char started[160]; /* the hooks, in the order of their start */
};

static const char *const names[HOOKS] = {"commit", "bulk", "flush", "report", "timers", "resync"};

static void open_play(struct play *play)
{
    *play = (struct play){.now_ns = 100 * NS_PER_S};
    play->role.fit = true;
    play->agenda.count = HOOKS;
    for (size_t i = 0; i < HOOKS; i++) {
        play->agenda.hooks[i].event = table[i].event;
        play->agenda.hooks[i].timeout_ns = table[i].timeout_ns;
    }
    agenda_init(&play->agenda);
}

static int open_state(void **state)
{
    static struct play play;

    open_play(&play);
    *state = &play;
    return 0;
}

static void feed(struct play *play, struct agenda_event event)
{
    const size_t used = strlen(play->started);

    event.at_ns = play->now_ns;
    agenda_step(&play->agenda, &event, &play->effects);
    if (play->effects.start >= 0)
        snprintf(play->started + used, sizeof play->started - used, "%s ", names[play->effects.start]);
}

static void show(struct play *play, enum phase phase)
{
    play->role.role = phase == PHASE_CLAIMING || phase == PHASE_ACTIVE || phase == PHASE_OFFERING
                          ? ROLE_ACTIVE
                          : ROLE_PASSIVE;
    if (phase != play->role.phase)
        play->role.since_ns = play->now_ns;
    play->role.phase = phase;
    feed(play, (struct agenda_event){.kind = AGENDA_ROLE, .role = &play->role});
}

static void claim(struct play *play, int64_t epoch)
{
    play->role.epoch = epoch;
    play->role.released = false;
    show(play, PHASE_CLAIMING);
}

static void leave(struct play *play, const char *rule, bool fit)
{
    snprintf(play->role.rule, sizeof play->role.rule, "%s", rule);
    play->role.fit = fit;
    show(play, PHASE_RELEASING);
    play->role.released = true;
    show(play, PHASE_PASSIVE);
}

static void end(struct play *play, size_t hook, bool well)
{
    play->now_ns += 5 * NS_PER_MS;
    feed(play,
         (struct agenda_event){
             .kind = AGENDA_ENDED, .hook = hook, .well = well, .text = well ? "" : "ended with status 1"});
}

static void ring(struct play *play)
{
    assert_true(play->effects.timer_ns > play->now_ns);
    play->now_ns = play->effects.timer_ns;
    feed(play, (struct agenda_event){.kind = AGENDA_TIME});
}

/* What ran since this was last asked. */
#define assert_started(play, wanted)                                                                         \
    do {                                                                                                     \
        assert_string_equal((play)->started, wanted);                                                        \
        (play)->started[0] = '\0';                                                                           \
    } while (0)

static enum hook_state state_of(const struct play *play, size_t hook)
{
    return play->agenda.hooks[hook].view.state;
}

/* A node that serves under `epoch`, all its hooks at their end. */
static void serve(struct play *play, int64_t epoch)
{
    claim(play, epoch);
    end(play, COMMIT, true);
    end(play, FLUSH, true);
    show(play, PHASE_ACTIVE);
    end(play, BULK, true);
    play->started[0] = '\0';
}

static void test_a_claim_and_its_end(void **state)
{
    struct play *play = *state;

    show(play, PHASE_SEARCHING);
    show(play, PHASE_PASSIVE);
    assert_started(play, ""); /* nothing changed: it has been passive from the start */
    assert_int_equal(play->agenda.view.prepared, 0);

    claim(play, 7);
    assert_started(play, "commit ");
    assert_true(play->effects.publish);
    assert_int_equal(play->agenda.view.event, HOOK_EVENT_BEFORE_ACTIVE);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_RUNNING);
    assert_int_equal(state_of(play, FLUSH), HOOK_STATE_WAITING);
    assert_int_equal(play->effects.timer_ns, play->now_ns + 100 * NS_PER_MS);
    end(play, COMMIT, true);
    assert_started(play, "flush ");
    assert_int_equal(play->agenda.view.prepared, 0);
    end(play, FLUSH, true);
    assert_int_equal(play->agenda.view.prepared, 7);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
    assert_true(play->effects.publish);
    assert_int_equal(play->effects.timer_ns, 0);
    assert_int_equal(play->agenda.hooks[FLUSH].view.took_ms, 5);
    assert_int_equal(play->agenda.hooks[FLUSH].view.epoch, 7);

    show(play, PHASE_ACTIVE);
    assert_started(play, "bulk ");
    show(play, PHASE_ACTIVE); /* a renewal */
    assert_false(play->effects.publish || play->effects.keep || play->effects.publish_hooks);
    end(play, BULK, true);
    show(play, PHASE_OFFERING);
    show(play, PHASE_RELEASING);
    assert_started(play, ""); /* the addresses are not gone yet */
    play->role.released = true;
    show(play, PHASE_PASSIVE);
    assert_started(play, "timers ");
    end(play, TIMERS, true);
    end(play, RESYNC, true);
    assert_started(play, "resync ");
    assert_int_equal(play->agenda.view.event, HOOK_EVENT_PASSIVE);
    assert_true(agenda_at_rest(&play->agenda));
}

static void test_active_hooks_wait_for_those_before(void **state)
{
    struct play *play = *state;

    claim(play, 7);
    show(play, PHASE_ACTIVE); /* takeoverd did not wait any longer */
    assert_started(play, "commit ");
    assert_int_equal(state_of(play, BULK), HOOK_STATE_WAITING);
    end(play, COMMIT, true);
    end(play, FLUSH, true);
    assert_started(play, "flush bulk ");
}

static void test_time_is_limited(void **state)
{
    struct play *play = *state;

    claim(play, 7);
    ring(play);
    assert_int_equal(play->now_ns, 100 * NS_PER_S + 100 * NS_PER_MS);
    assert_int_equal(play->effects.abandon, 1u << COMMIT);
    assert_started(play, "commit flush "); /* at once */
    assert_int_equal(state_of(play, COMMIT), HOOK_STATE_FAILED);
    assert_string_equal(play->agenda.hooks[COMMIT].view.text, "did not end within 100 ms, and was killed");
    assert_int_equal(play->agenda.hooks[COMMIT].view.took_ms, 100);
    end(play, FLUSH, true);
    assert_int_equal(play->agenda.view.prepared, 7); /* well or not */
    assert_int_equal(play->agenda.view.state, HOOK_STATE_FAILED);
    assert_int_equal(play->agenda.view.failed, 1);

    show(play, PHASE_ACTIVE); /* a failure stands for all of the claim */
    end(play, BULK, true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_FAILED);
    assert_int_equal(play->agenda.view.failed, 1);
    leave(play, "R13-ordered", true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_RUNNING);
    end(play, TIMERS, true);
    end(play, RESYNC, true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
    assert_int_equal(play->agenda.view.failed, 0);
}

static void test_a_hanging_hook_holds_up_no_claim(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    leave(play, "R13-ordered", true);
    assert_started(play, "timers ");
    claim(play, 9);
    assert_started(play, "commit ");
    assert_int_equal(play->effects.dropped, 1u << RESYNC);
    assert_int_equal(play->effects.abandon, 0); /* it has its own time still */
    assert_int_equal(state_of(play, RESYNC), HOOK_STATE_IDLE);
    assert_string_equal(play->agenda.hooks[RESYNC].view.text, "not run: the role changed first");
    end(play, COMMIT, true);
    end(play, FLUSH, true);
    assert_int_equal(play->agenda.view.prepared, 9);
    show(play, PHASE_ACTIVE);
    assert_int_equal(play->effects.timer_ns,
                     play->agenda.hooks[TIMERS].deadline_ns); /* not bulk's, a little later */
    end(play, BULK, true);
    end(play, BULK, false); /* of nothing that runs: no harm */
    assert_int_equal(state_of(play, BULK), HOOK_STATE_DONE);
    assert_false(agenda_at_rest(&play->agenda));
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
    ring(play);
    assert_int_equal(play->effects.abandon, 1u << TIMERS);
    assert_int_equal(state_of(play, TIMERS), HOOK_STATE_FAILED);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE); /* it is not of this change */
    assert_true(agenda_at_rest(&play->agenda));
}

static void test_never_twice_at_once(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    leave(play, "R13-ordered", true);
    claim(play, 9);
    leave(play, "R13-ordered", true);
    assert_started(play, "timers commit timers ");
    assert_int_equal(play->effects.abandon, 1u << TIMERS);
    assert_int_equal(play->effects.dropped, 0); /* the step before had dropped flush */
    assert_int_equal(state_of(play, FLUSH), HOOK_STATE_IDLE);
    end(play, TIMERS, true);
    assert_started(play, "resync ");
}

static void test_fault_then_passive(void **state)
{
    static const struct {
        const char *rule;
        bool fit, fault;
    } cases[] = {
        {"R6-network", false, true},     {"R7-service", false, true},
        {"R2-unconfirmed", false, true}, {"R13-ordered", false, false}, /* unfit since an older fault */
        {"R6-network", true, false}, /* cleared by the operator meanwhile */
        {"R9-yield", true, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct play play;
        open_play(&play);
        serve(&play, 7);
        leave(&play, cases[i].rule, cases[i].fit);
        assert_started(&play, cases[i].fault ? "report " : "timers ");
        if (cases[i].fault)
            end(&play, REPORT, false);
        end(&play, TIMERS, true);
        end(&play, RESYNC, true);
        assert_started(&play, cases[i].fault ? "timers resync " : "resync ");
        assert_int_equal(play.agenda.view.failed, cases[i].fault);
        show(&play, PHASE_PASSIVE); /* a node that gave up already runs nothing more */
        assert_started(&play, "");
    }
}

static void test_fault_hooks_do_not_wait_for_the_addresses(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    snprintf(play->role.rule, sizeof play->role.rule, "R6-network");
    play->role.fit = false;
    show(play, PHASE_RELEASING);
    assert_started(play, "report ");
    end(play, REPORT, true);
    show(play, PHASE_PASSIVE); /* not confirmed */
    assert_started(play, "");
    play->role.released = true;
    show(play, PHASE_PASSIVE);
    assert_started(play, "timers ");
}

static void test_an_epoch_that_is_raised_is_no_claim(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    play->role.epoch = 11;
    show(play, PHASE_ACTIVE);
    assert_started(play, "");
    assert_true(play->effects.keep);
    play->now_ns += NS_PER_S; /* another claim, the begin of which was missed */
    play->role.epoch = 13;
    play->role.since_ns = play->now_ns;
    show(play, PHASE_ACTIVE);
    assert_started(play, "commit ");
    end(play, COMMIT, true);
    end(play, FLUSH, true);
    assert_started(play, "flush bulk ");
    assert_int_equal(play->agenda.view.prepared, 13);
}

static void test_a_failed_claim_is_undone(void **state)
{
    struct play *play = *state;

    claim(play, 7);
    leave(play, "R2-unconfirmed", false);
    assert_started(play, "commit report ");
    assert_int_equal(play->agenda.view.prepared, 0);
}

static void test_clear(void **state)
{
    struct play *play = *state;

    claim(play, 7);
    end(play, COMMIT, false);
    assert_string_equal(play->agenda.hooks[COMMIT].view.text, "ended with status 1");
    end(play, FLUSH, true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_FAILED);
    feed(play, (struct agenda_event){.kind = AGENDA_CLEAR});
    assert_true(play->effects.publish);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
    assert_int_equal(play->agenda.view.failed, 0);
    assert_int_equal(state_of(play, COMMIT), HOOK_STATE_IDLE);
    show(play, PHASE_ACTIVE);
    end(play, BULK, true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
}

static void test_without_hooks_of_an_event(void **state)
{
    struct play *play = *state;

    play->agenda.count = 2; /* commit and bulk */
    serve(play, 7);
    end(play, BULK, true);
    assert_int_equal(play->agenda.view.event, HOOK_EVENT_ACTIVE);
    leave(play, "R13-ordered", true);
    assert_int_equal(play->agenda.view.event, HOOK_EVENT_ACTIVE); /* the latest one that hooks ran for */
    play->agenda.hooks[COMMIT].event = HOOK_EVENT_PASSIVE;
    claim(play, 9);
    assert_int_equal(play->agenda.view.prepared, 9); /* nothing to wait for */
}

/* What a role makes of every stage: the stage after it, and all that is run then, one after the other. */
static void test_every_cell(void **state)
{
    enum { CLAIMING, SERVING, LEAVING, GONE, LOOKS };
    static const struct {
        enum agenda_stage after;
        const char *started;
    } cells[AGENDA_STAGE_COUNT][LOOKS] = {
        [AGENDA_UNKNOWN] = {{AGENDA_CLAIMED, "commit flush "},
                            {AGENDA_ACTIVE, "commit flush bulk "},
                            {AGENDA_PASSIVE, ""},
                            {AGENDA_PASSIVE, ""}},
        [AGENDA_PASSIVE] = {{AGENDA_CLAIMED, "commit flush "},
                            {AGENDA_ACTIVE, "commit flush bulk "},
                            {AGENDA_PASSIVE, ""},
                            {AGENDA_PASSIVE, ""}},
        [AGENDA_CLAIMED] = {{AGENDA_CLAIMED, ""},
                            {AGENDA_ACTIVE, "bulk "},
                            {AGENDA_LEAVING, "report "},
                            {AGENDA_PASSIVE, "report timers resync "}},
        [AGENDA_ACTIVE] = {{AGENDA_ACTIVE, ""},
                           {AGENDA_ACTIVE, ""},
                           {AGENDA_LEAVING, "report "},
                           {AGENDA_PASSIVE, "report timers resync "}},
        [AGENDA_LEAVING] = {{AGENDA_CLAIMED, "commit flush "},
                            {AGENDA_ACTIVE, "commit flush bulk "},
                            {AGENDA_LEAVING, ""},
                            {AGENDA_PASSIVE, "timers resync "}},
    };
    static const enum phase phases[LOOKS] = {PHASE_CLAIMING, PHASE_ACTIVE, PHASE_RELEASING, PHASE_PASSIVE};

    (void)state;
    for (size_t stage = 0; stage < AGENDA_STAGE_COUNT; stage++)
        for (size_t seen = 0; seen < LOOKS; seen++) {
            struct play play;
            open_play(&play);
            play.agenda.stage = (enum agenda_stage)stage;
            play.agenda.epoch = play.role.epoch = 7;
            play.role.released = seen == GONE;
            play.role.fit = false;
            snprintf(play.role.rule, sizeof play.role.rule, "R7-service");
            show(&play, phases[seen]);
            while (play.effects.start >= 0)
                end(&play, (size_t)play.effects.start, true);
            if (play.agenda.stage != cells[stage][seen].after ||
                strcmp(play.started, cells[stage][seen].started) != 0)
                fail_msg("stage %zu, seen %zu: stage %d, \"%s\"", stage, seen, play.agenda.stage,
                         play.started);
            assert_true(agenda_at_rest(&play.agenda));
        }
}

static void test_an_older_run_that_ends_in_time_does_not_count(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    leave(play, "R13-ordered", true);
    serve(play, 9);
    leave(play, "R7-service", false);
    assert_started(play, "report ");
    assert_int_equal(state_of(play, TIMERS), HOOK_STATE_RUNNING); /* still for the change before */
    end(play, TIMERS, false);
    assert_int_equal(play->agenda.view.failed, 0);
    end(play, REPORT, true);
    assert_started(play, "timers ");
    assert_int_equal(play->effects.abandon, 0);
    assert_int_equal(play->agenda.hooks[TIMERS].view.took_ms, 0);
    end(play, TIMERS, true);
    end(play, RESYNC, true);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_DONE);
}

/* --------------------------------------------------------------------- the past */

static char kept[AGENDA_PAST_MAX];

/* A new run of the daemon, with the note of the one before. */
static int restart(struct play *play, const char *boot, const char *config)
{
    agenda_print_past(&play->agenda, "boot-1", "cafe", kept);
    agenda_init(&play->agenda);
    play->started[0] = '\0';
    return agenda_take_past(&play->agenda, boot, config, kept);
}

static void test_a_restart_doubles_nothing_and_forgets_nothing(void **state)
{
    struct play *play = *state;

    claim(play, 7);
    end(play, COMMIT, false); /* and flush runs, when the daemon is killed */
    assert_int_equal(restart(play, "boot-1", "cafe"), 0);
    assert_int_equal(state_of(play, COMMIT), HOOK_STATE_FAILED);
    assert_int_equal(play->agenda.view.state, HOOK_STATE_WAITING);
    assert_true(agenda_at_rest(&play->agenda));
    feed(play, (struct agenda_event){.kind = AGENDA_CLEAR});
    assert_started(play, ""); /* not before the role is known */
    show(play, PHASE_CLAIMING);
    assert_started(play, "flush ");
    end(play, FLUSH, true);
    assert_int_equal(play->agenda.view.prepared, 7);
    show(play, PHASE_ACTIVE);
    end(play, BULK, true);

    assert_int_equal(restart(play, "boot-1", "cafe"), 0);
    assert_int_equal(play->agenda.view.prepared, 7);
    assert_int_equal(state_of(play, BULK), HOOK_STATE_DONE);
    show(play, PHASE_ACTIVE);
    assert_started(play, "");

    assert_int_equal(restart(play, "boot-1", "cafe"), 0); /* the role went meanwhile */
    play->role.released = true;
    show(play, PHASE_PASSIVE);
    assert_started(play, "timers ");

    assert_int_equal(restart(play, "boot-1", "cafe"), 0); /* and came again: what was due is dropped */
    claim(play, 9);
    assert_started(play, "commit ");
    assert_int_equal(play->effects.dropped, 1u << TIMERS | 1u << RESYNC);
}

static void test_a_restart_that_missed_the_claim_runs_it_late(void **state)
{
    struct play *play = *state;

    serve(play, 7);
    leave(play, "R13-ordered", true);
    end(play, TIMERS, true);
    end(play, RESYNC, true);
    assert_int_equal(restart(play, "boot-1", "cafe"), 0);
    play->role.epoch = 9;
    show(play, PHASE_ACTIVE);
    end(play, COMMIT, true);
    end(play, FLUSH, true);
    assert_started(play, "commit flush bulk ");
}

static void test_what_of_the_past_is_not_believed(void **state)
{
    struct play *play = *state;
    char damaged[AGENDA_PAST_MAX];

    serve(play, 7);
    claim(play, 9);
    assert_int_equal(restart(play, "boot-2", "cafe"), -ESTALE);
    assert_int_equal(play->agenda.stage, AGENDA_UNKNOWN);

    for (size_t cut = 0; cut < strlen(kept); cut++) {
        memcpy(damaged, kept, cut);
        damaged[cut] = '\0';
        assert_int_equal(agenda_take_past(&play->agenda, "boot-1", "cafe", damaged), -EBADMSG);
    }
    memcpy(damaged, kept, sizeof damaged);
    *strstr(damaged, "stage ") = 'S';
    assert_int_equal(agenda_take_past(&play->agenda, "boot-1", "cafe", damaged), -EBADMSG);
    memcpy(damaged, kept, sizeof damaged);
    strstr(damaged, "stage ")[6] = '7';
    assert_int_equal(agenda_take_past(&play->agenda, "boot-1", "cafe", damaged), -EBADMSG);
    assert_int_equal(play->agenda.stage, AGENDA_UNKNOWN);

    /* Of another configuration only the role counts: the numbers of its hooks mean others. */
    assert_int_equal(agenda_take_past(&play->agenda, "boot-1", "beef", kept), 0);
    show(play, PHASE_CLAIMING);
    assert_started(play, "");
    show(play, PHASE_ACTIVE);
    assert_started(play, "bulk ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_claim_and_its_end, open_state),
        cmocka_unit_test_setup(test_active_hooks_wait_for_those_before, open_state),
        cmocka_unit_test_setup(test_time_is_limited, open_state),
        cmocka_unit_test_setup(test_a_hanging_hook_holds_up_no_claim, open_state),
        cmocka_unit_test_setup(test_never_twice_at_once, open_state),
        cmocka_unit_test(test_fault_then_passive),
        cmocka_unit_test_setup(test_fault_hooks_do_not_wait_for_the_addresses, open_state),
        cmocka_unit_test_setup(test_an_epoch_that_is_raised_is_no_claim, open_state),
        cmocka_unit_test_setup(test_a_failed_claim_is_undone, open_state),
        cmocka_unit_test_setup(test_clear, open_state),
        cmocka_unit_test_setup(test_without_hooks_of_an_event, open_state),
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test_setup(test_an_older_run_that_ends_in_time_does_not_count, open_state),
        cmocka_unit_test_setup(test_a_restart_doubles_nothing_and_forgets_nothing, open_state),
        cmocka_unit_test_setup(test_a_restart_that_missed_the_claim_runs_it_late, open_state),
        cmocka_unit_test_setup(test_what_of_the_past_is_not_believed, open_state),
    };

    return cmocka_run_group_tests_name("agenda", tests, NULL, NULL);
}
