#include "common/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void auto_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void auto_close(const int *fd)
{
    const int kept = errno;

    if (*fd >= 0)
        close(*fd);
    errno = kept;
}

void text_copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
}
