/* lease: the record of the lease that takeoverd last obeyed, for the next run.
 *
 * A restarted takeoverd goes passive before anything else, unless the lease of the run before still stands
 * (DESIGN R1): then the kernel rightly has the active addresses, and dropping them would be an outage for
 * nothing. The record is one line of fixed length, written in place with each renewal: it needs no
 * durability, since another boot voids it anyhow, and a checksum tells a torn or foreign one.
 *
 * Pure: text in, text out. */
#pragma once
#include "common/base.h"

enum {
    LEASE_BOOT_ID_SIZE = 36,
    LEASE_LINE_SIZE = 128, /* of the record, with its line feed */
};

struct lease_record {
    int64_t epoch;
    int64_t lease_ns; /* CLOCK_BOOTTIME; 0: none */
    char boot_id[LEASE_BOOT_ID_SIZE + 1];
};

/* Fills `line` with LEASE_LINE_SIZE bytes, unterminated. */
void lease_print(const struct lease_record *record, char line[static LEASE_LINE_SIZE]);

/* 0 or -EBADMSG: not such a record, or damaged. */
int lease_parse(const char *text, size_t size, struct lease_record *record);

/* The lease was given in this boot, and has not run out. */
bool lease_stands(const struct lease_record *record, const char *boot_id, int64_t now_ns);
