#include "superviserd/walk.h"

#include <string.h>

static void skip_space(struct walk *walk)
{
    while (walk->at < walk->end && strchr(" \t\r\n", *walk->at) && *walk->at)
        walk->at++;
}

static bool skip_one(struct walk *walk, char wanted)
{
    skip_space(walk);
    if (walk->at == walk->end || *walk->at != wanted)
        return false;
    walk->at++;
    return true;
}

/* Behind the text that begins here. */
static bool skip_text(struct walk *walk)
{
    for (walk->at++; walk->at < walk->end; walk->at++)
        if (*walk->at == '\\')
            walk->at++;
        else if (*walk->at == '"')
            return walk->at++, true;
    walk->at = walk->end;
    return false;
}

/* Behind the value that begins here: up to the comma or bracket that is not its own. */
static bool skip_value(struct walk *walk)
{
    int depth = 0;

    while (walk->at < walk->end) {
        const char c = *walk->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return true;
        if (c == '"') {
            if (!skip_text(walk))
                return false;
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        walk->at++;
    }
    return false;
}

static struct walk begin(const char *text, size_t size, char bracket)
{
    struct walk walk = {text, text + size};

    if (!skip_one(&walk, bracket))
        walk.at = walk.end;
    return walk;
}

struct walk walk_object(const char *text, size_t size)
{
    return begin(text, size, '{');
}

struct walk walk_list(const char *text, size_t size)
{
    return begin(text, size, '[');
}

bool walk_next(struct walk *walk, struct walk_field *field)
{
    *field = (struct walk_field){0};
    skip_one(walk, ',');
    skip_space(walk);
    if (walk->at == walk->end || *walk->at == '}' || *walk->at == ']')
        return false;
    field->value = walk->at;
    if (*walk->at == '"' && skip_text(walk)) {
        const struct walk behind = *walk;
        if (skip_one(walk, ':')) {
            field->name = field->value + 1;
            field->name_size = (size_t)(behind.at - field->name) - 1;
            skip_space(walk);
            field->value = walk->at;
        }
    }
    const bool whole = skip_value(walk);
    field->value_size = (size_t)(walk->at - field->value);
    return whole;
}

bool walk_is(const struct walk_field *field, const char *name)
{
    return field->name_size == strlen(name) && memcmp(field->name, name, field->name_size) == 0;
}

bool walk_is_envelope(const struct walk_field *field)
{
    static const char *const names[] = {"v", "node", "from", "seq", "at", "mono_ns", "cause"};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (walk_is(field, names[i]))
            return true;
    return false;
}

int64_t walk_number(const struct walk_field *field)
{
    int64_t number = 0;

    for (size_t i = 0; i < field->value_size && i < 18; i++) {
        if (field->value[i] < '0' || field->value[i] > '9')
            return 0;
        number = number * 10 + (field->value[i] - '0');
    }
    return field->value_size > 18 ? 0 : number;
}

void walk_text(const struct walk_field *field, char *text, size_t size)
{
    const bool quoted = field->value_size >= 2 && field->value[0] == '"';
    size_t length = 0;

    for (size_t i = quoted; i + quoted < field->value_size && length + 1 < size; i++) {
        unsigned char c = (unsigned char)field->value[i];
        if (quoted && c == '\\' && i + 1 + quoted < field->value_size)
            c = (unsigned char)field->value[++i] == '"' ? '"' : '?';
        text[length++] = (char)(c < ' ' || c == 0x7f ? '?' : c);
    }
    text[length] = '\0';
}
