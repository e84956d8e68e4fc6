#include "superviserd/feeder.h"

#include <stdio.h>
#include <string.h>

#include "common/watchdog_times.h"

const char *const feeder_daemons[FEEDER_DAEMONS] = {"heartbeatd", "arbiterd", "takeoverd"};

/* A run that is younger has shown that the program starts, not that it works. */
static const int64_t proves_itself_after_ns = 900 * NS_PER_MS;

void feeder_arm(struct feeder *feeder, int64_t timeout_ns, int64_t now_ns)
{
    feeder->timeout = timeout_ns;
    feeder->judged = now_ns;
    feeder->starving = 0;
}

void feeder_pulse(struct feeder *feeder, const char *daemon, const struct daemon_message *message,
                  int64_t sent_ns, int64_t now_ns)
{
    size_t i = 0;

    while (i < FEEDER_DAEMONS && strcmp(feeder_daemons[i], daemon) != 0)
        i++;
    if (i == FEEDER_DAEMONS)
        return;
    struct feeder_pulse *pulse = &feeder->pulses[i];
    if (message->stopping)
        pulse->stopping = true;
    if (message->stopping || sent_ns - message->started_ns < proves_itself_after_ns)
        return;
    pulse->lived = true;
    pulse->stopping = false;
    pulse->sent = MAX(pulse->sent, MIN(sent_ns, now_ns));
    pulse->late_us = message->late_us_max;
}

void feeder_refuse(struct feeder *feeder, const char *reason)
{
    text_copy(feeder->refused, sizeof feeder->refused, reason);
}

/* This loop was late: it could not hear in that time. */
static void forgive_own_stall(struct feeder *feeder, int64_t now_ns)
{
    const int64_t due_ns = feeder->judged + watchdog_feed_interval_ns(feeder->timeout);

    for (size_t i = 0; i < FEEDER_DAEMONS && now_ns > due_ns; i++)
        feeder->pulses[i].sent = MIN(feeder->pulses[i].sent + now_ns - due_ns, now_ns);
    feeder->judged = now_ns;
}

static void add_text(char *text, const char *more)
{
    if (text[0] != '\0')
        text_copy(text + strlen(text), FEEDER_TEXT_MAX - strlen(text), "; ");
    text_copy(text + strlen(text), FEEDER_TEXT_MAX - strlen(text), more);
}

/* Says of each daemon that hangs since when; true if there is one. */
static bool find_silent(const struct feeder *feeder, int64_t now_ns, char text[static FEEDER_TEXT_MAX])
{
    char one[FEEDER_TEXT_MAX];

    text[0] = '\0';
    for (size_t i = 0; i < FEEDER_DAEMONS; i++) {
        const struct feeder_pulse *pulse = &feeder->pulses[i];
        const int64_t silence_ns = now_ns - pulse->sent;
        if (!pulse->lived || pulse->stopping || silence_ns <= watchdog_silence_ns(feeder->timeout))
            continue;
        snprintf(one, sizeof one, "%s silent for %.1f s (late by at most %.1f ms before)", feeder_daemons[i],
                 (double)silence_ns / 1e9, (double)pulse->late_us / 1e3);
        add_text(text, one);
    }
    return text[0] != '\0';
}

static bool is_held(const struct feeder *feeder, int64_t now_ns)
{
    return feeder->held && (feeder->held_until == 0 || now_ns < feeder->held_until);
}

void feeder_judge(struct feeder *feeder, int64_t now_ns, struct feeder_verdict *verdict)
{
    char silent[FEEDER_TEXT_MAX];

    forgive_own_stall(feeder, now_ns);
    *verdict =
        (struct feeder_verdict){.feed = true, .next_ns = now_ns + watchdog_feed_interval_ns(feeder->timeout)};
    if (feeder->refused[0] != '\0') {
        verdict->feed = false;
        text_copy(verdict->text, sizeof verdict->text, feeder->refused);
    } else if (!feeder->stopping && find_silent(feeder, now_ns, silent)) {
        verdict->feed = is_held(feeder, now_ns);
        if (verdict->feed)
            text_copy(verdict->text, sizeof verdict->text, "fed all the same, as the pair is held");
        add_text(verdict->text, silent);
    }
    if (verdict->feed)
        feeder->starving = 0;
    else if (feeder->starving == 0)
        feeder->starving = now_ns;
}
