#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/statefile.h"
#include "superviserd/disk.h"

struct disk {
    disk_handler *handler;
    void *userdata;
    int done;             /* eventfd */
    int64_t asked;        /* the latest job; the loop's own */
    pthread_mutex_t busy; /* held for as long as the disk takes */
    pthread_mutex_t told; /* of what follows; never held for long */
    int64_t synced;       /* the latest job that is done */
    int64_t written;      /* the latest one whose file was, or could not be, written */
    int error;            /* of that one */
};

struct job {
    struct disk *disk;
    int64_t number;
    bool everything;
    char path[PATH_MAX], text[STATEFILE_MAX];
};

/* Threads do not take their turns in the order in which they were made: the later text stays. */
static void write_file(const struct job *job)
{
    struct disk *disk = job->disk;

    if (job->path[0] == '\0' || job->number < disk->written)
        return;
    const int r = statefile_write_in_place(job->path, job->text);
    if (r < 0)
        log_error("cannot write %s: %s; restarts in a row may not be noticed as such", job->path,
                  strerror(-r));
    pthread_mutex_lock(&disk->told);
    disk->written = job->number;
    disk->error = r;
    pthread_mutex_unlock(&disk->told);
}

static void *run(void *userdata)
{
    struct job *job = userdata;
    struct disk *disk = job->disk;
    const uint64_t one = 1;

    pthread_mutex_lock(&disk->busy);
    write_file(job);
    if (job->everything)
        sync();
    pthread_mutex_lock(&disk->told);
    disk->synced = MAX(disk->synced, job->number);
    pthread_mutex_unlock(&disk->told);
    if (write(disk->done, &one, sizeof one) < 0)
        log_error("cannot tell that the disks were written: %s", strerror(errno));
    pthread_mutex_unlock(&disk->busy);
    free(job);
    return NULL;
}

static void on_done(void *userdata, int fd, unsigned events)
{
    struct disk *disk = userdata;
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) != sizeof count)
        return;
    pthread_mutex_lock(&disk->told);
    const int64_t synced = disk->synced;
    pthread_mutex_unlock(&disk->told);
    disk->handler(disk->userdata, synced);
}

int disk_open(struct loop *loop, disk_handler *handler, void *userdata, struct disk **disk)
{
    struct disk *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->handler = handler;
    made->userdata = userdata;
    pthread_mutex_init(&made->busy, NULL);
    pthread_mutex_init(&made->told, NULL);
    made->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int r = made->done < 0 ? -errno : loop_add_fd(loop, made->done, EPOLLIN, on_done, made, NULL);
    if (r < 0)
        free(made);
    else
        *disk = made;
    return r;
}

static int64_t start(struct disk *disk, bool everything, const char *path, const char *text)
{
    struct job *job = calloc(1, sizeof *job);
    pthread_t thread;

    if (!job)
        return -ENOMEM;
    job->disk = disk;
    job->number = disk->asked + 1;
    job->everything = everything;
    if (path) {
        text_copy(job->path, sizeof job->path, path);
        text_copy(job->text, sizeof job->text, text);
    }
    const int r = -pthread_create(&thread, NULL, run, job);
    if (r < 0) {
        free(job);
        return r;
    }
    pthread_detach(thread);
    return ++disk->asked;
}

int64_t disk_sync(struct disk *disk, const char *path, const char *text)
{
    return start(disk, true, path, text);
}

int64_t disk_write(struct disk *disk, const char *path, const char *text)
{
    return start(disk, false, path, text);
}

int disk_result(struct disk *disk, int64_t number)
{
    pthread_mutex_lock(&disk->told);
    const int r = disk->written >= number ? disk->error : -EINPROGRESS;
    pthread_mutex_unlock(&disk->told);
    return r;
}
