#include "witnessd/etcd_text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BASE64 = sodium_base64_VARIANT_ORIGINAL, VALUE_MAX = 256, BASE64_MAX = 512 };

/* ---------------------------------------------------------------- asking */

static json_t *in_base64(const char *text)
{
    char out[BASE64_MAX];

    if (sodium_base64_ENCODED_LEN(strlen(text), BASE64) > sizeof out)
        return NULL;
    sodium_bin2base64(out, sizeof out, (const unsigned char *)text, strlen(text), BASE64);
    return json_string(out);
}

static json_t *as_value(const char *holder, int64_t epoch, uint64_t stamp)
{
    char text[VALUE_MAX];

    snprintf(text, sizeof text, "{\"holder\":\"%s\",\"epoch\":%" PRId64 ",\"stamp\":\"%016" PRIx64 "\"}",
             holder, epoch, stamp);
    return in_base64(text);
}

/* Steals what it is given. */
static json_t *object(const char *name, json_t *value)
{
    return json_pack("{s:o}", name, value);
}

static json_t *range_of(const char *key)
{
    return json_pack("[o]", object("request_range", object("key", in_base64(key))));
}

/* The revision alone would do, were a witness never restored from a backup. */
static json_t *conditions(const struct ballot_record *seen, const char *key)
{
    char revision[24];

    snprintf(revision, sizeof revision, "%" PRId64, seen->revision);
    json_t *list = json_pack("[{s:o,s:s,s:s,s:s}]", "key", in_base64(key), "target", "MOD", "result", "EQUAL",
                             "mod_revision", revision);
    if (seen->revision > 0)
        json_array_append_new(list, json_pack("{s:o,s:s,s:s,s:o}", "key", in_base64(key), "target", "VALUE",
                                              "result", "EQUAL", "value",
                                              as_value(seen->holder, seen->epoch, seen->stamp)));
    return list;
}

static char *print(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

char *etcd_print_question(const struct ballot_question *q, const char *node, const char *key)
{
    if (q->kind == BALLOT_READ)
        return print(object("success", range_of(key)));
    json_t *put = json_pack("[{s:{s:o,s:o}}]", "request_put", "key", in_base64(key), "value",
                            as_value(node, q->epoch, q->stamp));
    return print(json_pack("{s:o,s:o,s:o}", "compare", conditions(&q->seen, key), "success", put, "failure",
                           range_of(key)));
}

char *etcd_print_login(const char *user, const char *password)
{
    return print(json_pack("{s:s,s:s}", "name", user, "password", password));
}

/* -------------------------------------------------------------- answering */

PRINTF_LIKE(2, 3) static int refuse(char *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, ETCD_ERROR_MAX, format, args);
    va_end(args);
    return -EBADMSG;
}

/* A number of 64 bits is text in this API; 0 is left out. -1: it is none. */
static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char *end;

    if (!value)
        return 0;
    if (json_is_integer(value))
        return json_integer_value(value);
    const char *text = json_string_value(value);
    if (!text || text[0] == '\0')
        return -1;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : -1;
}

static bool stamp_of(const char *text, uint64_t *stamp)
{
    char *end;

    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *stamp = strtoull(text, &end, 16);
    return true;
}

static int parse_value(const char *base64, struct ballot_record *record, char *error)
{
    unsigned char text[VALUE_MAX];
    size_t size;
    int r = -EBADMSG;

    if (!base64 ||
        sodium_base642bin(text, sizeof text, base64, strlen(base64), NULL, &size, NULL, BASE64) != 0)
        return refuse(error,
                      "the record is not one of duet's: remove that key from etcd, or choose another one");
    json_t *value = json_loadb((const char *)text, size, 0, NULL);
    const char *holder = json_string_value(json_object_get(value, "holder"));
    record->epoch = json_integer_value(json_object_get(value, "epoch"));
    if (holder && strlen(holder) < sizeof record->holder && record->epoch > 0 &&
        stamp_of(json_string_value(json_object_get(value, "stamp")), &record->stamp)) {
        text_copy(record->holder, sizeof record->holder, holder);
        r = 0;
    } else {
        refuse(error, "the record is not one of duet's: remove that key from etcd, or choose another one");
    }
    json_decref(value);
    return r;
}

static int parse_range(const json_t *range, struct ballot_record *record, char *error)
{
    const json_t *entries = json_object_get(range, "kvs"), *entry = json_array_get(entries, 0);

    *record = (struct ballot_record){0};
    if (!json_is_object(range) || (entries && (!json_is_array(entries) || json_array_size(entries) > 1)))
        return refuse(error, "etcd's answer has no record, and does not say that there is none");
    if (!entry)
        return 0;
    record->revision = number_of(entry, "mod_revision");
    if (record->revision <= 0)
        return refuse(error, "etcd's answer has no mod_revision");
    return parse_value(json_string_value(json_object_get(entry, "value")), record, error);
}

/* The term grows with each election; a restored etcd is another cluster. */
static uint64_t era_of(const json_t *answer)
{
    const json_t *header = json_object_get(answer, "header");
    const char *cluster = json_string_value(json_object_get(header, "cluster_id"));
    const uint64_t id = cluster ? strtoull(cluster, NULL, 10) : 0;

    return id ^ ((uint64_t)number_of(header, "raft_term") << 1);
}

static int parse_swapped(const json_t *answer, const struct ballot_question *q, struct ballot_answer *a,
                         char *error)
{
    const int64_t revision = number_of(json_object_get(answer, "header"), "revision");

    if (revision <= 0)
        return refuse(error, "etcd's answer has no revision");
    *a = (struct ballot_answer){.swapped = true,
                                .record = {.revision = revision, .stamp = q->stamp, .epoch = q->epoch}};
    return 0;
}

/* {"error": …, "code": …}: 16 is "unauthenticated", which the gateway also says of tokens that are too old.
 */
static int parse_error(const json_t *answer, char *error)
{
    const char *said = json_string_value(json_object_get(answer, "error"));

    if (!said)
        return 0;
    snprintf(error, ETCD_ERROR_MAX, "etcd says: %.100s", said);
    const bool token = number_of(answer, "code") == 16 || strstr(said, "user name is empty") ||
                       strstr(said, "invalid auth token");
    return token ? -EACCES : -EREMOTEIO;
}

int etcd_parse_answer(const char *text, size_t size, const struct ballot_question *q, struct ballot_answer *a,
                      char error[static ETCD_ERROR_MAX])
{
    json_t *answer = json_loadb(text, size, 0, NULL);

    *a = (struct ballot_answer){0};
    error[0] = '\0';
    int r =
        json_is_object(answer) ? parse_error(answer, error) : refuse(error, "that is not etcd that answers");
    if (r == 0 && q->kind == BALLOT_SWAP && json_is_true(json_object_get(answer, "succeeded"))) {
        r = parse_swapped(answer, q, a, error);
    } else if (r == 0) {
        const json_t *first = json_array_get(json_object_get(answer, "responses"), 0);
        r = parse_range(json_object_get(first, "response_range"), &a->record, error);
    }
    if (r == 0)
        a->record.era = era_of(answer);
    json_decref(answer);
    return r;
}

int etcd_parse_token(const char *text, size_t size, char token[static ETCD_TOKEN_MAX],
                     char error[static ETCD_ERROR_MAX])
{
    json_t *answer = json_loadb(text, size, 0, NULL);
    const char *found = json_string_value(json_object_get(answer, "token"));

    error[0] = '\0';
    int r =
        json_is_object(answer) ? parse_error(answer, error) : refuse(error, "that is not etcd that answers");
    /* It becomes a header. */
    if (r == 0 && (!found || found[0] == '\0' || strlen(found) >= ETCD_TOKEN_MAX || strpbrk(found, "\r\n")))
        r = refuse(error, "etcd's answer has no token");
    if (r == 0)
        text_copy(token, ETCD_TOKEN_MAX, found);
    json_decref(answer);
    return r;
}
