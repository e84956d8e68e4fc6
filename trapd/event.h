/* event: something that happened, as a notification tells it. Plain data: it lies in the backlog on the disk,
 * and travels to the processes that send (sinks.h), as it is; all of them are of one build. */
#pragma once
#include "common/base.h"
#include "trapd/mib.h"

enum { EVENT_NAME_MAX = 64, EVENT_TEXT_MAX = 192, EVENT_VALUES_MAX = 6 };

/* An object that the notification's kind asks for; one that is not there goes out as zero or empty. */
struct event_value {
    enum mib_object object;
    int64_t number;
    char text[EVENT_TEXT_MAX];
};

struct event {
    enum mib_notification kind;
    uint32_t number;    /* on this node; given when it is let through */
    uint32_t held_back; /* of its kind, before it */
    int64_t at_ns;      /* CLOCK_BOOTTIME; after a restart of the machine it may be negative */
    int64_t wall_ns;    /* the same, CLOCK_REALTIME as it was then */
    char node[EVENT_NAME_MAX], text[EVENT_TEXT_MAX];
    size_t value_count;
    struct event_value values[EVENT_VALUES_MAX];
};

/* Number below duetNotifications. */
static inline uint32_t event_kind_number(const struct event *event)
{
    const struct mib_node *node = &mib_notifications[event->kind].node;

    return node->arcs[node->length - 1];
}
