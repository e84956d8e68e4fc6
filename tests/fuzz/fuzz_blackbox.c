/* Any bytes as a black box: what is read lies within them and is whole, reading it again gives the same, and
 * a writer that goes on from there adds its record. Chance finds no checksum: so they are made right first.
 */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/blackbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct blackbox_record *record, const uint8_t *data, size_t size)
{
    const char *begin = (const char *)data, *end = begin + size;

    assert(record->topic >= begin && record->topic_size <= BLACKBOX_TOPIC_MAX);
    assert(record->body == record->topic + record->topic_size && record->body_size <= BLACKBOX_BODY_MAX);
    assert(record->body + record->body_size <= end);
    assert(record->kind >= BLACKBOX_BEGIN && record->kind <= BLACKBOX_RENEWAL && record->number > 0);
}

static void go_on(const uint8_t *data, size_t size)
{
    static _Alignas(64) unsigned char box[BLACKBOX_SIZE];
    static size_t used;
    const struct blackbox_record record = {
        .kind = BLACKBOX_NOTE, .at_ns = INT64_MAX, .body = "on", .body_size = 2};
    struct blackbox_writer writer;
    struct blackbox_reading reading;

    memset(box, 0, used);
    used = size < BLACKBOX_SIZE ? size : BLACKBOX_SIZE;
    memcpy(box, data, used);
    blackbox_resume(&writer, box);
    assert(writer.changes.at <= writer.changes.begin + writer.changes.size);
    const uint64_t number = writer.changes.number;
    const size_t at = writer.changes.begin + writer.changes.size - writer.changes.at < 64
                          ? writer.changes.begin
                          : writer.changes.at;
    blackbox_append(&writer, &record);
    used = used > at + 64 ? used : at + 64;
    assert(writer.changes.number == number + 1);
    assert(blackbox_read(box, BLACKBOX_SIZE, &reading) == 0);
    bool found = false;
    for (size_t i = 0; i < reading.count; i++)
        found = found || (reading.records[i].at_ns == INT64_MAX && reading.records[i].number == number + 1);
    assert(found);
    blackbox_forget(&reading);
}

static void check(const uint8_t *data, size_t size)
{
    struct blackbox_reading reading, again;
    int r = blackbox_read(data, size, &reading);

    assert(r == 0 || (reading.count == 0 && !reading.has_about));
    for (size_t i = 0; i < reading.count; i++) {
        check_record(&reading.records[i], data, size);
        assert(i == 0 || reading.records[i - 1].at_ns <= reading.records[i].at_ns);
    }
    assert(reading.mark.count <= BLACKBOX_DAEMONS_MAX);
    assert(blackbox_read(data, size, &again) == r && again.count == reading.count);
    blackbox_forget(&again);
    blackbox_forget(&reading);
}

static void mend(uint8_t *block, size_t size)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES];

    crypto_shorthash(block, block + 8, size - 8, key);
}

static void mend_all(uint8_t *bytes, size_t size)
{
    if (size >= BLACKBOX_HEAD_SIZE) {
        mend(bytes, 128);
        mend(bytes + 1024, 40 + 24 * BLACKBOX_DAEMONS_MAX);
        mend(bytes + 2048, 40 + 24 * BLACKBOX_DAEMONS_MAX);
    }
    for (size_t at = 0; at + 48 <= size; at += BLACKBOX_ALIGNMENT) {
        const size_t told = bytes[at + 12] + ((size_t)bytes[at + 13] << 8);
        if (memcmp(bytes + at + 8, "\x02Bx\x01", 4) == 0 && told >= 9 && told <= size - at)
            mend(bytes + at, told);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mended = malloc(size ? size : 1);

    if (size == 0 || data[size - 1] % 8 == 0)
        check(data, size);
    if (size > 0) {
        memcpy(mended, data, size);
        mend_all(mended, size);
        check(mended, size);
        if (data[size - 1] == 0xff) /* it is slow */
            go_on(mended, size);
    }
    free(mended);
    return 0;
}
