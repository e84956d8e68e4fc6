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

/* The bytes of the UTF-8 character (RFC 3629) that begins here; 0: it is none, or not whole. */
static size_t character_bytes(const unsigned char *at)
{
    const size_t count = at[0] < 0x80                    ? 1
                         : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                         : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                         : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                         : 0;

    for (size_t i = 1; i < count; i++) /* ends at the text's end, which continues nothing */
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    const bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    const bool no_character = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || no_character ? 0 : count;
}

void text_make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text;

    while (*at) {
        const size_t count = character_bytes(at);
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
