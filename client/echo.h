/* echo: the bytes of an echo request and of the answer to it (RFC 792, RFC 4443). Pure. */
#pragma once
#include "common/base.h"

enum { ECHO_SIZE = 24 };

/* Makes a request that carries `nonce`, by which its answer is known. For IPv6 the kernel fills the checksum.
 */
void echo_request(bool v6, uint64_t nonce, unsigned char bytes[static ECHO_SIZE]);

/* Whether these bytes, as a raw socket gives them (IPv4: with the IP header), answer that request. */
bool echo_is_answer(bool v6, const unsigned char *bytes, size_t size, uint64_t nonce);

/* `wg show DEVICE latest-handshakes` has a line for each peer: its key, a tab, seconds since 1970 or 0. The
 * seconds if the line is about `peer` (empty: any), else 0. */
int64_t handshake_of_line(const char *line, const char *peer);
