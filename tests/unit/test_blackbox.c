/* The black box's file: what is written is read again, whatever ended the writer, and any bytes are survived.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/blackbox.h"

enum { SECTOR = 512 };

static const struct blackbox_about about = {.number = 7,
                                            .boot_id = "6f1c0a52-2a5d-4a7e-9d0b-0123456789ab",
                                            .node = "alpha",
                                            .begun_ns = 5000,
                                            .begun_wall_ns = 1795599587000000000};
static unsigned char *box; /* shared with children */
static struct blackbox_reading reading;
static uint64_t chance = 1;

static unsigned draw(unsigned below)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance >> 33) % below;
}

static int fresh(void **state)
{
    (void)state;
    memset(box, 0, BLACKBOX_SIZE);
    blackbox_format(box, &about);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    blackbox_forget(&reading);
    return 0;
}

/* A body that its number determines, of many sizes. */
static size_t body_of(uint64_t number, char body[static 1024])
{
    const size_t size = 20 + (size_t)(number * 7919 % 900);
    const int head = snprintf(body, 1024, "{\"n\":%llu,", (unsigned long long)number);

    for (size_t i = (size_t)head; i < size; i++)
        body[i] = (char)('a' + (number + i) % 26);
    return size;
}

static void append(struct blackbox_writer *writer, enum blackbox_kind kind)
{
    char body[1024];
    const uint64_t number = (kind == BLACKBOX_RENEWAL ? writer->renewals : writer->changes).number + 1;
    const struct blackbox_record record = {.kind = kind,
                                           .at_ns = (int64_t)number * 1000,
                                           .wall_ns = (int64_t)number * 1000 + 7,
                                           .topic = "role",
                                           .topic_size = 4,
                                           .body_size = body_of(number, body),
                                           .body = body};

    blackbox_append(writer, &record);
}

/* Every record that was read says what its number says it must. Returns the highest number of changes. */
static uint64_t check_bodies(void)
{
    char body[1024];
    uint64_t most = 0;

    for (size_t i = 0; i < reading.count; i++) {
        const struct blackbox_record *record = &reading.records[i];
        assert_int_equal(record->body_size, body_of(record->number, body));
        assert_memory_equal(record->body, body, record->body_size);
        assert_int_equal(record->at_ns, record->number * 1000);
        assert_int_equal(record->wall_ns, record->number * 1000 + 7);
        assert_int_equal(record->topic_size, 4);
        if (record->kind != BLACKBOX_RENEWAL)
            most = record->number > most ? record->number : most;
    }
    return most;
}

static void test_what_is_written_is_read(void **state)
{
    struct blackbox_writer writer;
    const struct blackbox_record records[] = {
        {.kind = BLACKBOX_BEGIN, .at_ns = 10, .wall_ns = 110, .body = "it begins", .body_size = 9},
        {.kind = BLACKBOX_CHANGE,
         .at_ns = 30,
         .topic = "alarm/x",
         .topic_size = 7,
         .body = "{}",
         .body_size = 2},
        {.kind = BLACKBOX_RENEWAL,
         .at_ns = 20,
         .topic = "role",
         .topic_size = 4,
         .body = "{1}",
         .body_size = 3},
        {.kind = BLACKBOX_END, .at_ns = 30},
    };
    const struct blackbox_mark mark = {40, 2, {{"arbiterd", 39}, {"takeoverd", 12}}},
                               later = {50, 0, {{"", 0}}};

    (void)state;
    blackbox_resume(&writer, box);
    for (size_t i = 0; i < 4; i++)
        blackbox_append(&writer, &records[i]);
    blackbox_mark(&writer, &mark);
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    assert_true(reading.has_about);
    assert_int_equal(reading.about.number, 7);
    assert_string_equal(reading.about.boot_id, about.boot_id);
    assert_string_equal(reading.about.node, "alpha");
    assert_int_equal(reading.about.begun_ns, 5000);
    assert_int_equal(reading.about.begun_wall_ns, about.begun_wall_ns);
    assert_int_equal(reading.mark.alive_ns, 40);
    assert_int_equal(reading.mark.count, 2);
    assert_string_equal(reading.mark.daemons[1].daemon, "takeoverd");
    assert_int_equal(reading.mark.daemons[1].heard_ns, 12);
    assert_int_equal(reading.count, 4);
    assert_int_equal(reading.missing, 0);
    const size_t order[] = {0, 2, 1, 3}; /* by time, and then as written */
    for (size_t i = 0; i < 4; i++) {
        const struct blackbox_record *read = &reading.records[i], *wrote = &records[order[i]];
        assert_int_equal(read->kind, wrote->kind);
        assert_int_equal(read->at_ns, wrote->at_ns);
        assert_int_equal(read->wall_ns, wrote->wall_ns);
        assert_int_equal(read->topic_size, wrote->topic_size);
        assert_int_equal(read->body_size, wrote->body_size);
        if (wrote->body_size)
            assert_memory_equal(read->body, wrote->body, wrote->body_size);
    }
    /* Of two marks the newer one counts, and the older one when that is spoilt. */
    blackbox_mark(&writer, &later);
    blackbox_forget(&reading);
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    assert_int_equal(reading.mark.alive_ns, 50);
    box[2 * 1024 + 16] ^= 1;
    blackbox_forget(&reading);
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    assert_int_equal(reading.mark.alive_ns, 40);
    assert_int_equal(reading.mark.count, 2);
}

/* The same bytes on every machine: made by hand after blackbox.h, the checksums by another SipHash. */
static void test_the_bytes_are_those_of_the_description(void **state)
{
    static const unsigned char record[] = {
        0xee, 0xf6, 0xa3, 0x62, 0x0e, 0x06, 0xe9, 0x53, /* SipHash-2-4 of the rest */
        0x02, 0x42, 0x78, 0x01, 54,   0,    0,    0,    /* magic, size */
        1,    0,    0,    0,    0,    0,    0,    0,    /* number */
        8,    7,    6,    5,    4,    3,    2,    1,    /* at_ns */
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* wall_ns: -2 */
        4,    0,    4,    0,    0,    0,    0,    0,    /* kind, size of the topic */
        'r',  'o',  'l',  'e',  '{',  '}'};
    struct blackbox_writer writer;
    const struct blackbox_record wrote = {.kind = BLACKBOX_CHANGE,
                                          .at_ns = 0x0102030405060708,
                                          .wall_ns = -2,
                                          .topic = "role",
                                          .topic_size = 4,
                                          .body = "{}",
                                          .body_size = 2};

    (void)state;
    blackbox_resume(&writer, box);
    blackbox_append(&writer, &wrote);
    assert_memory_equal(box + BLACKBOX_HEAD_SIZE, record, sizeof record);
    assert_memory_equal(box + 8, "duetbox\n\1\0\0\0\7\0\0\0", 16);
}

static void test_rings_keep_the_latest(void **state)
{
    struct blackbox_writer writer;
    uint64_t changes = 0, renewals = 0;

    (void)state;
    blackbox_resume(&writer, box);
    for (int i = 0; i < 10000; i++) {
        append(&writer, i % 3 == 0 ? BLACKBOX_RENEWAL : BLACKBOX_CHANGE);
        if (i % 1000 == 0) /* another writer goes on */
            blackbox_resume(&writer, box);
    }
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    assert_int_equal(check_bodies(), writer.changes.number);
    assert_int_equal(writer.changes.number, 6666);
    assert_int_equal(reading.missing, 0);
    for (size_t i = 0; i < reading.count; i++)
        *(reading.records[i].kind == BLACKBOX_RENEWAL ? &renewals : &changes) += 1;
    assert_true(changes > 1500 && changes < 3000); /* about 520 bytes each */
    assert_true(renewals > 180 && renewals < 375);
}

static void test_too_long_is_noted_as_such(void **state)
{
    static char long_body[BLACKBOX_BODY_MAX + 1];
    struct blackbox_writer writer;
    struct blackbox_record record = {.kind = BLACKBOX_CHANGE,
                                     .at_ns = 1,
                                     .topic = "address/outside",
                                     .topic_size = 15,
                                     .body = long_body,
                                     .body_size = BLACKBOX_BODY_MAX};

    (void)state;
    blackbox_resume(&writer, box);
    blackbox_append(&writer, &record);
    record.body_size++;
    record.at_ns++;
    blackbox_append(&writer, &record);
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    assert_int_equal(reading.count, 2);
    assert_int_equal(reading.records[0].body_size, BLACKBOX_BODY_MAX);
    assert_int_equal(reading.records[1].kind, BLACKBOX_NOTE);
    assert_memory_equal(reading.records[1].body, "left out: 16385 bytes of address/outside", 40);
}

/* Writes until it is killed; tells in `progress` what is done. */
static void write_on(volatile uint64_t *progress)
{
    struct blackbox_writer writer;
    const struct blackbox_mark mark = {1, 0, {{"", 0}}};

    blackbox_resume(&writer, box);
    for (;;) {
        append(&writer, BLACKBOX_CHANGE);
        progress[0] = writer.changes.number;
        append(&writer, BLACKBOX_RENEWAL);
        progress[1] = writer.renewals.number;
        blackbox_mark(&writer, &mark);
    }
}

static void test_a_killed_writer_loses_one_record_at_most(void **state)
{
    volatile uint64_t *progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct blackbox_mark mark = {1, 0, {{"", 0}}};
    struct blackbox_writer writer;
    size_t torn = 0;

    (void)state;
    assert_true(progress != MAP_FAILED);
    blackbox_resume(&writer, box);
    blackbox_mark(&writer, &mark); /* the first child may be killed before its own */
    chance = (uint64_t)getpid();
    for (int i = 0; i < 1000; i++) {
        const uint64_t before = progress[0];
        const pid_t child = fork();
        if (child == 0) {
            write_on(progress);
            _exit(1);
        }
        while (progress[0] == before)
            sched_yield();
        const struct timespec pause = {.tv_nsec = draw(200000)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
        const uint64_t most = check_bodies();
        assert_in_range(most, progress[0], progress[0] + 1);
        assert_int_equal(reading.missing, 0);
        assert_int_equal(reading.mark.alive_ns, 1);
        torn += most > progress[0];
        blackbox_forget(&reading);
    }
    assert_true(progress[0] > 1000);
    print_message("%llu records, %zu kills between a record and its count\n", (unsigned long long)progress[0],
                  torn);
    munmap((void *)progress, 4096);
}

/* Each single step of writing one record and one mark, as a dying writer leaves it: the bytes before and
 * after, mixed at every place. */
static void test_every_half_written_record(void **state)
{
    static unsigned char before[BLACKBOX_SIZE], after[BLACKBOX_SIZE];
    struct blackbox_writer writer;

    (void)state;
    blackbox_resume(&writer, box);
    for (int i = 0; i < 3000; i++) /* so that older records are overwritten */
        append(&writer, BLACKBOX_CHANGE);
    const size_t at = writer.changes.at;
    memcpy(before, box, sizeof before);
    append(&writer, BLACKBOX_CHANGE);
    memcpy(after, box, sizeof after);
    for (size_t i = at + 8; i < writer.changes.at; i++) {
        memcpy(box, before, sizeof before);
        memset(box + at, 0, 8);
        memcpy(box + at + 8, after + at + 8, i - at - 8);
        blackbox_forget(&reading);
        assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
        assert_int_equal(check_bodies(), writer.changes.number - 1);
        assert_int_equal(reading.missing, 0);
    }
}

/* A power cut: of the sectors written since the last flush, some are on the disk and others are not. */
static void test_what_a_power_cut_leaves_is_whole(void **state)
{
    static unsigned char flushed[BLACKBOX_SIZE], whole[BLACKBOX_SIZE];
    struct blackbox_writer writer;

    (void)state;
    blackbox_resume(&writer, box);
    for (unsigned i = 3000; i > 0; i--)
        append(&writer, BLACKBOX_CHANGE);
    for (int round = 0; round < 100; round++) {
        for (unsigned i = draw(100); i > 0; i--)
            append(&writer, BLACKBOX_CHANGE);
        memcpy(flushed, box, sizeof flushed);
        const uint64_t safe = writer.changes.number;
        for (unsigned i = 1 + draw(50); i > 0; i--)
            append(&writer, BLACKBOX_CHANGE);
        memcpy(whole, box, sizeof whole);
        for (size_t at = 0; at < BLACKBOX_SIZE; at += SECTOR)
            if (memcmp(box + at, flushed + at, SECTOR) != 0 && draw(2) == 0)
                memcpy(box + at, flushed + at, SECTOR);
        blackbox_forget(&reading);
        assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
        assert_in_range(check_bodies(), safe, writer.changes.number);
        uint64_t old = 0;
        for (size_t i = 0; i < reading.count; i++)
            old += reading.records[i].number <= safe && reading.records[i].number + 1000 > safe;
        assert_int_equal(old, 1000); /* nothing of what was flushed is lost */
        memcpy(box, whole, sizeof whole);
    }
}

static void test_spoilt_bytes_are_never_believed(void **state)
{
    struct blackbox_writer writer;

    (void)state;
    blackbox_resume(&writer, box);
    for (int i = 0; i < 20; i++)
        append(&writer, BLACKBOX_CHANGE);
    for (size_t at = 0; at < BLACKBOX_HEAD_SIZE + 4000; at++) {
        box[at] ^= 0x40;
        assert_int_equal(blackbox_read(box, BLACKBOX_HEAD_SIZE + 16384, &reading), 0);
        check_bodies();
        const bool in_head = at < 128, in_record = at >= BLACKBOX_HEAD_SIZE;
        assert_int_equal(reading.has_about, !in_head);
        assert_true(reading.count >= (in_record ? 19 : 20));
        box[at] ^= 0x40;
        blackbox_forget(&reading);
    }
}

static void test_hostile_bytes(void **state)
{
    unsigned char *bytes = calloc(1, BLACKBOX_SIZE);

    (void)state;
    assert_int_equal(blackbox_read(bytes, 0, &reading), -EUCLEAN);
    assert_int_equal(blackbox_read(bytes, BLACKBOX_SIZE, &reading), -EUCLEAN);
    free(bytes);
    struct blackbox_writer writer;
    blackbox_resume(&writer, box);
    for (int i = 0; i < 30; i++)
        append(&writer, BLACKBOX_CHANGE);
    /* A file that was cut anywhere: an exact copy, so that a sanitizer sees one byte too far. */
    for (size_t size = 1; size < BLACKBOX_HEAD_SIZE + 3000; size += 1 + size / 64) {
        unsigned char *cut = malloc(size);
        memcpy(cut, box, size);
        const int r = blackbox_read(cut, size, &reading);
        assert_int_equal(r, size < BLACKBOX_HEAD_SIZE ? -EUCLEAN : 0);
        check_bodies();
        blackbox_forget(&reading);
        free(cut);
    }
    /* Sizes and kinds out of range. */
    for (int i = 0; i < 20000; i++) {
        const size_t at = BLACKBOX_HEAD_SIZE + draw(300);
        const unsigned char was = box[at];
        box[at] = (unsigned char)draw(256);
        assert_int_equal(blackbox_read(box, BLACKBOX_HEAD_SIZE + 8192, &reading), 0);
        check_bodies();
        box[at] = was;
        blackbox_forget(&reading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, fresh, forget),
        cmocka_unit_test_setup_teardown(test_the_bytes_are_those_of_the_description, fresh, forget),
        cmocka_unit_test_setup_teardown(test_rings_keep_the_latest, fresh, forget),
        cmocka_unit_test_setup_teardown(test_too_long_is_noted_as_such, fresh, forget),
        cmocka_unit_test_setup_teardown(test_a_killed_writer_loses_one_record_at_most, fresh, forget),
        cmocka_unit_test_setup_teardown(test_every_half_written_record, fresh, forget),
        cmocka_unit_test_setup_teardown(test_what_a_power_cut_leaves_is_whole, fresh, forget),
        cmocka_unit_test_setup_teardown(test_spoilt_bytes_are_never_believed, fresh, forget),
        cmocka_unit_test_setup_teardown(test_hostile_bytes, fresh, forget),
    };

    box = mmap(NULL, BLACKBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return box == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
