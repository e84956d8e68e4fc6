/* blackbox_files: where black boxes and what belongs to them are kept, below superviserd's state directory.
 *
 *     blackbox             the one of the latest boot
 *     blackbox.000016      those of the boots before, by their numbers
 *     pstore/000016-NAME   what the kernel had kept in pstore from the end of that boot */
#pragma once
#include <limits.h>

#include "common/blackbox.h"

enum { BLACKBOX_FILES_MAX = 32, BLACKBOX_NAME_MAX = 64 };

#define BLACKBOX_FILE "blackbox"
#define BLACKBOX_PSTORE "pstore"

struct blackbox_file {
    uint32_t number;
    char name[BLACKBOX_NAME_MAX];
};

/* The kept ones, the latest first, without that of the latest boot. Returns how many, or a negative errno
 * (-ENOENT: no such directory). */
int blackbox_list(const char *directory, struct blackbox_file files[static BLACKBOX_FILES_MAX]);

/* "blackbox.000016"; returns `name`. */
const char *blackbox_name(uint32_t number, char name[static BLACKBOX_NAME_MAX]);

/* A whole file (of at most BLACKBOX_SIZE bytes, the rest is left out) in memory that the caller frees. 0 or a
 * negative errno. */
int blackbox_load(const char *path, unsigned char **bytes, size_t *size);
