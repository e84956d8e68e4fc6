/* zap: who may connect to a ZeroMQ socket that binds with CURVE (ZAP, RFC 27). libzmq asks for each
 * connection; the question is answered in this process's own loop, by a function. A ZeroMQ context has one
 * zap, and it is opened before any socket of the context is bound. */
#pragma once
#include "common/curve.h"
#include "common/loop.h"

struct zap;

enum { ZAP_TEXT_MAX = 64 };
struct zap_request {
    char domain[ZAP_TEXT_MAX];  /* ZMQ_ZAP_DOMAIN of the socket; empty when longer than that */
    char address[ZAP_TEXT_MAX]; /* where the connection comes from */
    const uint8_t *key; /* CURVE_BYTES: the client's public key, which it has proved to have; NULL: none */
};

/* Whether this one is admitted. `user` (of ZAP_TEXT_MAX, empty) may be filled: its messages then have it as
 * their "User-Id". */
typedef bool zap_admit(void *userdata, const struct zap_request *request, char *user);

/* 0 or a negative errno. */
int zap_open(void *context, struct loop *loop, zap_admit *admit, void *userdata, struct zap **zap);
void zap_close(struct zap *zap); /* after the sockets that ask it; NULL is ignored */
