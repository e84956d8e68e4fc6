/* orders: what a person asks of the pair: switch, hold, resume, clear, claim.
 *
 * An order goes to this node's arbiterd, which accepts or refuses it with its reason; the command then
 * watches the bus until what was ordered is seen, since a word of acceptance is not yet a change. */
#pragma once
#include "cli/command.h"

/* Sends an order to `daemon`; says on stderr why it was not accepted. COMMAND_DONE and its reply, or another exit
 * code. */
int orders_send(const struct invocation *invocation, const char *daemon, const struct command_message *command,
                struct reply_message *reply);

int switch_command(struct invocation *invocation);
int hold_command(struct invocation *invocation);
int resume_command(struct invocation *invocation);
int clear_command(struct invocation *invocation);
int claim_command(struct invocation *invocation);
