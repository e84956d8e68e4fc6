#include "monitord/clients.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char ending[] = ".key";

/* The length of NAME in NAME.key; 0: another file, or one that an editor keeps. */
static size_t name_length(const char *file)
{
    const size_t length = strlen(file), end = sizeof ending - 1;

    if (file[0] == '.' || length <= end || strcmp(file + length - end, ending) != 0)
        return 0;
    return length - end < CLIENT_NAME_MAX ? length - end : 0;
}

static void add(struct clients *clients, const char *directory, const char *file, char *error)
{
    char path[PATH_MAX];
    struct curve_pair pair;
    const size_t length = name_length(file);

    if (length == 0 || (size_t)snprintf(path, sizeof path, "%s/%s", directory, file) >= sizeof path)
        return;
    const int r = curve_read(path, false, &pair);
    if (r < 0 || clients->count == CLIENTS_MAX) {
        snprintf(error, CLIENTS_ERROR_MAX, "%.100s/%.40s admits nobody: %s", directory, file,
                 r == 0          ? "too many keys"
                 : r == -EBADMSG ? "no public key in it"
                                 : strerror(-r));
        return;
    }
    struct client *client = &clients->list[clients->count++];
    *client = (struct client){0};
    memcpy(client->name, file, length);
    memcpy(client->key, pair.open, CURVE_BYTES);
}

int clients_read(const char *directory, struct clients *clients, char error[static CLIENTS_ERROR_MAX])
{
    DIR *open = opendir(directory);
    const struct dirent *entry;

    clients->count = 0;
    error[0] = '\0';
    if (!open)
        return -errno;
    while ((entry = readdir(open)))
        add(clients, directory, entry->d_name, error);
    closedir(open);
    return 0;
}

const struct client *clients_find(const struct clients *clients, const uint8_t key[static CURVE_BYTES])
{
    for (size_t i = 0; i < clients->count; i++)
        if (sodium_memcmp(clients->list[i].key, key, CURVE_BYTES) == 0)
            return &clients->list[i];
    return NULL;
}

bool clients_any_gone(const struct clients *before, const struct clients *now)
{
    for (size_t i = 0; i < before->count; i++)
        if (!clients_find(now, before->list[i].key))
            return true;
    return false;
}
