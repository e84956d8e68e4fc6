/* view: what the client shows of itself: the messages of its topics, from which the page and the command make
 * theirs. */
#pragma once
#include "client/config.h"
#include "client/connect.h"
#include "client/probe.h"
#include "proto/topics.h"

struct view {
    struct profile_message profile;
    struct gateway_message gateways[ROAM_GATEWAYS_MAX];
    const char *gateway_names[ROAM_GATEWAYS_MAX];
    size_t gateway_count;
};

void view_fill(struct view *view, const struct client_config *config, const struct roam *roam,
               const struct connections *connections, const struct probes *probes, int chosen,
               int64_t now_ns);
