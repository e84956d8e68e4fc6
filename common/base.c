#include "common/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/utf8.h"

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
    if (size == 0)
        return;
    const size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

void text_make_printable(char *text)
{
    uint8_t *at = (uint8_t *)text;
    const uint8_t *const end = at + strlen(text);

    while (at < end) {
        const size_t count = utf8_bytes(at, (size_t)(end - at));
        if (count == 0)
            *at = '?';
        else if (*at < ' ' || *at == 0x7f)
            *at = ' ';
        else if (at[0] == 0xc2 && at[1] < 0xa0)
            at[0] = at[1] = ' ';
        at += count > 0 ? count : 1;
    }
}

int64_t backoff_ns(int64_t first_ns, int64_t nth, int64_t most_ns)
{
    int64_t pause_ns = first_ns;

    for (int64_t i = 1; i < nth && pause_ns < most_ns; i++)
        pause_ns *= 2;
    return MIN(pause_ns, MAX(first_ns, most_ns));
}
