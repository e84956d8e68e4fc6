#include "arbiterd/exchange.h"

#include <string.h>

/* Nine years: longer than anybody asks, and far from what overflows. */
static const int64_t age_max_ns = INT64_C(1) << 58;

void exchange_open(struct exchange *x, const char *node, int64_t taken)
{
    memset(x, 0, sizeof *x);
    x->node = node;
    x->taken = taken;
}

/* ------------------------------------------------------------------------- out */

/* Of `next`, the steps before this one are there. */
static size_t first_missing(const struct exchange *x, const struct change_message *next)
{
    return x->giving == next->number ? (size_t)MIN(x->giving_steps, (int64_t)next->steps_count) : 0;
}

static bool is_news(const struct exchange *x, const struct change_message *next)
{
    const int64_t number = next ? next->number : 0, first = next ? (int64_t)first_missing(x, next) : 0;

    return x->sent_ns == 0 || x->sent.taken != x->taken ||
           x->sent.coming_steps != (int64_t)x->coming.steps_count || x->sent.number != number ||
           x->sent.first != first;
}

bool exchange_due(const struct exchange *x, const struct change_message *next, int64_t now_ns,
                  int64_t retry_ns)
{
    const bool wanted = !x->heard || !x->hears || x->owed || next || x->sent.heard != x->heard;

    return wanted && (x->owed || is_news(x, next) || now_ns - x->sent_ns >= retry_ns);
}

static void put_step(const struct change_message *change, const struct step *step, struct piece_step *to)
{
    const int64_t after_ns = step->at_ns - change->at_ns;

    to->before_ns = MAX(-after_ns, 0);
    to->after_ns = MAX(after_ns, 0);
    text_copy(to->cause, sizeof to->cause, step->cause);
    text_copy(to->text, sizeof to->text, step->text);
    text_copy(to->considered, sizeof to->considered, step->considered);
}

void exchange_compose(const struct exchange *x, const struct change_message *next, int64_t newest,
                      int64_t age_ns, size_t steps_max, struct piece_message *piece)
{
    memset(piece, 0, sizeof *piece);
    text_copy(piece->node, sizeof piece->node, x->node);
    piece->heard = x->heard;
    piece->taken = x->taken;
    piece->coming = x->coming.number;
    piece->coming_steps = (int64_t)x->coming.steps_count;
    piece->newest = newest;
    if (!next)
        return;
    piece->number = next->number;
    piece->from = next->from;
    piece->to = next->to;
    piece->epoch = next->epoch;
    text_copy(piece->rule, sizeof piece->rule, next->rule);
    text_copy(piece->reason, sizeof piece->reason, next->reason);
    piece->age_ns = MAX(age_ns, 0);
    piece->total = (int64_t)next->steps_count;
    size_t i = first_missing(x, next);
    piece->first = (int64_t)i;
    for (; i < next->steps_count && piece->steps_count < MIN(steps_max, ARRAY_LENGTH(piece->steps)); i++)
        put_step(next, &next->steps[i], &piece->steps[piece->steps_count++]);
}

void exchange_sent(struct exchange *x, const struct piece_message *piece, int64_t now_ns)
{
    x->sent = *piece;
    x->sent_ns = now_ns;
    x->owed = false;
}

/* -------------------------------------------------------------------------- in */

static void take_word(struct exchange *x, const struct piece_message *piece)
{
    x->heard = true;
    x->hears = piece->heard;
    x->given = piece->taken;
    x->giving = piece->coming;
    x->giving_steps = piece->coming_steps;
    x->owed = x->owed || piece->number != 0; /* also one that came in vain */
    if (piece->newest < x->taken) {          /* the peer lost its records, and numbers them anew */
        x->taken = 0;
        x->coming.number = 0;
    }
}

static void begin(struct exchange *x, const struct piece_message *piece)
{
    struct change_message *coming = &x->coming;

    memset(coming, 0, sizeof *coming);
    coming->ok = true;
    coming->number = piece->number;
    text_copy(coming->node, sizeof coming->node, piece->node);
    coming->from = piece->from;
    coming->to = piece->to;
    coming->epoch = piece->epoch;
    text_copy(coming->rule, sizeof coming->rule, piece->rule);
    text_copy(coming->reason, sizeof coming->reason, piece->reason);
    text_make_printable(coming->node);
    text_make_printable(coming->rule);
    text_make_printable(coming->reason);
    coming->at_ns = INT64_MAX;
}

static void take_step(struct change_message *coming, const struct piece_step *from)
{
    struct step *step = &coming->steps[coming->steps_count++];

    step->at_ns = EXCHANGE_BIAS + MIN(from->after_ns, EXCHANGE_BIAS) - MIN(from->before_ns, EXCHANGE_BIAS);
    text_copy(step->cause, sizeof step->cause, from->cause);
    text_copy(step->text, sizeof step->text, from->text);
    text_copy(step->considered, sizeof step->considered, from->considered);
    text_make_printable(step->cause);
    text_make_printable(step->text);
    text_make_printable(step->considered);
}

static void finish(struct exchange *x, struct change_message *whole)
{
    *whole = x->coming;
    for (size_t i = 0; i < whole->steps_count; i++)
        whole->steps[i].at_ns += whole->at_ns - EXCHANGE_BIAS;
    x->taken = whole->number;
    memset(&x->coming, 0, sizeof x->coming);
}

bool exchange_take(struct exchange *x, const struct piece_message *piece, int64_t received_ns,
                   struct change_message *whole)
{
    struct change_message *coming = &x->coming;

    take_word(x, piece);
    if (piece->number <= x->taken)
        return false;
    if (piece->number != coming->number)
        begin(x, piece);
    coming->at_ns = MIN(coming->at_ns, received_ns - MIN(piece->age_ns, age_max_ns));
    if (piece->first != (int64_t)coming->steps_count)
        return false; /* one that came twice, or after one that was lost: the answer says from where */
    for (size_t i = 0; i < piece->steps_count && coming->steps_count < ARRAY_LENGTH(coming->steps); i++)
        take_step(coming, &piece->steps[i]);
    /* A later version's records may be longer than there is room for. */
    if ((int64_t)coming->steps_count < MIN(piece->total, (int64_t)ARRAY_LENGTH(coming->steps)))
        return false;
    finish(x, whole);
    return true;
}
