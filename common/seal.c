#include "common/seal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { SUBKEY_ID = 3, BOUND_MAX = SEAL_HEADER_MAX + 2 * 256 + 1 };

static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
static_assert(SEAL_KEY_BYTES == crypto_kdf_blake2b_KEYBYTES, "cluster key");
static_assert(SEAL_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(SEAL_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(SEAL_CONTEXT_BYTES == crypto_kdf_blake2b_CONTEXTBYTES, "context");

int seal_ring_open(struct seal_ring *ring)
{
    if (sodium_init() < 0)
        return -ENOSYS;
    memset(ring, 0, sizeof *ring);
    /* Where locking is not allowed, the ring may be swapped out; that is no reason to fail. */
    if (sodium_mlock(ring, sizeof *ring) < 0)
        errno = 0;
    return 0;
}

int seal_ring_add(struct seal_ring *ring, const char context[static SEAL_CONTEXT_BYTES],
                  const unsigned char cluster_key[static SEAL_KEY_BYTES])
{
    unsigned char id[crypto_kdf_blake2b_BYTES_MIN];

    if (ring->count == SEAL_KEYS_MAX)
        return -ENOBUFS;
    for (uint64_t direction = SEAL_FIRST_TO_SECOND; direction <= SEAL_SECOND_TO_FIRST; direction++)
        crypto_kdf_blake2b_derive_from_key(ring->keys[ring->count].direction[direction - 1], SEAL_KEY_BYTES,
                                           direction, context, cluster_key);
    crypto_kdf_blake2b_derive_from_key(id, sizeof id, SUBKEY_ID, context, cluster_key);
    ring->keys[ring->count++].id = id[0];
    return 0;
}

void seal_ring_close(struct seal_ring *ring)
{
    sodium_munlock(ring, sizeof *ring); /* wipes it first */
}

static size_t add_name(uint8_t *bound, const char *name)
{
    const size_t length = MIN(strlen(name), (size_t)255);

    bound[0] = (uint8_t)length;
    memcpy(bound + 1, name, length);
    return length + 1;
}

/* header ‖ length and name of the cluster ‖ length and name of the path ‖ direction: lengths keep it
 * unambiguous. */
static size_t bind_place(const struct seal_place *place, const uint8_t *header, size_t header_size,
                         uint8_t bound[static BOUND_MAX])
{
    size_t length = MIN(header_size, (size_t)SEAL_HEADER_MAX);

    memcpy(bound, header, length);
    length += add_name(bound + length, place->cluster);
    length += add_name(bound + length, place->path);
    bound[length++] = (uint8_t)place->direction;
    return length;
}

size_t seal_message(const struct seal_ring *ring, const struct seal_place *place, const uint8_t *nonce,
                    const uint8_t *header, size_t header_size, const uint8_t *plain, size_t size,
                    uint8_t *sealed)
{
    uint8_t bound[BOUND_MAX];
    unsigned long long length = 0;
    const size_t bound_size = bind_place(place, header, header_size, bound);

    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &length, plain, size, bound, bound_size, NULL, nonce,
                                               ring->keys[0].direction[place->direction - 1]);
    return (size_t)length;
}

int seal_open(const struct seal_ring *ring, uint8_t key_id, const struct seal_place *place,
              const uint8_t *nonce, const uint8_t *header, size_t header_size, const uint8_t *sealed,
              size_t size, uint8_t *plain)
{
    uint8_t bound[BOUND_MAX];
    const size_t bound_size = bind_place(place, header, header_size, bound);

    /* Two keys may share an id, one time in 256. */
    for (size_t i = 0; i < ring->count; i++)
        if (ring->keys[i].id == key_id && crypto_aead_xchacha20poly1305_ietf_decrypt(
                                              plain, NULL, NULL, sealed, size, bound, bound_size, nonce,
                                              ring->keys[i].direction[place->direction - 1]) == 0)
            return 0;
    return -EBADMSG;
}
