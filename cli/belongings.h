/* belongings: the daemons' files, which have users of their own under systemd, go to the user of `duet run`.
 *
 * Root without its capabilities is a stranger to them: a daemon of `duet run` could neither make its sockets
 * nor read its state. The way back is systemd's: duet-prepare.service, and StateDirectory= of each unit. */
#pragma once
#include "common/base.h"

/* Gives root what lies in `run_dir` and `state_dir` and belongs to a daemon's other user. Does nothing for
 * anybody else than root. 0; -EBUSY with the name of a daemon in `*daemon` if one still works there under
 * such a user, and then nothing is changed; or another negative errno. */
int belongings_take(const char *run_dir, const char *state_dir, const char **daemon);
