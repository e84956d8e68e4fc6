/* asker: a client of responder, which asks very often and tells who answered from when on.
 *
 *     asker --to 192.0.2.10 [--port 7000] [--every-us 200] [--realtime yes]
 *
 * Prints {"event": "ready"}, then a line for each new answerer, {"event": "answerer", "at_ns": …, "who":
 * "alpha 123"}, and at SIGTERM what it saw in all: {asked, answered, longest_ms}. Times are CLOCK_BOOTTIME.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/tools.h"

struct asker {
    int fd;
    uint64_t asked, answered;
    int64_t every_ns, last_ns, longest_ns;
    char who[128];
};

static void ask(struct asker *asker)
{
    asker->asked++;
    /* Refused (nobody is there yet) is told as an error of this call, and of no interest. */
    if (send(asker->fd, &asker->asked, sizeof asker->asked, MSG_DONTWAIT) < 0)
        return;
}

static void note(struct asker *asker, const char *who)
{
    const int64_t now = tool_now_ns();

    asker->answered++;
    if (asker->last_ns && now - asker->last_ns > asker->longest_ns)
        asker->longest_ns = now - asker->last_ns;
    asker->last_ns = now;
    if (strcmp(who, asker->who) == 0)
        return;
    snprintf(asker->who, sizeof asker->who, "%s", who);
    printf("{\"event\": \"answerer\", \"at_ns\": %lld, \"who\": \"%s\"}\n", (long long)now, asker->who);
    fflush(stdout);
}

static void hear_all(struct asker *asker)
{
    char bytes[128];
    ssize_t n;

    for (int tries = 0; tries < 64; tries++) {
        n = recv(asker->fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
        if (n < (ssize_t)sizeof asker->asked)
            return;
        bytes[n] = '\0';
        note(asker, bytes + sizeof asker->asked);
    }
}

static void run(struct asker *asker)
{
    int64_t next_ns = tool_now_ns();

    while (!tool_stopped) {
        if (tool_now_ns() >= next_ns) {
            ask(asker);
            next_ns = tool_now_ns() + asker->every_ns;
        }
        hear_all(asker);
        tool_wait(asker->fd, next_ns);
    }
}

int main(int argc, char **argv)
{
    const char *const names[] = {"to", "port", "every-us", "realtime"};
    const char *texts[] = {NULL, "7000", "200", NULL};
    struct sockaddr_in to = {.sin_family = AF_INET};
    static struct asker asker;

    tool_options(argc, argv, "asker --to ADDRESS [--port N] [--every-us N] [--realtime yes]", 4, names,
                 texts);
    if (!texts[0] || inet_pton(AF_INET, texts[0], &to.sin_addr) != 1) {
        fprintf(stderr, "asker: wants --to with an IPv4 address\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)tool_number("port", texts[1]));
    asker.every_ns = tool_number("every-us", texts[2]) * 1000;
    tool_catch_signals();
    asker.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (asker.fd < 0 || connect(asker.fd, (const struct sockaddr *)&to, sizeof to) < 0)
        tool_fail("cannot reach", texts[0]);
    if (texts[3])
        tool_enter_realtime();
    tool_ready();
    run(&asker);
    printf("{\"event\": \"end\", \"asked\": %llu, \"answered\": %llu, \"longest_ms\": %.3f}\n",
           (unsigned long long)asker.asked, (unsigned long long)asker.answered,
           (double)asker.longest_ns / 1e6);
    return 0;
}
