/* reaper: the ends of other people's processes.
 *
 * The first process of a PID namespace (`duet run` in a container) inherits all whose parents have ended,
 * services that an earlier superviserd had started among them, and has to ask for their status: else they
 * stay zombies for good. */
#pragma once
#include "common/base.h"

/* Asks for the status of children that have ended, until there is none, or it is one of `own`, whose status
 * somebody else waits for: then it is to be called again after that. Returns how many there were. Never
 * blocks. */
int reaper_collect(const int own[], size_t count);
