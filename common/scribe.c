#include "common/scribe.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

enum { STACK_BYTES = 256 * 1024, PATIENCE_SECONDS = 2, LINES_MAX = 64 };

struct entry {
    const char *path;
    char *line;
};

struct scribe {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry entries[LINES_MAX]; /* a ring */
    size_t first, count;
    bool ending;
};

/* The first one stays in the ring while it is written, so that its line has one owner. NULL: the end, and
 * nothing is left. */
static struct entry *wait_for_entry(struct scribe *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->count == 0 && !s->ending)
        pthread_cond_wait(&s->changed, &s->lock);
    struct entry *entry = s->count > 0 ? &s->entries[s->first] : NULL;
    pthread_mutex_unlock(&s->lock);
    return entry;
}

static void drop_first(struct scribe *s)
{
    pthread_mutex_lock(&s->lock);
    free(s->entries[s->first].line);
    s->first = (s->first + 1) % LINES_MAX;
    s->count--;
    pthread_mutex_unlock(&s->lock);
}

static int write_entry(const struct entry *entry)
{
    FILE *file = fopen(entry->path, "ae");
    int r = 0;

    if (!file)
        return -errno;
    if (fprintf(file, "%s\n", entry->line) < 0 || fflush(file) != 0 || fdatasync(fileno(file)) < 0)
        r = -errno;
    if (fclose(file) != 0 && r == 0)
        r = -errno;
    return r;
}

static void *run(void *userdata)
{
    struct scribe *s = userdata;

    for (struct entry *entry; (entry = wait_for_entry(s)) != NULL; drop_first(s)) {
        const int r = write_entry(entry);
        if (r < 0)
            log_warning("a line of %s could not be written: %s", entry->path, strerror(-r));
    }
    return NULL;
}

int scribe_open(struct scribe **scribe)
{
    struct scribe *s = calloc(1, sizeof *s);
    pthread_attr_t attributes;

    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int r = -pthread_create(&s->thread, &attributes, run, s);
    pthread_attr_destroy(&attributes);
    if (r < 0)
        free(s);
    else
        *scribe = s;
    return r;
}

void scribe_add(struct scribe *s, const char *path, char *line)
{
    pthread_mutex_lock(&s->lock);
    const bool fits = s->count < LINES_MAX;
    if (fits) {
        s->entries[(s->first + s->count++) % LINES_MAX] = (struct entry){path, line};
        pthread_cond_signal(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    if (fits)
        return;
    log_warning("the disk takes no line of %s: it is lost", path);
    free(line);
}

void scribe_close(struct scribe *s)
{
    struct timespec until;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_SECONDS;
    if (pthread_clockjoin_np(s->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        free(s);
    else
        log_error("the disk does not take what was to be kept of the last changes");
}
