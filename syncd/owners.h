/* owners: the names of users and groups, remembered for a while, since asking for one may read files. */
#pragma once
#include "proto/sync.h"

struct owners;

int owners_new(struct owners **owners); /* 0 or -ENOMEM */
void owners_free(struct owners *owners);
void owners_forget(struct owners *owners); /* they may have changed */

/* The name, or "#number" where there is none that can travel; valid until the next
 * question of its kind. */
const char *owners_user(struct owners *owners, uint32_t uid);
const char *owners_group(struct owners *owners, uint32_t gid);
/* As it travels: empty for a number. */
struct sync_bytes owner_bytes(const char *name);
