/* wants: whether the configuration gives a daemon anything to do. systemd asks before it starts one. */
#pragma once
#include "cli/command.h"

/* `duet wants DAEMON`: COMMAND_DONE if so, COMMAND_REFUSED if not. A configuration that cannot be read is no
 * answer: 255, by which ExecCondition= of systemd tells a failure from a no. */
int wants_command(struct invocation *invocation);
