/* batch: what stands between operations and the wire: compression where it pays, and the digest over a whole
 * generation (BLAKE2b, libsodium), end to end: over the operations before they are compressed, in their
 * order. */
#pragma once
#include "proto/sync.h"

struct packer;                          /* zstd's state; one a process */
int packer_new(struct packer **packer); /* 0 or -ENOMEM */
void packer_free(struct packer *packer);

/* Compresses `raw` into `out`, which has room for `raw`'s size, if that saves at least a sixteenth. Its
 * length, or 0: it does not pay. Contents that did not compress are not tried for a while: `packer`
 * remembers. */
size_t packer_compress(struct packer *packer, const uint8_t *raw, size_t size, uint8_t *out);

/* Exactly `raw_size` bytes (at most SYNC_RAW_MAX) must come of it. 0 or -EBADMSG. */
int packer_expand(struct packer *packer, const uint8_t *packed, size_t size, uint8_t *raw, size_t raw_size);

struct digest;
int digest_new(struct digest **digest); /* 0 or -ENOMEM */
void digest_free(struct digest *digest);
void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const uint8_t *bytes, size_t size);
void digest_end(struct digest *digest, uint8_t out[SYNC_DIGEST_BYTES]);
