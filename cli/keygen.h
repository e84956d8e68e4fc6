/* keygen: `duet keygen FILE`: makes the key that both nodes of a cluster share. */
#pragma once
#include <stdbool.h>

/* Writes 32 random bytes to `file`, which must not exist yet, durable and with mode 600, and says how to
 * bring it to the peer. The exit code: 0, or 1 with the reason on stderr; then there is no file of it. */
int keygen(const char *file);

/* Makes a key pair for the monitor's endpoint: `client`: of a tool that listens, else of this node. `file` is
 * NAME, NAME.key or NAME.key_secret; the last two are made, and none of them may be there. Says what to do with
 * them, or what is wrong. The exit code. */
int keygen_pair(const char *file, bool client);
