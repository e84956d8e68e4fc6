/* gate: who may connect to the side that binds (ZAP, RFC 27): one that has the CURVE key of the peer, from
 * the peer's address. It answers in this process's own loop. A context has one gate. */
#pragma once
#include "common/loop.h"
#include "syncd/keys.h"

struct gate;

/* `keys` and `peer` are kept by reference; `node` is the peer's index. The ZAP domain of a socket is
 * gate_domain() of the key that the peer must have: so a key is only good for its own socket. 0 or a negative
 * errno. Before any socket of the context is bound. */
int gate_open(void *context, struct loop *loop, const struct keys *keys, int node,
              const struct net_address *peer, struct gate **gate);
void gate_close(struct gate *gate); /* after the sockets that ask it */

enum { GATE_DOMAIN_MAX = 16 };
void gate_domain(size_t key, char domain[static GATE_DOMAIN_MAX]);
