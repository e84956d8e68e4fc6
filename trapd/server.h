/* server: hears the bus, and hands what happened to the sinks. */
#pragma once
#include "common/daemon.h"
#include "common/sys.h"

struct server;

/* 0 or a negative errno (logged). */
int server_open(struct daemon *daemon, struct server **server);
void server_free(struct server *server);
