#include "common/saver.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/thread.h"

struct saver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char path[PATH_MAX];
    const char *consequence;
    char text[STATEFILE_MAX];
    bool pending, ending;
};

/* Waits for something to write. False: the end, and nothing is left. */
static bool take(struct saver *saver, char text[static STATEFILE_MAX])
{
    pthread_mutex_lock(&saver->lock);
    while (!saver->pending && !saver->ending)
        pthread_cond_wait(&saver->changed, &saver->lock);
    const bool taken = saver->pending;
    saver->pending = false;
    text_copy(text, STATEFILE_MAX, saver->text);
    pthread_mutex_unlock(&saver->lock);
    return taken;
}

static void *run(void *userdata)
{
    struct saver *saver = userdata;
    char text[STATEFILE_MAX];

    while (take(saver, text)) {
        const int r = statefile_write(saver->path, text);
        if (r < 0)
            log_error("cannot write %s: %s; %s", saver->path, strerror(-r), saver->consequence);
    }
    return NULL;
}

int saver_open(const char *path, const char *consequence, struct saver **saver)
{
    struct saver *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    text_copy(made->path, sizeof made->path, path);
    made->consequence = consequence;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    const int r = thread_start(&made->thread, run, made);
    if (r < 0)
        free(made);
    else
        *saver = made;
    return r;
}

void saver_put(struct saver *saver, const char *text)
{
    pthread_mutex_lock(&saver->lock);
    text_copy(saver->text, sizeof saver->text, text);
    saver->pending = true;
    pthread_cond_signal(&saver->changed);
    pthread_mutex_unlock(&saver->lock);
}

void saver_close(struct saver *saver)
{
    if (!saver)
        return;
    pthread_mutex_lock(&saver->lock);
    saver->ending = true;
    pthread_cond_signal(&saver->changed);
    pthread_mutex_unlock(&saver->lock);
    if (!thread_end(saver->thread)) {
        log_error("the disk does not take %s; %s", saver->path, saver->consequence);
        return;
    }
    free(saver);
}
