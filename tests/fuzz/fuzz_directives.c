/* The lines of an SNMP configuration file: whatever is in it, nothing is written beside, and what is found is
 * whole. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trapd/directives.h"

static void on_problem(void *userdata, int line, const char *text)
{
    (void)userdata;
    if (line < 1 || text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct directives directives;

    directives_parse((const char *)data, size, &directives, on_problem, NULL);
    if (directives.count > DIRECTIVES_MAX || directives.user_count > DIRECTIVE_USERS_MAX)
        abort();
    for (size_t i = 0; i < directives.count; i++) {
        const struct directive *d = &directives.sinks[i];
        if (d->word_count == 0 || d->word_count > DIRECTIVE_WORDS_MAX)
            abort();
        for (size_t k = 0; k < d->word_count; k++)
            if (d->at[k] >= sizeof d->bytes ||
                !memchr(directive_word(d, k), '\0', sizeof d->bytes - d->at[k]))
                abort();
    }
    return 0;
}
