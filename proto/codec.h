/* codec: between a message's struct and its JSON text, driven by a description.
 *
 * Each message is described once, in topics.toml; the generator turns that into a `struct message_type`, a
 * table of fields. This module walks the table: packing writes every field, parsing demands every field but
 * the optional ones, in its type and range, and refuses any other. So a message that parses can be used
 * without a second look.
 *
 * This is the only place (beside the printing of people's JSON in cli/) that knows Jansson. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind { FIELD_NONE, FIELD_BOOL, FIELD_INT, FIELD_TEXT, FIELD_ENUM, FIELD_LIST };

struct record;

struct field {
    const char *name; /* NULL ends a table */
    enum field_kind kind;
    bool optional; /* missing = zero */
    bool wide;     /* int: up to 2^63 - 1 instead of 2^53 */
    bool ageing;   /* int: goes on with time, while nothing happens */
    size_t offset;
    size_t size;              /* text: bytes with the NUL; enum: number of names; list: most elements */
    const char *const *names; /* enum */
    size_t count_offset;      /* list: where the size_t with the number of elements is */
    const struct record *record;
};

struct record {
    const struct field *fields;
    size_t size; /* of the struct */
};

struct message_type {
    const char *topic; /* the area; NULL for commands and replies, which have no envelope */
    const char *owner; /* the daemon that alone sends it, or "*" */
    bool named;        /* area/NAME */
    bool live;         /* a proof of the moment: never sent again by the bus */
    bool ages;         /* it, or a record in it, has ageing fields */
    const struct record *record;
};

enum { TOPIC_MAX = 96, CAUSE_MAX = 48, CODEC_ERROR_MAX = 192 };

/* What every topic carries beside its own fields (DESIGN §2). */
struct envelope {
    char node[32];
    char from[32];
    int64_t seq;
    int64_t mono_ns; /* CLOCK_BOOTTIME */
    char at[32];     /* RFC 3339, UTC, microseconds */
    char cause[CAUSE_MAX];
};

/* The JSON text of `body`, which must be the struct of `type`; the caller frees it. `envelope` is NULL for
 * commands and replies. NULL only when memory is out or a text is not UTF-8. */
char *message_pack(const struct message_type *type, const struct envelope *envelope, const void *body);

/* Fills `body` (and `envelope`, unless NULL) from JSON text of `size` bytes, which need not be terminated.
 * Returns 0, or -EBADMSG with `error` telling the field and what would be right. On error `body` is in no
 * defined state. */
int message_parse(const struct message_type *type, const char *text, size_t size, struct envelope *envelope,
                  void *body, char error[static CODEC_ERROR_MAX]);

/* Whether `after` says only that what `before` said still stands: nothing but ageing fields differs, and none
 * of these began or ceased to have a value (0 = none). */
bool message_is_renewal(const struct message_type *type, const void *before, const void *after);

/* The type whose topic this is, NULL if nobody sends such a one. `*name` points at NAME within `topic`, or is
 * NULL. */
const struct message_type *topic_find(const char *topic, const char **name);
