#include "cli/why.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus.h"
#include "common/clock.h"

static void put_time(const struct paper *paper, int64_t offset_ns)
{
    char text[SPAN_TEXT_MAX];

    if (offset_ns == 0)
        snprintf(text, sizeof text, "0 ms");
    else
        snprintf(text, sizeof text, "%+.1f ms", (double)offset_ns / 1e6);
    paper_print(paper, TINT_FAINT, "%14s  ", text);
}

static void put_step(const struct paper *paper, const struct step *step, int64_t decided_ns)
{
    put_time(paper, step->at_ns - decided_ns);
    if (step->cause[0])
        paper_print(paper, TINT_BOLD, "%.*s: ", (int)strcspn(step->cause, ":"), step->cause);
    fprintf(paper->out, "%s\n", step->text);
}

static void put_decision(const struct paper *paper, const struct change_message *change)
{
    put_time(paper, 0);
    paper_print(paper, TINT_BOLD, "arbiterd: ");
    paper_print(paper, TINT_GOOD, "%s -> %s", phase_names[change->from], phase_names[change->to]);
    fprintf(paper->out, " by rule \"%s\": %s\n", change->rule, change->reason);
}

/* Steps are recorded as they become known, which is not always the order in which they happened. Fills
 * `order` with their indices by time, those of the same time as they were recorded. */
static void order_steps(const struct step steps[], size_t count, size_t order[])
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && steps[order[at - 1]].at_ns > steps[i].at_ns; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* In words of the role: the phases before and after stand in the line of the decision. */
static const char *what_happened(const struct change_message *change)
{
    if (change->to == PHASE_CLAIMING)
        return "took the active role";
    if (change->to == PHASE_ACTIVE)
        return "kept the active role over a restart of its arbiterd";
    return "gave up the active role";
}

void why_print(const struct paper *paper, const struct change_message *change)
{
    size_t order[ARRAY_LENGTH(change->steps)], i = 0;

    paper_print(paper, TINT_BOLD, "%s", change->node);
    fprintf(paper->out, " %s at %s, epoch %" PRId64 "\n", what_happened(change), change->at, change->epoch);
    fprintf(paper->out, "because %s\n\n", change->reason);
    order_steps(change->steps, change->steps_count, order);
    for (; i < change->steps_count && change->steps[order[i]].at_ns <= change->at_ns; i++)
        put_step(paper, &change->steps[order[i]], change->at_ns);
    put_decision(paper, change);
    for (; i < change->steps_count; i++)
        put_step(paper, &change->steps[order[i]], change->at_ns);
}

static void put_recent(const struct paper *paper, const struct step *step, int64_t now_ns)
{
    paper_print(paper, TINT_FAINT, "%10.1f s ago  ", (double)(now_ns - step->at_ns) / 1e9);
    if (step->cause[0])
        paper_print(paper, TINT_BOLD, "%.*s: ", (int)strcspn(step->cause, ":"), step->cause);
    fprintf(paper->out, "%s\n", step->text);
}

void why_print_recent(const struct paper *paper, const struct recent_message *recent, int64_t now_ns)
{
    size_t order[ARRAY_LENGTH(recent->steps)];

    if (recent->steps_count == 0)
        return;
    paper_print(paper, TINT_BOLD, "\nlately");
    fprintf(paper->out, ", without a change of role:\n\n");
    order_steps(recent->steps, recent->steps_count, order);
    for (size_t i = 0; i < recent->steps_count; i++)
        put_recent(paper, &recent->steps[order[i]], now_ns);
}

int why_parse_number(const char *text, int64_t *nth)
{
    char *end;

    errno = 0;
    const long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end || number < 1 || number > 1000)
        return -EINVAL;
    *nth = number - 1;
    return 0;
}

/* The record as it came, and beside it what was noted since. */
static void show_json(const struct change_message *change, const struct recent_message *recent)
{
    AUTO_FREE char *text = message_pack(&change_type, NULL, change),
                   *since = message_pack(&recent_type, NULL, recent);
    json_t *record = text ? json_loads(text, 0, NULL) : NULL,
           *noted = since ? json_loads(since, 0, NULL) : NULL;

    if (record && noted)
        json_object_set(record, "since", json_object_get(noted, "steps"));
    AUTO_FREE char *shown = record ? json_dumps(record, JSON_COMPACT) : NULL;
    puts(shown ? shown : "{}");
    json_decref(noted);
    json_decref(record);
}

static int show(const struct invocation *invocation, const struct change_message *change,
                const struct recent_message *recent, bool json)
{
    const struct paper paper = paper_stdout();

    if (json) {
        show_json(change, recent);
        return change->ok ? COMMAND_DONE : COMMAND_REFUSED;
    }
    if (change->ok)
        why_print(&paper, change);
    else
        command_error(invocation, "%s", change->error);
    why_print_recent(&paper, recent, clock_now_ns());
    return change->ok ? COMMAND_DONE : COMMAND_REFUSED;
}

/* 0 or a negative errno. What was noted since belongs to the last change only; an arbiterd that does not know
 * the question has noted nothing. */
static int ask(const char *run_dir, const struct command_message *command, struct change_message *change,
               struct recent_message *recent)
{
    const struct command_message since = {.command = "recent"};
    const int r = bus_request(run_dir, "arbiterd", command, 2 * NS_PER_S, &change_type, change);

    if (r == 0 && command->nth == 0 &&
        bus_request(run_dir, "arbiterd", &since, 2 * NS_PER_S, &recent_type, recent) < 0)
        *recent = (struct recent_message){0};
    return r;
}

int why_command(struct invocation *invocation)
{
    struct command_message command = {.command = "why"};
    const bool json = command_take_flag(invocation, "--json");
    AUTO_FREE struct change_message *change = calloc(1, sizeof *change);
    AUTO_FREE struct recent_message *recent = calloc(1, sizeof *recent);

    if (!change || !recent)
        return COMMAND_REFUSED;
    if (invocation->argc > 1 ||
        (invocation->argc == 1 && why_parse_number(invocation->argv[0], &command.nth) < 0)) {
        command_error(invocation, "takes one number from 1 (the last change of role) to 1000, not \"%s\"",
                      invocation->argv[invocation->argc - 1]);
        return COMMAND_USAGE;
    }
    const int r = ask(invocation->options.run_dir, &command, change, recent);
    if (r == -ETIMEDOUT) {
        command_error(invocation,
                      "arbiterd does not answer below %s; is duet running, and is this its --run-dir?",
                      invocation->options.run_dir);
        return COMMAND_NO_ANSWER;
    }
    if (r < 0) {
        command_error(invocation, "arbiterd's answer cannot be used: %s; is it of this version?",
                      strerror(-r));
        return COMMAND_REFUSED;
    }
    return show(invocation, change, recent, json);
}
