/* command: what main() hands to a subcommand of `duet`, and how that takes its own flags out of it.
 *
 * A subcommand is one function from an invocation to an exit code. The options that all of them share are
 * already taken; what stands after the command's name is left in argv. Errors go to stderr, led by `duet
 * NAME:`. */
#pragma once
#include "common/base.h"
#include "common/daemon.h"

/* Exit codes of every command but `status`, whose own are in model.h (enum health). */
enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_REFUSED = 1, /* the daemon said no, or it did not come about */
    COMMAND_USAGE = 2,
    COMMAND_NO_ANSWER = 3,
};

struct invocation {
    const char *name;
    struct options options;
    bool is_node_given; /* by --node, else options.node is the host's name */
    int argc;           /* what stands after the name, not counting the name */
    char **argv;
};

typedef int command_function(struct invocation *invocation);

/* Takes `flag` out of argv wherever it stands. True if it was there. */
bool command_take_flag(struct invocation *invocation, const char *flag);

/* The same for `flag VALUE` and `flag=VALUE`. 1 and the value; 0 if it is not there; -EINVAL without a value
 * (said). */
int command_take_value(struct invocation *invocation, const char *flag, const char **value);

/* True if nothing is left in argv; else says what is not understood. */
bool command_all_taken(const struct invocation *invocation);

/* "duet NAME: text" on stderr. */
PRINTF_LIKE(2, 3) void command_error(const struct invocation *invocation, const char *format, ...);

/* How many letters must be put in, taken out or changed to turn `a` into `b`; at most 31 letters are looked
 * at. */
unsigned command_distance(const char *a, const char *b);
