/* output: what a service prints, as lines that the log can take.
 *
 * Bytes come in pieces of any size; lines go out whole, at most OUTPUT_LINE_MAX bytes each. What is longer is
 * cut, and the rest of that line dropped. Control characters become '?', so that a service cannot drive the
 * operator's terminal; carriage returns and empty lines are left out. */
#pragma once
#include "common/base.h"

enum { OUTPUT_LINE_MAX = 800 };

struct output {
    char line[OUTPUT_LINE_MAX + 8];
    size_t length;
    bool cut; /* the rest of this line is dropped */
};

typedef void output_handler(void *userdata, const char *line);

/* Calls `handler` for each line that ends within these `size` bytes. */
void output_feed(struct output *output, const char *bytes, size_t size, output_handler *handler,
                 void *userdata);

/* Hands over a last line without an end, if there is one. */
void output_end(struct output *output, output_handler *handler, void *userdata);
