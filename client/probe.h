/* probe: tests gateways, each at its own pace: an echo request, a TCP connection, the age of WireGuard's last
 * handshake, or a command. What the tests mean is for the core to say. */
#pragma once
#include "client/config.h"
#include "common/loop.h"

struct probes;

/* `began_ns`: when the test began; it has just ended. */
typedef void probe_handler(void *userdata, int gateway, bool good, int64_t began_ns);

/* `config` is kept by reference. 0 or a negative errno; the caller frees with probes_free() when the loop is
 * gone. */
int probes_new(struct loop *loop, const struct client_config *config, probe_handler *handler, void *userdata,
               struct probes **probes);
void probes_free(struct probes *probes);

/* From now on these gateways (bits) are tested, new ones at once; those of `quick` at a quick pace. */
void probes_select(struct probes *probes, uint32_t gateways, uint32_t quick);

/* How long the latest answer took, 0: none yet; why the latest test failed, empty: it did not. */
int64_t probes_rtt_ns(const struct probes *probes, int gateway);
const char *probes_text(const struct probes *probes, int gateway);
