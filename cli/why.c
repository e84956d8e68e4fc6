#include "cli/why.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus.h"

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
static void order_steps(const struct change_message *change, size_t order[])
{
    for (size_t i = 0; i < change->steps_count; i++) {
        size_t at = i;
        for (; at > 0 && change->steps[order[at - 1]].at_ns > change->steps[i].at_ns; at--)
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
    order_steps(change, order);
    for (; i < change->steps_count && change->steps[order[i]].at_ns <= change->at_ns; i++)
        put_step(paper, &change->steps[order[i]], change->at_ns);
    put_decision(paper, change);
    for (; i < change->steps_count; i++)
        put_step(paper, &change->steps[order[i]], change->at_ns);
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

static int show(const struct invocation *invocation, const struct change_message *change, bool json)
{
    const struct paper paper = paper_stdout();

    if (json) {
        AUTO_FREE char *text = message_pack(&change_type, NULL, change);
        puts(text ? text : "{}");
        return change->ok ? COMMAND_DONE : COMMAND_REFUSED;
    }
    if (!change->ok) {
        command_error(invocation, "%s", change->error);
        return COMMAND_REFUSED;
    }
    why_print(&paper, change);
    return COMMAND_DONE;
}

int why_command(struct invocation *invocation)
{
    struct command_message command = {.command = "why"};
    const bool json = command_take_flag(invocation, "--json");
    AUTO_FREE struct change_message *change = calloc(1, sizeof *change);

    if (!change)
        return COMMAND_REFUSED;
    if (invocation->argc > 1 ||
        (invocation->argc == 1 && why_parse_number(invocation->argv[0], &command.nth) < 0)) {
        command_error(invocation, "takes one number from 1 (the last change of role) to 1000, not \"%s\"",
                      invocation->argv[invocation->argc - 1]);
        return COMMAND_USAGE;
    }
    int r =
        bus_request(invocation->options.run_dir, "arbiterd", &command, 2 * NS_PER_S, &change_type, change);
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
    return show(invocation, change, json);
}
