#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/statefile.h"
#include "heartbeatd/sessions.h"

struct saver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char path[PATH_MAX];
    char text[SESSIONS_TEXT_MAX];
    bool pending, ending;
};

/* Waits for something to write. False: the end, and nothing is left. */
static bool take(struct saver *saver, char text[static SESSIONS_TEXT_MAX])
{
    pthread_mutex_lock(&saver->lock);
    while (!saver->pending && !saver->ending)
        pthread_cond_wait(&saver->changed, &saver->lock);
    const bool taken = saver->pending;
    saver->pending = false;
    memcpy(text, saver->text, SESSIONS_TEXT_MAX);
    pthread_mutex_unlock(&saver->lock);
    return taken;
}

static void *run(void *userdata)
{
    struct saver *saver = userdata;
    char text[SESSIONS_TEXT_MAX];

    while (take(saver, text)) {
        const int r = statefile_write(saver->path, text);
        if (r < 0)
            log_error("cannot write %s: %s; the peer's session is not kept; free the disk, or mend it", saver->path,
                      strerror(-r));
    }
    return NULL;
}

int saver_open(const char *path, struct saver **saver)
{
    struct saver *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    text_copy(made->path, sizeof made->path, path);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    const int r = -pthread_create(&made->thread, NULL, run, made);
    if (r < 0)
        free(made);
    else
        *saver = made;
    return r;
}

void saver_put(struct saver *saver, const struct sessions *sessions)
{
    pthread_mutex_lock(&saver->lock);
    sessions_print(sessions, saver->text);
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
    pthread_join(saver->thread, NULL);
    free(saver);
}
