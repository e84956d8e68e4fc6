#include "superviserd/agenda.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The order of events within a change of role. */
static const enum hook_event order[] = {HOOK_EVENT_BEFORE_ACTIVE, HOOK_EVENT_ACTIVE, HOOK_EVENT_FAULT,
                                        HOOK_EVENT_PASSIVE};

static uint64_t bit(size_t hook)
{
    return UINT64_C(1) << hook;
}

/* ------------------------------------------------------------------ one hook */

/* The codec takes UTF-8 only, and a program's name may be any bytes, or have been cut. */
static void say(struct agenda_hook *hook, const char *text)
{
    snprintf(hook->view.text, sizeof hook->view.text, "%s", text ? text : "");
    for (char *c = hook->view.text; *c; c++)
        if ((unsigned char)*c >= 0x7f || (unsigned char)*c < ' ')
            *c = '?';
}

static void show(struct agenda *agenda, size_t i, enum hook_state state, struct agenda_effects *effects)
{
    agenda->hooks[i].view.state = state;
    effects->publish_hooks |= bit(i);
}

static void end_run(struct agenda_hook *hook, int64_t now_ns)
{
    hook->runs = false;
    hook->view.took_ms = (now_ns - hook->view.at_ns) / NS_PER_MS;
}

static void start(struct agenda *agenda, size_t i, int64_t now_ns, struct agenda_effects *effects)
{
    struct agenda_hook *hook = &agenda->hooks[i];

    if (hook->runs)
        effects->abandon |= bit(i);
    hook->runs = true;
    hook->part = PART_RUNNING;
    hook->deadline_ns = now_ns + hook->timeout_ns;
    hook->view.at_ns = now_ns;
    hook->view.took_ms = 0;
    hook->view.epoch = agenda->epoch;
    say(hook, "");
    show(agenda, i, HOOK_STATE_RUNNING, effects);
    agenda->view.event = hook->event;
    effects->start = (int)i;
    effects->keep = true;
}

/* It came to its end, for the change that it belongs to or for an earlier one. */
static void finish(struct agenda *agenda, size_t i, bool well, struct agenda_effects *effects)
{
    struct agenda_hook *hook = &agenda->hooks[i];

    if (hook->part == PART_RUNNING) {
        hook->part = well ? PART_DONE : PART_FAILED;
        effects->keep = true;
    }
    show(agenda, i, well ? HOOK_STATE_DONE : HOOK_STATE_FAILED, effects);
}

/* ------------------------------------------------------------ all of a change */

static bool is_any(const struct agenda *agenda, enum agenda_part part)
{
    for (size_t i = 0; i < agenda->count; i++)
        if (agenda->hooks[i].part == part)
            return true;
    return false;
}

/* The latest change of role has, or had, something to run. */
static bool has_part(const struct agenda *agenda)
{
    for (size_t i = 0; i < agenda->count; i++)
        if (agenda->hooks[i].part != PART_NONE)
            return true;
    return false;
}

static bool is_due(const struct agenda_hook *hook)
{
    return hook->part == PART_WAITING || hook->part == PART_RUNNING;
}

static int next_waiting(const struct agenda *agenda)
{
    for (size_t k = 0; k < ARRAY_LENGTH(order); k++)
        for (size_t i = 0; i < agenda->count; i++)
            if (agenda->hooks[i].event == order[k] && agenda->hooks[i].part == PART_WAITING)
                return (int)i;
    return -1;
}

static void become_due(struct agenda *agenda, enum hook_event event, struct agenda_effects *effects)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        if (hook->event != event)
            continue;
        hook->part = PART_WAITING;
        if (!hook->runs) /* else the run for an earlier change shows until its turn comes */
            show(agenda, i, HOOK_STATE_WAITING, effects);
    }
}

/* A new change begins: what of the last one was not started is not started any more. */
static void drop_waiting(struct agenda *agenda, struct agenda_effects *effects)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        if (hook->part == PART_WAITING) {
            effects->dropped |= bit(i);
            if (!hook->runs) {
                say(hook, "not run: the role changed first");
                show(agenda, i, HOOK_STATE_IDLE, effects);
            }
        }
        hook->part = PART_NONE;
    }
}

/* Whether the before-active hooks of the latest claim are all at their end. */
static bool is_prepared(const struct agenda *agenda)
{
    for (size_t i = 0; i < agenda->count; i++)
        if (agenda->hooks[i].event == HOOK_EVENT_BEFORE_ACTIVE && is_due(&agenda->hooks[i]))
            return false;
    return agenda->stage == AGENDA_CLAIMED || agenda->stage == AGENDA_ACTIVE;
}

static void sum_up(struct agenda *agenda, struct agenda_effects *effects)
{
    struct hook_message now = agenda->view;

    if (is_prepared(agenda))
        now.prepared = agenda->epoch;
    if (has_part(agenda)) {
        now.failed = 0;
        for (size_t i = 0; i < agenda->count; i++)
            now.failed += agenda->hooks[i].part == PART_FAILED;
        now.state = is_any(agenda, PART_RUNNING)   ? HOOK_STATE_RUNNING
                    : is_any(agenda, PART_WAITING) ? HOOK_STATE_WAITING
                    : now.failed > 0               ? HOOK_STATE_FAILED
                                                   : HOOK_STATE_DONE;
    }
    effects->publish = effects->publish || now.event != agenda->view.event ||
                       now.state != agenda->view.state || now.failed != agenda->view.failed ||
                       now.prepared != agenda->view.prepared;
    agenda->view = now;
}

/* ------------------------------------------------------------------- the role */

enum seen { SEEN_CLAIMING, SEEN_SERVING, SEEN_LEAVING, SEEN_GONE, SEEN_COUNT };

enum { REST = 1, CLAIM = 2, SERVE = 4, LEAVE = 8, GONE = 16 };

/* What follows from what the role shows. A role may have been missed while this daemon was away: then its
 * before-active hooks run late, rather than never. Without a past, a passive node has nothing to do. */
static const unsigned moves[AGENDA_STAGE_COUNT][SEEN_COUNT] = {
    /* claiming, serving, not serving and the addresses not known to be gone, gone */
    [AGENDA_UNKNOWN] = {CLAIM, CLAIM | SERVE, REST, REST}, [AGENDA_PASSIVE] = {CLAIM, CLAIM | SERVE, 0, 0},
    [AGENDA_CLAIMED] = {0, SERVE, LEAVE, LEAVE | GONE},    [AGENDA_ACTIVE] = {0, 0, LEAVE, LEAVE | GONE},
    [AGENDA_LEAVING] = {CLAIM, CLAIM | SERVE, 0, GONE},
};

static enum seen look(const struct role_message *role)
{
    if (role->role == ROLE_ACTIVE)
        return role->phase == PHASE_CLAIMING ? SEEN_CLAIMING : SEEN_SERVING;
    return role->released ? SEEN_GONE : SEEN_LEAVING;
}

/* Another claim than the one that is known. A serving node may raise its epoch without one; its phase then
 * goes on as it was. */
static bool is_another_claim(const struct agenda *agenda, const struct role_message *role)
{
    return role->role == ROLE_ACTIVE && role->epoch != agenda->epoch &&
           (role->phase == PHASE_CLAIMING || role->since_ns != agenda->since_ns);
}

/* By the row that led to it: a node can be unfit for an older fault, and give the role up by order. */
static bool is_own_fault(const struct role_message *role)
{
    return !role->fit && (strncmp(role->rule, "R6-", 3) == 0 || strncmp(role->rule, "R7-", 3) == 0 ||
                          strcmp(role->rule, "R2-unconfirmed") == 0);
}

static void move(struct agenda *agenda, unsigned what, const struct role_message *role,
                 struct agenda_effects *effects)
{
    if (what & (CLAIM | LEAVE))
        drop_waiting(agenda, effects);
    if (what & REST)
        agenda->stage = AGENDA_PASSIVE;
    if (what & CLAIM) {
        agenda->stage = AGENDA_CLAIMED;
        become_due(agenda, HOOK_EVENT_BEFORE_ACTIVE, effects);
    }
    if (what & SERVE) {
        agenda->stage = AGENDA_ACTIVE;
        become_due(agenda, HOOK_EVENT_ACTIVE, effects);
    }
    if (what & LEAVE) {
        agenda->stage = AGENDA_LEAVING;
        if (is_own_fault(role))
            become_due(agenda, HOOK_EVENT_FAULT, effects);
    }
    if (what & GONE) {
        agenda->stage = AGENDA_PASSIVE;
        become_due(agenda, HOOK_EVENT_PASSIVE, effects);
    }
    effects->keep = effects->keep || what;
}

static void take_role(struct agenda *agenda, const struct role_message *role, struct agenda_effects *effects)
{
    if ((agenda->stage == AGENDA_CLAIMED || agenda->stage == AGENDA_ACTIVE) && is_another_claim(agenda, role))
        agenda->stage = AGENDA_PASSIVE; /* the end of that one was missed */
    const unsigned what = moves[agenda->stage][look(role)];
    if (role->role == ROLE_ACTIVE) {
        effects->keep = role->epoch != agenda->epoch || role->since_ns != agenda->since_ns;
        agenda->epoch = role->epoch;
        agenda->since_ns = role->since_ns;
    }
    agenda->heard = true;
    move(agenda, what, role, effects);
}

/* --------------------------------------------------------------------- events */

static void take_end(struct agenda *agenda, const struct agenda_event *event, struct agenda_effects *effects)
{
    struct agenda_hook *hook = &agenda->hooks[event->hook];

    if (!hook->runs)
        return;
    end_run(hook, event->at_ns);
    say(hook, event->text);
    finish(agenda, event->hook, event->well, effects);
}

static void take_time(struct agenda *agenda, int64_t now_ns, struct agenda_effects *effects)
{
    char text[80];

    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        if (!hook->runs || now_ns < hook->deadline_ns)
            continue;
        effects->abandon |= bit(i);
        end_run(hook, now_ns);
        snprintf(text, sizeof text, "did not end within %" PRId64 " ms, and was killed",
                 hook->timeout_ns / NS_PER_MS);
        say(hook, text);
        finish(agenda, i, false, effects);
    }
}

static void take_clear(struct agenda *agenda, struct agenda_effects *effects)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        if (hook->part == PART_FAILED)
            hook->part = PART_DONE;
        if (hook->view.state == HOOK_STATE_FAILED)
            show(agenda, i, HOOK_STATE_IDLE, effects);
    }
    if (agenda->view.state == HOOK_STATE_FAILED) {
        agenda->view.state = HOOK_STATE_DONE;
        agenda->view.failed = 0;
        effects->publish = true;
    }
    effects->keep = true;
}

void agenda_init(struct agenda *agenda)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        *hook = (struct agenda_hook){
            .event = hook->event, .timeout_ns = hook->timeout_ns, .view.event = hook->event};
    }
    agenda->stage = AGENDA_UNKNOWN;
    agenda->epoch = agenda->since_ns = 0;
    agenda->heard = false;
    agenda->view = (struct hook_message){0};
}

void agenda_step(struct agenda *agenda, const struct agenda_event *event, struct agenda_effects *effects)
{
    *effects = (struct agenda_effects){.start = -1};
    switch (event->kind) {
    case AGENDA_ROLE:
        take_role(agenda, event->role, effects);
        break;
    case AGENDA_ENDED:
        take_end(agenda, event, effects);
        break;
    case AGENDA_TIME:
        take_time(agenda, event->at_ns, effects);
        break;
    case AGENDA_CLEAR:
        take_clear(agenda, effects);
        break;
    }
    const int next = next_waiting(agenda);
    if (agenda->heard && next >= 0 && !is_any(agenda, PART_RUNNING))
        start(agenda, (size_t)next, event->at_ns, effects);
    sum_up(agenda, effects);
    for (size_t i = 0; i < agenda->count; i++) {
        const struct agenda_hook *hook = &agenda->hooks[i];
        if (hook->runs && (effects->timer_ns == 0 || hook->deadline_ns < effects->timer_ns))
            effects->timer_ns = hook->deadline_ns;
    }
}

bool agenda_at_rest(const struct agenda *agenda)
{
    for (size_t i = 0; i < agenda->count; i++)
        if (agenda->hooks[i].runs || (agenda->heard && agenda->hooks[i].part == PART_WAITING))
            return false;
    return true;
}

/* ------------------------------------------------------------------- the past */

static const char past_format[] =
    "duet hooks 1 boot %s config %s stage %u epoch %" PRId64 " since %" PRId64 " event %u prepared %" PRId64
    " due %" PRIx64 " done %" PRIx64 " failed %" PRIx64 "\n";

struct past {
    unsigned stage, event;
    int64_t epoch, since_ns, prepared;
    uint64_t due, done, failed; /* sets of hooks */
};

static void print_past(const struct past *past, const char *boot, const char *config,
                       char text[static AGENDA_PAST_MAX])
{
    snprintf(text, AGENDA_PAST_MAX, past_format, boot, config, past->stage, past->epoch, past->since_ns,
             past->event, past->prepared, past->due, past->done, past->failed);
}

void agenda_print_past(const struct agenda *agenda, const char *boot, const char *config,
                       char text[static AGENDA_PAST_MAX])
{
    struct past past = {.stage = agenda->stage,
                        .event = agenda->view.event,
                        .epoch = agenda->epoch,
                        .since_ns = agenda->since_ns,
                        .prepared = agenda->view.prepared};

    for (size_t i = 0; i < agenda->count; i++) {
        past.due |= is_due(&agenda->hooks[i]) ? bit(i) : 0;
        past.done |= agenda->hooks[i].part == PART_DONE ? bit(i) : 0;
        past.failed |= agenda->hooks[i].part == PART_FAILED ? bit(i) : 0;
    }
    print_past(&past, boot, config, text);
}

/* What was written is what would be written again, or it is not trusted. */
static int parse_past(const char *text, char boot[static 64], char config[static 64], struct past *past)
{
    char again[AGENDA_PAST_MAX];

    *past = (struct past){0};
    if (sscanf(text,
               "duet hooks 1 boot %63s config %63s stage %u epoch %" SCNd64 " since %" SCNd64
               " event %u prepared %" SCNd64 " due %" SCNx64 " done %" SCNx64 " failed %" SCNx64,
               boot, config, &past->stage, &past->epoch, &past->since_ns, &past->event, &past->prepared,
               &past->due, &past->done, &past->failed) != 10)
        return -EBADMSG;
    print_past(past, boot, config, again);
    return strcmp(again, text) == 0 && past->stage < AGENDA_STAGE_COUNT && past->event < HOOK_EVENT_COUNT &&
                   past->epoch >= 0 && past->prepared >= 0
               ? 0
               : -EBADMSG;
}

static void take_parts(struct agenda *agenda, const struct past *past)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_hook *hook = &agenda->hooks[i];
        if ((past->due | past->done | past->failed) & bit(i))
            hook->view.epoch = past->epoch;
        if (past->due & bit(i)) {
            hook->part = PART_WAITING;
            hook->view.state = HOOK_STATE_WAITING;
        } else if (past->failed & bit(i)) {
            hook->part = PART_FAILED;
            hook->view.state = HOOK_STATE_FAILED;
            say(hook, "before superviserd was started anew: see its log");
        } else if (past->done & bit(i)) {
            hook->part = PART_DONE;
            hook->view.state = HOOK_STATE_DONE;
        }
    }
}

int agenda_take_past(struct agenda *agenda, const char *boot, const char *config, const char *text)
{
    char of_boot[64], of_config[64];
    struct agenda_effects unused = {0};
    struct past past;

    const int r = parse_past(text, of_boot, of_config, &past);
    if (r < 0)
        return r;
    if (strcmp(of_boot, boot) != 0)
        return -ESTALE;
    agenda->stage = past.stage;
    agenda->epoch = past.epoch;
    agenda->since_ns = past.since_ns;
    agenda->view.prepared = past.prepared;
    agenda->view.event = past.event;
    if (strcmp(of_config, config) == 0)
        take_parts(agenda, &past);
    sum_up(agenda, &unused);
    return 0;
}
