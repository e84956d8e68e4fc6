#include "takeoverd/clerk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "takeoverd/lifetime.h"
#include "takeoverd/wanted.h"

enum { STACK_BYTES = 256 * 1024, PATIENCE_SECONDS = 2 };

enum job { JOB_NONE, JOB_APPLY, JOB_AUDIT, JOB_END };

/* What is behind `job` belongs to the thread from the moment in which it is given one until it has said that
 * it is done, and to the loop at all other times. */
struct clerk {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy; /* the loop's: a job is under way */
    int done;  /* eventfd: the thread's word */
    clerk_handler *handler;
    void *userdata;

    enum job job;
    struct adapters *adapters;
    struct plan plan;
    struct plan_operation operations[CLERK_SLICE];
    size_t count;
    int error;

    struct adapters *next_adapters; /* the loop's: what takes its place when it is not busy; NULL: nothing */
    struct plan next_plan;
};

/* -------------------------------------------------------------- the thread */

static enum job wait_for_job(struct clerk *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->job == JOB_NONE)
        pthread_cond_wait(&c->changed, &c->lock);
    const enum job job = c->job;
    c->job = JOB_NONE;
    pthread_mutex_unlock(&c->lock);
    return job;
}

static void *run(void *userdata)
{
    struct clerk *c = userdata;
    struct adapters_failure failure;
    enum job job;

    while ((job = wait_for_job(c)) != JOB_END) {
        if (job == JOB_APPLY)
            c->error = adapters_apply(c->adapters, &c->plan, c->operations, c->count, &failure);
        else
            c->error = adapters_refresh(c->adapters, &c->plan);
        eventfd_write(c->done, job);
    }
    return NULL;
}

/* ---------------------------------------------------------------- the loop */

static void give(struct clerk *c, enum job job)
{
    pthread_mutex_lock(&c->lock);
    c->job = job;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void take_next(struct clerk *c)
{
    adapters_free(c->adapters);
    wanted_free(&c->plan);
    c->adapters = c->next_adapters;
    c->plan = c->next_plan;
    c->next_adapters = NULL;
    c->next_plan = (struct plan){0};
}

static void on_done(void *userdata, int fd, unsigned events)
{
    struct clerk *c = userdata;
    eventfd_t job;

    (void)events;
    if (eventfd_read(fd, &job) < 0)
        return;
    c->busy = false;
    const bool behind = c->next_adapters != NULL;
    if (behind)
        take_next(c);
    if (!behind || job != JOB_AUDIT) /* of what an audit found by another plan nothing can be said */
        c->handler(c->userdata, job == JOB_AUDIT ? &c->plan : NULL, c->error);
}

bool clerk_apply(struct clerk *c, const struct plan *plan, const struct plan_operation *operations,
                 size_t count)
{
    if (c->busy)
        return false;
    c->busy = true;
    c->count = MIN(count, CLERK_SLICE);
    memcpy(c->operations, operations, c->count * sizeof *operations);
    memcpy(c->plan.links, plan->links, sizeof c->plan.links);
    give(c, JOB_APPLY);
    return true;
}

bool clerk_audit(struct clerk *c)
{
    if (c->busy)
        return false;
    c->busy = true;
    give(c, JOB_AUDIT);
    return true;
}

/* ---------------------------------------------------------------- lifetime */

static int start_thread(struct clerk *c)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int r = -pthread_create(&c->thread, &attributes, run, c);
    pthread_attr_destroy(&attributes);
    if (r == 0)
        pthread_setname_np(c->thread, "clerk");
    return r;
}

static int open_kernel(const struct config *config, struct adapters **adapters, struct plan *plan)
{
    int r = wanted_plan(config, plan);

    if (r == 0)
        r = adapters_open(config->channels, config->channel_count, lifetime_seconds(config), false, adapters);
    if (r < 0)
        wanted_free(plan);
    return r;
}

int clerk_configure(struct clerk *c, const struct config *config)
{
    struct adapters *adapters = NULL;
    struct plan plan;

    int r = open_kernel(config, &adapters, &plan);
    if (r < 0)
        return r;
    adapters_free(c->next_adapters);
    wanted_free(&c->next_plan);
    c->next_adapters = adapters;
    c->next_plan = plan;
    if (!c->busy)
        take_next(c);
    return 0;
}

bool clerk_is_behind(const struct clerk *c)
{
    return c->next_adapters != NULL;
}

int clerk_open(struct loop *loop, const struct config *config, clerk_handler *handler, void *userdata,
               struct clerk **clerk)
{
    struct clerk *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->handler = handler;
    c->userdata = userdata;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = c->done < 0 ? -errno : open_kernel(config, &c->adapters, &c->plan);
    if (r == 0)
        r = loop_add_fd(loop, c->done, EPOLLIN, on_done, c, NULL);
    if (r == 0)
        r = start_thread(c);
    if (r == 0)
        *clerk = c;
    else
        free(c); /* what it holds goes with the process, which cannot go on */
    return r;
}

void clerk_free(struct clerk *c)
{
    struct timespec until;

    if (!c)
        return;
    give(c, JOB_END);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_SECONDS;
    if (pthread_clockjoin_np(c->thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
        log_warning("the kernel does not come to an end with its adapters: leaving it at that");
        return;
    }
    close(c->done);
    adapters_free(c->adapters);
    wanted_free(&c->plan);
    adapters_free(c->next_adapters);
    wanted_free(&c->next_plan);
    free(c);
}
