/* What trapd remembers of what it told: whatever is in the file, what comes of it can be printed and read
 * again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trapd/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct watch watch, again;
    static char text[4096], printed[WATCH_TEXT_MAX];

    if (size >= sizeof text || memchr(data, '\0', size))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    watch = (struct watch){0};
    if (watch_parse(&watch, text) < 0)
        return 0;
    watch_print(&watch, printed);
    again = (struct watch){0};
    if (watch_parse(&again, printed) < 0)
        abort();
    return 0;
}
