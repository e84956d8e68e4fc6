/* agent: the part of the tables that is Net-SNMP's: a subagent of the machine's snmpd. One in a process,
 * since the library has one. Its calls may block for as long as AGENT_TIMEOUT_S says, each. */
#pragma once
#include "common/config.h"
#include "trapd/view.h"

enum { AGENT_TIMEOUT_S = 1, AGENT_RETRIES = 1, AGENT_PING_S = 2, AGENT_FDS_MAX = 16, AGENT_READS_MAX = 64 };

/* Gives the values of this moment. The view lives until the next call. */
typedef const struct view *agent_view_function(void *userdata);

/* Connects to the master agent at `address` (Net-SNMP's agentXSocket), or goes on trying. `base` is kept by
 * reference. 0 or a negative errno. */
int agent_open(const char *address, const struct config_oid *base, agent_view_function *view, void *userdata);
void agent_close(void);
/* Why snmpd's socket cannot be used by this process, and the remedy; empty while it can, or is not there. */
void agent_obstacle(char *text, size_t size);

/* Handles what snmpd has sent, if anything, and what is due. */
void agent_turn(void);

/* The descriptors that become readable when there is something to do: the connection, and the library's own
 * pipes. They can change with each agent_turn(). Returns how many there are. */
size_t agent_fds(int fds[static AGENT_FDS_MAX]);
