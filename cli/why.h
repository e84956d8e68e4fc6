/* why: `duet why [N] [--json]`: a change of role as a chain, from the first sign to the last packet.
 *
 * arbiterd keeps the changes (state directory), what led to each and what was considered, and what the peer
 * has told of its own changes. */
#pragma once
#include "cli/command.h"
#include "cli/text.h"
#include "proto/topics.h"

int why_command(struct invocation *invocation);

/* The chain for people, with times relative to the decision; one chain of both nodes' records if `peer` has
 * the other one's (`ok`), else with its `error` below, if there is one. */
void why_print(const struct paper *paper, const struct change_message *change,
               const struct change_message *peer);

/* What was noted since, with times before `now_ns` (CLOCK_BOOTTIME). Prints nothing if there is nothing. */
void why_print_recent(const struct paper *paper, const struct recent_message *recent, int64_t now_ns);

/* "2" as the second last change, which is number 1 on the bus. 0, or -EINVAL unless a whole number from 1 to
 * 1000. */
int why_parse_number(const char *text, int64_t *nth);
