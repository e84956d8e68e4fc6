#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config_private.h"

/* The files on disk: the configuration names commands that root runs, so nobody else may write it; the key
 * lets its holder speak for a node, so nobody else may read it. */

enum { FILE_SIZE_MAX = 1 << 20 };

/* 0, or how many bytes were read until the end or until `size`. */
static ssize_t read_all(int fd, void *to, size_t size)
{
    size_t used = 0;

    while (used < size) {
        const ssize_t n = read(fd, (char *)to + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static bool is_private(const struct stat *st)
{
    return (st->st_mode & 077) == 0 && (st->st_uid == 0 || st->st_uid == geteuid());
}

static int read_key(int fd, unsigned char key[static CONFIG_KEY_BYTES])
{
    unsigned char bytes[CONFIG_KEY_BYTES + 1];
    const ssize_t n = read_all(fd, bytes, sizeof bytes);

    if (n == CONFIG_KEY_BYTES)
        memcpy(key, bytes, CONFIG_KEY_BYTES);
    sodium_memzero(bytes, sizeof bytes);
    return n < 0 ? (int)n : n == CONFIG_KEY_BYTES ? 0 : -EINVAL;
}

/* A daemon that is not root gets root's keys from systemd (LoadCredential=), in a directory that is this
 * daemon's alone: /etc/duet/cluster.key as etc_duet_cluster.key. 0 or a negative errno. */
static int read_credential(const char *path, unsigned char key[static CONFIG_KEY_BYTES])
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char name[PATH_MAX];

    if (!directory || path[0] != '/' ||
        snprintf(name, sizeof name, "%s/%s", directory, path + 1) >= (int)sizeof name)
        return -ENOENT;
    for (char *at = name + strlen(directory) + 1; *at != '\0'; at++)
        if (*at == '/')
            *at = '_';
    int fd AUTO_CLOSE = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : read_key(fd, key);
}

int config_read_key(const char *path, unsigned char key[static CONFIG_KEY_BYTES])
{
    struct stat st;

    if (read_credential(path, key) == 0)
        return 0;
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return is_private(&st) ? read_key(fd, key) : -EACCES;
}

/* Root's alone, while this process is not root: most daemons never need a key, and those that do find out
 * when they read it. */
static bool is_for_root(const char *path)
{
    struct stat st;

    return geteuid() != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && is_private(&st);
}

static void check_key_file(struct reader *reader, const char *key, int line, const char *path)
{
    unsigned char bytes[CONFIG_KEY_BYTES];
    struct stat st;
    const int r = is_for_root(path) ? 0 : config_read_key(path, bytes);

    sodium_memzero(bytes, sizeof bytes);
    if (r == -ENOENT)
        config_refuse(reader, line,
                      "%s %s does not exist; make it on one node with: duet keygen %s, and copy it to the "
                      "other",
                      key, path, path);
    else if (r == -EINVAL)
        config_refuse(reader, line,
                      "%s %s is not a file of exactly %d bytes; make a new one with: duet keygen FILE", key,
                      path, CONFIG_KEY_BYTES);
    else if (r == -EACCES && stat(path, &st) == 0 && (st.st_mode & 077) == 0 && st.st_uid != geteuid())
        config_refuse(reader, line, "%s %s belongs to user %u; run: chown root %s (and read it as root)", key,
                      path, (unsigned)st.st_uid, path);
    else if (r == -EACCES)
        config_refuse(reader, line,
                      "%s %s can be read by others than its owner (or not by this user); run: chmod 600 %s",
                      key, path, path);
    else if (r < 0)
        config_refuse(reader, line, "%s %s cannot be read: %s; make it readable for root, with mode 600", key,
                      path, strerror(-r));
}

void config_check_key_files(struct reader *reader)
{
    const struct config *config = reader->config;
    cfg_t *cluster = cfg_size(reader->tree, "cluster") > 0 ? cfg_getnsec(reader->tree, "cluster", 0) : NULL;

    if (!cluster)
        return;
    check_key_file(reader, "key-file", config_value_of(cluster, "key-file").line, config->key_file);
    if (config->old_key_file[0] != '\0')
        check_key_file(reader, "old-key-file", config_value_of(cluster, "old-key-file").line,
                       config->old_key_file);
}

/* ---- the configuration file itself */

static int check_file(struct reader *reader, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        config_refuse(reader, 1, "this is not a regular file; name the configuration file itself");
    else if (st.st_uid != 0 && st.st_uid != geteuid())
        config_refuse(reader, 1,
                      "the file belongs to user %u, who could change what root runs; run: chown root %s",
                      (unsigned)st.st_uid, reader->file);
    else if ((st.st_mode & 022) != 0)
        config_refuse(reader, 1,
                      "the file is writable by others than its owner (mode %03o), and it names commands that "
                      "root runs; run: chmod go-w %s",
                      (unsigned)st.st_mode & 0777, reader->file);
    else if (st.st_size > FILE_SIZE_MAX)
        config_refuse(reader, 1, "the file is larger than %d bytes; shorten it", FILE_SIZE_MAX);
    else
        return 0;
    return -EINVAL;
}

static char *read_text(struct reader *reader, int fd, int *error)
{
    char *text = malloc(FILE_SIZE_MAX + 1);

    if (!text) {
        *error = -ENOMEM;
        return NULL;
    }
    const ssize_t n = read_all(fd, text, FILE_SIZE_MAX);
    *error = n < 0 ? (int)n : 0;
    if (n >= 0 && memchr(text, '\0', (size_t)n)) {
        int line = 1;
        for (const char *at = text; *at != '\0'; at++)
            line += *at == '\n';
        config_refuse(reader, line, "control character (byte 0); remove it: this is a text file");
        *error = -EINVAL;
    }
    if (*error != 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

char *config_file_text(struct reader *reader, int *error)
{
    int fd AUTO_CLOSE = open(reader->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = NULL;

    *error = fd < 0 ? -errno : check_file(reader, fd);
    if (*error == 0)
        text = read_text(reader, fd, error);
    if (*error != 0 && reader->errors == 0)
        config_refuse(reader, 1, "cannot read this file: %s; name the configuration with --config FILE",
                      strerror(-*error));
    return text;
}
