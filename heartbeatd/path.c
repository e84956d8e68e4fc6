#include "heartbeatd/path.h"

static const int64_t rtt_sane_ns = 60 * NS_PER_S;

void path_new_session(struct path *path)
{
    path->sequence = path->stamp = path->count = path->got = 0;
    path->expected = 0;
}

static void count_arrival(struct path *path, uint64_t count)
{
    const uint64_t step = count - path->count;

    if (count <= path->count)
        return; /* sequences grow, so this is a peer that miscounts */
    path->got = step < 64 && path->expected > 0 ? path->got << step | 1 : 1;
    path->expected = path->expected == 0 ? 1 : (unsigned)MIN(path->expected + step, (uint64_t)64);
    path->count = count;
}

/* The stamp is this node's own clock, in ns, at the moment of sending. */
static void take_echo(struct path *path, const struct heartbeat_echo *echo, int64_t received_ns)
{
    const int64_t sent_ns = (int64_t)echo->stamp;

    if (echo->path_sequence == 0 || sent_ns <= 0 || sent_ns > received_ns)
        return;
    path->echoed_ns = MAX(path->echoed_ns, sent_ns);
    if (echo->held_us > (received_ns - sent_ns) / NS_PER_US || received_ns - sent_ns > rtt_sane_ns)
        return;
    const int64_t rtt_ns = received_ns - sent_ns - echo->held_us * NS_PER_US;
    path->rtt_ns = path->rtt_ns == 0 ? rtt_ns : path->rtt_ns + (rtt_ns - path->rtt_ns) / 8;
}

void path_heard(struct path *path, uint64_t sequence, const struct heartbeat *heartbeat, bool echoes,
                int64_t received_ns)
{
    path->received++;
    path->heard_ns = MAX(path->heard_ns, received_ns);
    path->sequence = sequence;
    path->stamp = heartbeat->stamp;
    path->missing = false;
    count_arrival(path, heartbeat->path_count);
    if (echoes)
        take_echo(path, &heartbeat->echo, received_ns);
}

bool path_judge(struct path *path, int64_t interval_ns, int64_t counting_since_ns, int64_t now_ns)
{
    /* An echo is up to one interval older than what carries it. */
    const int64_t heard_within_ns = 3 * interval_ns, echoed_within_ns = 4 * interval_ns + path->rtt_ns;
    enum path_state state = PATH_STATE_DOWN;

    if (path->heard_ns && now_ns - path->heard_ns <= heard_within_ns)
        state = path->echoed_ns && now_ns - path->echoed_ns <= echoed_within_ns ? PATH_STATE_UP
                                                                                : PATH_STATE_ONE_WAY;
    if (state == PATH_STATE_DOWN)
        path->since_ns = 0;
    else if (path->since_ns == 0)
        path->since_ns = now_ns;
    /* An echo must have had the time to come, and this node the time to listen. */
    const int64_t judging_since_ns = MAX(counting_since_ns, path->since_ns);
    if (state == path->state || (state != PATH_STATE_UP && now_ns - judging_since_ns <= echoed_within_ns))
        return false;
    path->state = state;
    return true;
}

int64_t path_loss_permille(const struct path *path, int64_t interval_ns, int64_t now_ns)
{
    int lost = 0;

    if (path->expected == 0)
        return 0;
    const int64_t overdue = MAX((now_ns - path->heard_ns) / interval_ns - 1, 0);
    const unsigned kept = (unsigned)MAX(64 - overdue, 0); /* overdue ones push the oldest out */
    for (unsigned i = 0; i < MIN(path->expected, kept); i++)
        lost += !(path->got >> i & 1);
    const int64_t expected = MIN((int64_t)path->expected + overdue, 64);
    return (lost + MIN(overdue, 64)) * 1000 / expected;
}

void path_fill(const struct path *path, int64_t interval_ns, int64_t now_ns, struct path_message *message)
{
    *message = (struct path_message){
        .state = path->state,
        .heard_ns = path->heard_ns,
        .rtt_us = (path->rtt_ns + NS_PER_US - 1) / NS_PER_US,
        .loss_permille = path_loss_permille(path, interval_ns, now_ns),
        .sent = path->sent,
        .received = path->received,
        .unopened = path->unopened,
        .foreign = path->foreign,
        .replayed = path->replayed,
        .send_errors = path->send_errors,
    };
}
