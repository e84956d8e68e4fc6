#include "common/thread.h"

#include <time.h>

enum { STACK_BYTES = 256 * 1024, PATIENCE_SECONDS = 2 };

int thread_start(pthread_t *thread, void *(*run)(void *userdata), void *userdata)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int r = -pthread_create(thread, &attributes, run, userdata);
    pthread_attr_destroy(&attributes);
    return r;
}

bool thread_end(pthread_t thread)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_SECONDS;
    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}
