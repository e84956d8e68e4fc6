/* carrier: the adapter over which a sink is reached. Implemented in linux_carrier.c. */
#pragma once
#include <stdint.h>

#include "common/base.h"

struct carrier {
    char device[32]; /* empty: not known */
    uint8_t ipv4[4]; /* this node's address towards the sink; zeros: it is another family, or not known */
};

/* `remote`: the kernel's structure of an address (struct sockaddr_in or sockaddr_in6), `size` bytes. */
void carrier_find(const void *remote, size_t size, struct carrier *carrier);
/* False: what is sent there now is lost. True as well if it cannot be told. */
bool carrier_is_there(const struct carrier *carrier);
