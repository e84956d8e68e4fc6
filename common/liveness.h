/* liveness: the answer to a service manager that asks whether a daemon still turns its loop (WatchdogSec= of
 * a systemd unit). */
#pragma once
#include "common/loop.h"

/* Answers from the loop, at half the interval that systemd asks for; does nothing where it does not ask. 0 or
 * a negative errno. */
int liveness_start(struct loop *loop);
