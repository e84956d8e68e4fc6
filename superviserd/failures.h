/* failures: which services had failed when this daemon, or the machine, ended.
 *
 * A fault that shows only while this node is active must not look cured because the machine restarted itself
 * for it: the peer would hand the role back, and so on, a reboot a time (DESIGN R7). The names are kept in
 * STATE/superviserd/failures, for as long as the configuration is the same. */
#pragma once
#include "common/daemon.h"

struct failures;

/* Reads what was kept, and starts the thread that writes. Lives as long as the process. 0 or a negative
 * errno. */
int failures_open(const struct daemon *daemon, struct failures **failures);

/* It had failed, as was read. */
bool failures_had(const struct failures *failures, const char *service);

/* Keeps that it has failed, or that it has not; written soon, if that is news. */
void failures_note(struct failures *failures, const char *service, bool failed);

/* The configuration was changed while this daemon works: what had failed of a service that is still there
 * stands. */
void failures_configure(struct failures *failures, const struct config *config);

/* After what was noted is written. */
void failures_close(struct failures *failures);
