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

/* One line of the chain: a step, or the decision itself. */
struct line {
    const struct change_message *of;
    const struct step *step; /* NULL: the decision */
    int64_t offset_ns;       /* from the decision of the node that was asked */
};

enum { LINES_MAX = 2 * (ARRAY_LENGTH(((struct change_message *)0)->steps) + 1) };

struct chain {
    struct line lines[LINES_MAX];
    size_t count;
    int node_width; /* 0: the record of one node, which need not be named in each line */
};

static void put_step(const struct paper *paper, const struct step *step)
{
    if (step->considered[0]) {
        paper_print(paper, TINT_FAINT, "considered ");
        paper_print(paper, TINT_BOLD, "%s: ", step->considered);
    } else if (step->cause[0]) {
        paper_print(paper, TINT_BOLD, "%.*s: ", (int)strcspn(step->cause, ":"), step->cause);
    }
    fprintf(paper->out, "%s\n", step->text);
}

static void put_decision(const struct paper *paper, const struct change_message *change)
{
    paper_print(paper, TINT_BOLD, "arbiterd: ");
    paper_print(paper, TINT_GOOD, "%s -> %s", phase_names[change->from], phase_names[change->to]);
    fprintf(paper->out, " by rule \"%s\": %s\n", change->rule, change->reason);
}

static void put_line(const struct paper *paper, const struct chain *chain, const struct line *line)
{
    put_time(paper, line->offset_ns);
    if (chain->node_width > 0)
        paper_print(paper, TINT_FAINT, "%-*s  ", chain->node_width, line->of->node);
    if (line->step)
        put_step(paper, line->step);
    else
        put_decision(paper, line->of);
}

/* In the order of time, those of the same time as they are added: steps are recorded as they become known,
 * which is not always the order in which they happened. */
static void add_line(struct chain *chain, struct line line)
{
    size_t at = chain->count++;

    for (; at > 0 && chain->lines[at - 1].offset_ns > line.offset_ns; at--)
        chain->lines[at] = chain->lines[at - 1];
    chain->lines[at] = line;
}

/* A record whose decision came `offset_ns` after that of the node that was asked. What led to a decision
 * stands before it. */
static void add_record(struct chain *chain, const struct change_message *change, int64_t offset_ns)
{
    for (size_t i = 0; i < change->steps_count; i++)
        if (change->steps[i].at_ns <= change->at_ns)
            add_line(chain, (struct line){change, &change->steps[i],
                                          offset_ns + change->steps[i].at_ns - change->at_ns});
    add_line(chain, (struct line){change, NULL, offset_ns});
    for (size_t i = 0; i < change->steps_count; i++)
        if (change->steps[i].at_ns > change->at_ns)
            add_line(chain, (struct line){change, &change->steps[i],
                                          offset_ns + change->steps[i].at_ns - change->at_ns});
}

/* Both records have the times of the node that was asked: by the clock that nobody sets, if it has not begun
 * anew in between. */
static int64_t offset_between(const struct change_message *change, const struct change_message *peer)
{
    int64_t own_ns, peer_ns;

    if (change->boot[0] && strcmp(change->boot, peer->boot) == 0)
        return peer->at_ns - change->at_ns;
    return utc_parse(change->at, &own_ns) < 0 || utc_parse(peer->at, &peer_ns) < 0 ? 0 : peer_ns - own_ns;
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

void why_print(const struct paper *paper, const struct change_message *change,
               const struct change_message *peer)
{
    struct chain chain = {0};

    paper_print(paper, TINT_BOLD, "%s", change->node);
    fprintf(paper->out, " %s at %s, epoch %" PRId64 "\n", what_happened(change), change->at, change->epoch);
    if (change->repeats > 0) /* the first of them is the record before this one */
        fprintf(paper->out, "the last of %" PRId64 " such restarts in a row\n", change->repeats + 2);
    fprintf(paper->out, "because %s\n\n", change->reason);
    add_record(&chain, change, 0);
    if (peer->ok) {
        add_record(&chain, peer, offset_between(change, peer));
        chain.node_width = (int)MAX(strlen(change->node), strlen(peer->node));
    }
    for (size_t i = 0; i < chain.count; i++)
        put_line(paper, &chain, &chain.lines[i]);
    if (!peer->ok && peer->error[0])
        paper_print(paper, TINT_FAINT, "\n(%s)\n", peer->error);
}

static void put_recent(const struct paper *paper, const struct step *step, int64_t now_ns)
{
    paper_print(paper, TINT_FAINT, "%10.1f s ago  ", (double)(now_ns - step->at_ns) / 1e9);
    put_step(paper, step);
}

/* Fills `order` with the steps' indices by time, those of the same time as they were recorded. */
static void order_steps(const struct step steps[], size_t count, size_t order[])
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && steps[order[at - 1]].at_ns > steps[i].at_ns; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
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

/* What arbiterd answered. */
struct answers {
    struct change_message change;
    struct change_message peer; /* the peer's record of it */
    struct recent_message recent;
};

static json_t *as_json(const struct message_type *type, const void *body)
{
    AUTO_FREE char *text = message_pack(type, NULL, body);

    return text ? json_loads(text, 0, NULL) : NULL;
}

/* The record as it came, and beside it the peer's, and what was noted since. */
static void show_json(const struct answers *answers)
{
    json_t *record = as_json(&change_type, &answers->change),
           *peer = answers->peer.ok ? as_json(&change_type, &answers->peer) : NULL,
           *noted = as_json(&recent_type, &answers->recent);

    if (record && noted) {
        json_object_set_new(record, "peer", peer ? json_incref(peer) : json_null());
        json_object_set(record, "since", json_object_get(noted, "steps"));
    }
    AUTO_FREE char *shown = record ? json_dumps(record, JSON_COMPACT) : NULL;
    puts(shown ? shown : "{}");
    json_decref(noted);
    json_decref(peer);
    json_decref(record);
}

static int show(const struct invocation *invocation, const struct answers *answers, bool json)
{
    const struct paper paper = paper_stdout();
    const bool ok = answers->change.ok;

    if (json) {
        show_json(answers);
        return ok ? COMMAND_DONE : COMMAND_REFUSED;
    }
    if (ok)
        why_print(&paper, &answers->change, &answers->peer);
    else
        command_error(invocation, "%s", answers->change.error);
    why_print_recent(&paper, &answers->recent, clock_now_ns());
    return ok ? COMMAND_DONE : COMMAND_REFUSED;
}

/* 0 or a negative errno. What was noted since belongs to the last change only; an arbiterd that does not know
 * a question has nothing to say to it. */
static int ask(const char *run_dir, const struct command_message *command, struct answers *answers)
{
    const struct command_message since = {.command = "recent"};
    struct command_message peer = {.command = "why-peer", .nth = command->nth};
    const int r = bus_request(run_dir, "arbiterd", command, 2 * NS_PER_S, &change_type, &answers->change);

    if (r == 0 && answers->change.ok &&
        bus_request(run_dir, "arbiterd", &peer, 2 * NS_PER_S, &change_type, &answers->peer) < 0)
        answers->peer = (struct change_message){0};
    if (r == 0 && command->nth == 0 &&
        bus_request(run_dir, "arbiterd", &since, 2 * NS_PER_S, &recent_type, &answers->recent) < 0)
        answers->recent = (struct recent_message){0};
    return r;
}

int why_command(struct invocation *invocation)
{
    struct command_message command = {.command = "why"};
    const bool json = command_take_flag(invocation, "--json");
    AUTO_FREE struct answers *answers = calloc(1, sizeof *answers);

    if (!answers)
        return COMMAND_REFUSED;
    if (invocation->argc > 1 ||
        (invocation->argc == 1 && why_parse_number(invocation->argv[0], &command.nth) < 0)) {
        command_error(invocation, "takes one number from 1 (the last change of role) to 1000, not \"%s\"",
                      invocation->argv[invocation->argc - 1]);
        return COMMAND_USAGE;
    }
    const int r = ask(invocation->options.run_dir, &command, answers);
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
    return show(invocation, answers, json);
}
