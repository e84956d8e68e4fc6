/* status: `duet status [--json] [--watch]`, `duet status --check`. */
#pragma once
#include "cli/command.h"

int status_command(struct invocation *invocation); /* exits with an enum health */
