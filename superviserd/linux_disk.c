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
    int done; /* eventfd */
    pthread_mutex_t busy;
};

struct job {
    struct disk *disk;
    char path[PATH_MAX], text[STATEFILE_MAX];
};

static void *run(void *userdata)
{
    struct job *job = userdata;
    const uint64_t one = 1;

    pthread_mutex_lock(&job->disk->busy);
    if (job->path[0]) {
        const int r = statefile_write(job->path, job->text);
        if (r < 0)
            log_error("cannot write %s: %s; restarts in a row may not be noticed as such", job->path,
                      strerror(-r));
    }
    sync();
    if (write(job->disk->done, &one, sizeof one) < 0)
        log_error("cannot tell that the disks were written: %s", strerror(errno));
    pthread_mutex_unlock(&job->disk->busy);
    free(job);
    return NULL;
}

static void on_done(void *userdata, int fd, unsigned events)
{
    const struct disk *disk = userdata;
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) == sizeof count)
        disk->handler(disk->userdata);
}

int disk_open(struct loop *loop, disk_handler *handler, void *userdata, struct disk **disk)
{
    struct disk *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->handler = handler;
    made->userdata = userdata;
    pthread_mutex_init(&made->busy, NULL);
    made->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int r = made->done < 0 ? -errno : loop_add_fd(loop, made->done, EPOLLIN, on_done, made, NULL);
    if (r < 0)
        free(made);
    else
        *disk = made;
    return r;
}

int disk_sync(struct disk *disk, const char *path, const char *text)
{
    struct job *job = calloc(1, sizeof *job);
    pthread_t thread;

    if (!job)
        return -ENOMEM;
    job->disk = disk;
    if (path) {
        text_copy(job->path, sizeof job->path, path);
        text_copy(job->text, sizeof job->text, text);
    }
    const int r = -pthread_create(&thread, NULL, run, job);
    if (r < 0)
        free(job);
    else
        pthread_detach(thread);
    return r;
}
