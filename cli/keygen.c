#include "cli/keygen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"

static int sync_directory_of(const char *file)
{
    char *copy AUTO_FREE = strdup(file);
    int fd AUTO_CLOSE = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_key(int fd)
{
    unsigned char key[CONFIG_KEY_BYTES];
    ssize_t n;

    if (sodium_init() < 0)
        return -EIO;
    randombytes_buf(key, sizeof key);
    do
        n = write(fd, key, sizeof key);
    while (n < 0 && errno == EINTR);
    const int error = n == sizeof key ? 0 : n < 0 ? -errno : -ENOSPC;
    sodium_memzero(key, sizeof key);
    if (error == 0 && (fchmod(fd, 0600) < 0 || fsync(fd) < 0))
        return -errno;
    return error;
}

static int make_key_file(const char *file)
{
    int fd AUTO_CLOSE = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    int r = write_key(fd);
    if (r == 0)
        r = sync_directory_of(file);
    if (r < 0)
        unlink(file);
    return r;
}

static const char *remedy(int error)
{
    switch (error) {
    case -EEXIST:
        return "; a key in use is not overwritten: move it away first, or name another file";
    case -ENOENT:
        return "; make the directory first";
    case -EACCES:
    case -EPERM:
        return "; run this as root";
    default:
        return "";
    }
}

int keygen(const char *file)
{
    const int r = make_key_file(file);

    if (r < 0) {
        fprintf(stderr, "cannot make the key file %s: %s%s\n", file, strerror(-r), remedy(r));
        return EXIT_FAILURE;
    }
    printf("made %s (%d random bytes, mode 600)\n"
           "Copy it to the same place on the other node, with the same mode, on a way that you trust:\n"
           "    scp -p %s root@PEER:%s\n"
           "Whoever has it can speak for a node of this cluster.\n",
           file, CONFIG_KEY_BYTES, file, file);
    return EXIT_SUCCESS;
}
