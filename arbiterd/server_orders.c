#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "arbiterd/server.h"
#include "common/clock.h"
#include "common/log.h"

struct order_word {
    const char *word;
    enum arbiter_event_kind kind;
    const char *accepted;
};

static const struct order_word words[] = {
    {"switch", EVENT_SWITCH, "the role is being offered to the peer"},
    {"hold", EVENT_HOLD, "no change of role by itself from now on, for the pair"},
    {"resume", EVENT_RESUME, "the pair decides by itself again"},
    {"clear", EVENT_CLEAR, "past faults are forgotten"},
    {"claim", EVENT_CLAIM, "this node claims the role"},
    {"stop", EVENT_STOP, "this node gives the role away and does not claim it again"},
};

static void answer_why(struct server *s, const struct command_message *command, struct bus_answer *answer)
{
    static struct change_message none;
    const struct change_message *change = chronicle_get(&s->history.own, command->nth);

    answer->type = &change_type;
    answer->body = change ? change : &none;
    if (!change)
        snprintf(none.error, sizeof none.error, "there were only %zu changes of role that are still known",
                 MIN(s->history.own.count, (size_t)HISTORY_CHANGES));
}

static void answer_recent(struct server *s, struct bus_answer *answer)
{
    static struct recent_message recent;

    history_recent(&s->history, &recent);
    answer->type = &recent_type;
    answer->body = &recent;
}

static void give_order(struct server *s, const struct order_word *word, const struct command_message *command,
                       struct bus_answer *answer)
{
    struct arbiter_event event = {.kind = word->kind, .force = command->force};
    const char *refusal = arbiter_refusal(&s->arbiter, word->kind, command->force);

    if (refusal) {
        text_copy(answer->reply.error, sizeof answer->reply.error, refusal);
        log_notice("order %s refused: %s", word->word, refusal);
        return;
    }
    if (command->for_ms > 0)
        event.hold_until_ns = clock_now_ns() + command->for_ms * NS_PER_MS;
    log_notice("order %s%s", word->word, command->force ? " (forced)" : "");
    history_note(&s->history, clock_now_ns(), NULL, "the operator ordered: %s%s", word->word,
                 command->force ? " --force" : "");
    if (word->kind == EVENT_CLEAR)
        s->conflicts_cleared = s->data.conflicts;
    answer->reply.ok = true;
    text_copy(answer->reply.text, sizeof answer->reply.text, word->accepted);
    server_step(s, &event, NULL);
}

void server_command(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    struct server *s = userdata;

    if (strcmp(command->command, "why") == 0) {
        answer_why(s, command, answer);
        return;
    }
    if (strcmp(command->command, "why-peer") == 0) {
        server_answer_peer(s, command, answer);
        return;
    }
    if (strcmp(command->command, "recent") == 0) {
        answer_recent(s, answer);
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (strcmp(command->command, words[i].word) == 0) {
            give_order(s, &words[i], command, answer);
            return;
        }
    snprintf(answer->reply.error, sizeof answer->reply.error,
             "arbiterd has no command \"%s\"; it has switch, hold, resume, clear, claim, stop, why, "
             "why-peer, recent",
             command->command);
}
