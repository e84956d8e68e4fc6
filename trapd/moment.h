/* moment: a point in time as SNMP has it, DateAndTime (RFC 2579): eleven octets, to a tenth of a second, in
 * UTC. */
#pragma once
#include "common/base.h"

enum { MOMENT_OCTETS = 11 };

/* `wall_ns` is nanoseconds since 1970 in UTC; a negative one counts as 0. */
void moment_octets(int64_t wall_ns, uint8_t octets[static MOMENT_OCTETS]);
