/* stall: how late the machine itself lets a process be that has real-time priority and nothing to do.
 *
 *     stall [--least-us 5000]
 *
 * It wants to run once a millisecond, with the scheduling that duet's daemons have. Each time that it was
 * late by more than that is one JSON line; at SIGTERM, and at SIGUSR1, after which it begins anew, it prints
 * the latest. What a daemon does not get here it cannot have there. */
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/tools/tools.h"

enum { PRIORITY = 10, TICK_NS = 1000000 };

static void print_latest(int64_t latest_ns)
{
    printf("{\"event\": \"latest\", \"ms\": %.3f}\n", (double)latest_ns / 1e6);
    fflush(stdout);
}

static void run(int64_t least_ns)
{
    int64_t next_ns = tool_now_ns(), latest_ns = 0;

    while (!tool_stopped) {
        next_ns += TICK_NS;
        const struct timespec until = {(time_t)(next_ns / 1000000000), (long)(next_ns % 1000000000)};
        clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL);
        const int64_t now_ns = tool_now_ns(), late_ns = now_ns - next_ns;
        latest_ns = late_ns > latest_ns ? late_ns : latest_ns;
        if (late_ns >= least_ns) {
            printf("{\"event\": \"late\", \"at_ns\": %lld, \"ms\": %.3f}\n", (long long)next_ns,
                   (double)late_ns / 1e6);
            fflush(stdout);
        }
        next_ns = now_ns - next_ns > TICK_NS ? now_ns : next_ns;
        if (!tool_asked)
            continue;
        print_latest(latest_ns);
        tool_asked = false;
        latest_ns = 0;
    }
    print_latest(latest_ns);
}

int main(int argc, char **argv)
{
    const char *const names[] = {"least-us"};
    const char *texts[] = {"5000"};
    const struct sched_param priority = {.sched_priority = PRIORITY};

    tool_options(argc, argv, "stall [--least-us N]", 1, names, texts);
    tool_catch_signals();
    mlockall(MCL_CURRENT | MCL_FUTURE);
    if (sched_setscheduler(0, SCHED_RR, &priority) < 0)
        tool_fail("cannot have", "real-time priority");
    tool_ready();
    run(tool_number("least-us", texts[0]) * 1000);
    return 0;
}
