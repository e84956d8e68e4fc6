/* curve: key pairs of ZeroMQ's CURVE, and the files that keep them: the certificates of CZMQ and pyzmq, in
 * which keys stand in Z85 (ZeroMQ's RFC 32). NAME.key has the public key alone, NAME.key_secret both. */
#pragma once
#include "common/base.h"

enum { CURVE_BYTES = 32, CURVE_TEXT_MAX = 41, CURVE_FILE_MAX = 4096 };

struct curve_pair {
    uint8_t open[CURVE_BYTES], secret[CURVE_BYTES]; /* open: the public one */
};

/* A key in Z85. */
void curve_print(const uint8_t key[static CURVE_BYTES], char text[static CURVE_TEXT_MAX]);

/* Finds the keys in the text of a certificate of `size` bytes. 0; -EBADMSG: no public key, or one that is
 * none; -ENOKEY: `secret` is wanted, and there is none, or not the one of the public key. Without `secret`,
 * that of `pair` is zero. The caller wipes `pair`. */
int curve_parse(const char *text, size_t size, bool secret, struct curve_pair *pair);

/* The same from a file, of at most CURVE_FILE_MAX bytes; with `secret` also -EACCES: others than its owner
 * can read it. Or another negative errno. */
int curve_read(const char *path, bool secret, struct curve_pair *pair);
