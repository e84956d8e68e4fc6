/* seal: what the nodes tell each other over a network is sealed with keys that come from the cluster key.
 *
 * From each cluster key (32 random bytes) two keys are derived by libsodium's crypto_kdf, one a direction, so
 * that nothing can be sent back to where it came from; a third derivation gives the key's id, one byte that
 * is sent in the clear to find the right key. Two cluster keys can be in force: everything is sealed with the
 * first one and opened with either, so that keys are changed without an outage.
 *
 * A message is sealed with XChaCha20-Poly1305 (IETF). Its header goes in the clear, but is bound in as
 * associated data, and with it the cluster, the path and the direction: a message that is carried over to
 * another path does not open.
 *
 * The caller sees to it that a nonce is never used twice in one direction. Keys are locked in memory and
 * wiped. */
#pragma once
#include "common/base.h"

enum {
    SEAL_KEY_BYTES = 32,
    SEAL_NONCE_BYTES = 24,
    SEAL_TAG_BYTES = 16,
    SEAL_KEYS_MAX = 2,
    SEAL_HEADER_MAX = 64,
    SEAL_CONTEXT_BYTES = 8,
};

/* As seen from the order of the nodes in the configuration. The numbers are on the wire (associated data, key
 * ids). */
enum seal_direction { SEAL_FIRST_TO_SECOND = 1, SEAL_SECOND_TO_FIRST = 2 };

struct seal_ring {
    size_t count;
    struct {
        uint8_t id;
        unsigned char direction[2][SEAL_KEY_BYTES];
    } keys[SEAL_KEYS_MAX];
};

/* What is bound in beside the header. Names have at most 255 bytes. */
struct seal_place {
    const char *cluster, *path;
    enum seal_direction direction;
};

/* Readies libsodium and locks the ring's memory, as far as allowed. 0, or -ENOSYS if libsodium does not
 * start. */
int seal_ring_open(struct seal_ring *ring);

/* Adds the keys derived from `cluster_key` for one purpose (`context`). The first one added seals. 0 or
 * -ENOBUFS. The caller wipes `cluster_key`. */
int seal_ring_add(struct seal_ring *ring, const char context[static SEAL_CONTEXT_BYTES],
                  const unsigned char cluster_key[static SEAL_KEY_BYTES]);

void seal_ring_close(struct seal_ring *ring); /* wipes it */

/* Seals `plain` into `sealed`, which has room for size + SEAL_TAG_BYTES; returns that length. The nonce is
 * the SEAL_NONCE_BYTES at `nonce`, `header` has at most SEAL_HEADER_MAX bytes. The ring must have a key. */
size_t seal_message(const struct seal_ring *ring, const struct seal_place *place, const uint8_t *nonce,
                    const uint8_t *header, size_t header_size, const uint8_t *plain, size_t size,
                    uint8_t *sealed);

/* Opens `size` bytes of `sealed` with a key whose id is `key_id` into `plain`, which has room for
 * size - SEAL_TAG_BYTES. 0, or -EBADMSG: no such key, forged, damaged, or not meant for this place. */
int seal_open(const struct seal_ring *ring, uint8_t key_id, const struct seal_place *place,
              const uint8_t *nonce, const uint8_t *header, size_t header_size, const uint8_t *sealed,
              size_t size, uint8_t *plain);
