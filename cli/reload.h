/* duet reload: a changed configuration, applied by all daemons of this node. */
#pragma once
#include "cli/command.h"

int reload_command(struct invocation *invocation);
