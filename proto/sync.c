#include "proto/sync.h"

#include <errno.h>

#include "proto/sync_wire.h"

static const uint32_t magic = 0x44555359; /* "DUSY" */

enum { SIZE_AT = 20 }; /* in the header: the last thing that is known */
enum { HELLO_ACTIVE = 1 };
enum { SET_WHOLE = 1 };
enum { LIST_MORE = 1 };
enum { BEGIN_PARTIAL = 1, BEGIN_RESTORE = 2 };
enum { BATCH_COMPRESSED = 1 };
enum { COMMIT_WHOLE = 1 };
enum { VERIFY_ASKED = 1 };

uint64_t sync_session(uint64_t one, uint64_t other)
{
    return one ^ other;
}

/* -------------------------------------------------------------- generations */

int sync_generation_compare(struct sync_generation a, struct sync_generation b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return (a.counter > b.counter) - (a.counter < b.counter);
}

static void write_generation(struct sync_writer *w, struct sync_generation generation)
{
    write_number(w, generation.epoch, 8);
    write_number(w, generation.counter, 8);
}

static struct sync_generation read_generation(struct sync_reader *r)
{
    const uint64_t epoch = read_count(r);

    return (struct sync_generation){.epoch = epoch, .counter = read_count(r)};
}

static const struct sync_generation no_generation;

/* One that there is. */
static struct sync_generation read_some_generation(struct sync_reader *r)
{
    const struct sync_generation generation = read_generation(r);

    read_check(r, sync_generation_compare(generation, no_generation) != 0);
    return generation;
}

void sync_log_put(uint8_t bytes[SYNC_LOG_BYTES], const struct sync_log_entry *entry)
{
    struct sync_writer w = {.bytes = bytes, .room = SYNC_LOG_BYTES};

    write_generation(&w, entry->generation);
    write_hash(&w, &entry->tree);
}

struct sync_log_entry sync_log_at(struct sync_bytes log, size_t index)
{
    static const struct sync_log_entry no_entry;
    struct sync_log_entry entry;

    if (index >= log.size / SYNC_LOG_BYTES)
        return no_entry;
    struct sync_reader r = {.at = log.at + index * SYNC_LOG_BYTES, .end = log.at + log.size};
    entry.generation = read_some_generation(&r);
    entry.tree = read_hash(&r);
    return r.bad ? no_entry : entry;
}

/* ------------------------------------------------------------------ writing */

static void write_header(struct sync_writer *w, const struct sync_header *header)
{
    write_number(w, magic, 4);
    write_number(w, SYNC_VERSION, 1);
    write_number(w, SYNC_VERSION, 1); /* the lowest spoken */
    write_number(w, SYNC_VERSION, 1); /* the highest */
    write_number(w, header->kind, 1);
    write_number(w, header->set, 2);
    write_number(w, 0, 2); /* reserved */
    write_number(w, header->session, 8);
    write_number(w, 0, 4); /* size: when it is known */
}

static void write_hello(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->hello.session, 8);
    write_number(w, m->hello.answers, 8);
    write_number(w, m->hello.active ? HELLO_ACTIVE : 0, 1);
    write_number(w, m->hello.epoch, 8);
    write_text(w, m->hello.node, 1);
    write_number(w, m->hello.sets, 2);
}

static void write_set(struct sync_writer *w, const struct sync_message *m)
{
    write_text(w, m->set.name, 1);
    write_hash(w, &m->set.roots);
    write_generation(w, m->set.generation);
    write_hash(w, &m->set.tree);
    write_number(w, m->set.entries, 8);
    write_number(w, m->set.bytes, 8);
    write_number(w, m->set.whole ? SET_WHOLE : 0, 1);
    write_number(w, m->set.log_count, 1);
    w->full = w->full || m->set.log_count > SYNC_LOG_MAX;
    write_raw(w, m->set.log.at, m->set.log.size);
}

static void write_ask(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->ask.what, 1);
    write_number(w, m->ask.index, 2);
    write_text(w, m->ask.path, 2);
}

static void write_hashes(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->hashes.root ? SYNC_ASK_ROOT : SYNC_ASK_GROUP, 1);
    write_number(w, m->hashes.group, 2);
    write_raw(w, m->hashes.hashes.at, m->hashes.hashes.size);
}

static void write_entries(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->entries.bucket, 2);
    write_number(w, m->entries.more ? LIST_MORE : 0, 1);
    write_number(w, m->entries.count, 4);
    write_raw(w, m->entries.list.at, m->entries.list.size);
}

static void write_blocks(struct sync_writer *w, const struct sync_message *m)
{
    write_text(w, m->blocks.path, 2);
    write_hash(w, &m->blocks.hash);
    write_number(w, m->blocks.block, 4);
    write_number(w, m->blocks.first, 4);
    write_number(w, m->blocks.more ? LIST_MORE : 0, 1);
    write_raw(w, m->blocks.hashes.at, m->blocks.hashes.size);
}

static void write_begin(struct sync_writer *w, const struct sync_message *m)
{
    write_generation(w, m->begin.generation);
    write_generation(w, m->begin.base);
    write_number(w, (m->begin.partial ? BEGIN_PARTIAL : 0u) | (m->begin.restore ? BEGIN_RESTORE : 0u), 1);
    write_number(w, m->begin.files, 8);
    write_number(w, m->begin.bytes, 8);
}

static void write_batch(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->batch.compressed ? BATCH_COMPRESSED : 0, 1);
    write_number(w, m->batch.raw_size, 4);
    write_raw(w, m->batch.operations.at, m->batch.operations.size);
}

static void write_commit(struct sync_writer *w, const struct sync_message *m)
{
    write_generation(w, m->commit.generation);
    write_raw(w, m->commit.digest, sizeof m->commit.digest);
    write_hash(w, &m->commit.tree);
    write_number(w, m->commit.whole ? COMMIT_WHOLE : 0, 1);
}

static void write_ack(struct sync_writer *w, const struct sync_message *m)
{
    write_generation(w, m->ack.generation);
    write_number(w, m->ack.fate, 1);
    write_text(w, m->ack.text, 2);
}

static void write_verify(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->verify.asked ? VERIFY_ASKED : 0, 1);
    write_number(w, m->verify.files, 8);
    write_number(w, m->verify.bytes, 8);
    write_raw(w, m->verify.digest, sizeof m->verify.digest);
}

static void write_credit(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->credit, 8);
}

static void write_restore(struct sync_writer *w, const struct sync_message *m)
{
    write_generation(w, m->restore);
}

static void write_nothing(struct sync_writer *w, const struct sync_message *m)
{
    (void)w, (void)m;
}

/* ------------------------------------------------------------------ reading */

/* As the configuration allows it. */
static struct sync_bytes read_word(struct sync_reader *r)
{
    const struct sync_bytes word = read_text(r, 1, SYNC_WORD_MAX);

    for (size_t i = 0; i < word.size; i++) {
        const uint8_t c = word.at[i];
        read_check(r, (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '-' || c == '_' || c == '.');
    }
    read_check(r, word.size > 0);
    return word;
}

static void read_digest(struct sync_reader *r, uint8_t digest[SYNC_DIGEST_BYTES])
{
    const struct sync_bytes raw = read_raw(r, SYNC_DIGEST_BYTES);

    if (raw.size == SYNC_DIGEST_BYTES)
        memcpy(digest, raw.at, SYNC_DIGEST_BYTES);
}

static void read_hello(struct sync_reader *r, struct sync_message *m)
{
    m->hello.session = read_number(r, 8);
    m->hello.answers = read_number(r, 8);
    m->hello.active = read_flags(r, HELLO_ACTIVE) & HELLO_ACTIVE;
    m->hello.epoch = read_count(r);
    m->hello.node = read_word(r);
    m->hello.sets = (uint16_t)read_number(r, 2);
    read_check(r, m->hello.session != 0 && m->hello.sets <= SYNC_SETS_MAX);
    read_check(r, m->header.session == 0 && m->header.set == 0);
}

static void read_set(struct sync_reader *r, struct sync_message *m)
{
    m->set.name = read_word(r);
    m->set.roots = read_hash(r);
    m->set.generation = read_generation(r);
    m->set.tree = read_hash(r);
    m->set.entries = read_count(r);
    m->set.bytes = read_count(r);
    m->set.whole = read_flags(r, SET_WHOLE) & SET_WHOLE;
    m->set.log_count = (size_t)read_number(r, 1);
    read_check(r, m->set.log_count <= SYNC_LOG_MAX);
    m->set.log = read_rest(r);
    read_check(r, m->set.log.size == m->set.log_count * SYNC_LOG_BYTES);
    for (size_t i = 0; i < m->set.log.size / SYNC_LOG_BYTES; i++)
        read_check(r, sync_generation_compare(sync_log_at(m->set.log, i).generation, no_generation) != 0);
}

static void read_ask(struct sync_reader *r, struct sync_message *m)
{
    static const unsigned indices[] = {[SYNC_ASK_ROOT] = 1,
                                       [SYNC_ASK_GROUP] = SYNC_FANOUT,
                                       [SYNC_ASK_BUCKET] = SYNC_BUCKETS,
                                       [SYNC_ASK_BLOCKS] = 1};

    m->ask.what = (enum sync_ask)read_enum(r, SYNC_ASK_BLOCKS);
    m->ask.index = (uint16_t)read_number(r, 2);
    m->ask.path = read_text(r, 2, SYNC_PATH_MAX);
    if (r->bad)
        return;
    read_check(r, m->ask.index < indices[m->ask.what]);
    read_check(r, m->ask.what == SYNC_ASK_BLOCKS ? sync_path_clean(m->ask.path) : m->ask.path.size == 0);
}

static void read_hashes(struct sync_reader *r, struct sync_message *m)
{
    m->hashes.root = read_enum(r, SYNC_ASK_GROUP) == SYNC_ASK_ROOT;
    m->hashes.group = (uint16_t)read_number(r, 2);
    read_check(r, m->hashes.group < (m->hashes.root ? 1 : SYNC_FANOUT));
    m->hashes.hashes = read_raw(r, SYNC_FANOUT * SYNC_HASH_BYTES);
}

/* An unfinished list of nothing would have no end. */
static void read_entries(struct sync_reader *r, struct sync_message *m)
{
    struct sync_bytes path;
    struct sync_hash hash;
    size_t count = 0;
    int next;

    m->entries.bucket = (uint16_t)read_number(r, 2);
    m->entries.more = read_flags(r, LIST_MORE) & LIST_MORE;
    m->entries.count = (size_t)read_number(r, 4);
    m->entries.list = read_rest(r);
    struct sync_bytes list = m->entries.list;
    while ((next = sync_entry_next(&list, &path, &hash)) > 0)
        count++;
    read_check(r, next == 0 && count == m->entries.count && m->entries.bucket < SYNC_BUCKETS);
    read_check(r, count > 0 || !m->entries.more);
}

static void read_blocks(struct sync_reader *r, struct sync_message *m)
{
    m->blocks.path = read_path(r);
    m->blocks.hash = read_hash(r);
    m->blocks.block = (uint32_t)read_number(r, 4);
    m->blocks.first = (uint32_t)read_number(r, 4);
    m->blocks.more = read_flags(r, LIST_MORE) & LIST_MORE;
    m->blocks.hashes = read_rest(r);
    const size_t count = m->blocks.hashes.size / SYNC_HASH_BYTES;
    read_check(r, block_clean(m->blocks.block) && m->blocks.hashes.size == count * SYNC_HASH_BYTES);
    read_check(r, m->blocks.first <= SYNC_BLOCKS_MAX && count <= SYNC_BLOCKS_MAX - m->blocks.first);
    read_check(r, count > 0 || !m->blocks.more);
}

static void read_begin(struct sync_reader *r, struct sync_message *m)
{
    m->begin.generation = read_some_generation(r);
    m->begin.base = read_generation(r);
    const unsigned flags = read_flags(r, BEGIN_PARTIAL | BEGIN_RESTORE);
    m->begin.partial = flags & BEGIN_PARTIAL;
    m->begin.restore = flags & BEGIN_RESTORE;
    m->begin.files = read_count(r);
    m->begin.bytes = read_count(r);
}

static void read_batch(struct sync_reader *r, struct sync_message *m)
{
    m->batch.compressed = read_flags(r, BATCH_COMPRESSED) & BATCH_COMPRESSED;
    m->batch.raw_size = (uint32_t)read_number(r, 4);
    m->batch.operations = read_rest(r);
    read_check(r, m->batch.raw_size > 0 && m->batch.raw_size <= SYNC_RAW_MAX);
    read_check(r, m->batch.compressed ? m->batch.operations.size > 0
                                      : m->batch.operations.size == m->batch.raw_size);
}

static void read_commit(struct sync_reader *r, struct sync_message *m)
{
    m->commit.generation = read_some_generation(r);
    read_digest(r, m->commit.digest);
    m->commit.tree = read_hash(r);
    m->commit.whole = read_flags(r, COMMIT_WHOLE) & COMMIT_WHOLE;
}

static void read_ack(struct sync_reader *r, struct sync_message *m)
{
    m->ack.generation = read_some_generation(r);
    m->ack.fate = (enum sync_fate)read_enum(r, SYNC_FULL);
    m->ack.text = read_text(r, 2, SYNC_TEXT_MAX);
    read_check(r, !bytes_have(m->ack.text, '\0'));
}

static void read_verify(struct sync_reader *r, struct sync_message *m)
{
    m->verify.asked = read_flags(r, VERIFY_ASKED) & VERIFY_ASKED;
    m->verify.files = read_count(r);
    m->verify.bytes = read_count(r);
    read_digest(r, m->verify.digest);
}

static void write_lag(struct sync_writer *w, const struct sync_message *m)
{
    write_number(w, m->lag.files, 8);
    write_number(w, m->lag.bytes, 8);
    write_number(w, m->lag.age_us, 8);
}

static void read_lag(struct sync_reader *r, struct sync_message *m)
{
    m->lag.files = read_count(r);
    m->lag.bytes = read_count(r);
    m->lag.age_us = read_count(r);
}

static void read_credit(struct sync_reader *r, struct sync_message *m)
{
    m->credit = read_count(r);
}

static void read_restore(struct sync_reader *r, struct sync_message *m)
{
    m->restore = read_some_generation(r);
}

static void write_key(struct sync_writer *w, const struct sync_message *m)
{
    write_text(w, m->key, 1);
}

static void read_key(struct sync_reader *r, struct sync_message *m)
{
    m->key = read_text(r, 1, SYNC_KEY_BYTES);
    read_check(r, m->key.size == 0 || m->key.size == SYNC_KEY_BYTES);
    read_check(r, m->header.set == 0);
}

static void read_nothing(struct sync_reader *r, struct sync_message *m)
{
    (void)r, (void)m;
}

/* ----------------------------------------------------------------- messages */

static const struct {
    void (*write)(struct sync_writer *w, const struct sync_message *m);
    void (*read)(struct sync_reader *r, struct sync_message *m);
} bodies[] = {
    [SYNC_HELLO] = {write_hello, read_hello},
    [SYNC_SET] = {write_set, read_set},
    [SYNC_ASK] = {write_ask, read_ask},
    [SYNC_HASHES] = {write_hashes, read_hashes},
    [SYNC_ENTRIES] = {write_entries, read_entries},
    [SYNC_BLOCKS] = {write_blocks, read_blocks},
    [SYNC_BEGIN] = {write_begin, read_begin},
    [SYNC_BATCH] = {write_batch, read_batch},
    [SYNC_COMMIT] = {write_commit, read_commit},
    [SYNC_ABORT] = {write_nothing, read_nothing},
    [SYNC_ACK] = {write_ack, read_ack},
    [SYNC_CREDIT] = {write_credit, read_credit},
    [SYNC_RESTORE] = {write_restore, read_restore},
    [SYNC_VERIFY] = {write_verify, read_verify},
    [SYNC_NOW] = {write_nothing, read_nothing},
    [SYNC_LAG] = {write_lag, read_lag},
    [SYNC_KEY] = {write_key, read_key},
};

static bool kind_known(enum sync_kind kind)
{
    return kind >= SYNC_HELLO && kind <= SYNC_KEY;
}

/* What was written is read again: what goes out is what the other side accepts, by one set of rules. */
long sync_pack(const struct sync_message *message, uint8_t *bytes)
{
    struct sync_writer w = {.bytes = bytes, .room = SYNC_MESSAGE_MAX};
    struct sync_message again;

    if (!kind_known(message->header.kind))
        return -EINVAL;
    write_header(&w, &message->header);
    bodies[message->header.kind].write(&w, message);
    if (w.full)
        return -EMSGSIZE;
    struct sync_writer size = {.bytes = bytes, .used = SIZE_AT, .room = SYNC_HEADER_BYTES};
    write_number(&size, w.used - SYNC_HEADER_BYTES, 4);
    return sync_parse(bytes, w.used, &again) < 0 ? -EINVAL : (long)w.used;
}

/* What every version to come has in the same place; also how far a message goes. */
static bool read_header(struct sync_reader *r, struct sync_header *header, unsigned *reserved)
{
    read_check(r, read_number(r, 4) == magic);
    header->version = (uint8_t)read_number(r, 1);
    header->version_min = (uint8_t)read_number(r, 1);
    header->version_max = (uint8_t)read_number(r, 1);
    header->kind = (enum sync_kind)read_number(r, 1);
    header->set = (uint16_t)read_number(r, 2);
    *reserved = (unsigned)read_number(r, 2);
    header->session = read_number(r, 8);
    header->size = (uint32_t)read_number(r, 4);
    read_check(r, header->size == (size_t)(r->end - r->at));
    read_check(r, header->version_min <= header->version && header->version <= header->version_max);
    return !r->bad;
}

int sync_parse(const uint8_t *bytes, size_t size, struct sync_message *message)
{
    struct sync_reader r = reader_of((struct sync_bytes){bytes, size});
    unsigned reserved;

    *message = (struct sync_message){.header = {0}};
    if (size > SYNC_MESSAGE_MAX || !read_header(&r, &message->header, &reserved))
        return -EBADMSG;
    if (message->header.version != SYNC_VERSION)
        return -ENOTSUP;
    if (reserved != 0 || !kind_known(message->header.kind) || message->header.set >= SYNC_SETS_MAX)
        return -EBADMSG;
    bodies[message->header.kind].read(&r, message);
    return r.bad || r.at != r.end ? -EBADMSG : 0;
}
