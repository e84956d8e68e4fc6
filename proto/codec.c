#include "proto/codec.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/topics.h"

static json_t *pack_record(const struct record *record, const char *body);

static json_t *pack_list(const struct field *field, const char *body)
{
    const size_t count = *(const size_t *)(const void *)(body + field->count_offset);
    json_t *list = json_array();

    for (size_t i = 0; i < count && i < field->size; i++)
        json_array_append_new(list,
                              pack_record(field->record, body + field->offset + i * field->record->size));
    return list;
}

static json_t *pack_field(const struct field *field, const char *body)
{
    const void *at = body + field->offset;

    switch (field->kind) {
    case FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case FIELD_INT:
        return json_integer(*(const int64_t *)at);
    case FIELD_TEXT:
        return json_stringn(at, strnlen(at, field->size - 1));
    case FIELD_ENUM:
        return json_string(field->names[*(const unsigned *)at]);
    case FIELD_LIST:
        return pack_list(field, body);
    case FIELD_NONE:
        break;
    }
    return NULL;
}

static int pack_into(json_t *object, const struct record *record, const char *body)
{
    for (const struct field *field = record->fields; field->name; field++)
        if (json_object_set_new_nocheck(object, field->name, pack_field(field, body)) < 0)
            return -ENOMEM;
    return 0;
}

static json_t *pack_record(const struct record *record, const char *body)
{
    json_t *object = json_object();

    if (pack_into(object, record, body) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *pack_envelope(const struct envelope *envelope)
{
    json_t *object =
        json_pack("{s:i s:s s:s s:I s:s s:I}", "v", 1, "node", envelope->node, "from", envelope->from, "seq",
                  (json_int_t)envelope->seq, "at", envelope->at, "mono_ns", (json_int_t)envelope->mono_ns);

    if (object && envelope->cause[0])
        json_object_set_new(object, "cause", json_string(envelope->cause));
    return object;
}

char *message_pack(const struct message_type *type, const struct envelope *envelope, const void *body)
{
    json_t *object = envelope ? pack_envelope(envelope) : json_object();
    char *text = NULL;

    if (object && pack_into(object, type->record, body) == 0)
        text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

/* ------------------------------------------------------------------ parsing */

static const int64_t exact_max = INT64_C(1) << 53; /* what every JSON reader can hold exactly */

__attribute__((format(printf, 2, 3))) static int refuse(char *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, CODEC_ERROR_MAX, format, args);
    va_end(args);
    return -EBADMSG;
}

static int parse_record(const struct record *record, json_t *object, char *body, char *error);

static int parse_text(const char *name, const json_t *value, char *at, size_t size, char *error)
{
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);

    if (!text || length >= size || strlen(text) != length)
        return refuse(error, "%s: must be a string of at most %zu bytes without NUL", name, size - 1);
    memcpy(at, text, length + 1);
    return 0;
}

/* Times in nanoseconds are `wide`: readers that keep numbers as doubles lose a nanosecond or two of them. */
static int parse_int(const char *name, bool wide, const json_t *value, int64_t *at, char *error)
{
    const int64_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || (!wide && number > exact_max))
        return refuse(error, "%s: must be an integer from 0 to 2^%d", name, wide ? 63 : 53);
    *at = number;
    return 0;
}

static int parse_enum(const struct field *field, const json_t *value, unsigned *at, char *error)
{
    const char *text = json_string_value(value);

    for (unsigned i = 0; text && i < field->size; i++)
        if (strcmp(text, field->names[i]) == 0) {
            *at = i;
            return 0;
        }
    return refuse(error, "%s: must be a known word, such as \"%s\"", field->name, field->names[0]);
}

static int parse_list(const struct field *field, json_t *value, char *body, char *error)
{
    size_t *count = (size_t *)(void *)(body + field->count_offset);

    if (!json_is_array(value) || json_array_size(value) > field->size)
        return refuse(error, "%s: must be a list of at most %zu", field->name, field->size);
    *count = json_array_size(value);
    for (size_t i = 0; i < *count; i++) {
        int r = parse_record(field->record, json_array_get(value, i),
                             body + field->offset + i * field->record->size, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_field(const struct field *field, json_t *value, char *body, char *error)
{
    void *at = body + field->offset;

    switch (field->kind) {
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return refuse(error, "%s: must be true or false", field->name);
        *(bool *)at = json_is_true(value);
        return 0;
    case FIELD_INT:
        return parse_int(field->name, field->wide, value, at, error);
    case FIELD_TEXT:
        return parse_text(field->name, value, at, field->size, error);
    case FIELD_ENUM:
        return parse_enum(field, value, at, error);
    case FIELD_LIST:
        return parse_list(field, value, body, error);
    case FIELD_NONE:
        break;
    }
    return refuse(error, "%s: has no type", field->name);
}

/* Takes each described field out of `object`; whatever is left is unknown. `body` was zeroed. */
static int parse_fields(const struct record *record, json_t *object, char *body, char *error)
{
    for (const struct field *field = record->fields; field->name; field++) {
        json_t *value = json_object_get(object, field->name);
        if (!value && field->optional)
            continue;
        if (!value)
            return refuse(error, "%s: is missing", field->name);
        int r = parse_field(field, value, body, error);
        if (r < 0)
            return r;
        json_object_del(object, field->name);
    }
    return 0;
}

static int refuse_rest(json_t *object, char *error)
{
    const char *key = json_object_iter_key(json_object_iter(object));

    return key ? refuse(error, "%.64s: is not a field of this message", key) : 0;
}

static int parse_record(const struct record *record, json_t *object, char *body, char *error)
{
    if (!json_is_object(object))
        return refuse(error, "must be an object");
    int r = parse_fields(record, object, body, error);
    return r < 0 ? r : refuse_rest(object, error);
}

static int parse_envelope(json_t *object, struct envelope *envelope, char *error)
{
    *envelope = (struct envelope){0};
    if (json_integer_value(json_object_get(object, "v")) != 1)
        return refuse(error, "v: this version reads envelopes of version 1");

    const json_t *cause = json_object_get(object, "cause");
    int r = parse_text("node", json_object_get(object, "node"), envelope->node, sizeof envelope->node, error);
    if (r == 0)
        r = parse_text("from", json_object_get(object, "from"), envelope->from, sizeof envelope->from, error);
    if (r == 0)
        r = parse_int("seq", false, json_object_get(object, "seq"), &envelope->seq, error);
    if (r == 0)
        r = parse_text("at", json_object_get(object, "at"), envelope->at, sizeof envelope->at, error);
    if (r == 0)
        r = parse_int("mono_ns", true, json_object_get(object, "mono_ns"), &envelope->mono_ns, error);
    if (r == 0 && cause)
        r = parse_text("cause", cause, envelope->cause, sizeof envelope->cause, error);

    static const char *const names[] = {"v", "node", "from", "seq", "at", "mono_ns", "cause"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_del(object, names[i]);
    return r;
}

int message_parse(const struct message_type *type, const char *text, size_t size, struct envelope *envelope,
                  void *body, char error[static CODEC_ERROR_MAX])
{
    struct envelope ignored;
    json_error_t syntax;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &syntax);

    if (!object)
        return refuse(error, "not JSON: %s at byte %d", syntax.text, syntax.position);
    int r = 0;
    memset(body, 0, type->record->size);
    if (!json_is_object(object))
        r = refuse(error, "must be an object");
    else if (type->topic)
        r = parse_envelope(object, envelope ? envelope : &ignored, error);
    if (r == 0)
        r = parse_record(type->record, object, body, error);
    json_decref(object);
    return r;
}

/* ----------------------------------------------------------------- renewals */

static bool renews(const struct record *record, const char *before, const char *after);

static bool list_renews(const struct field *field, const char *before, const char *after)
{
    const size_t count = *(const size_t *)(const void *)(after + field->count_offset);

    if (count != *(const size_t *)(const void *)(before + field->count_offset))
        return false;
    for (size_t i = 0; i < count && i < field->size; i++) {
        const size_t at = field->offset + i * field->record->size;
        if (!renews(field->record, before + at, after + at))
            return false;
    }
    return true;
}

static bool int_renews(bool ageing, int64_t before, int64_t after)
{
    return before == after || (ageing && before != 0 && after != 0);
}

static bool field_renews(const struct field *field, const char *before, const char *after)
{
    const void *x = before + field->offset, *y = after + field->offset;

    switch (field->kind) {
    case FIELD_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case FIELD_INT:
        return int_renews(field->ageing, *(const int64_t *)x, *(const int64_t *)y);
    case FIELD_TEXT:
        return strncmp(x, y, field->size) == 0;
    case FIELD_ENUM:
        return *(const unsigned *)x == *(const unsigned *)y;
    case FIELD_LIST:
        return list_renews(field, before, after);
    case FIELD_NONE:
        break;
    }
    return false;
}

static bool renews(const struct record *record, const char *before, const char *after)
{
    for (const struct field *field = record->fields; field->name; field++)
        if (!field_renews(field, before, after))
            return false;
    return true;
}

bool message_is_renewal(const struct message_type *type, const void *before, const void *after)
{
    return type->ages && renews(type->record, before, after);
}

/* ------------------------------------------------------------------- topics */

const struct message_type *topic_find(const char *topic, const char **name)
{
    const char *slash = strchr(topic, '/');
    const size_t area = slash ? (size_t)(slash - topic) : strlen(topic);
    const bool named = slash && slash[1];

    *name = named ? slash + 1 : NULL;
    for (size_t i = 0; topic_types[i]; i++)
        if (topic_types[i]->named == named && strlen(topic_types[i]->topic) == area &&
            memcmp(topic_types[i]->topic, topic, area) == 0)
            return topic_types[i];
    return NULL;
}
