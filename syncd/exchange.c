/* How the two syncd agree on who sends: HELLO and SET (proto/sync.md, "The exchange"). */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

bool exchange_is_sender(const struct syncd *s)
{
    return s->up && s->agreed && s->role_known && s->active && !s->peer_active && s->peer_epoch <= s->epoch;
}

bool exchange_is_receiver(const struct syncd *s)
{
    return s->up && s->agreed && s->role_known && !s->active && s->peer_active && s->peer_epoch >= s->epoch;
}

int exchange_send(struct syncd *s, struct set *set, struct sync_message *message)
{
    message->header.set = set ? set->number : 0;
    message->header.session =
        message->header.kind == SYNC_HELLO ? 0 : sync_session(s->session, s->peer_session);
    const long size = sync_pack(message, s->packed);
    return size < 0 ? (int)size : link_send(s->link, s->packed, (size_t)size);
}

enum { OWN_LOG_MAX = SYNC_LOG_MAX - LINEAGE_MAX };

static void say_hello(struct syncd *s)
{
    struct sync_message hello = {.header.kind = SYNC_HELLO};

    hello.hello.session = s->session;
    hello.hello.answers = s->peer_session;
    hello.hello.active = s->active;
    hello.hello.epoch = s->epoch;
    hello.hello.node = (struct sync_bytes){(const uint8_t *)s->daemon.node, strlen(s->daemon.node)};
    hello.hello.sets = (uint16_t)s->set_count;
    exchange_send(s, NULL, &hello);
}

/* Whatever was under way between the two is void. */
static void forget_exchange(struct syncd *s)
{
    s->agreed = false;
    s->credit = 0;
    s->key_asked = false;
    memset(s->peer_sets, 0, sizeof s->peer_sets);
    for (size_t i = 0; i < s->set_count; i++) {
        struct set *set = &s->sets[i];
        set->peer_told = set->same_configuration = false;
        compare_end(set);
        sender_reset(set);
        receiver_reset(set);
        receiver_doubt(set);
        publish_soon(set);
    }
}

void exchange_restart(struct syncd *s)
{
    forget_exchange(s);
    do
        randombytes_buf(&s->session, sizeof s->session);
    while (s->session == 0);
    if (s->up && s->role_known)
        say_hello(s);
}

void exchange_up(void *userdata)
{
    struct syncd *s = userdata;

    s->up = true;
    s->peer_session = 0;
    log_info("the peer's syncd is reached");
    exchange_restart(s);
}

void exchange_down(void *userdata, const char *why)
{
    struct syncd *s = userdata;

    if (s->up)
        log_warning("the peer's syncd is not reached any more: %s", why);
    s->up = false;
    s->peer_session = 0;
    forget_exchange(s);
}

/* Epochs alone: which data of the past this one comes from. */
static size_t add_lineage(const struct set *set, uint8_t *log, size_t count)
{
    for (size_t i = 0; i < set->lineage.count; i++) {
        const struct sync_log_entry entry = {.generation = {.epoch = set->lineage.epochs[i]}};
        sync_log_put(log + count++ * SYNC_LOG_BYTES, &entry);
    }
    return count;
}

static void tell_set(struct set *set)
{
    struct sync_message m = {.header.kind = SYNC_SET};
    struct sync_log_entry kept[SYNC_LOG_MAX];
    uint8_t log[SYNC_LOG_MAX * SYNC_LOG_BYTES];
    const struct replica_state state = replica_state(set->replica);
    size_t count = 0;

    for (; count < MIN(set->log_count, (size_t)OWN_LOG_MAX); count++)
        sync_log_put(log + count * SYNC_LOG_BYTES, &set->log[count]);
    const size_t more = replica_log(set->replica, kept, OWN_LOG_MAX - count);
    for (size_t i = 0; i < more; i++, count++)
        sync_log_put(log + count * SYNC_LOG_BYTES, &kept[i]);
    count = add_lineage(set, log, count);
    m.set.name = (struct sync_bytes){(const uint8_t *)set->config->name, strlen(set->config->name)};
    m.set.roots = set->roots_hash;
    m.set.generation = state.generation;
    m.set.tree = tree_root_hash(set->tree);
    m.set.entries = tree_entries(set->tree);
    m.set.bytes = tree_bytes(set->tree);
    m.set.whole = state.whole;
    m.set.log_count = count;
    m.set.log = (struct sync_bytes){log, count * SYNC_LOG_BYTES};
    exchange_send(set->syncd, set, &m);
}

void exchange_tell_set(struct set *set)
{
    if (set->syncd->agreed && set->syncd->active && set->learned)
        tell_set(set);
}

static bool in_log(const struct set *set, const struct sync_hash *tree)
{
    for (size_t i = 0; i < set->peer_log_count; i++)
        if (hash_equal(&set->peer_log[i].tree, tree))
            return true;
    return hash_equal(&set->peer_tree, tree);
}

/* What this passive node has is in the sender's past: nothing of its own can be lost by what comes. */
static bool is_ancestor(const struct set *set)
{
    const struct replica_state state = replica_state(set->replica);
    const struct sync_hash tree = tree_root_hash(set->tree);
    struct sync_log_entry last;

    if (tree_entries(set->tree) == 0 || in_log(set, &tree))
        return true;
    /* Received, and not touched since. */
    return replica_log(set->replica, &last, 1) == 1 &&
           sync_generation_compare(last.generation, state.generation) == 0 && hash_equal(&last.tree, &tree);
}

/* The active node's data went through the epoch of this node's, or there is nothing here to lose. */
static bool is_related(const struct set *set)
{
    const struct replica_state state = replica_state(set->replica);

    if (!state.whole || state.generation.epoch == 0 || tree_entries(set->tree) == 0)
        return true;
    for (size_t i = 0; i < set->peer_log_count; i++)
        if (set->peer_log[i].generation.epoch == state.generation.epoch)
            return true;
    return false;
}

void exchange_answer_set(struct set *set)
{
    const struct receiving *r = &set->receiving;

    if (!set->answer_due || !exchange_is_receiver(set->syncd) || !set->learned || r->switching ||
        r->validating)
        return;
    if (!is_related(set)) {
        set_trouble(set,
                    "the active node's data began anew and knows nothing of this node's: nothing is replaced "
                    "here; if "
                    "the active node is right, remove %s here and restart syncd",
                    set->directory);
        return;
    }
    const bool diverged = !is_ancestor(set);
    if (diverged)
        log_warning(
            "set %s: this node holds something that the active node never had; what is replaced is kept "
            "aside",
            set->config->name);
    replica_set_diverged(set->replica, diverged);
    set->answer_due = false;
    tell_set(set);
}

static void agree(struct syncd *s)
{
    struct sync_message credit = {.header.kind = SYNC_CREDIT, .credit = CREDIT_BYTES};

    s->agreed = true;
    log_info("agreed with the peer's syncd: this node %s, the peer %s", s->active ? "sends" : "receives",
             s->peer_active ? "sends" : "receives");
    if (s->active && s->peer_active)
        log_warning("both nodes are active: nothing is sent until one is passive");
    for (size_t i = 0; i < s->set_count; i++)
        exchange_tell_set(&s->sets[i]);
    if (exchange_is_receiver(s))
        exchange_send(s, NULL, &credit);
    for (size_t i = 0; i < s->set_count; i++)
        publish_soon(&s->sets[i]);
}

static void on_hello(struct syncd *s, const struct sync_message *m)
{
    const bool news = m->hello.session != s->peer_session;

    if (!s->role_known)
        return; /* it comes again with this node's own */
    if (news)
        forget_exchange(s);
    s->peer_session = m->hello.session;
    s->peer_active = m->hello.active;
    s->peer_epoch = m->hello.epoch;
    if (news || m->hello.answers != s->session)
        say_hello(s);
    if (m->hello.answers == s->session && !s->agreed)
        agree(s);
}

static struct set *set_by_name(struct syncd *s, struct sync_bytes name)
{
    for (size_t i = 0; i < s->set_count; i++)
        if (strlen(s->sets[i].config->name) == name.size &&
            memcmp(s->sets[i].config->name, name.at, name.size) == 0)
            return &s->sets[i];
    return NULL;
}

static void on_set(struct syncd *s, const struct sync_message *m)
{
    struct set *set = set_by_name(s, m->set.name);

    if (!set || m->header.set >= SYNC_SETS_MAX) {
        log_warning("the peer has a sync set \"%.*s\" that this node's configuration does not name",
                    (int)m->set.name.size, (const char *)m->set.name.at);
        return;
    }
    s->peer_sets[m->header.set] = set;
    set->peer_told = true;
    set->heard_ns = clock_now_ns();
    set->same_configuration = hash_equal(&m->set.roots, &set->roots_hash);
    set->peer_generation = m->set.generation;
    set->peer_tree = m->set.tree;
    set->peer_entries = m->set.entries;
    set->peer_whole = m->set.whole;
    set->peer_log_count = m->set.log_count;
    for (size_t i = 0; i < m->set.log_count; i++)
        set->peer_log[i] = sync_log_at(m->set.log, i);
    s->counter = MAX(s->counter, m->set.generation.counter);
    if (!set->same_configuration) {
        set_trouble(
            set,
            "the two nodes' configurations of this set differ, or their hash keys; nothing is sent until "
            "they are equal");
        rekey_ask(s);
        return;
    }
    if (exchange_is_receiver(s)) {
        receiver_reset(set); /* what is durable goes on */
        set->answer_due = true;
        exchange_answer_set(set);
    }
    if (exchange_is_sender(s) && set->learned)
        compare_begin(set);
    publish_soon(set);
}

void exchange_tell_lag(struct set *set)
{
    struct sync_message m = {.header.kind = SYNC_LAG};

    if (!sender_is_sure(set))
        return; /* what the peer last heard still is the case, as far as anybody knows */
    const struct source_lag lag = source_lag(set->source);
    const int64_t oldest = sender_oldest_ns(set);
    m.lag.files = lag.files;
    m.lag.bytes = lag.bytes;
    m.lag.age_us = oldest > 0 ? (uint64_t)((clock_now_ns() - oldest) / NS_PER_US) + 1 : 0;
    exchange_send(set->syncd, set, &m);
}

static void on_active_message(struct set *set, const struct sync_message *m)
{
    switch (m->header.kind) {
    case SYNC_HASHES:
        compare_hashes(set, m);
        break;
    case SYNC_ENTRIES:
        compare_entries(set, m);
        break;
    case SYNC_BLOCKS:
        compare_blocks(set, m);
        break;
    case SYNC_ACK:
        sender_ack(set, m);
        break;
    default:
        break;
    }
}

static void dispatch(struct syncd *s, struct set *set, const struct sync_message *m, const uint8_t *bytes,
                     size_t size)
{
    set->heard_ns = clock_now_ns();
    if (m->header.kind == SYNC_VERIFY)
        verify_message(set, m);
    else if (exchange_is_sender(s) && m->header.kind == SYNC_NOW)
        set->sending.urgent = true;
    else if (set->receiving.restore && m->header.kind == SYNC_ACK)
        restore_failed(set, m->ack.text);
    else if (exchange_is_receiver(s) || set->receiving.restore)
        receiver_message(set, m, bytes, size);
    else if (exchange_is_sender(s))
        on_active_message(set, m);
}

void exchange_message(void *userdata, const uint8_t *bytes, size_t size)
{
    static struct log_limit limit;
    struct syncd *s = userdata;
    struct sync_message m;
    const int r = sync_parse(bytes, size, &m);

    if (r < 0) {
        if (log_allowed(&limit, 3))
            log_warning("a message of the peer's syncd %s (%zu bytes): dropped",
                        r == -ENOTSUP ? "is of a version that this one does not speak" : "does not fit",
                        size);
        return;
    }
    if (m.header.kind == SYNC_HELLO) {
        on_hello(s, &m);
    } else if (s->agreed && m.header.session == sync_session(s->session, s->peer_session)) {
        if (m.header.kind == SYNC_SET) {
            on_set(s, &m);
        } else if (m.header.kind == SYNC_KEY) {
            rekey_message(s, m.key);
        } else if (m.header.kind == SYNC_CREDIT) {
            s->credit = MIN(s->credit + (int64_t)MIN(m.credit, (uint64_t)CREDIT_BYTES), CREDIT_BYTES);
        } else {
            struct set *set = m.header.set < SYNC_SETS_MAX ? s->peer_sets[m.header.set] : NULL;
            if (set && set->same_configuration)
                dispatch(s, set, &m, bytes, size);
        }
    }
    syncd_work_soon(s);
}
