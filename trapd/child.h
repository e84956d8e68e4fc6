/* child: the process that sends to one sink. Net-SNMP's calls block on a sink that does not answer, and its
 * library holds state that all sessions of a process share: so each sink has a process of its own, which is
 * started by executing this program again with --sink and a socket (SOCK_SEQPACKET) as descriptor 0. What it
 * is to do comes over that socket; no secret is in an argument or the environment. */
#pragma once
#include "trapd/session.h"

struct child_setup {
    struct directive directive;
    size_t user_count;
    char users[DIRECTIVE_USERS_MAX][DIRECTIVE_BYTES_MAX];
    struct engine_id engine_id;
    uint32_t boots;
    struct config_oid base; /* where DUET-MIB lies; none: where the MIB says */
};

/* Answers the setup (number 0), and then each event. */
struct child_reply {
    uint32_t number;
    int result; /* as session_send() */
    enum session_kind kind;
    char address[128], text[SESSION_ERROR_MAX];
};

/* The process's main(). */
int child_run(void);
/* trapd --check FILE: says on stdout what is wrong with it, FILE:LINE: each; the exit code is 0 or 1. */
int child_check(const char *file);
