#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>

struct world w;

/* ----------------------------------------------------------------- the dice */

uint64_t roll(void) /* splitmix64 */
{
    uint64_t z = (w.random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t between(int64_t least, int64_t most)
{
    return least + (int64_t)(roll() % (uint64_t)(most - least + 1));
}

bool chance(int percent)
{
    return between(1, 100) <= percent;
}

/* ---------------------------------------------------------------- telling */

void tell(const char *format, ...)
{
    va_list args;

    if (!w.verbose)
        return;
    printf("%10.3f ms  ", (double)w.now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void violation(const char *format, ...)
{
    va_list args;

    if (w.ended_badly)
        return;
    w.ended_badly = true;
    printf("seed %" PRIu64 " at %.3f ms: ", w.seed, (double)w.now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* ------------------------------------------------------------- the event heap */

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void push(struct event event)
{
    size_t i = w.count++;

    if (w.count >= EVENTS_MAX) {
        violation("the simulator's queue is full");
        w.count--;
        free(event.payload);
        return;
    }
    event.order = ++w.order;
    while (i > 0 && sooner(&event, &w.heap[(i - 1) / 2])) {
        w.heap[i] = w.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w.heap[i] = event;
}

struct event pop(void)
{
    const struct event top = w.heap[0], last = w.heap[--w.count];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < w.count) {
        if (child + 1 < w.count && sooner(&w.heap[child + 1], &w.heap[child]))
            child++;
        if (!sooner(&w.heap[child], &last))
            break;
        w.heap[i] = w.heap[child];
        i = child;
    }
    w.heap[i] = last;
    return top;
}

union payload *payload_new(void)
{
    union payload *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    return p;
}

void schedule(int node, enum process process, enum what what, int64_t delay, union payload *payload)
{
    push((struct event){.at = w.now + delay,
                        .what = what,
                        .node = node,
                        .process = process,
                        .incarnation = w.nodes[node].incarnation[process],
                        .payload = payload});
}

/* What goes over the bus arrives late, but in order. */
void send_on_bus(int node, enum process process, enum what what, union payload *payload)
{
    const int64_t delay = chance(2) ? between(1 * ms, 8 * ms) : between(40000, 400000);
    int64_t *last = &w.nodes[node].bus_last[process];

    *last = MAX(*last + 1, w.now + delay);
    schedule(node, process, what, *last - w.now, payload);
}
