/* hashkey: the key that this node's hashes are made with.
 *
 * It is derived from the cluster key when syncd starts for the first time, and kept in its state from then
 * on: so another cluster key changes no hash, and nothing is read or sent anew for it. Both nodes of a pair
 * have the same one; a passive node takes the active one's where it has another. Who takes the file away gets
 * a new one, from the present cluster key, at the next start. */
#pragma once
#include "common/config.h"
#include "proto/sync.h"

/* The key in the file at `path`, or a new one, which is put there. 0; as config_read_key(), or -ENOSYS.
 * Whoever calls wipes it. Logs what is odd about the file. */
int hashkey_load(const struct config *config, const char *path, uint8_t key[static SYNC_KEY_BYTES]);
/* Durable. 0 or a negative errno. */
int hashkey_save(const char *path, const uint8_t key[static SYNC_KEY_BYTES]);
