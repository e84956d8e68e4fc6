/* Any patterns, each ended by a NUL, and what is left as a path. What is below an excluded directory is
 * excluded; patterns said twice say nothing more; one without a slash is one for any depth. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/exclude.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATTERNS_MAX = 16 };

static void check_any_depth(const char *pattern, const char *path)
{
    const size_t size = strlen(pattern);
    const char *slash = strchr(pattern, '/');

    if (size == 0 || pattern[0] == '!' || pattern[0] == '/' || (slash && slash[1] != '\0'))
        return;
    char *longer = malloc(size + 4);
    assert(longer);
    snprintf(longer, size + 4, "**/%s", pattern);
    assert(exclude_match(&pattern, 1, path, true) ==
           exclude_match((const char *const *)&longer, 1, path, true));
    assert(exclude_match(&pattern, 1, path, false) ==
           exclude_match((const char *const *)&longer, 1, path, false));
    free(longer);
}

static void check(const char *const *patterns, size_t count, char *path)
{
    const char *twice[2 * PATTERNS_MAX];
    const bool file = exclude_match(patterns, count, path, false);
    const bool directory = exclude_match(patterns, count, path, true);

    for (size_t i = 0; i < 2 * count; i++)
        twice[i] = patterns[i % count];
    assert(exclude_match(twice, 2 * count, path, false) == file);
    for (size_t i = 0; i < count; i++)
        check_any_depth(patterns[i], path);
    char *slash = strrchr(path, '/');
    if (!slash)
        return;
    *slash = '\0';
    if (exclude_match(patterns, count, path, true))
        assert(file && directory);
    *slash = '/';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *patterns[PATTERNS_MAX];
    size_t count = 0, at = 0;
    char *text = calloc(1, size + 3);

    assert(text);
    memcpy(text, data, size);
    for (size_t length; count < PATTERNS_MAX && (length = strlen(text + at)) + at < size; at += length + 1)
        patterns[count++] = text + at;
    if (count > 0) {
        memmove(text + at + 2, text + at, size - at + 1); /* as if it lay in a set */
        memcpy(text + at, "0/", 2);
        if (sync_path_clean((struct sync_bytes){(const uint8_t *)text + at, strlen(text + at)}))
            check(patterns, count, text + at + 2);
    }
    free(text);
    return 0;
}
