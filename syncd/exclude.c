#include "syncd/exclude.h"

#include <fnmatch.h>
#include <string.h>

enum { PATTERN_MAX = SYNC_PATH_MAX }; /* of a part between slashes; a longer one fits nothing */

/* Takes the part before the next slash from the front of `rest`; false at its end. */
static bool next_part(struct sync_bytes *rest, struct sync_bytes *part)
{
    if (rest->size == 0)
        return false;
    const uint8_t *slash = memchr(rest->at, '/', rest->size);
    const size_t size = slash ? (size_t)(slash - rest->at) : rest->size;

    *part = (struct sync_bytes){rest->at, size};
    rest->at += size + (slash != NULL);
    rest->size -= size + (slash != NULL);
    return true;
}

static bool any_depth(struct sync_bytes pattern)
{
    return pattern.size == 2 && pattern.at[0] == '*' && pattern.at[1] == '*';
}

static bool part_fits(struct sync_bytes pattern, struct sync_bytes name)
{
    char text[PATTERN_MAX + 1], name_text[SYNC_NAME_MAX + 1];

    if (pattern.size > PATTERN_MAX || name.size > SYNC_NAME_MAX)
        return false;
    memcpy(text, pattern.at, pattern.size);
    text[pattern.size] = '\0';
    memcpy(name_text, name.at, name.size);
    name_text[name.size] = '\0';
    return fnmatch(text, name_text, 0) == 0;
}

/* Parts against parts. Only the last "**" need be tried again with one name more: what an earlier one could
 * take in addition, the last one can as well. */
static bool parts_fit(struct sync_bytes pattern, struct sync_bytes path)
{
    struct sync_bytes retry_pattern = {0}, retry_path = {0}, part, name;
    bool can_retry = false;

    for (;;) {
        const bool has_part = next_part(&pattern, &part);
        if (has_part && any_depth(part)) {
            if (pattern.size == 0) /* the last: everything below, which is one name at least */
                return path.size > 0;
            retry_pattern = pattern;
            retry_path = path;
            can_retry = true;
            continue;
        }
        const bool has_name = next_part(&path, &name);
        if (!has_part && !has_name)
            return true;
        if (has_part && has_name && part_fits(part, name))
            continue;
        if (!can_retry || !next_part(&retry_path, &name))
            return false;
        pattern = retry_pattern;
        path = retry_path;
    }
}

struct pattern {
    struct sync_bytes bytes; /* without what is said by the rest */
    bool take_back, for_directories, for_names;
};

/* False: it fits nothing. */
static bool pattern_parse(const char *text, struct pattern *pattern)
{
    *pattern = (struct pattern){.take_back = *text == '!'};
    text += pattern->take_back;

    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '/') {
        pattern->for_directories = true;
        size--;
    }
    pattern->for_names = memchr(text, '/', size) == NULL;
    if (size > 0 && text[0] == '/') {
        text++;
        size--;
    }
    pattern->bytes = (struct sync_bytes){(const uint8_t *)text, size};
    return size > 0;
}

/* One entry, of which all directories above are not excluded. */
static bool entry_excluded(const char *const *patterns, size_t count, struct sync_bytes path, bool directory)
{
    const uint8_t *slash = memrchr(path.at, '/', path.size);
    const size_t above = slash ? (size_t)(slash - path.at) + 1 : 0;
    const struct sync_bytes name = {path.at + above, path.size - above};
    struct pattern pattern;

    for (size_t i = count; i-- > 0;) {
        if (!pattern_parse(patterns[i], &pattern) || (pattern.for_directories && !directory))
            continue;
        if (pattern.for_names ? part_fits(pattern.bytes, name) : parts_fit(pattern.bytes, path))
            return !pattern.take_back;
    }
    return false;
}

bool exclude_match(const char *const *patterns, size_t count, const char *path, bool directory)
{
    const size_t size = strlen(path);

    if (size == 0 || count == 0)
        return false;
    for (size_t i = 1; i < size; i++)
        if (path[i] == '/' &&
            entry_excluded(patterns, count, (struct sync_bytes){(const uint8_t *)path, i}, true))
            return true;
    return entry_excluded(patterns, count, (struct sync_bytes){(const uint8_t *)path, size}, directory);
}
