/* import: `duet import KEEPALIVED.conf`: what a keepalived.conf says as a duet.conf on stdout; what it could
 * not take over, line by line, on stderr. */
#pragma once
#include "cli/command.h"

int import_command(struct invocation *invocation);
