/* watchdog: the hardware watchdog of this node (topic `watchdog`).
 *
 * Armed from the start on, on both nodes, whatever the role. It is fed from this daemon's loop, at most a
 * second apart, as long as feeder.h agrees; whatever keeps the loop from turning, keeps it from being fed. A
 * device that is not there, or that another process has, is asked for again and again. It is told to stop
 * only when this daemon was told to, and no restart of this node is under way; if this daemon ends in any
 * other way it goes on, and the next superviserd takes it over in time. */
#pragma once
#include "common/daemon.h"

struct watchdog;

/* Arms what the configuration names, and publishes what came of it: that it could not be armed is no error.
 * Keeps `daemon` by reference; the result lives as long as the process. 0 or a negative errno. */
int watchdog_new(struct daemon *daemon, struct watchdog **watchdog);

/* The configuration was changed: whether one is required. Device and timeout stay. */
void watchdog_reload(struct watchdog *watchdog);

/* Whether the pair is held by the operator. */
void watchdog_role(struct watchdog *watchdog, const struct role_message *role);

/* Stops the feeding, since this machine must restart and nothing else brought that about. True if a watchdog
 * is armed, which restarts it within its timeout. It is then not told to stop at the end either. */
bool watchdog_starve(struct watchdog *watchdog, const char *reason);

/* Takes that back. */
void watchdog_feed_again(struct watchdog *watchdog);

/* A clean stop of this daemon begins: until it ends, only its own loop counts. */
void watchdog_stopping(struct watchdog *watchdog);

/* The clean stop ends: the watchdog is told to stop. Unless the machine is on its way down (`left_ns` > 0,
 * the time that it has for that): then it goes on, with that timeout as far as it can. */
void watchdog_let_go(struct watchdog *watchdog, int64_t left_ns);
