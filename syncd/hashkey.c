#include "syncd/hashkey.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/statefile.h"
#include "syncd/link.h"

static const char word[] = "hash-key ";
enum { WORD_SIZE = sizeof word - 1, HEX_SIZE = 2 * SYNC_KEY_BYTES + 1 };

int hashkey_save(const char *path, const uint8_t key[static SYNC_KEY_BYTES])
{
    char text[WORD_SIZE + HEX_SIZE + 1], hex[HEX_SIZE];

    sodium_bin2hex(hex, sizeof hex, key, SYNC_KEY_BYTES);
    snprintf(text, sizeof text, "%s%s\n", word, hex);
    const int r = statefile_write(path, text);
    sodium_memzero(hex, sizeof hex);
    sodium_memzero(text, sizeof text);
    return r;
}

static int read_key(const char *path, uint8_t key[static SYNC_KEY_BYTES])
{
    char text[STATEFILE_MAX];
    size_t size = 0;
    int r = statefile_read(path, text);

    if (r == 0 && (strncmp(text, word, WORD_SIZE) != 0 ||
                   sodium_hex2bin(key, SYNC_KEY_BYTES, text + WORD_SIZE, strcspn(text + WORD_SIZE, "\n"),
                                  NULL, &size, NULL) < 0 ||
                   size != SYNC_KEY_BYTES))
        r = -EUCLEAN;
    sodium_memzero(text, sizeof text);
    return r;
}

int hashkey_load(const struct config *config, const char *path, uint8_t key[static SYNC_KEY_BYTES])
{
    int r = read_key(path, key);

    if (r == 0)
        return 0;
    if (r != -ENOENT)
        log_warning("cannot read %s: %s; hashes are made with a key that is derived anew", path,
                    strerror(-r));
    r = link_derive(config, "synchash", key);
    if (r < 0)
        return r;
    const int kept = hashkey_save(path, key);
    if (kept < 0)
        log_warning("cannot write %s: %s; with another cluster key everything is read anew", path,
                    strerror(-kept));
    return 0;
}
