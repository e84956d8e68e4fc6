#include <string.h>

#include "arbiterd/decide.h"

/* The channel of the settings before that is the `i`-th one now; channel_count if there was none. */
static size_t index_before(const struct arbiter_settings *before, const char *name)
{
    size_t i = 0;

    while (i < before->channel_count && strcmp(before->channels[i], name) != 0)
        i++;
    return i;
}

/* What was observed goes with the names. A new channel is one that nobody has told anything of yet. */
static void move_channels(struct arbiter *a, const struct arbiter_settings *next)
{
    struct link_message links[ARBITER_CHANNELS_MAX] = {0};
    struct search_message searches[ARBITER_CHANNELS_MAX] = {0};

    for (size_t i = 0; i < next->channel_count; i++) {
        const size_t from = index_before(&a->set, next->channels[i]);
        if (from == a->set.channel_count)
            continue;
        links[i] = a->links[from];
        searches[i] = a->searches[from];
    }
    memcpy(a->links, links, sizeof links);
    memcpy(a->searches, searches, sizeof searches);
}

void arbiter_configure(struct arbiter *a, const struct arbiter_settings *next)
{
    move_channels(a, next);
    a->set = *next;
    if (a->set.exclusive && a->phase == PHASE_ACTIVE)
        a->quiet = 0; /* what may not run twice ends before the next quiet */
}
