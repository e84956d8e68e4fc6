/* config_private: how the text of the configuration becomes struct config, for the files config*.c alone.
 *
 *     config_text    takes out comments, refuses what libconfuse would read as something surprising, notes
 * lines config_parse   the grammar; libconfuse turns the text into a tree of sections and words config_values
 * one word of the tree into a duration, an address, a choice … config_build   the tree into struct config
 *     config_check*  what must hold between the parts of it
 *     config_key     files on disk
 *
 * The client's configuration (client/config.c) is read by the same parts, with a grammar of its own.
 *
 * libconfuse stops at its first error and forgets lines. So all values are plain words to it, each kept with
 * its line, and everything about their meaning is said later, all of it in one run. */
#pragma once
#include <confuse.h>

#include "common/config.h"

/* Where an address is used, so that no two are the same. */
struct address_use {
    struct net_address address;
    int line;
    int channel;    /* index, or -1 */
    char what[112]; /* `router of channel "outside"` */
};

/* One reading of one file. */
struct reader {
    const char *file;
    FILE *out;
    int errors, warnings;
    const char *node;   /* --node, or NULL */
    const char *manual; /* the page that describes this file; NULL: duet.conf(5) */
    cfg_t *tree;
    struct config *config;
    char devices[CONFIG_NODES][CONFIG_CHANNELS_MAX][16];
    struct address_use *uses;
    size_t use_count;
    bool out_of_memory;
};

PRINTF_LIKE(3, 4) void config_refuse(struct reader *reader, int line, const char *format, ...);
PRINTF_LIKE(3, 4) void config_warn(struct reader *reader, int line, const char *format, ...);

/* ---- config_text */

struct text_error {
    int line;
    char text[200];
};

/* Makes the text that libconfuse is given, freed by the caller: without comments, and with `@line=N` as the
 * first key of each section. NULL with `error` filled if it is refused. */
char *config_text_prepare(const char *text, struct text_error *error);

/* ---- config_parse */

/* Parses prepared text; says what it refuses. NULL if nothing can be made of it; the caller frees with
 * cfg_free(). */
cfg_t *config_parse(struct reader *reader, const char *prepared);

/* A grammar as a table: the first section is the file itself, the others stand in sections before them. */
struct config_section {
    const char *name;
    size_t within; /* index of the section that it stands in */
    const cfg_opt_t *options;
    size_t option_count;
};

int config_keep_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);
int config_take_section_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);

#define CONFIG_SCALAR(name) CFG_STR_CB(name, NULL, CFGF_NODEFAULT, config_keep_line)
#define CONFIG_LIST(name) CFG_STR_LIST_CB(name, NULL, CFGF_NODEFAULT, config_keep_line)
#define CONFIG_LINE CFG_INT_CB("@line", 0, CFGF_NONE, config_take_section_line) /* in every section */
/* A section is always "multi", or libconfuse makes one that is not in the file. */
#define CONFIG_NAMED(name) CFG_SEC(name, NULL, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)
#define CONFIG_PLAIN(name) CFG_SEC(name, NULL, CFGF_MULTI)

/* The same as config_parse(), by another grammar. */
cfg_t *config_parse_sections(struct reader *reader, const char *prepared,
                             const struct config_section *sections, size_t count);

struct value {
    const char *text; /* NULL: not given */
    int line;         /* of it, else of its section */
};
size_t config_value_count(cfg_t *section, const char *key);
struct value config_value_at(cfg_t *section, const char *key, size_t index);
struct value config_value_of(cfg_t *section, const char *key); /* the first one */
int config_section_line(cfg_t *section);

/* The word of `words` that is the likeliest meant by `word`; NULL if none is near. */
const char *config_nearest_word(const char *word, const char *const words[], size_t count);

/* Says of each key of `section`, and of the sections in it, that is given twice. */
void config_refuse_repeated_keys(struct reader *reader, cfg_t *section);

/* ---- config_values: each leaves `to` alone if the key is not given, and says it if it is wrong */

bool config_name_valid(const char *name);
void config_take_text(struct reader *reader, cfg_t *section, const char *key, char *to, size_t size);
void config_take_path(struct reader *reader, cfg_t *section, const char *key, char *to, size_t size);
/* An object identifier, in figures. */
void config_take_oid(struct reader *reader, cfg_t *section, const char *key, struct config_oid *to);
void config_take_bool(struct reader *reader, cfg_t *section, const char *key, bool *to);
void config_take_int(struct reader *reader, cfg_t *section, const char *key, int least, int most, int *to);
void config_take_duration(struct reader *reader, cfg_t *section, const char *key, int64_t least, int64_t *to);
void config_take_choice(struct reader *reader, cfg_t *section, const char *key, const char *const words[],
                        size_t count, int *to);
void config_take_strings(struct reader *reader, cfg_t *section, const char *key, struct config_strings *to);
/* The same, for a command: its first word is an absolute path or a plain word. */
void config_take_command(struct reader *reader, cfg_t *section, const char *key, struct config_strings *to);

/* Whether an address carries a prefix length. */
enum prefix { PREFIX_NEEDED, PREFIX_FORBIDDEN };
/* 0, or -EINVAL after saying why. */
int config_parse_address(struct reader *reader, const char *key, struct value value, enum prefix prefix,
                         struct net_address *address);
/* Also notes each address as used on `channel` (an index, or -1) as `what`. */
void config_take_addresses(struct reader *reader, cfg_t *section, const char *key, enum prefix prefix,
                           int channel, const char *what, struct config_addresses *to);
void config_strings_free(struct config_strings *strings);

/* ---- config_build, config_timers, config_check, config_check_sets, config_key */

void config_build(struct reader *reader);
void config_build_routes(struct reader *reader);
/* The title of a section as a name. False after saying what is wrong with it. */
bool config_take_name(struct reader *reader, cfg_t *section, char name[static CONFIG_NAME_MAX]);
/* How many sections of this kind there are, cut down to `most` after saying that it is too many. */
size_t config_section_count(struct reader *reader, cfg_t *in, const char *kind, size_t most);
/* `count` and one more, all zero; NULL: reader->out_of_memory. */
void *config_take_memory(struct reader *reader, size_t count, size_t size);
/* The only section of a kind; NULL if there is none. */
cfg_t *config_single_section(struct reader *reader, const char *kind);
void config_build_third_parties(struct reader *reader);
void config_take_timers(struct reader *reader, cfg_t *cluster);
void config_check_timers(struct reader *reader, cfg_t *cluster);
void config_check_addresses(struct reader *reader);
void config_check_channels(struct reader *reader);
void config_check_routes(struct reader *reader);
void config_check_services(struct reader *reader);
void config_check_syncs(struct reader *reader);
void config_check_key_files(struct reader *reader);

void config_note_use(struct reader *reader, const struct net_address *address, int line, int channel,
                     const char *what);

/* Index of a node or a channel by name; -1 if there is none. */
int config_node_index(const struct config *config, const char *name);
int config_channel_index(const struct config *config, const char *name);

/* Reads a whole configuration file after looking at who can write it. The text, freed by the caller, or NULL
 * with the negative errno in `error`; said either way. */
char *config_file_text(struct reader *reader, int *error);
