/* service_record: the note by which a restarted superviserd finds a service that still runs.
 *
 * One file a service in the run directory, written before its program begins: which process it is, in which
 * boot, and of which command. The text is a state file's (common/statefile.h). Pure. */
#pragma once
#include "common/statefile.h"
#include "common/sys.h"

struct service_record {
    char boot_id[SYS_BOOT_ID_MAX];
    int pid;
    int64_t started_ticks;
    uint64_t command; /* service_record_hash() of the command it was started by */
};

void service_record_print(const struct service_record *record, char text[static STATEFILE_MAX]);

/* 0, or -EBADMSG if it is not the whole of a record. */
int service_record_parse(const char *text, struct service_record *record);

/* Tells commands apart (words, and NULL; user and group). Not a secret, and no attacker's business. */
uint64_t service_record_hash(char *const words[], const char *user, const char *group);
