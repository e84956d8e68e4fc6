#include "superviserd/output.h"

#include <string.h>

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static void add(struct output *output, char c)
{
    if (output->length == OUTPUT_LINE_MAX) {
        output->cut = true;
        return;
    }
    output->line[output->length++] = c == '\t' ? ' ' : is_control(c) ? '?' : c;
}

void output_end(struct output *output, output_handler *handler, void *userdata)
{
    output->line[output->length] = '\0';
    if (output->cut)
        strcat(output->line, " (cut)");
    if (output->length > 0)
        handler(userdata, output->line);
    output->length = 0;
    output->cut = false;
}

void output_feed(struct output *output, const char *bytes, size_t size, output_handler *handler,
                 void *userdata)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '\n')
            output_end(output, handler, userdata);
        else if (bytes[i] != '\r')
            add(output, bytes[i]);
}
