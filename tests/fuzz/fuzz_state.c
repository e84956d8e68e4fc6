/* The arbiter's state file, as text: whatever is on the disk. */
#include <string.h>

#include "arbiterd/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[STATEFILE_MAX], again[STATEFILE_MAX];
    struct arbiter_durable durable;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (state_parse(text, &durable) == 0) {
        state_print(&durable, again);
        if (strcmp(text, again) != 0)
            __builtin_trap(); /* it read something that was not there */
    }
    return 0;
}
