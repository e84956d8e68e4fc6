/* Two nodes whose states began under different cluster keys make different hashes: of their configurations,
 * too. The passive one then takes the active one's hash key and begins anew. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "syncd/hashkey.h"
#include "syncd/syncd.h"

static int tell(struct syncd *s, struct sync_bytes key)
{
    struct sync_message m = {.header.kind = SYNC_KEY, .key = key};
    const int r = exchange_send(s, NULL, &m);

    sodium_memzero(s->packed, SYNC_HEADER_BYTES + key.size);
    return r;
}

void rekey_ask(struct syncd *s)
{
    if (s->key_asked || !exchange_is_receiver(s))
        return;
    s->key_asked = tell(s, (struct sync_bytes){0}) == 0;
}

static void take(struct syncd *s, const uint8_t key[static SYNC_KEY_BYTES])
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/hash-key", s->daemon.state_dir);
    int r = hashkey_save(path, key);
    if (r == 0)
        r = daemon_start_again(&s->daemon);
    if (r < 0)
        log_error("cannot take the active node's hash key: %s: %s", path, strerror(-r));
    else
        log_notice("the active node makes its hashes with another key: this node takes it, and reads "
                   "everything anew");
}

void rekey_message(struct syncd *s, struct sync_bytes key)
{
    if (exchange_is_sender(s) && key.size == 0) {
        tell(s, (struct sync_bytes){s->hash_key, sizeof s->hash_key});
        return;
    }
    if (!exchange_is_receiver(s) || !s->key_asked || key.size == 0)
        return;
    s->key_asked = false;
    if (sodium_memcmp(key.at, s->hash_key, SYNC_KEY_BYTES) != 0)
        take(s, key.at);
}
