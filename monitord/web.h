/* web: answers GET /metrics, by libmicrohttpd in this process's loop. Bounded: at most WEB_CONNECTIONS at a
 * time, ended after WEB_TIMEOUT_S without a byte. There is no key: it listens on loopback unless told
 * otherwise. */
#pragma once
#include "common/loop.h"
#include "common/net.h"

enum { WEB_CONNECTIONS = 16, WEB_TIMEOUT_S = 10 };

struct web;

/* Makes the text that is to be shown: allocated, of `size` bytes, freed by web; NULL: it cannot be had. */
typedef char *web_render(void *userdata, size_t *size);

/* 0 or a negative errno (the address is not there, or in use). */
int web_open(struct loop *loop, const struct net_address *address, int port, web_render *render,
             void *userdata, struct web **web);
void web_close(struct web *web); /* NULL is ignored */
