#include "common/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
    if (size == 0)
        return;
    const size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

/* The bytes of a UTF-8 character that begins so; 0: none does. */
static size_t character_bytes(unsigned char first)
{
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
}

void text_make_printable(char *text)
{
    size_t length = 0, last = 0; /* where the last character began */

    for (; text[length]; length++) {
        unsigned char *at = (unsigned char *)text + length;
        if (*at < ' ' || *at == 0x7f)
            *at = ' ';
        else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = ' ';
        if ((*at & 0xc0) != 0x80)
            last = length;
    }
    if (length - last < character_bytes((unsigned char)text[last]))
        text[last] = '\0';
}

int64_t backoff_ns(int64_t first_ns, int64_t nth, int64_t most_ns)
{
    int64_t pause_ns = first_ns;

    for (int64_t i = 1; i < nth && pause_ns < most_ns; i++)
        pause_ns *= 2;
    return MIN(pause_ns, MAX(first_ns, most_ns));
}
