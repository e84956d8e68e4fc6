/* keygen: `duet keygen FILE`: makes the key that both nodes of a cluster share. */
#pragma once

/* Writes 32 random bytes to `file`, which must not exist yet, durable and with mode 600, and says how to
 * bring it to the peer. The exit code: 0, or 1 with the reason on stderr; then there is no file of it. */
int keygen(const char *file);
