/* duet drill: a planned failover and back, under measurement. */
#pragma once
#include "cli/command.h"

int drill_command(struct invocation *invocation);
