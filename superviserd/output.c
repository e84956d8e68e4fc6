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

int64_t output_pause(struct output_ration *ration, size_t bytes, int64_t now_ns)
{
    if (now_ns - ration->begun_ns >= OUTPUT_WINDOW_NS)
        *ration = (struct output_ration){.begun_ns = now_ns};
    ration->used += bytes;
    return ration->used < OUTPUT_RATION ? 0 : ration->begun_ns + OUTPUT_WINDOW_NS;
}
