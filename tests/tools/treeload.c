/* treeload: what the index of a set costs, in memory and time, for so many entries with paths as a mail or
 * web server has them: `treeload ENTRIES FILE`. FILE is where the tree is saved, and loaded from. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "syncd/tree.h"

enum { FILES_IN_DIRECTORY = 25 };

static double now_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void check(int r, const char *what)
{
    if (r == 0)
        return;
    fprintf(stderr, "treeload: %s: %s\n", what, strerror(-r));
    exit(1);
}

static struct sync_bytes bytes_of(const char *text)
{
    return (struct sync_bytes){(const uint8_t *)text, strlen(text)};
}

static uint64_t mixed(uint64_t n)
{
    n *= UINT64_C(0x9E3779B97F4A7C15);
    return n ^ n >> 29;
}

/* Directory `n` of a tree with 20 in each. */
static void directory_path(unsigned long n, char path[static 512])
{
    if (n == 0) {
        snprintf(path, 512, "0");
        return;
    }
    directory_path((n - 1) / 20, path);
    const size_t size = strlen(path);
    snprintf(path + size, 512 - size, "/%s-%lu", n % 3 ? "customer" : "archive",
             (unsigned long)(mixed(n) % 10000));
    const size_t named = strlen(path);
    snprintf(path + named, 512 - named, "%c", 'a' + (char)(n % 20));
}

static void file_path(unsigned long n, char path[static 512])
{
    directory_path(n / FILES_IN_DIRECTORY, path);
    const size_t size = strlen(path);
    snprintf(path + size, 512 - size, n % 2 ? "/IMG_%08lx_%02lu.jpeg" : "/report-%08lx.%02lu.pdf",
             (unsigned long)(mixed(n) & 0xffffffff), n % FILES_IN_DIRECTORY);
}

static struct tree_entry entry_of(unsigned long n, enum sync_type type)
{
    struct tree_entry entry = {
        .type = type,
        .mode = type == SYNC_FILE ? 0644 : 0755,
        .mtime_ns = (int64_t)(mixed(n) >> 2),
        .owner = n % 7 ? "www-data" : "root",
        .group = "www-data",
        .size = mixed(n) % 200000,
        .stat = {.inode = n + 1000, .device = 2049, .ctime_ns = (int64_t)(mixed(n) >> 3), .birth_ns = 1},
    };

    memcpy(&entry.content, &entry.mtime_ns, sizeof entry.mtime_ns);
    return entry;
}

static double begun_s, begun_cpu_s, base_mib;

static void begin(void)
{
    begun_s = now_s(CLOCK_MONOTONIC);
    begun_cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
}

/* Both clocks: a busy machine stretches the one, and waiting for the disk is not in the other. */
static void report(const char *what, unsigned long count, const struct tree *tree)
{
    const double took = now_s(CLOCK_MONOTONIC) - begun_s, cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - begun_cpu_s;

    printf("%-16s %7.3f s (cpu %7.3f s, %5.0f ns each) %6.1f MiB resident, %6.1f MiB by its own count\n",
           what, took, cpu, cpu * 1e9 / (double)count, resident_mib() - base_mib,
           (double)tree_memory(tree) / (1 << 20));
    begin();
}

static void put_all(struct tree *tree, unsigned long count)
{
    const unsigned long directories = count / (FILES_IN_DIRECTORY + 1) + 1;
    char path[512];

    for (unsigned long n = 0; n < directories; n++) {
        const struct tree_entry entry = entry_of(n, SYNC_DIRECTORY);
        directory_path(n, path);
        check(tree_put(tree, bytes_of(path), &entry, NULL), path);
    }
    for (unsigned long n = 0; n + directories < count; n++) {
        const struct tree_entry entry = entry_of(n + directories, SYNC_FILE);
        file_path(n, path);
        check(tree_put(tree, bytes_of(path), &entry, NULL), path);
    }
}

static unsigned long find_all(const struct tree *tree, unsigned long count)
{
    char path[512];
    unsigned long found = 0;

    for (unsigned long n = 0; n + count / (FILES_IN_DIRECTORY + 1) + 1 < count; n++) {
        file_path(n, path);
        found += tree_find(tree, bytes_of(path)) != 0;
    }
    return found;
}

int main(int argc, char **argv)
{
    static const uint8_t key[32] = {1};
    struct hasher *hasher;
    struct tree *tree;
    struct stat st = {0};

    if (argc != 3 || atol(argv[1]) < 100) {
        fprintf(stderr, "usage: treeload ENTRIES FILE\n");
        return 2;
    }
    const unsigned long count = strtoul(argv[1], NULL, 10);
    check(hasher_new(key, &hasher), "hasher");
    check(tree_new(hasher, &tree), "tree");
    base_mib = resident_mib();
    begin();
    put_all(tree, count);
    report("put, new", count, tree);
    put_all(tree, count);
    report("put, as it is", count, tree);
    const unsigned long found = find_all(tree, count);
    report("find", count, tree);
    check(tree_file_save(tree, argv[2]), argv[2]);
    stat(argv[2], &st);
    report("save", count, tree);
    const struct sync_hash before = tree_root_hash(tree);
    check(tree_move(tree, tree_find(tree, bytes_of("0")), bytes_of("1")), "move");
    report("move all", count, tree);
    tree_remove(tree, tree_find(tree, bytes_of("1")));
    report("remove all", count, tree);
    tree_clear(tree);
    malloc_trim(0);
    report("clear", count, tree);
    check(tree_file_load(tree, argv[2]), argv[2]);
    report("load", count, tree);
    const struct sync_hash after = tree_root_hash(tree);
    printf("%lu entries, %lu files found, %.1f MiB on the disk, %s\n", (unsigned long)tree_entries(tree),
           found, (double)st.st_size / (1 << 20), hash_equal(&before, &after) ? "the same" : "ANOTHER TREE");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("at most %.1f MiB resident, %.1f MiB of that without any tree\n", (double)usage.ru_maxrss / 1024,
           base_mib);
    tree_free(tree);
    hasher_free(hasher);
    return hash_equal(&before, &after) ? 0 : 1;
}
