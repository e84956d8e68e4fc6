/* server: roamd's own work: events in, the core asked, its effects done, its state told. */
#pragma once
#include "client/config.h"
#include "common/daemon.h"

struct server;

/* 0 or a negative errno (said); the caller frees with server_free() after daemon_run(). `config` is kept by
 * reference. */
int server_open(struct daemon *daemon, const struct client_config *config, struct server **server);
void server_free(struct server *server); /* NULL is ignored */
