/* server: witnessd's wiring: what arbiterd asks for on the one side, etcd on the other. */
#pragma once
#include "common/daemon.h"

struct server;

/* 0 or a negative errno; server_free() either way, after daemon_run(). */
int server_open(struct daemon *daemon, struct server **server);
void server_free(struct server *server);
