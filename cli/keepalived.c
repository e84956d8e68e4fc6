#include "cli/keepalived.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096, WORDS_MAX = 64, DEFINITIONS_MAX = 128, NAME_MAX_BYTES = 64 };

struct definition {
    char name[NAME_MAX_BYTES];
    char *value;
};

struct parser {
    struct keepalived *file;
    int line, depth;
    bool failed, out_of_memory;
    struct statement **tails[KEEPALIVED_DEPTH_MAX + 1]; /* where the next statement of each open block goes */
    struct statement *last[KEEPALIVED_DEPTH_MAX + 1];   /* the latest one of each */
    struct definition definitions[DEFINITIONS_MAX];
    size_t definition_count;
    char *words[WORDS_MAX]; /* of the statement under way */
    size_t word_count;
};

PRINTF_LIKE(2, 3) static void fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;

    if (parser->failed)
        return;
    parser->failed = true;
    parser->file->error_line = parser->line;
    va_start(arguments, format);
    vsnprintf(parser->file->error, sizeof parser->file->error, format, arguments);
    va_end(arguments);
}

/* ------------------------------------------------------------ definitions */

static size_t name_length(const char *text)
{
    size_t length = 0;

    while (isalnum((unsigned char)text[length]) || text[length] == '_')
        length++;
    return length;
}

static const char *definition_of(const struct parser *parser, const char *name, size_t length)
{
    for (size_t i = parser->definition_count; i > 0; i--) {
        const struct definition *d = &parser->definitions[i - 1];
        if (strlen(d->name) == length && memcmp(d->name, name, length) == 0)
            return d->value;
    }
    return NULL;
}

/* "$NAME=value" on a line of its own. */
static bool take_definition(struct parser *parser, const char *line)
{
    line += strspn(line, " \t");
    const size_t length = *line == '$' ? name_length(line + 1) : 0;

    if (length == 0 || length >= NAME_MAX_BYTES || line[1 + length] != '=')
        return false;
    if (parser->definition_count == DEFINITIONS_MAX) {
        fail(parser, "there are more than %d definitions", DEFINITIONS_MAX);
        return true;
    }
    const char *value = line + length + 2;
    struct definition *d = &parser->definitions[parser->definition_count];
    text_copy(d->name, MIN(sizeof d->name, length + 1), line + 1);
    d->value = strndup(value, strcspn(value, "#!\r"));
    parser->out_of_memory |= !d->value;
    parser->definition_count += d->value != NULL;
    return true;
}

/* Writes `line` with what its names stand for; a name that stands for nothing stays as it is. */
static void expand(struct parser *parser, const char *line, char to[static LINE_MAX_BYTES])
{
    size_t used = 0;

    while (*line && used < LINE_MAX_BYTES - 1) {
        const bool braced = line[0] == '$' && line[1] == '{';
        const size_t length = line[0] == '$' ? name_length(line + 1 + braced) : 0;
        const char *value = length > 0 ? definition_of(parser, line + 1 + braced, length) : NULL;
        if (!value || (braced && line[2 + length] != '}')) {
            to[used++] = *line++;
            continue;
        }
        const size_t size = MIN(strlen(value), LINE_MAX_BYTES - 1 - used);
        memcpy(to + used, value, size);
        used += size;
        line += 1 + length + (braced ? 2 : 0);
    }
    to[used] = '\0';
    if (*line)
        fail(parser, "the line is longer than %d bytes", LINE_MAX_BYTES - 1);
}

/* -------------------------------------------------------------- statements */

static void drop_words(struct parser *parser)
{
    for (size_t i = 0; i < parser->word_count; i++)
        free(parser->words[i]);
    parser->word_count = 0;
}

static struct statement *new_statement(struct parser *parser)
{
    struct statement *made = calloc(1, sizeof *made);
    char **words = calloc(parser->word_count + 1, sizeof *words);

    if (!made || !words) {
        free(made);
        free(words);
        parser->out_of_memory = true;
        return NULL;
    }
    memcpy(words, parser->words, parser->word_count * sizeof *words);
    *made = (struct statement){.line = parser->line, .word_count = parser->word_count, .words = words};
    parser->word_count = 0;
    return made;
}

/* The words so far are a statement. */
static void end_statement(struct parser *parser)
{
    if (parser->word_count == 0)
        return;
    if (parser->file->count == KEEPALIVED_STATEMENTS_MAX) {
        fail(parser, "there are more than %d statements", KEEPALIVED_STATEMENTS_MAX);
        return;
    }
    struct statement *made = new_statement(parser);
    if (!made)
        return;
    parser->file->count++;
    *parser->tails[parser->depth] = made;
    parser->tails[parser->depth] = &made->next;
    parser->last[parser->depth] = made;
}

/* '{' belongs to the statement before it, also if that ended with its line. */
static void open_block(struct parser *parser)
{
    end_statement(parser);
    struct statement *owner = parser->last[parser->depth];
    if (!owner || owner->has_block) {
        fail(parser, "'{' stands behind nothing that it could belong to");
        return;
    }
    if (parser->depth == KEEPALIVED_DEPTH_MAX) {
        fail(parser, "blocks are nested deeper than %d", KEEPALIVED_DEPTH_MAX);
        return;
    }
    owner->has_block = true;
    parser->depth++;
    parser->tails[parser->depth] = &owner->block;
    parser->last[parser->depth] = NULL;
}

static void close_block(struct parser *parser)
{
    end_statement(parser);
    if (parser->depth == 0) {
        fail(parser, "'}' closes a block that was not opened");
        return;
    }
    parser->depth--;
}

/* ------------------------------------------------------------------- words */

static void add_word(struct parser *parser, const char *word, size_t size)
{
    if (parser->word_count == WORDS_MAX) {
        fail(parser, "a statement has more than %d words", WORDS_MAX);
        return;
    }
    parser->words[parser->word_count] = strndup(word, size);
    parser->out_of_memory |= !parser->words[parser->word_count];
    parser->word_count += parser->words[parser->word_count] != NULL;
}

/* Takes one word at `at`: quotes are taken off, a backslash means the letter after it. Returns what follows.
 */
static const char *take_word(struct parser *parser, const char *at)
{
    char word[LINE_MAX_BYTES];
    size_t used = 0;
    bool quoted = false;

    for (; *at && (quoted || !strchr(" \t\r{}#!", *at)); at++) {
        if (*at == '"') {
            quoted = !quoted;
            continue;
        }
        if (*at == '\\' && at[1])
            at++;
        const char *end = at[0] == '$' && at[1] == '{' ? strchr(at, '}') : NULL;
        if (end) { /* a name that stands for nothing */
            memcpy(word + used, at, (size_t)(end - at));
            used += (size_t)(end - at);
            at = end;
        }
        word[used++] = *at; /* no longer than the line, which is shorter than that */
    }
    if (quoted)
        fail(parser, "a quote is not closed on its line");
    add_word(parser, word, used);
    return at;
}

static void take_line(struct parser *parser, const char *line)
{
    char text[LINE_MAX_BYTES];

    if (take_definition(parser, line))
        return;
    expand(parser, line, text);
    for (const char *at = text; *at && !parser->failed;) {
        if (*at == '#' || *at == '!')
            break;
        if (*at == '{')
            open_block(parser), at++;
        else if (*at == '}')
            close_block(parser), at++;
        else if (*at == ' ' || *at == '\t' || *at == '\r')
            at++;
        else
            at = take_word(parser, at);
    }
    end_statement(parser);
}

int keepalived_parse(const char *text, size_t size, struct keepalived *file)
{
    struct parser *parser = calloc(1, sizeof *parser);

    *file = (struct keepalived){0};
    if (!parser)
        return -ENOMEM;
    parser->file = file;
    parser->tails[0] = &file->first;
    for (const char *end = text + size; text < end && !parser->failed && !parser->out_of_memory;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t length = (size_t)((newline ? newline : end) - text);
        parser->line++;
        char *line AUTO_FREE = strndup(text, length);
        if (line && strlen(line) == length)
            take_line(parser, line);
        else if (line)
            fail(parser, "there is a byte 0 in it: is this a text file?");
        parser->out_of_memory |= !line;
        text += length + (newline != NULL);
    }
    if (parser->depth > 0)
        fail(parser, "the file ends within a block that was not closed with '}'");
    drop_words(parser);
    for (size_t i = 0; i < parser->definition_count; i++)
        free(parser->definitions[i].value);
    const int r = parser->out_of_memory ? -ENOMEM : parser->failed ? -EINVAL : 0;
    free(parser);
    return r;
}

static void free_list(struct statement *first)
{
    while (first) {
        struct statement *next = first->next;
        free_list(first->block); /* as deep as KEEPALIVED_DEPTH_MAX */
        for (size_t i = 0; i < first->word_count; i++)
            free(first->words[i]);
        free(first->words);
        free(first);
        first = next;
    }
}

void keepalived_free(struct keepalived *file)
{
    free_list(file->first);
    file->first = NULL;
}
