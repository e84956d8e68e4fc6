/* When nothing comes for a while, what was applied is made durable and the journal begins anew, so that a
 * crash after that finds nothing to apply again. syncfs(2) can take long on a slow disk, so it runs in a
 * thread; what comes meanwhile is taken as always, and then the journal goes on. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

enum { STACK_BYTES = 64 * 1024 };

static const int64_t rest_after_ns = 2 * NS_PER_S;

struct rest {
    pthread_t thread;
    atomic_bool done;
    int error;
    uint64_t journal_bytes; /* of the journal when it began */
    size_t count;
    int fds[]; /* one on each file system; ours */
};

static void *settle(void *userdata)
{
    struct rest *rest = userdata;

    for (size_t i = 0; i < rest->count && rest->error == 0; i++)
        rest->error = syncfs(rest->fds[i]) < 0 ? errno : 0;
    atomic_store(&rest->done, true);
    return NULL;
}

static void free_rest(struct rest *rest)
{
    for (size_t i = 0; i < rest->count; i++)
        close(rest->fds[i]);
    free(rest);
}

static struct rest *open_rest(const struct replica *r)
{
    struct rest *rest = calloc(1, sizeof *rest + (r->options.root_count + 1) * sizeof rest->fds[0]);

    if (!rest)
        return NULL;
    rest->journal_bytes = r->journal_bytes;
    rest->fds[rest->count] = fcntl(r->state, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; i < r->options.root_count && rest->fds[rest->count] >= 0; i++) {
        const struct area *area = &r->areas[i];
        const int fd = area->directories[area->chosen];
        rest->count++;
        /* A root without an area was not written to since the start. */
        rest->fds[rest->count] = fcntl(fd >= 0 ? fd : r->state, F_DUPFD_CLOEXEC, 0);
    }
    if (rest->fds[rest->count] < 0) {
        free_rest(rest);
        return NULL;
    }
    rest->count++;
    return rest;
}

static void begin(struct replica *r)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    struct rest *rest = open_rest(r);

    if (!rest)
        return; /* the next generation, or the next second, tries again */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&rest->thread, &attributes, settle, rest);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed != 0)
        free_rest(rest);
    else
        r->rest = rest;
}

/* Joined; `error` is that of syncfs. */
static int end(struct replica *r)
{
    struct rest *rest = r->rest;
    int done = 0;

    r->rest = NULL;
    pthread_join(rest->thread, NULL);
    if (rest->error != 0)
        done =
            replica_fail(r, -rest->error, "cannot make the file systems durable: %s", strerror(rest->error));
    else if (r->phase == REPLICA_IDLE && r->journal_bytes == rest->journal_bytes)
        done = replica_begin_anew(r);
    free_rest(rest);
    return done;
}

int replica_rest(struct replica *r, int64_t now_ns)
{
    if (r->rest)
        return atomic_load(&r->rest->done) ? end(r) : 0;
    if (r->journal_bytes != r->rest_bytes || r->phase != REPLICA_IDLE) {
        r->rest_bytes = r->journal_bytes;
        r->rest_since_ns = now_ns;
    } else if (r->journal_bytes > 0 && now_ns - r->rest_since_ns >= rest_after_ns) {
        r->rest_since_ns = now_ns;
        begin(r);
    }
    return 0;
}

void rest_end(struct replica *r)
{
    if (!r->rest)
        return;
    pthread_join(r->rest->thread, NULL);
    free_rest(r->rest);
    r->rest = NULL;
}
