/* The key that hashes are made with: it outlives the cluster key that it came from. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "syncd/hashkey.h"

static struct config config;
static char directory[64], path[96];
static uint8_t key[SYNC_KEY_BYTES], other[SYNC_KEY_BYTES];

static void write_file(const char *name, const void *bytes, size_t size)
{
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void cluster_key(int byte)
{
    uint8_t bytes[CONFIG_KEY_BYTES];

    memset(bytes, byte, sizeof bytes);
    write_file(config.key_file, bytes, sizeof bytes);
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/duet-hashkey-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/hash-key", directory);
    snprintf(config.key_file, sizeof config.key_file, "%s/cluster.key", directory);
    cluster_key(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    unlink(config.key_file);
    return rmdir(directory);
}

static void test_it_stays_when_the_cluster_key_changes(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(hashkey_load(&config, path, key), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    cluster_key(2);
    assert_int_equal(hashkey_load(&config, path, other), 0);
    assert_memory_equal(key, other, sizeof key);
    unlink(path);
    assert_int_equal(hashkey_load(&config, path, other), 0);
    assert_memory_not_equal(key, other, sizeof key);
}

static void test_what_was_taken_is_kept(void **state)
{
    (void)state;
    assert_int_equal(hashkey_load(&config, path, other), 0);
    memset(key, 0xa5, sizeof key);
    assert_int_equal(hashkey_save(path, key), 0);
    assert_int_equal(hashkey_load(&config, path, other), 0);
    assert_memory_equal(key, other, sizeof key);
}

/* Then it is as if it were not there, and a good one is put in its place. */
static void test_a_damaged_file_is_not_believed(void **state)
{
    static const char *const texts[] = {"", "hash-key 00\n", "no word at all"};
    uint8_t derived[SYNC_KEY_BYTES];

    (void)state;
    assert_int_equal(hashkey_load(&config, path, derived), 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(path, texts[i], strlen(texts[i]));
        assert_int_equal(hashkey_load(&config, path, key), 0);
        assert_memory_equal(key, derived, sizeof key);
        cluster_key(7);
        assert_int_equal(hashkey_load(&config, path, key), 0);
        assert_memory_equal(key, derived, sizeof key);
        cluster_key(1);
    }
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_it_stays_when_the_cluster_key_changes),
        WITH(test_what_was_taken_is_kept),
        WITH(test_a_damaged_file_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
