/* import_parts: what the files import_*.c have from each other. */
#pragma once
#include "cli/import_plan.h"

/* ---- import_words: words, names and commands */

/* NAME made of any text, of the letters that names may have; `fallback` if nothing is left. */
void import_name(const char *text, const char *fallback, char name[static CONFIG_NAME_MAX]);

/* A script's text as a list of words for duet.conf; a shell is called where it needs one. False: it cannot be
 * written (too long, control characters). `shell`: whether it was. */
bool import_script(const char *script, const char *const more[], char command[static IMPORT_COMMAND_MAX],
                   bool *shell);

/* A string for duet.conf, with quotes. False: it cannot be written. */
bool import_quote(const char *text, char *to, size_t size);

/* "1", "0.5": seconds. 0 ns: it is none. */
int64_t import_seconds(const char *text);

/* ---- import_scripts: notify scripts and tracked ones */

/* The notify_* statements of an instance or group called `name`; false: it is none of these. */
bool import_notify(struct import *import, struct statement *statement, const char *type, const char *name);

/* What instances track: each script and process becomes a service, told once. `statements`: of the file. */
void import_tracked(struct import *import, struct statement *statements, struct statement *statement);

/* The vrrp_script and vrrp_track_process that nobody tracks. */
void import_untracked(struct import *import, struct statement *statements);

/* ---- import_verdicts: what has no counterpart, or needs none, and why */

enum import_place { PLACE_TOP, PLACE_GLOBALS, PLACE_GROUP, PLACE_INSTANCE };

/* Whether `statement`, of that place, is among them; if so, it is told of. */
bool import_judge(struct import *import, struct statement *statement, enum import_place place);

/* ---- import_channels: adapters and the addresses on them */

struct import_channel *import_channel_of(struct import *import, const char *device); /* NULL: none */
bool import_is_held(const struct import *import, const struct net_address *address); /* a virtual address */

/* The word behind `word`, from index `from` on; of a statement in the block, its first value. NULL: none. */
const char *import_word_after(const struct statement *s, size_t from, const char *word);
const char *import_value_of(const struct statement *instance, const char *word);

/* The addresses of a block, on `device` where they name no other; a new channel is called `name`. */
void import_addresses(struct import *import, struct statement *block, const char *device, const char *name);

/* unicast_src_ip and unicast_peer: the nodes' own addresses on `device`. */
void import_unicast(struct import *import, struct statement *instance, const char *device, const char *name);

/* ---- import_late: what needs all channels to be known */

/* A channel without virtual addresses is the reserved line, or none. */
void import_reserved(struct import *import);
/* Routes and tracked adapters of an instance or group. */
void import_late(struct import *import, struct statement *owner);
/* The nodes' own addresses get the prefix length of their network, or are told of. */
void import_passive(struct import *import);
void import_routers(struct import *import, const struct net_address *routers, size_t count);
