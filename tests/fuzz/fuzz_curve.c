/* Any bytes as a certificate: what is taken for a key goes back to the same text, and a secret key is never
 * left where none was taken. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/curve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t none[CURVE_BYTES];
    struct curve_pair pair;
    char text[CURVE_TEXT_MAX];

    const int open = curve_parse((const char *)data, size, false, &pair);
    if (open == 0) {
        curve_print(pair.open, text);
        if (!memmem(data, size, text, CURVE_TEXT_MAX - 1))
            abort();
    }
    const int secret = curve_parse((const char *)data, size, true, &pair);
    if ((secret == 0 && open != 0) || (secret != 0 && memcmp(pair.secret, none, sizeof none) != 0))
        abort();
    return 0;
}
