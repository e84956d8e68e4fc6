#include "syncd/owners.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

enum { SLOTS = 256, LOOKUP_BYTES = 16384 };

struct owner {
    bool known;
    uint32_t id;
    char name[SYNC_OWNER_MAX + 1];
};

/* By the number's low bits; another one with the same takes its place. */
struct owners {
    struct owner users[SLOTS], groups[SLOTS];
};

int owners_new(struct owners **owners)
{
    *owners = calloc(1, sizeof **owners);
    return *owners ? 0 : -ENOMEM;
}

void owners_free(struct owners *owners)
{
    free(owners);
}

void owners_forget(struct owners *owners)
{
    memset(owners, 0, sizeof *owners);
}

static const char *remember(struct owner *owner, uint32_t id, const char *name)
{
    owner->known = true;
    owner->id = id;
    if (name && name[0] != '\0' && name[0] != '#' && strlen(name) <= SYNC_OWNER_MAX)
        text_copy(owner->name, sizeof owner->name, name);
    else
        snprintf(owner->name, sizeof owner->name, "#%u", id);
    return owner->name;
}

const char *owners_user(struct owners *owners, uint32_t uid)
{
    struct owner *owner = &owners->users[uid % SLOTS];
    struct passwd entry, *found = NULL;
    char buffer[LOOKUP_BYTES];

    if (owner->known && owner->id == uid)
        return owner->name;
    getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
    return remember(owner, uid, found ? found->pw_name : NULL);
}

const char *owners_group(struct owners *owners, uint32_t gid)
{
    struct owner *owner = &owners->groups[gid % SLOTS];
    struct group entry, *found = NULL;
    char buffer[LOOKUP_BYTES];

    if (owner->known && owner->id == gid)
        return owner->name;
    getgrgid_r(gid, &entry, buffer, sizeof buffer, &found);
    return remember(owner, gid, found ? found->gr_name : NULL);
}

struct sync_bytes owner_bytes(const char *name)
{
    return (struct sync_bytes){.at = (const uint8_t *)name, .size = name[0] == '#' ? 0 : strlen(name)};
}
