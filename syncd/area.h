/* area: where the files of a root are made and kept before and after their time: a directory on the same
 * mount as the root, so that all is done by rename and link. STATE/work if that is one; else in the root
 * (ROOT/.duet~stage), or beside it where it is no directory (.duet~NAME).
 *
 *     t…            being made
 *     s-E-C-N       content of a big file of generation E-C, opened by its operation N
 *     h-E-C/N       what operation N replaced or removed
 */
#pragma once
#include "proto/sync.h"

enum area_kind { AREA_STATE, AREA_INSIDE, AREA_BESIDE, AREA_KINDS };

struct area {
    int directories[AREA_KINDS]; /* negative: not there */
    enum area_kind chosen;
};

enum { AREA_NAME_MAX = 80 };

/* Opens what is there, and makes the one that is to be used. `state`: directory of the state. 0 or a negative
 * errno. */
int area_open(int state, const char *root, struct area *area);
void area_close(struct area *area);
int area_directory(const struct area *area);
/* The directory in which an entry of this name is, of all three; the chosen one if it is nowhere. */
int area_of(const struct area *area, const char *name);

const char *area_staged(struct sync_generation generation, uint32_t op, char name[static AREA_NAME_MAX]);
/* Removes from all three what is not to be kept. */
int area_sweep(const struct area *area, bool (*keep)(void *userdata, const char *name), void *userdata);
