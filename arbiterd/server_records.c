/* server_records: this node's records of changes of role go to the peer, and the peer's come here
 * (exchange.h); and what was considered goes into them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "arbiterd/server.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"

void server_open_records(struct server *s)
{
    if (sys_boot_id(s->boot) < 0)
        s->boot[0] = '\0';
    snprintf(s->peers_path, sizeof s->peers_path, "%s/peer-changes.jsonl", s->daemon->state_dir);
    chronicle_load(&s->peers, s->peers_path, s->scribe);
    exchange_open(&s->exchange, s->daemon->node, chronicle_newest(&s->peers, 0));
}

/* --------------------------------------------------------------------- to the peer */

/* 2020: a wall clock that shows less was never set. */
static const int64_t never_set_ns = INT64_C(1577836800) * NS_PER_S;

/* How long ago a change was: one of an earlier boot by the wall clock, since the other clock began anew. But
 * on a machine without a clock of its own that may be anything, and it was before this boot: where the wall
 * clock says otherwise, or cannot know, it counts as of its beginning. */
static int64_t age_of(const struct server *s, const struct change_message *change, int64_t now_ns)
{
    int64_t wall_ns;

    if (change->boot[0] && strcmp(change->boot, s->boot) == 0)
        return now_ns - change->at_ns;
    if (utc_parse(change->at, &wall_ns) < 0 || wall_ns < never_set_ns)
        return now_ns;
    const int64_t age_ns = now_ns + clock_wall_offset_ns() - wall_ns;
    return change->boot[0] ? MAX(age_ns, now_ns) : age_ns;
}

/* As many steps as fit into one datagram: one always does, unless its text is nothing but escapes. False: not
 * even none would. */
static bool pack_piece(struct server *s, const struct change_message *next, size_t whole, int64_t now_ns,
                       struct piece_message *piece, struct record_message *record)
{
    const int64_t newest = chronicle_newest(&s->history.own, whole), age = next ? age_of(s, next, now_ns) : 0;

    for (size_t steps = ARRAY_LENGTH(piece->steps) + 1; steps-- > 0;) {
        exchange_compose(&s->exchange, next, newest, age, steps, piece);
        AUTO_FREE char *json = message_pack(&piece_type, NULL, piece);
        if (!json || strlen(json) >= sizeof record->text)
            continue;
        text_copy(record->text, sizeof record->text, json);
        return true;
    }
    return false;
}

void server_tell_records(struct server *s, int64_t now_ns)
{
    static struct piece_message piece;
    static struct record_message record;
    const int64_t retry_ns = MAX(4 * s->arbiter.set.heartbeat_interval, 100 * NS_PER_MS);

    if (!peer_linked(&s->arbiter) || !s->arbiter.peer.takes_records)
        return;
    const size_t still_open = s->history.open ? 1 : 0;
    const struct change_message *next = chronicle_after(&s->history.own, s->exchange.given, still_open);
    if (!exchange_due(&s->exchange, next, now_ns, retry_ns) ||
        !pack_piece(s, next, still_open, now_ns, &piece, &record))
        return;
    bus_publish(s->daemon->bus, &record_type, NULL, &record, NULL);
    exchange_sent(&s->exchange, &piece, now_ns);
}

/* ------------------------------------------------------------------- from the peer */

/* `at`, `boot`, and times that JSON takes: what was before this node's boot has times of no clock, of which
 * only the differences count. */
static void fill_times(const struct server *s, struct change_message *change)
{
    int64_t lowest_ns = change->at_ns;

    utc_print(change->at_ns + clock_wall_offset_ns(), change->at);
    text_copy(change->boot, sizeof change->boot, s->boot);
    for (size_t i = 0; i < change->steps_count; i++)
        lowest_ns = MIN(lowest_ns, change->steps[i].at_ns);
    if (lowest_ns >= 0)
        return;
    change->boot[0] = '\0';
    change->at_ns -= lowest_ns;
    for (size_t i = 0; i < change->steps_count; i++)
        change->steps[i].at_ns -= lowest_ns;
}

/* It was told before: the peer does not have its last ones on its disk, and numbers go on from those before.
 */
static bool is_known(const struct chronicle *peers, const struct change_message *change)
{
    for (int64_t i = 0; chronicle_get(peers, i); i++) {
        const struct change_message *known = chronicle_get(peers, i);
        if (known->number == change->number && known->epoch == change->epoch && known->to == change->to)
            return true;
    }
    return false;
}

/* Each record is a write to the disk: a hundred at once, as to a new node, then one a second. What is not
 * taken is told again. */
static bool may_take(struct server *s, int64_t now_ns)
{
    const int64_t each_ns = NS_PER_S, most_ns = HISTORY_CHANGES * NS_PER_S;

    s->records_ns = MAX(s->records_ns, now_ns - most_ns);
    return s->records_ns + each_ns <= now_ns;
}

static void on_peer_record(void *userdata, const struct bus_message *m)
{
    static struct piece_message piece;
    static struct change_message whole;
    struct server *s = userdata;
    const struct peer_record_message *came = m->body;
    char error[CODEC_ERROR_MAX] = "it names another node";

    if (message_parse(&piece_type, came->text, strlen(came->text), NULL, &piece, error) < 0 ||
        strcmp(piece.node, s->arbiter.peer.name) != 0) {
        text_make_printable(error); /* it quotes */
        if (log_allowed(&s->piece_log, 1))
            log_warning("a piece of the peer's records cannot be used: %s; is it of a later version?", error);
        return;
    }
    if ((piece.number != 0 && !may_take(s, clock_now_ns())) ||
        !exchange_take(&s->exchange, &piece, came->received_ns, &whole))
        return;
    s->records_ns += NS_PER_S;
    if (is_known(&s->peers, &whole))
        return;
    fill_times(s, &whole);
    if (chronicle_add(&s->peers, &whole)->repeats == 0) /* or a loop there would fill the file here */
        chronicle_write(&s->peers);
}

int server_subscribe_records(struct server *s)
{
    return bus_subscribe(s->daemon->bus, &peer_record_type, "heartbeatd", on_peer_record, s);
}

void server_answer_peer(struct server *s, const struct command_message *command, struct bus_answer *answer)
{
    static struct change_message none;
    const struct change_message *change = chronicle_match(&s->history.own, command->nth, &s->peers);

    answer->type = &change_type;
    answer->body = change ? change : &none;
    if (!change)
        snprintf(none.error, sizeof none.error,
                 "%s has told of no change of its own that belongs to this one, or not yet",
                 s->arbiter.peer.name[0] ? s->arbiter.peer.name : "the peer");
}

/* ------------------------------------------------------------------ what was considered */

void server_note_rejected(struct server *s, const struct arbiter_transition *t, int64_t now_ns)
{
    struct arbiter then = s->arbiter;
    struct considerations rejected;

    then.vouched = then.vouched || s->was_vouched;
    consider_rejected(&then, t, &rejected);
    for (size_t i = 0; i < rejected.count; i++)
        history_consider(&s->history, now_ns, rejected.items[i].rule, rejected.items[i].text);
}

static const struct server_bar *find_bar(const struct server_bar *bars, size_t count,
                                         const struct considered *item)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(bars[i].what.rule, item->rule) == 0 && strcmp(bars[i].what.text, item->text) == 0)
            return &bars[i];
    return NULL;
}

/* A bar that is gone again in the time that a decision takes is none. */
void server_note_barred(struct server *s, int64_t now_ns)
{
    const int64_t patience_ns = MAX(s->arbiter.set.takeover_after, s->arbiter.set.evidence_wait);
    struct considerations barred;
    struct server_bar now[CONSIDERED_MAX];

    consider_barred(&s->arbiter, &barred);
    for (size_t i = 0; i < barred.count; i++) {
        const struct server_bar *before = find_bar(s->bars, s->bar_count, &barred.items[i]);
        now[i] = before ? *before : (struct server_bar){barred.items[i], now_ns, false};
        if (now[i].noted || now_ns - now[i].since_ns < patience_ns)
            continue;
        now[i].noted = true;
        history_consider(&s->history, now[i].since_ns, now[i].what.rule, now[i].what.text);
    }
    memcpy(s->bars, now, barred.count * sizeof *now);
    s->bar_count = barred.count;
}
