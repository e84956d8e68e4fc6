#include "syncd/gate.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/zap.h"

struct gate {
    struct zap *zap;
    const struct keys *keys;
    int node;
    const struct net_address *peer;
};

void gate_domain(size_t key, char domain[static GATE_DOMAIN_MAX])
{
    snprintf(domain, GATE_DOMAIN_MAX, "sync-%zu", key);
}

static bool has_key(const struct gate *gate, const struct zap_request *request)
{
    char domain[GATE_DOMAIN_MAX];

    for (size_t i = 0; request->key && i < gate->keys->count; i++) {
        gate_domain(i, domain);
        if (strcmp(request->domain, domain) == 0)
            return sodium_memcmp(request->key, gate->keys->node[i][gate->node].open, CURVE_BYTES) == 0;
    }
    return false;
}

static bool admit(void *userdata, const struct zap_request *request, char *user)
{
    const struct gate *gate = userdata;
    struct net_address address;

    (void)user;
    return net_address_parse(request->address, &address) == 0 && net_address_equal(&address, gate->peer) &&
           has_key(gate, request);
}

int gate_open(void *context, struct loop *loop, const struct keys *keys, int node,
              const struct net_address *peer, struct gate **gate)
{
    struct gate *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made = (struct gate){.keys = keys, .node = node, .peer = peer};
    const int r = zap_open(context, loop, admit, made, &made->zap);
    if (r < 0) {
        free(made);
        return r;
    }
    *gate = made;
    return 0;
}

void gate_close(struct gate *gate)
{
    if (!gate)
        return;
    zap_close(gate->zap);
    free(gate);
}
