/* lineage: the epochs that a set's data went through on its way to this node.
 *
 * Two nodes' data belong together if the active one's went through the epoch of the passive one's. If not,
 * one of them began anew (a fresh disk, a lost state directory), and must not replace what the other one has:
 * an empty node never empties the other. Kept in a state file, changed once an epoch. */
#pragma once
#include "common/base.h"

enum { LINEAGE_MAX = 32 };

struct lineage {
    size_t count;
    uint64_t epochs[LINEAGE_MAX]; /* the latest first */
};

/* Without a file, or with a damaged one, it is empty. */
void lineage_load(struct lineage *lineage, const char *path);
int lineage_save(const struct lineage *lineage, const char *path); /* 0 or a negative errno */

/* True if it is new. Epoch 0 is none. */
bool lineage_add(struct lineage *lineage, uint64_t epoch);
bool lineage_has(const struct lineage *lineage, uint64_t epoch);

/* The text of the file, and back. 0 or -EBADMSG. */
void lineage_print(const struct lineage *lineage, char *text, size_t room);
int lineage_parse(struct lineage *lineage, const char *text);
