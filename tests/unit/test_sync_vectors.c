/* What the two syncd tell each other, held to the vectors of a second implementation (proto/vectors): each
 * message as printed there, and packed again; cut anywhere; and with any byte changed. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "proto/sync.h"

static uint8_t packed[SYNC_MESSAGE_MAX];

/* --------------------------------------------- a message as the vectors print it */

static const char *const kinds[] = {
    [SYNC_HELLO] = "hello",     [SYNC_SET] = "set",       [SYNC_ASK] = "ask",     [SYNC_HASHES] = "hashes",
    [SYNC_ENTRIES] = "entries", [SYNC_BLOCKS] = "blocks", [SYNC_BEGIN] = "begin", [SYNC_BATCH] = "batch",
    [SYNC_COMMIT] = "commit",   [SYNC_ABORT] = "abort",   [SYNC_ACK] = "ack",     [SYNC_CREDIT] = "credit",
    [SYNC_RESTORE] = "restore", [SYNC_VERIFY] = "verify", [SYNC_NOW] = "now",     [SYNC_LAG] = "lag",
    [SYNC_KEY] = "key"};
static const char *const operations[] = {
    [SYNC_OP_PUT] = "put",   [SYNC_OP_META] = "meta",   [SYNC_OP_OPEN] = "open", [SYNC_OP_BLOCK] = "block",
    [SYNC_OP_HOLE] = "hole", [SYNC_OP_CLOSE] = "close", [SYNC_OP_MOVE] = "move", [SYNC_OP_DELETE] = "delete"};
static const char *const types[] = {[SYNC_FILE] = "file",
                                    [SYNC_DIRECTORY] = "directory",
                                    [SYNC_SYMLINK] = "symlink",
                                    [SYNC_HARDLINK] = "hardlink"};
static const char *const asks[] = {[SYNC_ASK_ROOT] = "root",
                                   [SYNC_ASK_GROUP] = "group",
                                   [SYNC_ASK_BUCKET] = "bucket",
                                   [SYNC_ASK_BLOCKS] = "blocks"};
static const char *const fates[] = {[SYNC_DURABLE] = "durable",
                                    [SYNC_APPLIED] = "applied",
                                    [SYNC_REFUSED] = "refused",
                                    [SYNC_AGAIN] = "again",
                                    [SYNC_FULL] = "full"};

static void number(FILE *to, const char *name, uint64_t value)
{
    fprintf(to, "%s %" PRIu64 "\n", name, value);
}

static void hex(FILE *to, const char *name, const uint8_t *bytes, size_t size)
{
    fprintf(to, size > 0 ? "%s " : "%s", name);
    for (size_t i = 0; i < size; i++)
        fprintf(to, "%02x", bytes[i]);
    fputc('\n', to);
}

static void hash(FILE *to, const char *name, const struct sync_hash *value)
{
    hex(to, name, value->bytes, sizeof value->bytes);
}

static void text(FILE *to, const char *name, struct sync_bytes value)
{
    fprintf(to, value.size > 0 ? "%s " : "%s", name);
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] > 32 && value.at[i] < 127 && value.at[i] != '\\')
            fputc(value.at[i], to);
        else
            fprintf(to, "\\x%02x", value.at[i]);
    fputc('\n', to);
}

static void generation(FILE *to, const char *name, struct sync_generation value)
{
    fprintf(to, "%s %" PRIu64 ":%" PRIu64 "\n", name, value.epoch, value.counter);
}

static void print_meta(FILE *to, const struct sync_meta *meta)
{
    struct sync_bytes xattrs = meta->xattrs, name, value;

    fprintf(to, "type %s\n", types[meta->type]);
    number(to, "mode", meta->mode);
    fprintf(to, "mtime_ns %" PRId64 "\n", meta->mtime_ns);
    number(to, "uid", meta->uid), number(to, "gid", meta->gid);
    text(to, "owner", meta->owner), text(to, "group", meta->group);
    while (sync_xattr_next(&xattrs, &name, &value) > 0) {
        text(to, "xattr", name);
        hex(to, "value", value.at, value.size);
    }
    assert_int_equal(xattrs.size, 0);
}

static void print_op(FILE *to, const struct sync_op *op)
{
    const enum sync_op_kind kind = op->kind;

    fprintf(to, "op %s\n", operations[kind]);
    if (kind != SYNC_OP_BLOCK && kind != SYNC_OP_HOLE && kind != SYNC_OP_CLOSE)
        text(to, "path", op->path);
    if (kind == SYNC_OP_PUT || kind == SYNC_OP_META || kind == SYNC_OP_OPEN)
        print_meta(to, &op->meta);
    if (kind == SYNC_OP_OPEN) {
        number(to, "size", op->size);
        number(to, "block", op->block);
        number(to, "patch", op->patch);
    }
    if (kind == SYNC_OP_PUT || kind == SYNC_OP_META || kind == SYNC_OP_CLOSE || op->patch)
        hash(to, "hash", &op->hash);
    if (kind == SYNC_OP_BLOCK || kind == SYNC_OP_HOLE)
        number(to, "offset", op->offset);
    if (kind == SYNC_OP_HOLE)
        number(to, "size", op->size);
    if (kind == SYNC_OP_PUT || kind == SYNC_OP_BLOCK)
        hex(to, "content", op->content.at, op->content.size);
    if (kind == SYNC_OP_MOVE)
        text(to, "to", op->content);
}

/* Also packs each operation again. */
static void print_operations(FILE *to, struct sync_bytes batch)
{
    static uint8_t again[SYNC_RAW_MAX];
    const struct sync_bytes all = batch;
    struct sync_op op;
    size_t used = 0;
    int r;

    while ((r = sync_op_next(&batch, &op)) > 0) {
        const size_t before = used;
        print_op(to, &op);
        assert_int_equal(sync_op_pack(&op, again, sizeof again, &used), 0);
        assert_int_equal(sync_op_size(&op), used - before);
    }
    assert_int_equal(r, 0);
    assert_int_equal(used, all.size);
    assert_memory_equal(again, all.at, used);
}

static void print_set(FILE *to, const struct sync_message *m)
{
    text(to, "name", m->set.name);
    hash(to, "roots", &m->set.roots);
    generation(to, "generation", m->set.generation);
    hash(to, "tree", &m->set.tree);
    number(to, "entries", m->set.entries);
    number(to, "bytes_of_all", m->set.bytes);
    number(to, "whole", m->set.whole);
    number(to, "log_count", m->set.log_count);
    for (size_t i = 0; i < m->set.log_count; i++) {
        const struct sync_log_entry entry = sync_log_at(m->set.log, i);
        uint8_t again[SYNC_LOG_BYTES];
        generation(to, "log_generation", entry.generation);
        hash(to, "log_tree", &entry.tree);
        sync_log_put(again, &entry);
        assert_memory_equal(again, m->set.log.at + i * SYNC_LOG_BYTES, SYNC_LOG_BYTES);
    }
}

static void print_tree(FILE *to, const struct sync_message *m)
{
    struct sync_bytes list = m->entries.list, path;
    struct sync_hash entry;

    switch (m->header.kind) {
    case SYNC_ASK:
        fprintf(to, "what %s\n", asks[m->ask.what]);
        number(to, "index", m->ask.index);
        text(to, "path", m->ask.path);
        break;
    case SYNC_HASHES:
        fprintf(to, "what %s\n", asks[m->hashes.root ? SYNC_ASK_ROOT : SYNC_ASK_GROUP]);
        number(to, "index", m->hashes.group);
        hex(to, "hashes", m->hashes.hashes.at, m->hashes.hashes.size);
        break;
    case SYNC_ENTRIES:
        number(to, "bucket", m->entries.bucket);
        number(to, "more", m->entries.more);
        number(to, "count", m->entries.count);
        while (sync_entry_next(&list, &path, &entry) > 0)
            text(to, "path", path), hash(to, "hash", &entry);
        break;
    default:
        text(to, "path", m->blocks.path);
        hash(to, "hash", &m->blocks.hash);
        number(to, "block", m->blocks.block);
        number(to, "first", m->blocks.first);
        number(to, "more", m->blocks.more);
        hex(to, "hashes", m->blocks.hashes.at, m->blocks.hashes.size);
    }
}

static void print_generation(FILE *to, const struct sync_message *m)
{
    switch (m->header.kind) {
    case SYNC_BEGIN:
        generation(to, "generation", m->begin.generation);
        generation(to, "base", m->begin.base);
        number(to, "partial", m->begin.partial), number(to, "restore", m->begin.restore);
        number(to, "files", m->begin.files), number(to, "bytes_of_all", m->begin.bytes);
        break;
    case SYNC_BATCH:
        number(to, "compressed", m->batch.compressed);
        number(to, "raw_size", m->batch.raw_size);
        if (m->batch.compressed)
            hex(to, "operations", m->batch.operations.at, m->batch.operations.size);
        else
            print_operations(to, m->batch.operations);
        break;
    case SYNC_COMMIT:
        generation(to, "generation", m->commit.generation);
        hex(to, "digest", m->commit.digest, sizeof m->commit.digest);
        hash(to, "tree", &m->commit.tree);
        number(to, "whole", m->commit.whole);
        break;
    default:
        generation(to, "generation", m->ack.generation);
        fprintf(to, "fate %s\n", fates[m->ack.fate]);
        text(to, "text", m->ack.text);
    }
}

static void print_parsed(FILE *to, const struct sync_message *m)
{
    fprintf(to, "kind %s\n", kinds[m->header.kind]);
    number(to, "set", m->header.set);
    number(to, "session", m->header.session);
    switch (m->header.kind) {
    case SYNC_HELLO:
        number(to, "hello_session", m->hello.session), number(to, "answers", m->hello.answers);
        number(to, "active", m->hello.active), number(to, "epoch", m->hello.epoch);
        text(to, "node", m->hello.node), number(to, "sets", m->hello.sets);
        break;
    case SYNC_SET:
        print_set(to, m);
        break;
    case SYNC_ASK:
    case SYNC_HASHES:
    case SYNC_ENTRIES:
    case SYNC_BLOCKS:
        print_tree(to, m);
        break;
    case SYNC_BEGIN:
    case SYNC_BATCH:
    case SYNC_COMMIT:
    case SYNC_ACK:
        print_generation(to, m);
        break;
    case SYNC_CREDIT:
        number(to, "credit", m->credit);
        break;
    case SYNC_RESTORE:
        generation(to, "generation", m->restore);
        break;
    case SYNC_VERIFY:
        number(to, "asked", m->verify.asked), number(to, "files", m->verify.files);
        number(to, "bytes_of_all", m->verify.bytes);
        hex(to, "digest", m->verify.digest, sizeof m->verify.digest);
        break;
    case SYNC_LAG:
        number(to, "files", m->lag.files), number(to, "bytes_of_all", m->lag.bytes);
        number(to, "age_us", m->lag.age_us);
        break;
    case SYNC_KEY:
        text(to, "key", m->key);
        break;
    case SYNC_ABORT:
    case SYNC_NOW:
        break;
    }
}

/* ------------------------------------------------------------------ vectors */

enum { VECTORS = 37, VECTOR_BYTES = 8192 };

struct vector {
    char text[32768]; /* what is in it, as print_parsed() says it */
    uint8_t bytes[VECTOR_BYTES];
    size_t size;
};

static size_t bytes_of(const char *digits, uint8_t *bytes, size_t most)
{
    size_t n = 0;
    unsigned byte;

    for (; n < most && sscanf(digits, "%2x", &byte) == 1; digits += 2)
        bytes[n++] = (uint8_t)byte;
    assert_true(n < most);
    return n;
}

static bool next_vector(FILE *file, struct vector *v)
{
    static char line[2 * VECTOR_BYTES + 16];

    v->text[0] = '\0';
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (strncmp(line, "bytes ", 6) == 0) {
            v->size = bytes_of(line + 6, v->bytes, sizeof v->bytes);
            return true;
        }
        assert_true(strlen(v->text) + strlen(line) < sizeof v->text);
        strcat(v->text, line);
    }
    return false;
}

static void check_vector(const struct vector *v)
{
    AUTO_FREE char *printed = NULL;
    uint8_t *exact = malloc(v->size); /* so that a sanitizer sees each byte too many */
    struct sync_message message;
    size_t size;

    memcpy(exact, v->bytes, v->size);
    assert_int_equal(sync_parse(exact, v->size, &message), 0);
    FILE *to = open_memstream(&printed, &size);
    print_parsed(to, &message);
    fclose(to);
    assert_string_equal(printed, v->text);
    assert_int_equal(sync_pack(&message, packed), v->size);
    assert_memory_equal(packed, v->bytes, v->size);
    free(exact);
}

static void size_in_header(uint8_t *message, size_t size)
{
    for (size_t i = 0; i < 4; i++)
        message[20 + i] = (uint8_t)((size - SYNC_HEADER_BYTES) >> (8 * (3 - i)));
}

/* No message can be cut anywhere, nor have a byte behind it: not even if its header says so. */
static void check_lengths(const struct vector *v)
{
    struct sync_message m;

    for (size_t size = 0; size <= v->size + 1; size++) {
        uint8_t *exact = calloc(1, size + 1);
        memcpy(exact, v->bytes, MIN(size, v->size));
        if (size != v->size)
            assert_int_equal(sync_parse(exact, size, &m), -EBADMSG);
        if (size != v->size && size >= SYNC_HEADER_BYTES) {
            size_in_header(exact, size);
            const int r = sync_parse(exact, size, &m);
            /* A compressed batch, and a list of blocks, are as long as their message. */
            assert_true(r == -EBADMSG || m.header.kind == SYNC_BLOCKS ||
                        (m.header.kind == SYNC_BATCH && m.batch.compressed));
        }
        free(exact);
    }
}

static void each_vector(void (*check)(const struct vector *v))
{
    FILE *file = fopen(DUET_VECTORS, "re");
    static struct vector v;
    int count = 0;

    assert_non_null(file);
    for (; next_vector(file, &v); count++)
        check(&v);
    assert_int_equal(count, VECTORS);
    fclose(file);
}

static void test_vectors(void **state)
{
    (void)state;
    each_vector(check_vector);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    each_vector(check_lengths);
}

/* Whatever a changed byte makes of a message: refused, or the same bytes again. */
static void check_changed_bytes(const struct vector *v)
{
    static uint8_t changed[VECTOR_BYTES];
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    struct sync_message message;

    for (size_t i = 0; i < v->size * ARRAY_LENGTH(masks); i++) {
        memcpy(changed, v->bytes, v->size);
        changed[i / ARRAY_LENGTH(masks)] ^= masks[i % ARRAY_LENGTH(masks)];
        const int r = sync_parse(changed, v->size, &message);
        if (r < 0) {
            assert_true(r == -EBADMSG || r == -ENOTSUP);
            continue;
        }
        assert_int_equal(sync_pack(&message, packed), v->size);
        changed[5] = changed[6] = 1; /* what the other side offers is its own */
        assert_memory_equal(packed, changed, v->size);
    }
}

static void test_what_parses_packs_to_the_same(void **state)
{
    (void)state;
    each_vector(check_changed_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_what_parses_packs_to_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
