#include "superviserd/line.h"

#include <stdio.h>
#include <string.h>

#include "proto/measure.h"
#include "superviserd/walk.h"

static bool is_worth_it(const struct walk_field *field)
{
    static const char *const empty[] = {"\"\"", "false", "0", "\"none\""};

    if (walk_is_envelope(field) || field_is_measure(field->name, field->name_size) ||
        field->value_size == 0 || field->value[0] == '[' || field->value[0] == '{')
        return false;
    if (walk_is(field, "active") || walk_is(field, "state")) /* what the line is about */
        return true;
    for (size_t i = 0; i < ARRAY_LENGTH(empty); i++)
        if (field->value_size == strlen(empty[i]) && memcmp(field->value, empty[i], field->value_size) == 0)
            return false;
    return true;
}

void line_print(const char *topic, const char *json, size_t json_size, char *line, size_t size)
{
    struct walk walk = walk_object(json, json_size);
    struct walk_field field;
    char value[256];

    text_copy(line, size, topic);
    while (walk_next(&walk, &field)) {
        const size_t used = strlen(line);
        if (!is_worth_it(&field))
            continue;
        walk_text(&field, value, sizeof value);
        snprintf(line + used, size - used, " %.*s=%s", (int)field.name_size, field.name, value);
    }
}
