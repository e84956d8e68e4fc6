/* show: what duet-client says of roamd's state, to people and to scripts. */
#pragma once
#include <stdio.h>

#include "proto/topics.h"

enum { SHOW_GATEWAYS_MAX = 32 };

/* What roamd has told so far. */
struct picture {
    bool known; /* `profile` was heard */
    struct profile_message profile;
    size_t gateway_count;
    struct {
        char name[32];
        struct gateway_message state;
    } gateways[SHOW_GATEWAYS_MAX];
};

void picture_take_gateway(struct picture *picture, const char *name, const struct gateway_message *state);

void show_text(FILE *out, const struct picture *picture, int64_t now_ns);
void show_list(FILE *out, const struct picture *picture);

/* One JSON object, on one line unless `pretty`. */
void show_json(FILE *out, const struct picture *picture, bool pretty, int64_t now_ns);

/* A message as one line of JSON, led by its topic. */
void show_event_json(FILE *out, const char *topic, const char *json, size_t size);
