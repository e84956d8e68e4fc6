/* clients: the public keys that are admitted: the files NAME.key of a directory (curve.h). NAME is what the
 * log calls the tool. */
#pragma once
#include "common/curve.h"

enum { CLIENTS_MAX = 256, CLIENT_NAME_MAX = 64, CLIENTS_ERROR_MAX = 192 };

struct client {
    char name[CLIENT_NAME_MAX];
    uint8_t key[CURVE_BYTES];
};

struct clients {
    size_t count;
    struct client list[CLIENTS_MAX];
};

/* Reads them anew. What cannot be read is left out, and told in `error` (one of it; else empty). 0, or a
 * negative errno if the directory cannot be read: then there are none. */
int clients_read(const char *directory, struct clients *clients, char error[static CLIENTS_ERROR_MAX]);

/* NULL: not admitted. */
const struct client *clients_find(const struct clients *clients, const uint8_t key[static CURVE_BYTES]);

/* Whether somebody was admitted `before` who is not any more. */
bool clients_any_gone(const struct clients *before, const struct clients *now);
