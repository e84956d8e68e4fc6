/* program: where the daemons' programs are, and how one is started. Implemented in linux_program.c. */
#pragma once
#include <limits.h>

#include "common/base.h"

/* Finds the program of `daemon`: beside duet itself; in the sibling folder of a build tree; in
 * ../libexec/duet of a staged installation; in the installed one. 0; or -ENOENT, with the folder of duet in
 * `path`. */
int program_find(const char *daemon, char path[static PATH_MAX]);

/* Starts `argv` (NULL at the end; argv[0] is the program's path) with both outputs to `output_fd`, no input,
 * in a process group of its own and with default signals; it ends by SIGTERM when the caller does. Returns
 * its process id, or a negative errno (of the program that cannot be run, too). */
int program_start(char *const argv[], int output_fd);
