#include "common/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char trailer_word[] = "blake2b ";
enum { HEX_SIZE = 2 * 16 + 1 };

static void trailer_of(const char *text, size_t length, char hex[static HEX_SIZE])
{
    unsigned char digest[16];

    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, length, NULL, 0);
    sodium_bin2hex(hex, HEX_SIZE, digest, sizeof digest);
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

static int sync_directory_of(const char *path)
{
    char directory[PATH_MAX];

    text_copy(directory, sizeof directory, path);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = '\0';
    AUTO_CLOSE int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, const char *text, bool durable)
{
    char temporary[PATH_MAX], whole[STATEFILE_MAX], hex[HEX_SIZE];

    trailer_of(text, strlen(text), hex);
    int length = snprintf(whole, sizeof whole, "%s%s%s\n", text, trailer_word, hex);
    if (length >= (int)sizeof whole || snprintf(temporary, sizeof temporary, "%s.new", path) >= PATH_MAX)
        return -ENAMETOOLONG;

    AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, whole, (size_t)length);
    if (r == 0 && durable && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    return r < 0 || !durable ? r : sync_directory_of(path);
}

int statefile_write(const char *path, const char *text)
{
    return replace(path, text, true);
}

int statefile_write_quick(const char *path, const char *text)
{
    return replace(path, text, false);
}

int statefile_write_in_place(const char *path, const char *text)
{
    char whole[STATEFILE_PLACE] = "", hex[HEX_SIZE];

    trailer_of(text, strlen(text), hex);
    if (snprintf(whole, sizeof whole, "%s%s%s\n", text, trailer_word, hex) >= STATEFILE_PLACE)
        return -ENAMETOOLONG;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = -posix_fallocate(fd, 0, sizeof whole);
    if (r == 0)
        r = write_all(fd, whole, sizeof whole);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r < 0 ? r : sync_directory_of(path);
}

int statefile_read(const char *path, char text[static STATEFILE_MAX])
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, STATEFILE_MAX - 1);
    if (length < 0)
        return -errno;
    text[length] = '\0';

    char *trailer = NULL;
    for (char *at = strstr(text, trailer_word); at; at = strstr(at + 1, trailer_word))
        if (at == text || at[-1] == '\n')
            trailer = at;
    char hex[HEX_SIZE];
    if (!trailer)
        return -EUCLEAN;
    trailer_of(text, (size_t)(trailer - text), hex);
    if (strncmp(trailer + strlen(trailer_word), hex, HEX_SIZE - 1) != 0)
        return -EUCLEAN;
    *trailer = '\0';
    return 0;
}

int make_directories(const char *path, unsigned mode)
{
    char partial[PATH_MAX];

    if (strlen(path) >= sizeof partial)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, mode) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}
