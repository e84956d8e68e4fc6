/* cuts: a replica on a disk whose power is cut (see cutdisk.c, and system/test_sync_cuts.py).
 *
 *   cuts give SOURCE DISK MARK GENERATIONS SEED [validate]
 *       random changes in SOURCE, generation after generation, to a replica below DISK; writes to MARK "made
 * N HASH" before generation N is given, "durable N" and "applied N" when the replica says so cuts recover
 * SOURCE DISK [validate] opens the replica that it finds there after a cut, prints "is N HASH" with what is
 * really on the disk, then brings it to what SOURCE is and prints "goes on"
 */
#include <inttypes.h>

#include "tests/unit/replica_world.h"

static int mark_file = -1;

PRINTF_LIKE(1, 2) static void mark(const char *format, ...)
{
    char text[128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert_int_equal(write(mark_file, text, strlen(text)), strlen(text));
}

static const char *hash_text(const struct tree *tree)
{
    static char text[2 * SYNC_HASH_BYTES + 1];
    const struct sync_hash hash = tree_root_hash(tree);

    for (size_t i = 0; i < SYNC_HASH_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", hash.bytes[i]);
    return text;
}

static void give_one(void)
{
    const int r = give(false);
    int more;

    if (r != 0)
        fail_msg("%d: %s", r, replica_error(w.replica));
    /* With `validate` a generation counts only when it is switched to. */
    if (w.set.validate.count == 0)
        mark("durable %" PRIu64 "\n", w.counter);
    while ((more = replica_switch(w.replica)) == 1)
        ;
    if (more != 0)
        fail_msg("%d: %s", more, replica_error(w.replica));
    if (w.set.validate.count > 0)
        mark("durable %" PRIu64 "\n", w.counter);
}

static void give_all(int generations)
{
    look_through(w.source, SOURCE_FOLLOW);
    for (int i = 0; i < generations; i++) {
        for (int k = 0; k < 4; k++)
            random_edit();
        take_generation();
        mark("made %" PRIu64 " %s\n", w.counter, hash_text(w.tree));
        give_one();
        /* Now and then it rests, as the daemon does when nothing comes. */
        for (int k = 0; i % 7 == 6 && k < 4; k++) {
            replica_rest(w.replica, clock_now_ns() + k * 10 * NS_PER_S);
            turn(5 * NS_PER_MS);
        }
    }
}

/* The source takes for known what is on the disk: so it sends what differs. */
static void go_on(void)
{
    struct source *learner = open_source(&w.target, w.tree);

    look_through(learner, SOURCE_LEARN);
    source_free(learner);
    look_through(w.source, SOURCE_FOLLOW);
    w.counter = replica_state(w.replica).generation.counter;
    take_generation();
    const int r = give(true);
    if (r != 0)
        fail_msg("after the cut it does not go on: %d: %s", r, replica_error(w.replica));
    assert_same();
    printf("goes on\n");
}

int main(int argc, char **argv)
{
    static const char *const validate[] = {"true"};
    const bool gives = argc > 6 && strcmp(argv[1], "give") == 0,
               recovers = argc > 3 && strcmp(argv[1], "recover") == 0;

    if (!gives && !recovers) {
        fprintf(stderr, "usage: cuts give SOURCE DISK MARK GENERATIONS SEED [validate]\n"
                        "       cuts recover SOURCE DISK [validate]\n");
        return 2;
    }
    if (strcmp(argv[argc - 1], "validate") == 0)
        w.set.validate = (struct config_strings){.items = (void *)validate, .count = 1};
    w.set.keep = 3;
    if (gives) {
        mark_file = open(argv[4], O_WRONLY | O_CLOEXEC);
        assert_true(mark_file >= 0);
        srandom((unsigned)atoi(argv[6]));
    }
    begin_at(argv[2], argv[3]);
    if (gives) {
        give_all(atoi(argv[5]));
        return 0; /* as if killed: nothing is closed */
    }
    tree_clear(w.held);
    learn();
    printf("is %" PRIu64 " %s\n", replica_state(w.replica).generation.counter, hash_text(w.held));
    fflush(stdout);
    go_on();
    replica_close(w.replica);
    return 0;
}
