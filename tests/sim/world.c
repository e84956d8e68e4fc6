#include "tests/sim/world.h"

#include <sanitizer/asan_interface.h>
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
    char *line = w.told[w.told_count++ % TOLD_LINES];
    const int length = snprintf(line, TOLD_SIZE, "%10.3f ms  ", (double)w.now / 1e6);
    va_list args;

    va_start(args, format);
    vsnprintf(line + length, TOLD_SIZE - (size_t)length, format, args);
    va_end(args);
    if (w.verbose)
        puts(line);
}

void violation(const char *format, ...)
{
    va_list args;

    if (w.ended_badly)
        return;
    w.ended_badly = true;
    for (size_t i = w.told_count - MIN(w.told_count, (size_t)TOLD_LINES); i < w.told_count && !w.verbose; i++)
        printf("    %s\n", w.told[i % TOLD_LINES]);
    printf("seed %" PRIu64 " (%s) at %.3f ms: ", w.seed, w.profile->name, (double)w.now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* ------------------------------------------------------------------ the clocks */

int64_t clock_of(int n)
{
    const struct node *node = &w.nodes[n];
    const int64_t passed = w.now - node->clock_at;

    return node->clock_reads + passed + (node->clock_ppm ? passed * node->clock_ppm / 1000000 : 0);
}

void clock_set(int n, int64_t reading)
{
    w.nodes[n].clock_reads = reading;
    w.nodes[n].clock_at = w.now;
}

/* How long a node's timer takes in truth. */
static int64_t true_time(int n, int64_t of_the_node)
{
    const int64_t ppm = w.nodes[n].clock_ppm;

    return ppm == 0 ? of_the_node : of_the_node * 1000000 / (1000000 + ppm) + 2;
}

int64_t during(int64_t least, int64_t most)
{
    return between(least, most) * w.profile->scale;
}

/* ------------------------------------------------------------- the event heap */

static inline bool sooner(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void push(struct event event)
{
    size_t i = w.count++;

    if (w.count >= EVENTS_MAX) {
        violation("the simulator's queue is full");
        w.count--;
        payload_free(event.payload);
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

/* What was freed is used again: by malloc and free a seed took a third longer under AddressSanitizer. It
 * still finds who touches one that was freed. */
static union payload *spare[EVENTS_MAX];
static size_t spare_count;

union payload *payload_new(void)
{
    union payload *p;

    if (spare_count > 0) {
        p = spare[--spare_count];
        ASAN_UNPOISON_MEMORY_REGION(p, sizeof *p);
        return memset(p, 0, sizeof *p);
    }
    p = calloc(1, sizeof *p);
    if (!p)
        abort();
    return p;
}

void payload_free(union payload *p)
{
    if (!p)
        return;
    if (spare_count == ARRAY_LENGTH(spare)) {
        free(p);
        return;
    }
    spare[spare_count++] = p;
    ASAN_POISON_MEMORY_REGION(p, sizeof *p);
}

void schedule(int node, enum process process, enum what what, int64_t delay, union payload *payload)
{
    push((struct event){.at = w.now + true_time(node, delay),
                        .what = what,
                        .node = node,
                        .process = process,
                        .incarnation = w.nodes[node].incarnation[process],
                        .payload = payload});
}

/* What goes over the bus arrives late, but in order. */
void send_on_bus(int node, enum process process, enum what what, union payload *payload)
{
    const int64_t delay =
        chance(2) ? between(w.profile->bus_late / 8, w.profile->bus_late) : between(40000, 400000);
    int64_t *last = &w.nodes[node].bus_last[process];

    *last = MAX(*last + 1, w.now + delay);
    push((struct event){.at = *last,
                        .what = what,
                        .node = node,
                        .process = process,
                        .incarnation = w.nodes[node].incarnation[process],
                        .payload = payload});
}
