#include "superviserd/box.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/blackbox_files.h"
#include "common/log.h"

struct box {
    int fd;
    unsigned char *bytes;
    struct blackbox_writer writer;
};

/* For the handler of SIGBUS, which knows nothing else. */
static struct {
    unsigned char *begin, *end;
    size_t page_size;
    volatile sig_atomic_t refused;
} mapping;

/* ------------------------------------------------------------------- SIGBUS */

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    unsigned char *at = info->si_addr;
    const int error = errno;

    (void)context;
    if (at >= mapping.begin && at < mapping.end) {
        at -= (size_t)(at - mapping.begin) % mapping.page_size;
        if (mmap(at, mapping.page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) != MAP_FAILED) {
            mapping.refused = 1;
            errno = error;
            return;
        }
    }
    signal(number, SIG_DFL); /* not ours: the same access again ends the process */
}

static void catch_sigbus(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    action.sa_sigaction = on_sigbus;
    sigaction(SIGBUS, &action, NULL);
}

/* ------------------------------------------------------------------- files */

static int flush_directory(const char *directory)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int take_lock(int fd)
{
    const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

static int read_whole(int fd, unsigned char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EUCLEAN;
        done += (size_t)n;
    }
    return 0;
}

static int write_whole(int fd, const unsigned char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = pwrite(fd, bytes + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* The file of this very boot: 0. -EUCLEAN: of another one (`old` tells its number, 0 if it is damaged). */
static int open_present(const char *path, const struct blackbox_about *about, int *fd, uint32_t *old)
{
    unsigned char head[BLACKBOX_HEAD_SIZE];
    struct blackbox_about found = {0};
    struct stat status;

    *old = 0;
    *fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return -errno;
    int r = take_lock(*fd);
    if (r == 0)
        r = read_whole(*fd, head, sizeof head);
    if (r == 0)
        r = blackbox_read_about(head, sizeof head, &found);
    if (r == 0)
        *old = found.number;
    if (r == 0 && (strcmp(found.boot_id, about->boot_id) != 0 || fstat(*fd, &status) < 0 ||
                   status.st_size != BLACKBOX_SIZE))
        r = -EUCLEAN;
    if (r < 0)
        close(*fd);
    return r;
}

static void remove_oldest(const char *directory)
{
    struct blackbox_file files[BLACKBOX_FILES_MAX];
    char path[PATH_MAX];
    const int count = blackbox_list(directory, files);

    for (int i = BOX_KEPT; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        if (unlink(path) < 0)
            log_warning("cannot remove the old black box %s: %s", path, strerror(errno));
    }
}

/* Gives the file of another boot its number, or the next free one if that cannot be read. Returns the number
 * for the new one. */
static uint32_t keep_old(const char *directory, const char *path, bool exists, uint32_t number)
{
    struct blackbox_file files[BLACKBOX_FILES_MAX];
    char kept[PATH_MAX], name[BLACKBOX_NAME_MAX];
    const uint32_t highest = blackbox_list(directory, files) > 0 ? files[0].number : 0;

    if (!exists)
        return highest + 1;
    if (number <= highest)
        number = highest + 1;
    snprintf(kept, sizeof kept, "%s/%s", directory, blackbox_name(number, name));
    if (rename(path, kept) < 0)
        log_warning("cannot keep the last boot's black box as %s: %s", kept, strerror(errno));
    return number + 1;
}

static int begin_new(const char *directory, const char *path, const struct blackbox_about *about, int *fd)
{
    char temporary[PATH_MAX];
    AUTO_FREE unsigned char *bytes = calloc(1, BLACKBOX_SIZE);

    if (!bytes)
        return -ENOMEM;
    blackbox_format(bytes, about);
    snprintf(temporary, sizeof temporary, "%s/%s.new", directory, BLACKBOX_FILE);
    *fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (*fd < 0)
        return -errno;
    int r = take_lock(*fd);
    if (r == 0)
        r = -posix_fallocate(*fd, 0, BLACKBOX_SIZE);
    if (r == 0)
        r = write_whole(*fd, bytes, BLACKBOX_SIZE);
    if (r == 0 && (fsync(*fd) < 0 || rename(temporary, path) < 0))
        r = -errno;
    if (r == 0)
        r = flush_directory(directory);
    if (r < 0) {
        unlink(temporary);
        close(*fd);
    }
    return r;
}

/* ---------------------------------------------------------------------- box */

static int map(struct box *box)
{
    void *bytes = mmap(NULL, BLACKBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, box->fd, 0);

    if (bytes == MAP_FAILED)
        return -errno;
    box->bytes = bytes;
    madvise(bytes, BLACKBOX_SIZE, MADV_DONTFORK);
    mapping.page_size = (size_t)sysconf(_SC_PAGESIZE);
    mapping.begin = box->bytes;
    mapping.end = box->bytes + BLACKBOX_SIZE;
    mapping.refused = 0;
    catch_sigbus();
    blackbox_resume(&box->writer, box->bytes);
    box->writer.written = BLACKBOX_CHANGES_SIZE; /* so that what is there has positions, too */
    return mapping.refused ? -EIO : 0;
}

int box_open(const char *directory, struct blackbox_about *about, struct box **box)
{
    char path[PATH_MAX];
    uint32_t old;
    struct box *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    snprintf(path, sizeof path, "%s/%s", directory, BLACKBOX_FILE);
    int r = open_present(path, about, &made->fd, &old);
    about->number = old;
    if (r == -EUCLEAN || r == -ENOENT) {
        about->number = keep_old(directory, path, r == -EUCLEAN, old);
        r = begin_new(directory, path, about, &made->fd);
        remove_oldest(directory);
    }
    if (r < 0) {
        free(made);
        return r;
    }
    if ((r = map(made)) < 0)
        box_close(made);
    else
        *box = made;
    return r;
}

void box_close(struct box *box)
{
    if (!box)
        return;
    mapping.begin = mapping.end = NULL;
    if (box->bytes)
        munmap(box->bytes, BLACKBOX_SIZE);
    close(box->fd);
    free(box);
}

int box_append(struct box *box, const struct blackbox_record *record)
{
    blackbox_append(&box->writer, record);
    return mapping.refused ? -EIO : 0;
}

int box_mark(struct box *box, const struct blackbox_mark *mark)
{
    blackbox_mark(&box->writer, mark);
    return mapping.refused ? -EIO : 0;
}

int box_flush(struct box *box)
{
    return msync(box->bytes, BLACKBOX_SIZE, MS_SYNC) < 0 ? -errno : 0;
}

int box_read(const struct box *box, struct blackbox_reading *reading)
{
    return blackbox_read(box->bytes, BLACKBOX_SIZE, reading);
}

uint64_t box_position(const struct box *box)
{
    return box->writer.written;
}

uint64_t box_position_of(const struct box *box, const struct blackbox_record *record)
{
    const struct blackbox_ring *ring = &box->writer.changes;
    const size_t offset = (size_t)((const unsigned char *)record->topic - box->bytes);

    if (record->kind == BLACKBOX_RENEWAL)
        return box->writer.written;
    return box->writer.written - (ring->at + ring->size - offset) % ring->size;
}
