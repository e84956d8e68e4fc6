#include "witnessd/ballot.h"

#include <stdio.h>
#include <string.h>

/* With nothing asked, the record is read now and then: an operator must know in time that the witness does
 * not answer. */
static const int64_t idle_ns = 20 * NS_PER_S, idle_failed_ns = 2 * NS_PER_S;

void ballot_init(struct ballot *b, const struct ballot_settings *settings)
{
    *b = (struct ballot){.set = *settings, .view = {.state = WITNESS_STATE_IDLE}};
}

bool ballot_ask(struct ballot *b, enum question ask, int64_t number, int64_t epoch, int64_t now_ns)
{
    const bool news = number != b->number, turn = ask != b->ask;

    b->ask = ask;
    b->ask_epoch = epoch;
    b->told = now_ns;
    if (news) {
        b->number = number;
        b->seen = false;
        if (ask != QUESTION_NONE)
            b->view.state = WITNESS_STATE_ASKING;
    }
    if (news || turn) {
        if (ask == QUESTION_NONE && b->view.state != WITNESS_STATE_UNREACHABLE)
            b->view.state = WITNESS_STATE_IDLE;
        if (ask != QUESTION_NONE)
            b->next = now_ns;
        b->view.asks = number;
    }
    return news || turn;
}

static bool own_record(const struct ballot *b)
{
    return strcmp(b->record.holder, b->set.node) == 0;
}

/* Somebody was let in under a higher epoch, or under this one. */
static bool is_denied(const struct ballot *b)
{
    if (own_record(b))
        return b->record.epoch > b->ask_epoch;
    return b->record.epoch >= b->ask_epoch;
}

static bool is_granted(const struct ballot *b, int64_t now_ns)
{
    return b->view.granted_epoch == b->ask_epoch && now_ns - b->view.granted_ns < b->set.after;
}

/* When the swap may be asked for. */
static int64_t swap_due(const struct ballot *b)
{
    if (b->ask == QUESTION_KEEP)
        return b->next;
    return MAX(b->next, b->unchanged + b->set.after + b->set.after / 8);
}

static int64_t question_due(const struct ballot *b, enum ballot_kind *kind)
{
    *kind = BALLOT_READ;
    if (b->ask == QUESTION_NONE)
        return b->next;
    if (b->ask == QUESTION_KEEP ? !b->known : !b->seen)
        return b->next;
    if (b->ask == QUESTION_WATCH)
        return INT64_MAX;
    if (is_denied(b))
        return b->next;
    *kind = BALLOT_SWAP;
    return swap_due(b);
}

int64_t ballot_due(const struct ballot *b, int64_t now_ns)
{
    enum ballot_kind kind;

    return b->waiting ? INT64_MAX : MAX(question_due(b, &kind), now_ns);
}

/* Who asked says so again each heartbeat interval. A word from the grave would keep the other node out for
 * ever. */
static void forget_the_dead(struct ballot *b, int64_t now_ns)
{
    if (b->ask != QUESTION_NONE && now_ns - b->told > b->set.after) {
        b->ask = QUESTION_NONE;
        b->view.state = WITNESS_STATE_IDLE;
        b->next = MAX(b->next, now_ns);
    }
}

bool ballot_next(struct ballot *b, int64_t now_ns, struct ballot_question *question)
{
    enum ballot_kind kind;

    forget_the_dead(b, now_ns);
    if (b->waiting || question_due(b, &kind) > now_ns)
        return false;
    b->waiting = true;
    b->sent = now_ns;
    b->asked_number = b->number;
    b->asked = (struct ballot_question){.kind = kind, .seen = b->record};
    if (kind == BALLOT_SWAP) {
        b->asked.epoch = b->ask_epoch;
        b->asked.stamp = b->set.salt + ++b->stamps;
    }
    *question = b->asked;
    return true;
}

static bool is_same(const struct ballot_record *x, const struct ballot_record *y)
{
    return x->era == y->era && x->revision == y->revision && x->stamp == y->stamp;
}

static void take_record(struct ballot *b, const struct ballot_record *record, int64_t now_ns)
{
    const bool same = b->known && is_same(record, &b->record);

    if (b->asked_number == b->number && (!b->seen || !same)) {
        b->seen = true;
        b->unchanged = now_ns;
    }
    b->record = *record;
    b->known = true;
    text_copy(b->view.holder, sizeof b->view.holder, record->holder);
    b->view.epoch = record->epoch;
    b->view.revision = record->revision;
}

/* What was seen unchanged was another register's: who claims has to wait again. Who goes on has it anyway. */
static bool is_of_another_era(const struct ballot *b, const struct ballot_record *record)
{
    return b->ask != QUESTION_KEEP && record->era != b->asked.seen.era;
}

static void take_grant(struct ballot *b)
{
    b->view.granted_epoch = b->asked.epoch;
    b->view.granted_ns = b->sent;
}

static void judge(struct ballot *b, int64_t now_ns)
{
    if (b->ask == QUESTION_NONE)
        b->view.state = WITNESS_STATE_IDLE;
    else if (b->ask != QUESTION_WATCH && is_granted(b, now_ns))
        b->view.state = WITNESS_STATE_GRANTED;
    else if (b->ask != QUESTION_WATCH && b->seen && is_denied(b))
        b->view.state = WITNESS_STATE_DENIED;
    else
        b->view.state = WITNESS_STATE_ASKING;
}

static int64_t pause_after_answer(const struct ballot *b, int64_t now_ns)
{
    if (b->ask == QUESTION_NONE)
        return idle_ns;
    if (b->ask == QUESTION_KEEP && is_granted(b, now_ns))
        return b->set.after / 4;
    return b->seen && is_denied(b) ? b->set.after : 0;
}

void ballot_take(struct ballot *b, const struct ballot_answer *answer, int64_t now_ns)
{
    b->waiting = false;
    take_record(b, &answer->record, now_ns);
    if (b->asked.kind == BALLOT_SWAP && answer->swapped && !is_of_another_era(b, &answer->record))
        take_grant(b);
    b->view.answered_ns = now_ns;
    b->view.rtt_us = (now_ns - b->sent) / NS_PER_US;
    b->view.text[0] = '\0';
    judge(b, now_ns);
    b->next = (b->ask == QUESTION_KEEP && b->view.state == WITNESS_STATE_GRANTED ? b->sent : now_ns) +
              pause_after_answer(b, now_ns);
}

void ballot_fail(struct ballot *b, const char *text, int64_t now_ns)
{
    b->waiting = false;
    b->view.state = WITNESS_STATE_UNREACHABLE;
    snprintf(b->view.text, sizeof b->view.text, "%s", text);
    b->next = now_ns + (b->ask == QUESTION_NONE ? idle_failed_ns : b->set.after / 8);
}
