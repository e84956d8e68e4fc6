#include "common/scribe.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread.h"

enum { LINES_MAX = 128 }; /* the hundred that arbiterd takes of the peer at once, and more */

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
    struct log_limit write_log, add_log; /* of the thread, and of who adds */
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

/* A power cut, or a full disk, may have left the beginning of another line. */
static bool is_torn(const char *path)
{
    FILE *file = fopen(path, "re");
    const bool torn = file && fseek(file, -1, SEEK_END) == 0 && fgetc(file) != '\n';

    if (file)
        fclose(file);
    return torn;
}

static int append(FILE *file, const struct entry *entry)
{
    struct stat before;

    if (fstat(fileno(file), &before) < 0)
        return -errno;
    const char *end = before.st_size > 0 && is_torn(entry->path) ? "\n" : "";
    if (fprintf(file, "%s%s\n", end, entry->line) >= 0 && fflush(file) == 0 && fdatasync(fileno(file)) == 0)
        return 0;
    const int r = -errno;
    return ftruncate(fileno(file), before.st_size) < 0 ? -errno : r;
}

/* Keeps the later half of a file that has grown too long, from the beginning of a line on; whole, or as it
 * was. */
static void shorten(const char *path)
{
    char *const text = malloc(SCRIBE_FILE_MAX), shorter[PATH_MAX];
    FILE *file = text ? fopen(path, "re") : NULL, *out = NULL;

    if (file && fseek(file, -(long)(SCRIBE_FILE_MAX / 2), SEEK_END) == 0) {
        const size_t size = fread(text, 1, SCRIBE_FILE_MAX, file);
        const char *line = memchr(text, '\n', size);
        if (line && snprintf(shorter, sizeof shorter, "%s.new", path) < PATH_MAX &&
            (out = fopen(shorter, "we"))) {
            const size_t left = size - (size_t)(line + 1 - text);
            const bool whole =
                fwrite(line + 1, 1, left, out) == left && fflush(out) == 0 && fdatasync(fileno(out)) == 0;
            if (fclose(out) != 0 || !whole || rename(shorter, path) < 0)
                unlink(shorter);
        }
    }
    if (file)
        fclose(file);
    free(text);
}

static int write_entry(const struct entry *entry)
{
    FILE *file = fopen(entry->path, "ae");

    if (!file)
        return -errno;
    int r = append(file, entry);
    const bool long_enough = ftello(file) > SCRIBE_FILE_MAX;
    if (fclose(file) != 0 && r == 0)
        r = -errno;
    if (long_enough)
        shorten(entry->path);
    return r;
}

static void *run(void *userdata)
{
    struct scribe *s = userdata;

    for (struct entry *entry; (entry = wait_for_entry(s)) != NULL; drop_first(s)) {
        const int r = write_entry(entry);
        if (r < 0 && log_allowed(&s->write_log, 1))
            log_warning("a line of %s is lost: %s; free the disk, or mend it", entry->path, strerror(-r));
    }
    return NULL;
}

int scribe_open(struct scribe **scribe)
{
    struct scribe *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    const int r = thread_start(&s->thread, run, s);
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
    if (log_allowed(&s->add_log, 1))
        log_warning("a line of %s is lost: the disk has not taken those before it; mend it", path);
    free(line);
}

void scribe_close(struct scribe *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (thread_end(s->thread)) {
        free(s);
        return;
    }
    pthread_mutex_lock(&s->lock);
    const char *path = s->count > 0 ? s->entries[s->first].path : "a file";
    pthread_mutex_unlock(&s->lock);
    log_error("the disk does not take the last lines of %s; they are lost unless it goes on: mend it", path);
}
