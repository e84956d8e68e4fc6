#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

void import_name(const char *text, const char *fallback, char name[static CONFIG_NAME_MAX])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t used = 0;

    for (; *text && used < CONFIG_NAME_MAX - 1; text++)
        if (strchr(allowed, *text) && (used > 0 || (*text != '-' && *text != '.')))
            name[used++] = *text;
    name[used] = '\0';
    if (used == 0)
        text_copy(name, CONFIG_NAME_MAX, fallback);
}

bool import_quote(const char *text, char *to, size_t size)
{
    size_t used = 0;

    if (size < 3)
        return false;
    to[used++] = '"';
    for (; *text; text++) {
        const bool escape = strchr("\"\\$", *text) != NULL;
        if ((unsigned char)*text < ' ' || *text == 0x7f || used + 2 + escape >= size)
            return false;
        if (escape)
            to[used++] = '\\';
        to[used++] = *text;
    }
    to[used++] = '"';
    to[used] = '\0';
    return true;
}

int64_t import_seconds(const char *text)
{
    char *end;
    const double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 86400))
        return 0;
    return (int64_t)(seconds * 1000 + 0.5) * NS_PER_MS;
}

/* ---- commands */

/* One word of a script's text, which quotes may hold together, into `word`. Returns what follows; NULL if a
 * quote is not closed or it does not fit. */
static const char *take_word(const char *at, char *word, size_t size)
{
    char quote = '\0';
    size_t used = 0;

    for (; *at && (quote || (*at != ' ' && *at != '\t')); at++) {
        if (quote ? *at == quote : *at == '"' || *at == '\'') {
            quote = quote ? '\0' : *at;
            continue;
        }
        if (*at == '\\' && quote != '\'' && at[1])
            at++;
        if (used + 1 >= size)
            return NULL;
        word[used++] = *at;
    }
    word[used] = '\0';
    return quote ? NULL : at;
}

static bool add_word(const char *word, char command[static IMPORT_COMMAND_MAX])
{
    const size_t used = strlen(command);
    char quoted[IMPORT_COMMAND_MAX];

    if (!import_quote(word, quoted, sizeof quoted) || used + strlen(quoted) + 4 > IMPORT_COMMAND_MAX)
        return false;
    snprintf(command + used, IMPORT_COMMAND_MAX - used, "%s%s", used > 1 ? ", " : "", quoted);
    return true;
}

static bool add_words(const char *script, char command[static IMPORT_COMMAND_MAX])
{
    char word[IMPORT_COMMAND_MAX];

    for (const char *at = script + strspn(script, " \t"); *at; at += strspn(at, " \t")) {
        at = take_word(at, word, sizeof word);
        if (!at || !add_word(word, command))
            return false;
    }
    return command[1] != '\0';
}

bool import_script(const char *script, const char *const more[], char command[static IMPORT_COMMAND_MAX],
                   bool *shell)
{
    const char *first = script + strspn(script, " \t");

    text_copy(command, IMPORT_COMMAND_MAX, "{");
    /* A first word that is a relative path, or that begins with a quote, is for a shell to understand as
     * well. */
    *shell = strpbrk(script, "|&;<>`$*?()~") != NULL ||
             (*first != '/' && memchr(first, '/', strcspn(first, " \t")));
    bool good = *shell ? add_word("/bin/sh", command) && add_word("-c", command) &&
                             add_word(script, command) && (!more || add_word("sh", command))
                       : add_words(script, command);
    for (; good && more && *more; more++)
        good = add_word(*more, command);
    if (good)
        snprintf(command + strlen(command), IMPORT_COMMAND_MAX - strlen(command), "}");
    return good && *first;
}
