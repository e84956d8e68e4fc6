/* Any bytes as a keepalived.conf: what can be read is converted; every statement is used or told of; and what
 * is written is whole: duet.conf's own reader never stumbles over its syntax. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_plan.h"

static void check_fates(const struct statement *first)
{
    for (const struct statement *s = first; s; s = s->next) {
        if (s->fate == FATE_OPEN || s->word_count == 0 || s->line < 1)
            abort();
        check_fates(s->block);
    }
}

/* Values may be refused (two names alike, an odd address), but nothing that is written may be misread. */
static void check_syntax(const char *text)
{
    /* How the errors of duet.conf's reader begin that a text with a broken syntax would get. */
    static const char *const odd[] = {
        "unexpected ",  "'=' is missing",   "'{' is missing", "unknown key ",        "control character",
        "this string ", "a second section", "the file ends ", "a character outside", "include is not",
        "\"${",         "this cannot be"};
    char *errors = NULL;
    size_t size;
    FILE *out = open_memstream(&errors, &size);
    struct config *config = NULL;

    config_read_text("f", text, NULL, out, &config);
    fclose(out);
    for (const char *line = errors; *line; line += strcspn(line, "\n") + 1) {
        const char *text_of_it = strstr(line, ": ");
        for (size_t i = 0; text_of_it && i < ARRAY_LENGTH(odd); i++)
            if (strncmp(text_of_it + 2, odd[i], strlen(odd[i])) == 0) {
                fprintf(stderr, "%s\n%s", errors, text);
                abort();
            }
        if (!strchr(line, '\n'))
            break;
    }
    config_free(config);
    free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct import *import = calloc(1, sizeof *import);
    struct keepalived file;
    char *text = NULL, *told = NULL;
    size_t text_size, told_size;

    text_copy(import->cluster, sizeof import->cluster, "gate");
    text_copy(import->own, sizeof import->own, "one");
    text_copy(import->peer, sizeof import->peer, "two");
    if (size > 0)
        import->prefix = data[0] % 33;
    const int r = keepalived_parse((const char *)data, size, &file);
    if (r != 0 && (file.error_line < 1 || file.error[0] == '\0'))
        abort();
    if (r == 0 && import_convert(&file, NULL, 0, import) == 0) {
        check_fates(file.first);
        FILE *out = open_memstream(&text, &text_size), *remarks = open_memstream(&told, &told_size);
        import_print(import, "f", out);
        import_print_remarks(import, "f", remarks);
        fclose(out);
        fclose(remarks);
        check_syntax(text);
    }
    free(text);
    free(told);
    import_free(import);
    free(import);
    keepalived_free(&file);
    return 0;
}
