#include "trapd/directives.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[DIRECTIVE_KINDS] = {"trapsink", "trap2sink", "informsink", "trapsess"};

enum { LINE_MAX_BYTES = 2048 };

struct reader {
    struct directives *directives;
    directive_problem *problem;
    void *userdata;
    int line, problems;
    char community[64];
};

static void complain(struct reader *reader, const char *text)
{
    reader->problems++;
    reader->problem(reader->userdata, reader->line, text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word, by Net-SNMP's rules: quotes of either kind hold a word together, a backslash takes what
 * follows as it is. Its length, with what it is in `word`; -1: a quote does not end, or it is too long; 0 and
 * *text at its end: there is none. */
static int next_word(const char **text, char *word, size_t room)
{
    const char *at = *text;
    size_t size = 0;
    char quote = '\0';
    bool any = false;

    while (is_blank(*at))
        at++;
    for (; *at != '\0' && (quote != '\0' || !is_blank(*at)); at++) {
        any = true;
        if (quote == '\0' && (*at == '"' || *at == '\'')) {
            quote = *at;
            continue;
        }
        if (*at == quote) {
            quote = '\0';
            continue;
        }
        if (*at == '\\' && at[1] != '\0')
            at++;
        if (size + 1 >= room)
            return -1;
        word[size++] = *at;
    }
    word[size] = '\0';
    *text = at;
    return quote != '\0' ? -1 : any ? (int)size + 1 : 0;
}

static void take_sink(struct reader *reader, enum directive_kind kind, const char *rest)
{
    struct directives *d = reader->directives;
    size_t used = 0;
    int size;

    if (d->count == DIRECTIVES_MAX) {
        complain(reader, "more than 16 sinks: take out those that are not needed");
        return;
    }
    struct directive *made = &d->sinks[d->count];
    *made = (struct directive){.kind = kind, .line = reader->line};
    while ((size = next_word(&rest, made->bytes + used, sizeof made->bytes - used)) > 0) {
        if (made->word_count == DIRECTIVE_WORDS_MAX) {
            size = -1;
            break;
        }
        made->at[made->word_count++] = (uint16_t)used;
        used += (size_t)size;
    }
    const size_t most = kind == DIRECTIVE_TRAPSESS ? DIRECTIVE_WORDS_MAX : 3;
    if (size < 0)
        complain(reader, "a quote that does not end, or a line that is too long");
    else if (made->word_count == 0)
        complain(reader, kind == DIRECTIVE_TRAPSESS ? "trapsess without a host: trapsess [OPTIONS] HOST"
                                                    : "a sink without a host: HOST [COMMUNITY [PORT]]");
    else if (made->word_count > most)
        complain(reader, "too many words: HOST [COMMUNITY [PORT]]");
    else {
        memcpy(made->community, reader->community, sizeof made->community);
        d->count++;
    }
}

static void take_community(struct reader *reader, const char *rest)
{
    char word[sizeof reader->community];
    const int size = next_word(&rest, word, sizeof word);

    if (size <= 1)
        complain(reader, size < 0 ? "a community of more than 63 bytes, or a quote that does not end"
                                  : "trapcommunity without a community");
    else
        memcpy(reader->community, word, (size_t)size);
    memset(word, 0, sizeof word);
}

static void take_user(struct reader *reader, const char *rest)
{
    struct directives *d = reader->directives;

    if (d->user_count == DIRECTIVE_USERS_MAX) {
        complain(reader, "more than 16 users");
        return;
    }
    while (is_blank(*rest))
        rest++;
    if (strlen(rest) >= sizeof d->users[0].text) {
        complain(reader, "a createUser line that is too long");
        return;
    }
    if (*rest == '\0') {
        complain(reader, "createUser without a name: createUser NAME SHA \"PASSPHRASE\" AES");
        return;
    }
    d->users[d->user_count].line = reader->line;
    text_copy(d->users[d->user_count++].text, sizeof d->users[0].text, rest);
}

static void take_line(struct reader *reader, const char *line)
{
    char word[32];

    while (is_blank(*line))
        line++;
    const size_t length = strcspn(line, " \t\r");
    if (*line == '#' || length == 0 || length >= sizeof word)
        return;
    memcpy(word, line, length);
    word[length] = '\0';
    for (size_t kind = 0; kind < DIRECTIVE_KINDS; kind++)
        if (strcasecmp(word, names[kind]) == 0)
            take_sink(reader, (enum directive_kind)kind, line + length);
    if (strcasecmp(word, "trapcommunity") == 0)
        take_community(reader, line + length);
    else if (strcasecmp(word, "createUser") == 0)
        take_user(reader, line + length);
}

int directives_parse(const char *text, size_t size, struct directives *directives, directive_problem *problem,
                     void *userdata)
{
    struct reader reader = {
        .directives = directives, .problem = problem, .userdata = userdata, .community = "public"};
    char line[LINE_MAX_BYTES];

    memset(directives, 0, sizeof *directives);
    for (size_t at = 0; at < size; reader.line++) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - (text + at)) : size - at;
        reader.line += at == 0;
        if (length >= sizeof line) {
            complain(&reader, "a line of more than 2047 bytes");
        } else if (memchr(text + at, '\0', length)) {
            complain(&reader, "a NUL byte");
        } else {
            memcpy(line, text + at, length);
            line[length] = '\0';
            take_line(&reader, line);
        }
        at += length + 1;
    }
    memset(line, 0, sizeof line);
    memset(reader.community, 0, sizeof reader.community);
    return reader.problems;
}
