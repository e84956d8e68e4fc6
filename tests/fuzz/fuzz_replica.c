/* A sender with the right key and bad intentions: operations of any kind, at a replica whose tree has traps
 * in it. What lies outside of the set must never change, and nothing may crash. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/batch.h"
#include "syncd/replica.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    char top[64], root[96], outside[96], file[128], state[96], conflicts[96], lock[96];
    const char *target;
    struct config_sync set;
    struct hasher *hasher;
    struct tree *tree;
    struct replica *replica;
    struct digest *digest;
    uint64_t counter;
} w;

static void make_traps(void)
{
    char path[256];

    mkdir(w.root, 0755);
    mkdir(w.outside, 0755);
    snprintf(path, sizeof path, "%s/in", w.outside);
    mkdir(path, 0755);
    FILE *file = fopen(w.file, "w");
    if (!file || fputs("untouched", file) < 0 || fclose(file) != 0)
        abort();
    snprintf(path, sizeof path, "%s/l", w.root);
    (void)!symlink(w.outside, path);
    snprintf(path, sizeof path, "%s/f", w.root);
    (void)!symlink(w.file, path);
    snprintf(path, sizeof path, "%s/h", w.root);
    (void)!symlink("../outside", path);
}

static void begin(void)
{
    static const uint8_t key[32] = "a key of 32 bytes for this test";
    char error[256];

    snprintf(w.top, sizeof w.top, "/tmp/fuzz-replica-XXXXXX");
    if (!mkdtemp(w.top))
        abort();
    snprintf(w.root, sizeof w.root, "%s/root", w.top);
    snprintf(w.outside, sizeof w.outside, "%s/outside", w.top);
    snprintf(w.file, sizeof w.file, "%s/in/canary", w.outside);
    snprintf(w.state, sizeof w.state, "%s/state", w.top);
    snprintf(w.conflicts, sizeof w.conflicts, "%s/conflicts", w.top);
    snprintf(w.lock, sizeof w.lock, "%s/lock", w.top);
    make_traps();
    w.target = w.root;
    w.set.keep = 2;
    const struct replica_options options = {.set = &w.set,
                                            .roots = &w.target,
                                            .root_count = 1,
                                            .block = SYNC_BLOCK,
                                            .state_dir = w.state,
                                            .conflicts = w.conflicts,
                                            .switch_lock = w.lock,
                                            .node = "beta"};
    struct replica_options all = options;
    if (hasher_new(key, &w.hasher) < 0 || tree_new(w.hasher, &w.tree) < 0 || digest_new(&w.digest) < 0)
        abort();
    all.hasher = w.hasher;
    all.tree = w.tree;
    if (replica_open(&all, &w.replica, error, sizeof error) < 0)
        abort();
}

static void check_outside(void)
{
    char text[16] = "";
    struct stat status;
    FILE *file = fopen(w.file, "r");

    if (!file || fread(text, 1, sizeof text - 1, file) != 9 || strcmp(text, "untouched") != 0 ||
        stat(w.outside, &status) < 0 || status.st_nlink != 3 || (status.st_mode & 07777) != 0755)
        abort();
    fclose(file);
}

/* Hashes are what a sender with the key would make: else nothing would come further than to them. */
static size_t with_hashes(const uint8_t *data, size_t size, uint8_t *out)
{
    struct sync_bytes rest = {data, size};
    struct sync_op op;
    size_t used = 0;

    while (sync_op_next(&rest, &op) == 1) {
        if (op.kind == SYNC_OP_PUT && op.content.size <= SYNC_BLOCK)
            op.hash = hash_bytes(w.hasher, op.content.at, op.content.size);
        if (sync_op_pack(&op, out, SYNC_RAW_MAX, &used) < 0)
            break;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t operations[SYNC_RAW_MAX];
    static const struct sync_hash tree;
    uint8_t digest[SYNC_DIGEST_BYTES];

    if (!w.replica)
        begin();
    if (size > SYNC_RAW_MAX)
        return 0;
    if (w.counter % 2 == 0) {
        size = with_hashes(data, size, operations);
        data = operations;
    }
    digest_begin(w.digest);
    digest_add(w.digest, data, size);
    digest_end(w.digest, digest);
    if (replica_begin(w.replica, (struct sync_generation){1, ++w.counter}, true) == 0 &&
        replica_batch(w.replica, data, size) == 0) {
        if (replica_commit(w.replica, digest, &tree, false) == 0)
            while (replica_switch(w.replica) == 1)
                ;
    }
    replica_abort(w.replica);
    check_outside();
    if (w.counter % 500 == 0) { /* whatever has been made goes; traps again */
        char command[256];
        snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s %s", w.root, w.root, w.conflicts);
        (void)!system(command);
        make_traps();
    }
    return 0;
}
