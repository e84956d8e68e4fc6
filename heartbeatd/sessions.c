#include "heartbeatd/sessions.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"

void sessions_print(const struct sessions *s, char text[static SESSIONS_TEXT_MAX])
{
    char random[2 * sizeof s->peer.random + 1];

    sodium_bin2hex(random, sizeof random, s->peer.random, sizeof s->peer.random);
    snprintf(text, SESSIONS_TEXT_MAX, "own %" PRIu64 "\npeer %" PRIu64 " %s\n", s->own.start, s->peer.start,
             random);
}

int sessions_parse(const char *text, struct sessions *s)
{
    char random[2 * sizeof s->peer.random + 1];
    size_t length;

    *s = (struct sessions){0};
    if (sscanf(text, "own %" SCNu64 "\npeer %" SCNu64 " %16[0-9a-f]\n", &s->own.start, &s->peer.start,
               random) != 3 ||
        s->own.start >= (uint64_t)HEARTBEAT_NUMBER_MAX || s->peer.start > (uint64_t)HEARTBEAT_NUMBER_MAX ||
        sodium_hex2bin(s->peer.random, sizeof s->peer.random, random, strlen(random), NULL, &length, NULL) <
            0 ||
        length != sizeof s->peer.random)
        return -EBADMSG;
    return 0;
}

static uint64_t wall_seconds(void)
{
    return (uint64_t)MAX((clock_now_ns() + clock_wall_offset_ns()) / NS_PER_S, 1);
}

const char sessions_unsaved[] =
    "heartbeats recorded earlier may be accepted after a restart; free the disk, or mend it";

int sessions_save(const char *path, const struct sessions *s)
{
    char text[SESSIONS_TEXT_MAX];

    sessions_print(s, text);
    const int r = statefile_write(path, text);
    if (r < 0)
        log_error("cannot write %s: %s; %s", path, strerror(-r), sessions_unsaved);
    return r;
}

static void begin(const char *path, struct sessions *s, uint64_t start)
{
    randombytes_buf(s->own.random, sizeof s->own.random);
    s->own.start = start;
    if (sessions_save(path, s) < 0)
        s->own.start = MAX(start, wall_seconds()); /* it grows from run to run also without a disk */
}

void sessions_begin(const char *path, struct sessions *s)
{
    char text[STATEFILE_MAX];

    int r = statefile_read(path, text);
    if (r == 0)
        r = sessions_parse(text, s);
    if (r == 0) {
        begin(path, s, s->own.start + 1);
        return;
    }
    log_warning(
        "no session counters in %s (%s): counting from the clock, and the first session heard of the peer "
        "is believed",
        path, r == -ENOENT ? "a first start?" : strerror(-r));
    *s = (struct sessions){0};
    begin(path, s, wall_seconds());
}

void sessions_renew(const char *path, struct sessions *s, uint64_t after)
{
    begin(path, s, after + 1);
}
