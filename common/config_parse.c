#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

enum { OPTIONS_MAX = 48, UNKNOWN_MAX = 8, TABLES_MAX = 16 };

/* One kind of section, with room for the unknown keys that were found in it and reported. */
struct table {
    const char *section;
    cfg_opt_t options[OPTIONS_MAX + UNKNOWN_MAX];
};

enum {
    ROOT,
    CLUSTER,
    NODE,
    CHANNEL,
    CHANNEL_NODE,
    ROUTE,
    RULE,
    SERVICE,
    SYNC,
    HOOK,
    WATCHDOG,
    SNMP,
    MONITOR,
    WITNESS,
    FENCE,
    TABLES
};

struct grammar {
    struct table tables[TABLES_MAX]; /* the first one is the file itself */
    size_t table_count;
    char unknown[UNKNOWN_MAX][64]; /* names that the tables point to */
    size_t unknown_count;
};

/* libconfuse hands no pointer of ours to its callbacks, so that the parse under way is found here. */
struct parse {
    char kind[32]; /* section where the error was */
    char text[200];
    char suggestion[64];
    int line;   /* 0: no error yet */
    char *kept; /* scratch of keep_line() */
};
static _Thread_local struct parse *current;

/* ---- what libconfuse calls */

/* Every value becomes "LINE:FIRST:text", where FIRST is the line of an earlier value of the same key that
 * this one silently would replace, or 0. The option's comment remembers that line. */
int config_keep_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    const size_t size = strlen(value) + 32;
    int first = 0;
    char line[16];

    free(current->kept);
    current->kept = malloc(size);
    if (!current->kept)
        return -1;
    if (opt->nvalues == 1) {
        const char *comment = cfg_opt_getcomment(opt);
        if (comment)
            first = atoi(comment);
        snprintf(line, sizeof line, "%d", cfg->line);
        cfg_opt_setcomment(opt, line);
    }
    snprintf(current->kept, size, "%d:%d:%s", cfg->line, first, value);
    *(const char **)result = current->kept;
    return 0;
}

/* The line that config_text put first into a section; one that stands in the file itself is no key. */
int config_take_section_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    char first[] = "first";

    if (cfg_opt_getcomment(opt)) {
        cfg_error(cfg, "no such option '%s'", opt->name);
        return -1;
    }
    cfg_opt_setcomment(opt, first);
    *(long *)result = strtol(value, NULL, 10);
    return 0;
}

static const char *suggest_key(cfg_t *cfg, const char *word)
{
    const char *names[OPTIONS_MAX + UNKNOWN_MAX];
    size_t count = 0;

    for (; cfg->opts[count].name && count < ARRAY_LENGTH(names); count++)
        names[count] = cfg->opts[count].name;
    return config_nearest_word(word, names, count);
}

/* The word in '…' of libconfuse's message. */
static void quoted_word(const char *message, char *word, size_t size)
{
    const char *begin = strchr(message, '\'');
    const char *end = begin ? strrchr(begin + 1, '\'') : NULL;

    text_copy(word, size, "");
    if (end)
        text_copy(word, MIN(size, (size_t)(end - begin)), begin + 1);
}

PRINTF_LIKE(2, 0) static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char word[64];
    const char *near;

    if (!current || current->line != 0)
        return;
    current->line = MAX(cfg->line, 1);
    text_copy(current->kind, sizeof current->kind, cfg->name ? cfg->name : "root");
    vsnprintf(current->text, sizeof current->text, format, arguments);
    quoted_word(current->text, word, sizeof word);
    near = suggest_key(cfg, word);
    text_copy(current->suggestion, sizeof current->suggestion, near ? near : "");
}

/* ---- the grammar */

#define SCALAR CONFIG_SCALAR
#define LIST CONFIG_LIST
#define LINE CONFIG_LINE
#define NAMED CONFIG_NAMED
#define PLAIN CONFIG_PLAIN

static const cfg_opt_t root_options[] = {
    NAMED("cluster"), NAMED("node"),    NAMED("channel"), NAMED("route"),    NAMED("rule"),
    NAMED("service"), NAMED("sync"),    NAMED("hook"),    PLAIN("watchdog"), PLAIN("snmp"),
    PLAIN("monitor"), PLAIN("witness"), PLAIN("fence")};
static const cfg_opt_t cluster_options[] = {LINE,
                                            SCALAR("profile"),
                                            SCALAR("key-file"),
                                            SCALAR("old-key-file"),
                                            SCALAR("on-network-fault"),
                                            SCALAR("lease-gate"),
                                            SCALAR("reboot-force"),
                                            LIST("reboot-command"),
                                            SCALAR("router-retries")};
static const cfg_opt_t node_options[] = {LINE, SCALAR("reserved-address")};
static const cfg_opt_t channel_options[] = {LINE,
                                            SCALAR("device"),
                                            LIST("active-address"),
                                            LIST("router"),
                                            SCALAR("mode"),
                                            SCALAR("search"),
                                            SCALAR("heartbeat"),
                                            SCALAR("hold-as"),
                                            SCALAR("check-only-idle"),
                                            NAMED("node")};
static const cfg_opt_t channel_node_options[] = {LINE, LIST("passive-address"), SCALAR("device")};
static const cfg_opt_t route_options[] = {LINE, SCALAR("to"), SCALAR("via"), SCALAR("channel"),
                                          SCALAR("table")};
static const cfg_opt_t rule_options[] = {LINE, SCALAR("from"), SCALAR("to"), SCALAR("table"),
                                         SCALAR("priority")};
static const cfg_opt_t service_options[] = {LINE,
                                            LIST("command"),
                                            SCALAR("unit"),
                                            LIST("start"),
                                            LIST("stop"),
                                            SCALAR("pidfile"),
                                            SCALAR("process"),
                                            SCALAR("when"),
                                            LIST("after"),
                                            LIST("check"),
                                            SCALAR("check-interval"),
                                            SCALAR("check-timeout"),
                                            SCALAR("start-timeout"),
                                            SCALAR("check-failures"),
                                            SCALAR("start-retries"),
                                            SCALAR("retry-interval"),
                                            SCALAR("stop-timeout"),
                                            SCALAR("user"),
                                            SCALAR("group"),
                                            SCALAR("exclusive"),
                                            SCALAR("on-failure")};
static const cfg_opt_t sync_options[] = {LINE,
                                         LIST("path"),
                                         SCALAR("sqlite"),
                                         LIST("dump"),
                                         LIST("restore"),
                                         LIST("exclude"),
                                         LIST("validate"),
                                         LIST("apply"),
                                         SCALAR("max-delay"),
                                         SCALAR("privileged"),
                                         SCALAR("keep")};
static const cfg_opt_t hook_options[] = {LINE,           SCALAR("on"),   LIST("command"), SCALAR("timeout"),
                                         SCALAR("user"), SCALAR("group")};
static const cfg_opt_t watchdog_options[] = {LINE, SCALAR("device"), SCALAR("timeout"), SCALAR("required")};
static const cfg_opt_t snmp_options[] = {LINE, SCALAR("config"), SCALAR("agentx"), SCALAR("base-oid")};
static const cfg_opt_t monitor_options[] = {LINE, SCALAR("listen"), SCALAR("metrics"), SCALAR("key-file"),
                                            SCALAR("clients")};
static const cfg_opt_t witness_options[] = {
    LINE,           SCALAR("kind"),         LIST("endpoint"), SCALAR("key"), SCALAR("ca-file"),
    SCALAR("user"), SCALAR("password-file")};
static const cfg_opt_t fence_options[] = {LINE, LIST("command"), SCALAR("timeout")};

static size_t table_size(const struct table *table)
{
    size_t count = 0;

    while (table->options[count].name)
        count++;
    return count;
}

static void table_set(struct table *table, const char *section, const cfg_opt_t *options, size_t count)
{
    table->section = section;
    memset(table->options, 0, sizeof table->options);
    memcpy(table->options, options, count * sizeof *options);
}

static void table_link(struct table *table, const char *name, struct table *to)
{
    for (cfg_opt_t *option = table->options; option->name; option++)
        if (option->type == CFGT_SEC && strcmp(option->name, name) == 0)
            option->subopts = to->options;
}

static void add_timers(struct table *cluster)
{
    size_t count = table_size(cluster);

    for (size_t i = 0; i < CONFIG_TIMERS; i++)
        cluster->options[count++] = (cfg_opt_t)SCALAR(config_timer_table[i].key);
}

static void grammar_init(struct grammar *grammar)
{
    struct table *t = grammar->tables;

    grammar->table_count = TABLES;
    grammar->unknown_count = 0;
    table_set(&t[ROOT], "root", root_options, ARRAY_LENGTH(root_options));
    table_set(&t[CLUSTER], "cluster", cluster_options, ARRAY_LENGTH(cluster_options));
    table_set(&t[NODE], "node", node_options, ARRAY_LENGTH(node_options));
    table_set(&t[CHANNEL], "channel", channel_options, ARRAY_LENGTH(channel_options));
    table_set(&t[CHANNEL_NODE], "node", channel_node_options, ARRAY_LENGTH(channel_node_options));
    table_set(&t[ROUTE], "route", route_options, ARRAY_LENGTH(route_options));
    table_set(&t[RULE], "rule", rule_options, ARRAY_LENGTH(rule_options));
    table_set(&t[SERVICE], "service", service_options, ARRAY_LENGTH(service_options));
    table_set(&t[SYNC], "sync", sync_options, ARRAY_LENGTH(sync_options));
    table_set(&t[HOOK], "hook", hook_options, ARRAY_LENGTH(hook_options));
    table_set(&t[WATCHDOG], "watchdog", watchdog_options, ARRAY_LENGTH(watchdog_options));
    table_set(&t[SNMP], "snmp", snmp_options, ARRAY_LENGTH(snmp_options));
    table_set(&t[MONITOR], "monitor", monitor_options, ARRAY_LENGTH(monitor_options));
    table_set(&t[WITNESS], "witness", witness_options, ARRAY_LENGTH(witness_options));
    table_set(&t[FENCE], "fence", fence_options, ARRAY_LENGTH(fence_options));
    add_timers(&t[CLUSTER]);
    for (size_t i = CLUSTER; i < TABLES; i++)
        if (i != CHANNEL_NODE)
            table_link(&t[ROOT], t[i].section, &t[i]);
    table_link(&t[CHANNEL], "node", &t[CHANNEL_NODE]);
}

static void grammar_init_sections(struct grammar *grammar, const struct config_section *sections,
                                  size_t count)
{
    struct table *t = grammar->tables;

    grammar->table_count = count;
    grammar->unknown_count = 0;
    for (size_t i = 0; i < count; i++)
        table_set(&t[i], sections[i].name, sections[i].options, sections[i].option_count);
    for (size_t i = 1; i < count; i++)
        table_link(&t[sections[i].within], sections[i].name, &t[i]);
}

/* ---- libconfuse's errors, in our words */

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static const char *manual(const struct reader *reader)
{
    return reader->manual ? reader->manual : "duet.conf(5)";
}

static void refuse_unknown(struct reader *reader, const struct parse *parse, const char *word)
{
    const char *where = strcmp(parse->kind, "root") == 0 ? "outside of sections" : parse->kind;
    const char *in = strcmp(parse->kind, "root") == 0 ? "" : "in ";

    if (strcmp(word, "include") == 0)
        config_refuse(reader, parse->line,
                      "include is not known: the configuration is one file; write the text here");
    else if (parse->suggestion[0])
        config_refuse(reader, parse->line, "unknown key \"%s\" %s%s; did you mean \"%s\"?", word, in, where,
                      parse->suggestion);
    else
        config_refuse(reader, parse->line, "unknown key \"%s\" %s%s; remove it (%s lists the known ones)",
                      word, in, where, manual(reader));
}

static void refuse_token(struct reader *reader, int line, const char *word)
{
    if (strcmp(word, "{") == 0)
        config_refuse(reader, line,
                      "unexpected '{'; this key takes one value, written KEY = VALUE without braces");
    else if (strcmp(word, "}") == 0)
        config_refuse(reader, line, "unexpected '}'; a value is missing before it");
    else
        config_refuse(reader, line,
                      "unexpected \"%s\"; write KEY = VALUE, KEY = {VALUE, VALUE}, or SECTION \"NAME\" "
                      "{ … }",
                      word);
}

static void refuse_syntax(struct reader *reader, const struct parse *parse, const char *word)
{
    const char *text = parse->text;

    if (begins_with(text, "unexpected token"))
        refuse_token(reader, parse->line, word);
    else if (begins_with(text, "missing equal sign"))
        config_refuse(reader, parse->line, "'=' is missing after \"%s\"; write %s = VALUE", word, word);
    else if (begins_with(text, "missing title"))
        config_refuse(reader, parse->line, "%s needs a name; write %s \"NAME\" { … }", word, word);
    else if (begins_with(text, "missing opening brace"))
        config_refuse(reader, parse->line, "'{' is missing after %s; it is a section: %s%s { … }", word, word,
                      strstr("watchdog snmp monitor client witness fence", word) ? "" : " \"NAME\"");
    else if (begins_with(text, "found duplicate title"))
        config_refuse(reader, parse->line,
                      "a second section of the same kind is named \"%s\"; give it a name of its "
                      "own, or join the two%s",
                      word,
                      strcmp(word, "default") == 0
                          ? " (default routes of both families: \"0.0.0.0/0\", \"::/0\")"
                          : "");
    else if (begins_with(text, "attempt to append"))
        config_refuse(reader, parse->line, "\"%s\" takes one value; write %s = VALUE instead of +=", word,
                      word);
    else if (begins_with(text, "premature end"))
        config_refuse(reader, parse->line, "the file ends in the middle of a key; its value is missing");
    else
        config_refuse(reader, parse->line, "%s; see %s for how it is written",
                      text[0] ? text : "this cannot be read", manual(reader));
}

static bool is_reported(const struct grammar *grammar, const char *word)
{
    for (size_t i = 0; i < grammar->unknown_count; i++)
        if (strcmp(grammar->unknown[i], word) == 0)
            return true;
    return false;
}

/* Lets an unknown key pass from now on, so that the next parse shows what else is wrong. */
static bool add_unknown(struct grammar *grammar, const char *kind, const char *word)
{
    if (grammar->unknown_count == UNKNOWN_MAX || word[0] == '\0' ||
        strlen(word) >= sizeof grammar->unknown[0] - 1)
        return false;
    char *name = grammar->unknown[grammar->unknown_count++];
    text_copy(name, sizeof grammar->unknown[0], word);
    for (size_t i = 0; i < grammar->table_count; i++) {
        struct table *table = &grammar->tables[i];
        if (strcmp(table->section, kind) == 0)
            table->options[table_size(table)] = (cfg_opt_t)LIST(name);
    }
    return true;
}

/* Says what was wrong; true if another parse can tell more. */
static bool report(struct reader *reader, struct grammar *grammar, const struct parse *parse)
{
    char word[64];

    quoted_word(parse->text, word, sizeof word);
    if (is_reported(grammar, word))
        return false;
    if (begins_with(parse->text, "no such option")) {
        refuse_unknown(reader, parse, word);
        return add_unknown(grammar, parse->kind, word);
    }
    refuse_syntax(reader, parse, word);
    return false;
}

/* One run of libconfuse. NULL with `parse` filled on an error. */
static cfg_t *parse_once(struct grammar *grammar, const char *prepared, struct parse *parse)
{
    cfg_t *tree = cfg_init(grammar->tables[ROOT].options, CFGF_NONE);

    *parse = (struct parse){0};
    if (!tree)
        return NULL;
    current = parse;
    cfg_set_error_function(tree, on_error);
    int r = cfg_parse_buf(tree, prepared);
    current = NULL;
    free(parse->kept);
    if (r == CFG_SUCCESS && parse->line == 0)
        return tree;
    if (parse->line == 0) {
        parse->line = MAX(tree->line, 1);
        text_copy(parse->text, sizeof parse->text, "out of memory");
    }
    cfg_free(tree);
    return NULL;
}

static cfg_t *parse(struct reader *reader, const char *prepared, const struct config_section *sections,
                    size_t count)
{
    struct grammar *grammar AUTO_FREE = malloc(sizeof *grammar);
    struct parse run;

    if (!grammar) {
        config_refuse(reader, 1, "out of memory");
        return NULL;
    }
    if (sections)
        grammar_init_sections(grammar, sections, count);
    else
        grammar_init(grammar);
    for (;;) {
        cfg_t *tree = parse_once(grammar, prepared, &run);
        if (tree || !report(reader, grammar, &run))
            return tree;
    }
}

cfg_t *config_parse(struct reader *reader, const char *prepared)
{
    return parse(reader, prepared, NULL, 0);
}

cfg_t *config_parse_sections(struct reader *reader, const char *prepared,
                             const struct config_section *sections, size_t count)
{
    assert(count <= TABLES_MAX);
    return parse(reader, prepared, sections, count);
}

/* ---- the tree */

size_t config_value_count(cfg_t *section, const char *key)
{
    return cfg_size(section, key);
}

int config_section_line(cfg_t *section)
{
    return MAX((int)cfg_getint(section, "@line"), 1);
}

/* Takes "LINE:FIRST:text" apart. */
static const char *split_value(const char *kept, int *line, int *first)
{
    char *at;

    *line = (int)strtol(kept, &at, 10);
    *first = (int)strtol(at + 1, &at, 10);
    return at + 1;
}

struct value config_value_at(cfg_t *section, const char *key, size_t index)
{
    struct value value = {NULL, config_section_line(section)};
    int first;

    if (index < config_value_count(section, key))
        value.text = split_value(cfg_getnstr(section, key, (unsigned)index), &value.line, &first);
    return value;
}

struct value config_value_of(cfg_t *section, const char *key)
{
    return config_value_at(section, key, 0);
}

static void refuse_repeated_key(struct reader *reader, cfg_opt_t *option)
{
    int line, first;

    split_value(cfg_opt_getnstr(option, 0), &line, &first);
    if (first != 0)
        config_refuse(reader, line, "\"%s\" is given twice (first on line %d); keep one of them",
                      option->name, first);
}

void config_refuse_repeated_keys(struct reader *reader, cfg_t *section)
{
    for (cfg_opt_t *option = section->opts; option->name; option++) {
        if (option->type == CFGT_STR && cfg_opt_size(option) > 0)
            refuse_repeated_key(reader, option);
        for (unsigned i = 0; option->type == CFGT_SEC && i < cfg_opt_size(option); i++)
            config_refuse_repeated_keys(reader, cfg_opt_getnsec(option, i));
    }
}
