/* The agenda of hooks. An even first byte: the rest is read as the note of an earlier run; it is refused, or
 * understood as what it says. An odd one: the rest is a story of roles, ends, times and restarts, in which no
 * two hooks of a change run at once, and nothing that is due is left lying. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "superviserd/agenda.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HOOKS = 9 };

static void open_agenda(struct agenda *agenda)
{
    static const enum hook_event events[] = {HOOK_EVENT_PASSIVE, HOOK_EVENT_BEFORE_ACTIVE, HOOK_EVENT_ACTIVE,
                                             HOOK_EVENT_FAULT, HOOK_EVENT_BEFORE_ACTIVE};

    memset(agenda, 0, sizeof *agenda);
    agenda->count = HOOKS;
    for (size_t i = 0; i < HOOKS; i++) {
        agenda->hooks[i].event = events[i % ARRAY_LENGTH(events)];
        agenda->hooks[i].timeout_ns = (int64_t)(1 + i) * NS_PER_MS;
    }
    agenda_init(agenda);
}

static void read_note(const char *bytes, size_t size)
{
    char text[2 * AGENDA_PAST_MAX], again[AGENDA_PAST_MAX];
    struct agenda agenda;

    if (size >= sizeof text)
        return;
    memcpy(text, bytes, size);
    text[size] = '\0';
    open_agenda(&agenda);
    if (agenda_take_past(&agenda, "boot", "config", text) < 0)
        return;
    agenda_print_past(&agenda, "boot", "config", again);
    open_agenda(&agenda);
    assert(agenda_take_past(&agenda, "boot", "config", again) == 0);
}

static void check(const struct agenda *agenda, const struct agenda_effects *effects)
{
    size_t running = 0, waiting = 0, runs = 0;

    for (size_t i = 0; i < agenda->count; i++) {
        const struct agenda_hook *hook = &agenda->hooks[i];
        running += hook->part == PART_RUNNING;
        waiting += hook->part == PART_WAITING;
        runs += hook->runs;
        assert(hook->part != PART_RUNNING || hook->runs);
    }
    assert(running <= 1);
    assert(!agenda->heard || waiting == 0 || running == 1);
    assert((effects->timer_ns != 0) == (runs > 0));
    assert(effects->start < 0 || agenda->hooks[effects->start].part == PART_RUNNING);
    assert(agenda->view.failed <= HOOKS);
}

static void restart(struct agenda *agenda)
{
    char before[AGENDA_PAST_MAX], after[AGENDA_PAST_MAX];

    agenda_print_past(agenda, "boot", "config", before);
    open_agenda(agenda);
    assert(agenda_take_past(agenda, "boot", "config", before) == 0);
    agenda_print_past(agenda, "boot", "config", after);
    assert(strcmp(before, after) == 0); /* what ran is due in both */
}

static void take_role(struct role_message *role, unsigned what, int64_t now_ns)
{
    static const char *const rules[] = {"R6-network", "R13-ordered", "R2-unconfirmed", ""};
    const enum phase phase = (enum phase)(what % PHASE_COUNT);

    if (phase != role->phase || what & 64)
        role->since_ns = now_ns;
    role->phase = phase;
    role->role = phase == PHASE_CLAIMING || phase == PHASE_ACTIVE || phase == PHASE_OFFERING ? ROLE_ACTIVE
                                                                                             : ROLE_PASSIVE;
    role->released = what & 8;
    role->fit = what & 16;
    role->epoch += what & 32 ? 2 : 0;
    strcpy(role->rule, rules[what / 64]);
}

static void play(const uint8_t *data, size_t size)
{
    struct agenda agenda;
    struct role_message role = {.epoch = 1};
    int64_t now_ns = NS_PER_S;

    open_agenda(&agenda);
    for (size_t at = 0; at + 1 < size; at += 2) {
        struct agenda_effects effects;
        struct agenda_event event = {.at_ns = now_ns += data[at] / 5 * NS_PER_US * 100,
                                     .hook = data[at + 1] % HOOKS,
                                     .well = data[at + 1] & 128,
                                     .role = &role,
                                     .text = "x"};
        if (data[at] % 5 == 4) {
            restart(&agenda);
            continue;
        }
        event.kind = (enum agenda_event_kind)(data[at] % 5);
        if (event.kind == AGENDA_ROLE)
            take_role(&role, data[at + 1], now_ns);
        agenda_step(&agenda, &event, &effects);
        check(&agenda, &effects);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        read_note((const char *)data + 1, size - 1);
    else
        play(data + 1, size - 1);
    return 0;
}
