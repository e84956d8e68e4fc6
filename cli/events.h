/* events: `duet events [TOPIC…] [--json]`: what passes on the bus, as it passes. */
#pragma once
#include "cli/command.h"

int events_command(struct invocation *invocation);
