/* What the bus is told of the sets: at most ten times a second each, and once a second anyway. */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

static const int64_t every_ns = NS_PER_S / 10;

static const char *stage_of(const struct set *set)
{
    static const char *const stages[] = {
        [SET_UNREADY] = "waiting", [SET_COMPARING] = "comparing", [SET_READY] = "ready",
        [SET_SENDING] = "sending", [SET_WAITING] = "waiting",     [SET_REFUSED] = "refused",
    };
    const struct receiving *r = &set->receiving;

    if (!set->learned)
        return "scanning";
    if (r->validating)
        return "validating";
    if (r->switching)
        return "switching";
    if (r->begun)
        return "receiving";
    return exchange_is_sender(set->syncd) ? stages[set->stage] : "ready";
}

static enum sync_state state_of(const struct set *set, bool whole)
{
    const struct syncd *s = set->syncd;
    const bool sender = exchange_is_sender(s);

    if (!whole || (sender && set->peer_told && !set->peer_whole))
        return SYNC_STATE_INITIAL;
    if (!s->agreed || !(sender || exchange_is_receiver(s)))
        return SYNC_STATE_DISCONNECTED;
    if (!sender)
        return set->as_of_ns > 0 && set->behind_since_ns == 0 && !set->refused ? SYNC_STATE_CURRENT
                                                                               : SYNC_STATE_BEHIND;
    const bool compared = set->stage == SET_READY || set->stage == SET_SENDING;
    return compared && sender_oldest_ns(set) == 0 && set->sending.unanswered == 0 && !set->sending.first
               ? SYNC_STATE_CURRENT
               : SYNC_STATE_BEHIND;
}

static void tell_lag(const struct set *set, struct data_set_message *m)
{
    if (set->syncd->active) {
        const struct source_lag lag = source_lag(set->source);
        m->behind_files = (int64_t)lag.files;
        m->behind_bytes = (int64_t)lag.bytes;
        m->behind_since_ns = sender_oldest_ns(set);
    } else {
        m->behind_files = (int64_t)set->behind_files;
        m->behind_bytes = (int64_t)set->behind_bytes;
        m->behind_since_ns = set->behind_since_ns;
        m->as_of_ns = set->as_of_ns;
    }
}

static void fill(struct set *set, struct data_set_message *m)
{
    const struct replica_state state = replica_state(set->replica);
    const struct sync_generation shown = set->syncd->active ? set->peer_generation : state.generation;
    const char *const texts[] = {set->trouble, set->trouble_of_snapshot, set->untaken};

    *m = (struct data_set_message){
        .state = state_of(set, state.whole),
        .whole = state.whole,
        .epoch = (int64_t)shown.epoch,
        .generation = (int64_t)shown.counter,
        .entries = (int64_t)tree_entries(set->tree),
        .bytes = (int64_t)tree_bytes(set->tree),
        .done_files = set->learned ? 0 : (int64_t)source_scanned(set->source),
        .done_bytes = (int64_t)set->done_bytes,
        .total_files = (int64_t)set->receiving.files,
        .total_bytes = (int64_t)set->receiving.bytes,
        .began_ns = set->began_ns,
        .conflicts = (int64_t)state.conflicts,
        .refused = set->refused,
        .verified_ns = set->verified_ns,
        .verified_equal = set->verified_equal,
    };
    tell_lag(set, m);
    text_copy(m->stage, sizeof m->stage, stage_of(set));
    text_copy(m->conflict_dir, sizeof m->conflict_dir, state.conflict_dir);
    text_copy(m->verify_text, sizeof m->verify_text, set->verify_text);
    for (size_t i = 0; i < ARRAY_LENGTH(texts) && m->text[0] == '\0'; i++)
        text_copy(m->text, sizeof m->text, texts[i]);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void add(struct data_message *all, const struct data_set_message *m, size_t index)
{
    all->whole = all->whole && m->whole;
    all->state = index == 0 ? m->state : MIN(all->state, m->state);
    all->behind_files += m->behind_files;
    all->behind_bytes += m->behind_bytes;
    all->behind_since_ns = earlier(all->behind_since_ns, m->behind_since_ns);
    all->as_of_ns = index == 0 ? m->as_of_ns : MIN(all->as_of_ns, m->as_of_ns);
    all->conflicts += m->conflicts;
    if (all->text[0] == '\0')
        text_copy(all->text, sizeof all->text, m->text);
}

/* The position of this node's data: the oldest epoch of a set, and the latest generation. */
static void add_position(struct data_message *all, const struct set *set, size_t index)
{
    const struct sync_generation own = replica_state(set->replica).generation;

    all->data_epoch = index == 0 ? (int64_t)own.epoch : MIN(all->data_epoch, (int64_t)own.epoch);
    all->data_generation = MAX(all->data_generation, (int64_t)own.counter);
}

void publish_all(struct syncd *s)
{
    struct data_message all = {.whole = true, .state = SYNC_STATE_OFF};

    for (size_t i = 0; i < s->set_count; i++) {
        struct data_set_message one;
        fill(&s->sets[i], &one);
        add(&all, &one, i);
        add_position(&all, &s->sets[i], i);
        if (one.text[0] == '\0' && s->link) /* that the peer is not reached is an alarm already */
            text_copy(one.text, sizeof one.text, link_trouble(s->link));
        bus_publish(s->daemon.bus, &data_set_type, s->sets[i].config->name, &one, NULL);
    }
    if (s->active)
        all.data_generation = MAX(all.data_generation, (int64_t)s->counter);
    all.sending = exchange_is_sender(s);
    all.connected = s->agreed;
    all.looked_ns = s->active && s->draining ? s->looked_ns : 0;
    bus_publish(s->daemon.bus, &data_type, NULL, &all, NULL);
    s->published_ns = clock_now_ns();
    s->publish_due = false;
}

static void on_publish(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    publish_all(userdata);
}

int publish_open(struct syncd *s)
{
    return loop_add_timer(s->daemon.loop, on_publish, s, &s->publish_timer);
}

void publish_soon(struct set *set)
{
    struct syncd *s = set->syncd;

    if (s->publish_due || !s->publish_timer)
        return;
    s->publish_due = true;
    /* A handover waits for the news. */
    loop_set_timer(s->publish_timer,
                   s->draining ? clock_now_ns() : MAX(clock_now_ns(), s->published_ns + every_ns));
}
