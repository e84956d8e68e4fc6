#include "common/blackbox_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number in "blackbox.NNNNNN"; 0: another file. */
static uint32_t number_of(const char *name)
{
    char again[BLACKBOX_NAME_MAX];

    if (strncmp(name, BLACKBOX_FILE ".", sizeof BLACKBOX_FILE) != 0)
        return 0;
    const uint32_t number = (uint32_t)strtoul(name + sizeof BLACKBOX_FILE, NULL, 10);
    return strcmp(blackbox_name(number, again), name) == 0 ? number : 0;
}

const char *blackbox_name(uint32_t number, char name[static BLACKBOX_NAME_MAX])
{
    snprintf(name, BLACKBOX_NAME_MAX, BLACKBOX_FILE ".%06u", number);
    return name;
}

static int latest_first(const void *one, const void *other)
{
    const struct blackbox_file *a = one, *b = other;

    return a->number > b->number ? -1 : a->number < b->number;
}

int blackbox_list(const char *directory, struct blackbox_file files[static BLACKBOX_FILES_MAX])
{
    DIR *open_directory = opendir(directory);
    int count = 0;

    if (!open_directory)
        return -errno;
    for (struct dirent *entry; count < BLACKBOX_FILES_MAX && (entry = readdir(open_directory));) {
        const uint32_t number = number_of(entry->d_name);
        if (number == 0)
            continue;
        files[count].number = number;
        text_copy(files[count++].name, BLACKBOX_NAME_MAX, entry->d_name);
    }
    closedir(open_directory);
    qsort(files, (size_t)count, sizeof *files, latest_first);
    return count;
}

int blackbox_load(const char *path, unsigned char **bytes, size_t *size)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_FREE unsigned char *made = fd < 0 ? NULL : malloc(BLACKBOX_SIZE);
    ssize_t n = 1;

    if (!made)
        return -errno;
    *size = 0;
    while (n > 0 && *size < BLACKBOX_SIZE) {
        n = read(fd, made + *size, BLACKBOX_SIZE - *size);
        if (n < 0 && errno != EINTR)
            return -errno;
        *size += n > 0 ? (size_t)n : 0;
    }
    *bytes = made;
    made = NULL;
    return 0;
}
