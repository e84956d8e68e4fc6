/* tables: the values of DUET-MIB, read by managers through the machine's snmpd (AgentX, RFC 2741).
 *
 * Net-SNMP's agent library waits for snmpd inside its calls, up to seconds when snmpd hangs. So this is a
 * program of its own, `trapd-tables`: it listens to the bus by itself, and neither a notification nor a
 * daemon ever waits for it. trapd starts it and starts it again (tables_child.h); it ends with trapd. Without
 * snmpd it tries again every few seconds, for ever. All is read only. */
#pragma once
#include "common/daemon.h"

/* Serves the tables until SIGTERM. Returns main()'s exit code. */
int tables_run(const struct options *options);
