/* witness: a register that both nodes can ask, as etcd is one, and the real core of witnessd on each node.
 * What goes wrong: it is away for one node or for both, slow, loses answers, or is restored from a backup. */
#include "tests/sim/world.h"

static const int64_t answer_least = NS_PER_MS / 2, answer_most = 6 * NS_PER_MS;

static int64_t on_the_way(int n)
{
    const bool slow = w.witness.slow[n];

    return w.profile->scale * between(answer_least, slow ? w.set->isolation_after * 2 : answer_most) / 2;
}

void publish_witness(int n)
{
    union payload *p = payload_new();

    p->bus.kind = EVENT_WITNESS;
    p->bus.witness = w.nodes[n].ballot.view;
    to_arbiter(n, p);
}

/* One that was replaced by another does nothing. */
static void set_timer(int n, int64_t delay)
{
    struct node *node = &w.nodes[n];

    push((struct event){.at = w.now + delay,
                        .what = WITNESS_TIMER,
                        .node = n,
                        .process = WITNESSD,
                        .incarnation = node->incarnation[WITNESSD],
                        .stamp = node->witness_at = ++node->witness_timers});
}

static void go_on(int n)
{
    struct node *node = &w.nodes[n];
    struct ballot_question question;

    if (ballot_next(&node->ballot, clock_of(n), &question)) {
        union payload *p = payload_new();
        p->question.asked = question;
        p->question.sent = node->ballot.sent;
        if (w.witness.reached[n] && (w.one_fault || !chance(1)))
            push((struct event){.at = w.now + on_the_way(n),
                                .what = WITNESS_ASKED,
                                .node = n,
                                .process = WITNESSD,
                                .incarnation = node->incarnation[WITNESSD],
                                .payload = p});
        else
            payload_free(p);
        set_timer(n, w.set->isolation_after / 2 + ms / 10);
        return;
    }
    const int64_t due = ballot_due(&node->ballot, clock_of(n));
    if (due < INT64_MAX)
        set_timer(n, MAX(due - clock_of(n), 0) + ms / 10);
}

/* It comes to the register, though who asked may have ended since. */
void on_witness_asked(int n, int64_t incarnation, const union payload *asked)
{
    const struct ballot_question *q = &asked->question.asked;
    struct ballot_record *r = &w.witness.record;
    union payload *p = payload_new();

    p->answer.sent = asked->question.sent;
    if (q->kind == BALLOT_SWAP && q->seen.revision == r->revision && q->seen.stamp == r->stamp) {
        *r = (struct ballot_record){
            .era = r->era, .revision = ++w.witness.revision, .stamp = q->stamp, .epoch = q->epoch};
        text_copy(r->holder, sizeof r->holder, n == 0 ? "0" : "1");
        tell("witness: node %d holds epoch %" PRId64 " (revision %" PRId64 ")", n, q->epoch, r->revision);
        p->answer.said.swapped = true;
    }
    p->answer.said.record = *r;
    if (w.witness.reached[n] && (w.one_fault || !chance(1)))
        push((struct event){.at = w.now + on_the_way(n),
                            .what = WITNESS_ANSWERED,
                            .node = n,
                            .process = WITNESSD,
                            .incarnation = incarnation,
                            .payload = p});
    else
        payload_free(p);
}

void on_witness_answered(int n, const union payload *p)
{
    struct ballot *b = &w.nodes[n].ballot;

    if (!b->waiting || b->sent != p->answer.sent)
        return; /* nobody waits for it any more */
    ballot_take(b, &p->answer.said, clock_of(n));
    publish_witness(n);
    go_on(n);
}

void on_witness_timer(int n, int64_t timer)
{
    struct ballot *b = &w.nodes[n].ballot;

    if (timer != w.nodes[n].witness_at)
        return;
    if (b->waiting && clock_of(n) - b->sent < w.set->isolation_after / 2) { /* by a clock that is slow */
        set_timer(n, ms);
        return;
    }
    if (b->waiting) {
        ballot_fail(b, "no answer", clock_of(n));
        publish_witness(n);
    }
    go_on(n);
}

void witness_hears_role(int n, const struct role_message *role)
{
    if (!ballot_ask(&w.nodes[n].ballot, role->ask, role->ask_number, role->ask_epoch, clock_of(n)))
        return;
    publish_witness(n);
    if (!w.nodes[n].ballot.waiting)
        go_on(n);
}

void start_witnessd(int n)
{
    struct ballot_settings settings = {.after = w.set->isolation_after, .salt = (uint64_t)w.now << 8};

    if (!w.set->witness)
        return;
    text_copy(settings.node, sizeof settings.node, n == 0 ? "0" : "1");
    ballot_init(&w.nodes[n].ballot, &settings);
    publish_witness(n);
    schedule(n, WITNESSD, WITNESS_PULSE, NS_PER_S, NULL);
    show_role_again(n, WITNESSD);
    go_on(n);
}

void harm_witness(void)
{
    const int n = (int)between(0, 1), kind = (int)between(0, 6);

    tell("witness: fault %d (node %d)", kind, n);
    switch (kind) {
    case 0:
    case 1:
        w.witness.reached[n] = false;
        break;
    case 2:
        w.witness.reached[0] = w.witness.reached[1] = false;
        break;
    case 3:
        w.witness.reached[0] = w.witness.reached[1] = true;
        break;
    case 4:
        w.witness.slow[n] = chance(50);
        break;
    case 5:
        w.witness.backup = w.witness.record;
        break;
    default: /* it is restored; its own count of revisions goes back as well */
        w.witness.backup.era = w.witness.record.era + 1;
        w.witness.record = w.witness.backup;
        w.witness.revision = w.witness.backup.revision;
        break;
    }
}

void heal_witness(void)
{
    for (int n = 0; n < 2; n++) {
        w.witness.reached[n] = true;
        w.witness.slow[n] = false;
    }
}
