#include "common/changes.h"

#include <inttypes.h>
#include <string.h>

#include "proto/measure.h"

/* Two counters of the nodes' agreement say nothing to people either. */
static bool is_quiet(const char *name)
{
    return field_is_measure(name, strlen(name)) || strcmp(name, "change") == 0 ||
           strcmp(name, "considered") == 0;
}

static size_t count_of(const struct field *field, const char *body)
{
    return body ? *(const size_t *)(const void *)(body + field->count_offset) : 0;
}

static const char *element(const struct field *field, const char *body, size_t i)
{
    return i < count_of(field, body) ? body + field->offset + i * field->record->size : NULL;
}

static bool lists_differ(const struct field *field, const char *before, const char *after)
{
    const size_t count = count_of(field, after);

    if (!before || count_of(field, before) != count)
        return true;
    for (size_t i = 0; i < count; i++)
        if (changes_any(field->record, element(field, before, i), element(field, after, i)))
            return true;
    return false;
}

static bool field_differs(const struct field *field, const char *before, const char *after)
{
    if (is_quiet(field->name))
        return false;
    if (!before)
        return true;
    before += field->offset;
    after += field->offset;
    switch (field->kind) {
    case FIELD_BOOL:
        return *(const bool *)(const void *)before != *(const bool *)(const void *)after;
    case FIELD_INT:
        return *(const int64_t *)(const void *)before != *(const int64_t *)(const void *)after;
    case FIELD_TEXT:
        return strcmp(before, after) != 0;
    case FIELD_ENUM:
        return *(const unsigned *)(const void *)before != *(const unsigned *)(const void *)after;
    case FIELD_LIST:
        return lists_differ(field, before - field->offset, after - field->offset);
    case FIELD_NONE:
        break;
    }
    return false;
}

bool changes_any(const struct record *record, const void *before, const void *after)
{
    for (const struct field *field = record->fields; field->name; field++)
        if (field_differs(field, before, after))
            return true;
    return false;
}

/* Topics hold text from other machines: a terminal must not obey it. */
static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        const bool control = *at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0);
        if (*at == '"' || *at == '\\')
            fputc('\\', out);
        fputc(control ? '?' : *at, out);
        at += control && *at == 0xc2; /* C1 has two bytes */
    }
    fputc('"', out);
}

static void print_list(FILE *out, const struct field *field, const char *before, const char *after)
{
    const bool same_length = before && count_of(field, before) == count_of(field, after);
    const char *separator = "";

    fputc('[', out);
    for (size_t i = 0; i < count_of(field, after); i++) {
        const char *was = same_length ? element(field, before, i) : NULL;
        if (!changes_any(field->record, was, element(field, after, i)))
            continue;
        fputs(separator, out);
        separator = "; ";
        changes_print(out, field->record, NULL, element(field, after, i));
    }
    fputc(']', out);
}

static void print_value(FILE *out, const struct field *field, const char *body)
{
    const void *at = body + field->offset;

    switch (field->kind) {
    case FIELD_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        break;
    case FIELD_INT:
        fprintf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case FIELD_TEXT:
        print_text(out, at);
        break;
    case FIELD_ENUM:
        fputs(field->names[*(const unsigned *)at], out);
        break;
    case FIELD_LIST:
    case FIELD_NONE:
        break;
    }
}

static void print_field(FILE *out, const struct field *field, const char *before, const char *after)
{
    fprintf(out, "%s=", field->name);
    if (field->kind == FIELD_LIST) {
        print_list(out, field, before, after);
        return;
    }
    print_value(out, field, after);
    if (before) {
        fputs(" (was ", out);
        print_value(out, field, before);
        fputc(')', out);
    }
}

void changes_print(FILE *out, const struct record *record, const void *before, const void *after)
{
    const char *separator = "";

    for (const struct field *field = record->fields; field->name; field++) {
        if (!field_differs(field, before, after))
            continue;
        fputs(separator, out);
        separator = " ";
        print_field(out, field, before, after);
    }
}
