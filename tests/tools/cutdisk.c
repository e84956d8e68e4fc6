/* cutdisk: a disk whose power can be cut: cutdisk IMAGE LOG MOUNTPOINT.
 *
 * A file system (FUSE) with two files. `disk` is IMAGE: every write to it, and every flush, is noted in LOG
 * in the order in which it came. What is written to `mark` is noted there as well: so whoever works on the
 * disk can say how far it is. A test can then make the disk as it may be after a cut at any place of LOG:
 * with all that was flushed before, and with any part of what was written since, which is what a disk with a
 * write cache promises.
 *
 * A record of LOG: kind (1 write, 2 flush, 3 mark) and size, 32 bits each, offset, 64 bits, in the machine's
 * order; then `size` bytes. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { WRITE = 1, FLUSH = 2, MARK = 3 };

struct record {
    uint32_t kind, size;
    uint64_t offset;
};

static int image = -1;
static FILE *log_file;

static int note(enum kind kind, const char *bytes, size_t size, off_t offset)
{
    const struct record record = {.kind = kind, .size = (uint32_t)size, .offset = (uint64_t)offset};

    if (fwrite(&record, sizeof record, 1, log_file) != 1 ||
        (size > 0 && fwrite(bytes, size, 1, log_file) != 1))
        return -EIO;
    return fflush(log_file) == 0 ? 0 : -EIO;
}

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
    (void)info;
    if (fstat(image, st) < 0)
        return -errno;
    if (strcmp(path, "/") == 0) {
        st->st_mode = S_IFDIR | 0700;
        st->st_nlink = 2;
    } else if (strcmp(path, "/mark") == 0) {
        st->st_mode = S_IFREG | 0600;
        st->st_size = 0;
    } else if (!is_disk(path)) {
        return -ENOENT;
    }
    return 0;
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)path, (void)offset, (void)info, (void)flags;
    fill(buffer, "disk", NULL, 0, 0);
    fill(buffer, "mark", NULL, 0, 0);
    return 0;
}

static int on_read(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)info;
    const ssize_t n = is_disk(path) ? pread(image, bytes, size, offset) : 0;

    return n < 0 ? -errno : (int)n;
}

static int on_write(const char *path, const char *bytes, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    (void)info;
    const int noted = note(is_disk(path) ? WRITE : MARK, bytes, size, offset);

    if (noted < 0)
        return noted;
    if (is_disk(path) && pwrite(image, bytes, size, offset) != (ssize_t)size)
        return -EIO;
    return (int)size;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    return is_disk(path) ? note(FLUSH, NULL, 0, 0) : 0;
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    (void)size, (void)info;
    return is_disk(path) ? -EPERM : 0;
}

int main(int argc, char **argv)
{
    static const struct fuse_operations operations = {.getattr = on_getattr,
                                                      .readdir = on_readdir,
                                                      .read = on_read,
                                                      .write = on_write,
                                                      .fsync = on_fsync,
                                                      .truncate = on_truncate};
    /* One thread: the log has the order in which things were done. */
    char foreground[] = "-f", single[] = "-s";
    char *words[] = {argv[0], foreground, single, argv[argc - 1], NULL};

    if (argc != 4) {
        fprintf(stderr, "usage: cutdisk IMAGE LOG MOUNTPOINT\n");
        return 2;
    }
    image = open(argv[1], O_RDWR | O_CLOEXEC);
    log_file = fopen(argv[2], "we");
    if (image < 0 || !log_file) {
        fprintf(stderr, "cutdisk: cannot open %s: %s\n", image < 0 ? argv[1] : argv[2], strerror(errno));
        return 1;
    }
    return fuse_main(4, words, &operations, NULL);
}
