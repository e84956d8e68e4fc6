#include "syncd/keys.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "syncd/link.h"

static_assert(CURVE_BYTES == crypto_box_SEEDBYTES, "seed");
static_assert(CONFIG_KEY_BYTES == crypto_kdf_KEYBYTES, "cluster key");

/* Readied for crypto_kdf_derive_from_key(), which takes 8 bytes of text for what the key is for. */
static const char curve_context[crypto_kdf_CONTEXTBYTES + 1] = "duetsync";

static void derive_pair(const unsigned char cluster_key[static CONFIG_KEY_BYTES], size_t node,
                        struct curve_pair *pair)
{
    unsigned char seed[crypto_box_SEEDBYTES];

    crypto_kdf_derive_from_key(seed, sizeof seed, node + 1, curve_context, cluster_key);
    crypto_box_seed_keypair(pair->open, pair->secret, seed);
    sodium_memzero(seed, sizeof seed);
}

static int add_key(struct keys *keys, const char *file)
{
    unsigned char cluster_key[CONFIG_KEY_BYTES];

    const int r = config_read_key(file, cluster_key);
    if (r < 0)
        return r;
    for (size_t node = 0; node < CONFIG_NODES; node++)
        derive_pair(cluster_key, node, &keys->node[keys->count][node]);
    keys->count++;
    sodium_memzero(cluster_key, sizeof cluster_key);
    return 0;
}

int keys_open(struct keys *keys, const struct config *config)
{
    if (sodium_init() < 0)
        return -ENOSYS;
    memset(keys, 0, sizeof *keys);
    /* Where locking is not allowed, the keys may be swapped out; that is no reason to fail. */
    if (sodium_mlock(keys, sizeof *keys) < 0)
        errno = 0;
    int r = add_key(keys, config->key_file);
    if (r == 0 && config->old_key_file[0] != '\0')
        r = add_key(keys, config->old_key_file);
    if (r < 0)
        keys_close(keys);
    return r;
}

void keys_close(struct keys *keys)
{
    sodium_munlock(keys, sizeof *keys); /* wipes them first */
}

int link_derive(const struct config *config, const char context[8], uint8_t key[32])
{
    unsigned char cluster_key[CONFIG_KEY_BYTES];

    if (sodium_init() < 0)
        return -ENOSYS;
    const int r = config_read_key(config->key_file, cluster_key);
    if (r < 0)
        return r;
    crypto_kdf_derive_from_key(key, 32, 1, context, cluster_key);
    sodium_memzero(cluster_key, sizeof cluster_key);
    return 0;
}
