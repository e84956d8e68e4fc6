/* session: one SNMP sink, by Net-SNMP's library (snmpcmd(1), snmpd.conf(5)). It may block: it runs in a
 * process of its own, and so nobody waits for a sink but itself (child.h). SNMPv1 traps are made as RFC 3584,
 * 3 says. */
#pragma once
#include "common/config.h"
#include "trapd/directives.h"
#include "trapd/event.h"

enum { SESSION_ERROR_MAX = 320, ENGINE_ID_MAX = 32 };

/* Who this node is to SNMPv3 (RFC 3411, 5, SnmpEngineID). */
struct engine_id {
    size_t size;
    uint8_t bytes[ENGINE_ID_MAX];
};

enum session_kind { SESSION_TRAP1 = 1, SESSION_TRAP2, SESSION_INFORM }; /* as duetSinkKind */

/* Once a process. `engine_id` and `boots` are this node's. `base`: where DUET-MIB
 * lies; none: where the MIB says. */
void session_setup(const struct engine_id *engine_id, uint32_t boots, const struct config_oid *base);
/* 0, or -EINVAL with `error`. */
int session_add_user(const char *text, char error[static SESSION_ERROR_MAX]);

struct session;
/* Reads the directive; nothing is sent yet. 0, or -EINVAL with `error`: what is wrong. */
int session_new(const struct directive *directive, struct session **session,
                char error[static SESSION_ERROR_MAX]);
void session_free(struct session *session);
enum session_kind session_kind(const struct session *session);
const char *session_address(const struct session *session); /* as the directive says it */

/* A trap: sent. An inform: acknowledged; waits as long as the directive says. 0; -ETIMEDOUT; -ENETDOWN (the
 * adapter towards the sink has no carrier: a trap would be lost); or another negative errno, with `error`. */
int session_send(struct session *session, const struct event *event, char error[static SESSION_ERROR_MAX]);
