/* walk: through a message's JSON text, field by field, without making anything of it.
 *
 * For texts that come from the bus: no field is copied, nothing is allocated, and a text that is no JSON ends
 * the walk early instead of being an error. */
#pragma once
#include "common/base.h"

struct walk {
    const char *at, *end;
};

struct walk_field {
    const char *name, *value; /* not terminated; of a text: with its quotes and escapes */
    size_t name_size, value_size;
};

/* A walk through the fields of the object that `text` is. */
struct walk walk_object(const char *text, size_t size);

/* A walk through the values of the list that `text` is. */
struct walk walk_list(const char *text, size_t size);

/* The next field of an object, or value of a list (without a name). False at the end. */
bool walk_next(struct walk *walk, struct walk_field *field);

bool walk_is(const struct walk_field *field, const char *name);

/* A field that every topic has, beside its own. */
bool walk_is_envelope(const struct walk_field *field);

/* The value as a number; 0 if it is none. */
int64_t walk_number(const struct walk_field *field);

/* The value as text, without its quotes, as far as it fits; escapes and control characters become '?'. What
 * is no text is copied as it is. */
void walk_text(const struct walk_field *field, char *text, size_t size);
