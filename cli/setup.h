/* setup: `duet setup`: a first configuration and its key, checked; what is missing on this machine; how the
 * peer gets the same. It starts nothing, and overwrites nothing. */
#pragma once
#include "cli/command.h"

int setup_command(struct invocation *invocation);
