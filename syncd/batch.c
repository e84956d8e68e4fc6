#include "syncd/batch.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    LEVEL = 1,      /* zstd: faster than the line, for what compresses well */
    SKIP_MOST = 16, /* batches that are not tried after some that did not compress */
};

struct packer {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *expander;
    unsigned skip, skip_next;
};

int packer_new(struct packer **packer)
{
    struct packer *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->compressor = ZSTD_createCCtx();
    p->expander = ZSTD_createDCtx();
    p->skip_next = 1;
    if (!p->compressor || !p->expander) {
        packer_free(p);
        return -ENOMEM;
    }
    *packer = p;
    return 0;
}

void packer_free(struct packer *packer)
{
    if (!packer)
        return;
    ZSTD_freeCCtx(packer->compressor);
    ZSTD_freeDCtx(packer->expander);
    free(packer);
}

size_t packer_compress(struct packer *packer, const uint8_t *raw, size_t size, uint8_t *out)
{
    if (packer->skip > 0) {
        packer->skip--;
        return 0;
    }
    /* With less room than would pay it gives up early. */
    const size_t most = size - size / 16;
    const size_t length = ZSTD_compressCCtx(packer->compressor, out, most, raw, size, LEVEL);
    if (!ZSTD_isError(length) && length < most) {
        packer->skip_next = 1;
        return length;
    }
    packer->skip = packer->skip_next;
    packer->skip_next = packer->skip_next < SKIP_MOST ? packer->skip_next * 2 : SKIP_MOST;
    return 0;
}

int packer_expand(struct packer *packer, const uint8_t *packed, size_t size, uint8_t *raw, size_t raw_size)
{
    if (raw_size > SYNC_RAW_MAX)
        return -EBADMSG;
    const size_t length = ZSTD_decompressDCtx(packer->expander, raw, raw_size, packed, size);
    return ZSTD_isError(length) || length != raw_size ? -EBADMSG : 0;
}

struct digest {
    crypto_generichash_state state;
};

int digest_new(struct digest **digest)
{
    /* The state wants 64 bytes of alignment. */
    struct digest *d = NULL;

    if (posix_memalign((void **)&d, 64, sizeof *d) != 0)
        return -ENOMEM;
    *digest = d;
    digest_begin(d);
    return 0;
}

void digest_free(struct digest *digest)
{
    free(digest);
}

void digest_begin(struct digest *digest)
{
    crypto_generichash_init(&digest->state, NULL, 0, SYNC_DIGEST_BYTES);
}

void digest_add(struct digest *digest, const uint8_t *bytes, size_t size)
{
    crypto_generichash_update(&digest->state, bytes, size);
}

void digest_end(struct digest *digest, uint8_t out[SYNC_DIGEST_BYTES])
{
    crypto_generichash_final(&digest->state, out, SYNC_DIGEST_BYTES);
}
