/* utf8: where a character ends (RFC 3629). */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* The bytes, of at most `left`, of the character that begins here; 0: these bytes are none, or it is cut off.
 */
size_t utf8_bytes(const uint8_t *at, size_t left);
