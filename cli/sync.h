/* sync: `duet sync status|now|verify|log|rollback`. */
#pragma once
#include "cli/command.h"

command_function sync_command;
