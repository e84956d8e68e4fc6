/* keys: what syncd derives from the cluster key (libsodium's crypto_kdf).
 *
 * For each cluster key in force both nodes derive the same two CURVE key pairs, one a node. A node thus knows
 * what the other one's public key is, and nobody without a cluster key does. Two cluster keys can be in force
 * while they are being changed. Keys are locked in memory and wiped. */
#pragma once
#include "common/config.h"
#include "common/curve.h"

enum { KEYS_MAX = 2 };

struct keys {
    size_t count; /* the one of key-file first */
    struct curve_pair node[KEYS_MAX][CONFIG_NODES];
};

/* 0; -ENOSYS (libsodium does not start), or as config_read_key(). keys_close() only after 0. */
int keys_open(struct keys *keys, const struct config *config);
void keys_close(struct keys *keys);
