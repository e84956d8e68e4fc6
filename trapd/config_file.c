#include "trapd/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20 };

static int refuse(int error, const char *text, directive_problem *problem, void *userdata)
{
    char whole[160];

    snprintf(whole, sizeof whole, "%s: %s", text, strerror(-error));
    problem(userdata, 0, whole);
    return error;
}

static long read_all(int fd, char *text, size_t room)
{
    size_t size = 0;
    ssize_t n = 1;

    while (size < room && (n = read(fd, text + size, room - size)) != 0)
        if (n > 0)
            size += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    return size == room ? -EFBIG : (long)size;
}

int config_file_read(const char *path, struct directives *directives, directive_problem *problem,
                     void *userdata)
{
    const int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 && errno == EACCES) {
        problem(userdata, 0, "trapd may not read it: chgrp duet, chmod 640; or see trapd(8), FILES");
        return -EACCES;
    }
    if (fd < 0 || fstat(fd, &st) < 0)
        return refuse(-errno, "cannot be read", problem, userdata);
    if (!S_ISREG(st.st_mode))
        return refuse(-EINVAL, "is not a file", problem, userdata);
    if (st.st_mode & 022) {
        problem(userdata, 0, "others than its owner can write to it: chmod go-w");
        return -EACCES;
    }
    char *text = malloc(FILE_MAX_BYTES);
    const long size = text ? read_all(fd, text, FILE_MAX_BYTES) : -ENOMEM;
    const int r = size < 0 ? refuse((int)size, "cannot be read", problem, userdata)
                           : directives_parse(text, (size_t)size, directives, problem, userdata);
    if (text)
        explicit_bzero(text, FILE_MAX_BYTES);
    free(text);
    return r;
}
