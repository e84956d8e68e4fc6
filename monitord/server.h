/* server: monitord's wiring: the bus of this node on one side, the outlet and the web on the other. */
#pragma once
#include "common/daemon.h"

struct server;

/* 0 or a negative errno; server_free() either way, after daemon_run(). What the network refuses (an address
 * that is not there yet) is no error: it is tried again. */
int server_open(struct daemon *daemon, struct server **server);
void server_free(struct server *server);
