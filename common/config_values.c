#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_private.h"

bool config_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t length = strlen(name);

    return length > 0 && length < CONFIG_NAME_MAX && strspn(name, allowed) == length && name[0] != '.' &&
           name[0] != '-';
}

/* ---- the nearest word */

enum { WORD_MAX = 63 };

/* How many letters to insert, remove or replace to make `b` of `a` (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    const size_t width = strlen(b);

    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[width];
}

const char *config_nearest_word(const char *word, const char *const words[], size_t count)
{
    const size_t length = strlen(word);
    size_t best = 1 + MIN(length / 3, 4);
    const char *nearest = NULL;

    if (length == 0 || length > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (words[i][0] == '@' || strlen(words[i]) > WORD_MAX)
            continue;
        const size_t d = distance(word, words[i]);
        if (d < best || (d == best && !nearest)) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- single values */

void config_take_text(struct reader *reader, cfg_t *section, const char *key, char *to, size_t size)
{
    const struct value value = config_value_of(section, key);

    if (!value.text)
        return;
    if (value.text[0] == '\0')
        config_refuse(reader, value.line, "%s is empty; give a value, or remove the key", key);
    else if (strlen(value.text) >= size)
        config_refuse(reader, value.line, "%s is too long (%zu characters); at most %zu are allowed", key,
                      strlen(value.text), size - 1);
    else
        text_copy(to, size, value.text);
}

void config_take_path(struct reader *reader, cfg_t *section, const char *key, char *to, size_t size)
{
    const struct value value = config_value_of(section, key);

    if (value.text && value.text[0] != '\0' && value.text[0] != '/')
        config_refuse(reader, value.line, "%s \"%s\" is not an absolute path; begin it with '/'", key,
                      value.text);
    else
        config_take_text(reader, section, key, to, size);
}

/* 0, or -EINVAL: not figures with dots between them, or no arc that the standard allows (X.660: the first is
 * at most 2, the second below 40 under the first two). */
static int parse_oid(const char *text, struct config_oid *oid)
{
    oid->count = 0;
    text += *text == '.';
    for (;; text++) {
        char *end;
        if (*text < '0' || *text > '9' || oid->count == CONFIG_OID_MAX)
            return -EINVAL;
        errno = 0;
        const unsigned long long arc = strtoull(text, &end, 10);
        if (errno != 0 || arc > UINT32_MAX)
            return -EINVAL;
        oid->arcs[oid->count++] = (uint32_t)arc;
        text = end;
        if (*text == '\0')
            break;
        if (*text != '.')
            return -EINVAL;
    }
    return oid->count >= 2 && oid->arcs[0] <= 2 && (oid->arcs[0] == 2 || oid->arcs[1] < 40) ? 0 : -EINVAL;
}

void config_take_oid(struct reader *reader, cfg_t *section, const char *key, struct config_oid *to)
{
    const struct value value = config_value_of(section, key);
    struct config_oid oid;

    if (!value.text)
        return;
    if (parse_oid(value.text, &oid) == 0)
        *to = oid;
    else
        config_refuse(reader, value.line,
                      "%s \"%s\" is no object identifier; write one of at most %d numbers, such as "
                      "\"1.3.6.1.4.1.8072.9999.9999.3833\"",
                      key, value.text, CONFIG_OID_MAX);
}

void config_take_bool(struct reader *reader, cfg_t *section, const char *key, bool *to)
{
    static const char *const words[] = {"off", "no", "false", "on", "yes", "true"};
    const struct value value = config_value_of(section, key);

    if (!value.text)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (strcmp(value.text, words[i]) == 0) {
            *to = i >= 3;
            return;
        }
    }
    config_refuse(reader, value.line, "%s cannot be \"%s\"; use on or off", key, value.text);
}

void config_take_int(struct reader *reader, cfg_t *section, const char *key, int least, int most, int *to)
{
    const struct value value = config_value_of(section, key);
    char *end;

    if (!value.text)
        return;
    errno = 0;
    const long number = strtol(value.text, &end, 10);
    if (end == value.text || *end != '\0' || errno != 0)
        config_refuse(reader, value.line, "%s \"%s\" is not a whole number; give one from %d to %d", key,
                      value.text, least, most);
    else if (number < least || number > most)
        config_refuse(reader, value.line, "%s (%ld) is out of range; give a number from %d to %d", key,
                      number, least, most);
    else
        *to = (int)number;
}

void config_take_duration(struct reader *reader, cfg_t *section, const char *key, int64_t least, int64_t *to)
{
    const struct value value = config_value_of(section, key);
    const int64_t most = 24 * 3600 * NS_PER_S;
    char text[DURATION_TEXT_MAX];
    int64_t ns;

    if (!value.text)
        return;
    if (duration_parse(value.text, &ns) < 0) {
        config_refuse(reader, value.line,
                      "%s \"%s\" is not a duration; write a whole number with its unit (us, ms, s, "
                      "m, h), such as 50ms, 3s or 2m",
                      key, value.text);
    } else if (ns < least) {
        duration_print(least, text);
        config_refuse(reader, value.line, "%s (%s) is too short; make it %s or more", key, value.text, text);
    } else if (ns > most) {
        config_refuse(reader, value.line, "%s (%s) is too long; make it 24h or less", key, value.text);
    } else {
        *to = ns;
    }
}

void config_take_choice(struct reader *reader, cfg_t *section, const char *key, const char *const words[],
                        size_t count, int *to)
{
    const struct value value = config_value_of(section, key);
    char list[128] = "";

    if (!value.text)
        return;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value.text, words[i]) == 0) {
            *to = (int)i;
            return;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
                 i == 0          ? ""
                 : i + 1 < count ? ", "
                                 : " or ",
                 words[i]);
    }
    config_refuse(reader, value.line, "%s cannot be \"%s\"; use %s", key, value.text, list);
}

/* ---- lists */

void config_strings_free(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

void config_take_strings(struct reader *reader, cfg_t *section, const char *key, struct config_strings *to)
{
    const size_t count = config_value_count(section, key);

    to->items = calloc(count + 1, sizeof *to->items);
    if (!to->items) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        to->items[i] = strdup(config_value_at(section, key, i).text);
        if (!to->items[i]) {
            reader->out_of_memory = true;
            return;
        }
        to->count++;
    }
}

void config_take_command(struct reader *reader, cfg_t *section, const char *key, struct config_strings *to)
{
    const struct value first = config_value_of(section, key);

    config_take_strings(reader, section, key, to);
    if (!first.text)
        return;
    if (first.text[0] == '\0')
        config_refuse(reader, first.line,
                      "%s is empty; name the program first, such as {\"/usr/sbin/program\", "
                      "\"--option\"}",
                      key);
    else if (first.text[0] != '/' && strchr(first.text, '/'))
        config_refuse(reader, first.line,
                      "%s \"%s\" is a relative path; use an absolute one, or a plain name that is "
                      "looked for in PATH",
                      key, first.text);
    else if (first.text[0] != '/' && strpbrk(first.text, " \t"))
        config_refuse(reader, first.line,
                      "%s \"%s\" has several words in one; no shell takes it apart: write {\"a\", "
                      "\"b\"}",
                      key, first.text);
}

/* ---- addresses */

static const char *odd_address(const struct net_address *a)
{
    if (a->family == AF_INET) {
        const uint32_t host = ntohl(a->v4.s_addr);
        return host == INADDR_ANY             ? "the unspecified address"
               : host == INADDR_BROADCAST     ? "the broadcast address"
               : IN_MULTICAST(host)           ? "a multicast address"
               : host >> 24 == IN_LOOPBACKNET ? "a loopback address"
                                              : NULL;
    }
    return IN6_IS_ADDR_UNSPECIFIED(&a->v6) ? "the unspecified address"
           : IN6_IS_ADDR_MULTICAST(&a->v6) ? "a multicast address"
           : IN6_IS_ADDR_LOOPBACK(&a->v6)  ? "the loopback address"
           : IN6_IS_ADDR_V4MAPPED(&a->v6)  ? "an IPv4 address in IPv6 form"
                                           : NULL;
}

/* The first or last address of its IPv4 network: the network itself, or its broadcast address. */
static const char *odd_host_part(const struct net_address *a)
{
    if (a->family != AF_INET || a->prefix > 30 || a->prefix == 0)
        return NULL;
    const uint32_t mask = UINT32_MAX >> a->prefix, host = ntohl(a->v4.s_addr) & mask;
    return host == 0 ? "the address of the network itself" : host == mask ? "the broadcast address" : NULL;
}

static bool prefix_wrong(struct reader *reader, const char *key, struct value value, enum prefix prefix,
                         const struct net_address *address)
{
    const bool given = strchr(value.text, '/') != NULL;

    if (prefix == PREFIX_NEEDED && (!given || address->prefix == 0))
        config_refuse(reader, value.line,
                      "%s \"%s\" has no prefix length; add the network's, such as \"%.64s/%d\"", key,
                      value.text, value.text, address->family == AF_INET ? 24 : 64);
    else if (prefix == PREFIX_FORBIDDEN && given)
        config_refuse(reader, value.line, "%s \"%s\" is one host; write it without the prefix length", key,
                      value.text);
    else
        return false;
    return true;
}

int config_parse_address(struct reader *reader, const char *key, struct value value, enum prefix prefix,
                         struct net_address *address)
{
    const char *odd;

    if (net_address_parse(value.text, address) < 0) {
        config_refuse(reader, value.line,
                      "%s \"%s\" is not an address; write one such as \"192.0.2.1%s\" or "
                      "\"2001:db8::1%s\"",
                      key, value.text, prefix == PREFIX_NEEDED ? "/24" : "",
                      prefix == PREFIX_NEEDED ? "/64" : "");
        return -EINVAL;
    }
    if (prefix_wrong(reader, key, value, prefix, address))
        return -EINVAL;
    odd = odd_address(address);
    if (!odd)
        odd = odd_host_part(address);
    if (odd) {
        config_refuse(reader, value.line, "%s \"%s\" is %s; use the address of one host", key, value.text,
                      odd);
        return -EINVAL;
    }
    return 0;
}

void config_take_addresses(struct reader *reader, cfg_t *section, const char *key, enum prefix prefix,
                           int channel, const char *what, struct config_addresses *to)
{
    const size_t count = config_value_count(section, key);

    to->items = calloc(count + 1, sizeof *to->items);
    if (!to->items) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct value value = config_value_at(section, key, i);
        struct net_address *address = &to->items[to->count];
        if (config_parse_address(reader, key, value, prefix, address) < 0)
            continue;
        to->count++;
        config_note_use(reader, address, value.line, channel, what);
    }
}
