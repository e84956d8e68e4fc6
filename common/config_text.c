#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

/* A pass over the text before libconfuse sees it. It takes out comments (whose lines libconfuse counts
 * wrongly), and refuses, by line, what libconfuse would silently drop, expand from the environment, or choke
 * on with its scanner in an odd state: so the words that it reads are those that stand in the file. */

enum { BRACES_MAX = 8 };

struct scan {
    const char *at;
    int line;
    char last;    /* last character that means something, '\0' at the start */
    bool in_word; /* inside an unquoted word */
    int braces, brace_lines[BRACES_MAX];
    char *out;
    size_t used;
    struct text_error *error;
};

PRINTF_LIKE(3, 4) static bool refuse(struct scan *scan, int line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(scan->error->text, sizeof scan->error->text, format, arguments);
    va_end(arguments);
    scan->error->line = line;
    return false;
}

static void put(struct scan *scan, char c)
{
    scan->out[scan->used++] = c;
}

static void take(struct scan *scan)
{
    put(scan, *scan->at++);
}

static void skip_line_comment(struct scan *scan)
{
    while (*scan->at != '\0' && *scan->at != '\n')
        scan->at++;
    put(scan, ' ');
}

static bool skip_block_comment(struct scan *scan)
{
    const int begin = scan->line;
    const char *end = strstr(scan->at + 2, "*/");

    if (!end)
        return refuse(scan, begin, "this comment is never closed; end it with \"*/\"");
    put(scan, ' ');
    for (; scan->at < end; scan->at++) {
        if (*scan->at == '\n') {
            put(scan, '\n');
            scan->line++;
        }
    }
    scan->at += 2;
    return true;
}

/* A backslash inside a string: only what everybody reads in the same way. */
static bool take_escape(struct scan *scan, char quote)
{
    const char next = scan->at[1];

    if (quote == '"' && (next == '\0' || !strchr("\"\\nt$", next)))
        return refuse(scan, scan->line,
                      "unknown escape \"\\%c\"; known are \\\" \\\\ \\n \\t \\$, and in '…' a backslash "
                      "stands for itself",
                      isprint((unsigned char)next) ? next : '?');
    take(scan);
    if (*scan->at == '\0' || *scan->at == '\n')
        return true; /* the string is not closed: the caller sees it */
    if (*scan->at == '\\' || *scan->at == quote || quote == '"')
        take(scan);
    return true;
}

static bool control(char c)
{
    const unsigned char u = (unsigned char)c;

    return (u < ' ' && u != '\t' && u != '\n' && u != '\r') || u == 0x7f;
}

static bool take_string(struct scan *scan)
{
    const char quote = *scan->at;

    take(scan);
    while (*scan->at != quote) {
        if (*scan->at == '\0' || *scan->at == '\n')
            return refuse(scan, scan->line, "this string is not closed; end it with %c on the same line",
                          quote);
        if (control(*scan->at) || *scan->at == '\r')
            return refuse(scan, scan->line, "control character in a string; remove it");
        if (quote == '"' && scan->at[0] == '$' && scan->at[1] == '{')
            return refuse(scan, scan->line,
                          "\"${…}\" is not replaced from the environment; write the value itself, or "
                          "\\${ for the characters");
        if (*scan->at == '\\') {
            if (!take_escape(scan, quote))
                return false;
        } else {
            take(scan);
        }
    }
    take(scan);
    scan->last = quote;
    scan->in_word = false;
    return true;
}

/* A brace opens a list after '=', else a section, whose first key tells its line. */
static bool open_brace(struct scan *scan)
{
    const bool section = scan->last != '=';

    if (scan->braces == BRACES_MAX)
        return refuse(scan, scan->line, "too many '{' inside each other; a '}' is missing before");
    scan->brace_lines[scan->braces++] = scan->line;
    scan->last = '{';
    scan->in_word = false;
    take(scan);
    if (section)
        scan->used += (size_t)sprintf(scan->out + scan->used, " @line=%d ", scan->line);
    return true;
}

static bool close_brace(struct scan *scan)
{
    if (scan->braces == 0)
        return refuse(scan, scan->line, "'}' without a '{' before; remove it, or open a section with '{'");
    scan->braces--;
    scan->last = '}';
    scan->in_word = false;
    take(scan);
    return true;
}

static bool after_include(const struct scan *scan)
{
    size_t end = scan->used;

    while (end > 0 && isspace((unsigned char)scan->out[end - 1]))
        end--;
    return end >= 7 && memcmp(scan->out + end - 7, "include", 7) == 0;
}

static bool refuse_character(struct scan *scan)
{
    const unsigned char c = (unsigned char)*scan->at;

    if (c == '(' && after_include(scan))
        return refuse(scan, scan->line,
                      "include is not known: the configuration is one file; write the text here");
    if (c >= 0x80)
        return refuse(scan, scan->line,
                      "a character outside of ASCII; use plain quotes, and put such text in \"…\"");
    if (control(*scan->at))
        return refuse(scan, scan->line, "control character (byte %u); remove it", c);
    return refuse(scan, scan->line, "'%c' outside of quotes; write \"…\" around the word that has it", c);
}

static bool take_word_character(struct scan *scan)
{
    const char c = *scan->at;

    if ((c & 0x80) || control(c) || strchr("*()|`;\\", c) || (c == '+' && scan->at[1] != '=') ||
        (c == '@' && !scan->in_word))
        return refuse_character(scan);
    if (c == '$' && scan->at[1] == '{')
        return refuse(scan, scan->line, "${…} is not replaced from the environment; write the value itself");
    scan->in_word = c != '=' && c != ',' && c != '+';
    scan->last = c;
    take(scan);
    return true;
}

static bool take_next(struct scan *scan)
{
    const char c = *scan->at;
    const bool comment = c == '/' && !scan->in_word;

    if (isspace((unsigned char)c) && !control(c)) {
        scan->line += c == '\n';
        scan->in_word = false;
        take(scan);
        return true;
    }
    if (c == '#' || (comment && scan->at[1] == '/')) {
        skip_line_comment(scan);
        return true;
    }
    if (comment && scan->at[1] == '*')
        return skip_block_comment(scan);
    if (c == '"' || c == '\'')
        return take_string(scan);
    if (c == '{')
        return open_brace(scan);
    if (c == '}')
        return close_brace(scan);
    return take_word_character(scan);
}

/* What a '{' can grow to. */
static const size_t insertion_max = sizeof "@line=2147483647  ";

static size_t braces_in(const char *text)
{
    size_t count = 0;

    for (; (text = strchr(text, '{')) != NULL; text++)
        count++;
    return count;
}

char *config_text_prepare(const char *text, struct text_error *error)
{
    struct scan scan = {.at = text, .line = 1, .error = error};
    const size_t size = 2 * strlen(text) + braces_in(text) * insertion_max + 2;

    scan.out = malloc(size);
    if (!scan.out) {
        refuse(&scan, 1, "out of memory");
        return NULL;
    }
    bool good = true;
    while (good && *scan.at != '\0')
        good = take_next(&scan);
    if (good && scan.braces > 0)
        good = refuse(&scan, scan.brace_lines[scan.braces - 1], "this '{' is never closed; a '}' is missing");
    if (!good) {
        free(scan.out);
        return NULL;
    }
    put(&scan, '\n');
    put(&scan, '\0');
    return scan.out;
}
