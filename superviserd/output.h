/* output: what a service prints, as lines that the log can take.
 *
 * Bytes come in pieces of any size; lines go out whole, at most OUTPUT_LINE_MAX bytes each. What is longer is
 * cut, and the rest of that line dropped. Control characters become '?', so that a service cannot drive the
 * operator's terminal; carriage returns and empty lines are left out.
 *
 * Reading is rationed, too: this daemon reads at real-time priority, and a program that prints without end
 * must not keep it busy. Beyond OUTPUT_RATION bytes in OUTPUT_WINDOW_NS the rest waits in the pipe, and when
 * that is full, so does the program. */
#pragma once
#include "common/base.h"

enum { OUTPUT_LINE_MAX = 800, OUTPUT_RATION = 128 * 1024 };
#define OUTPUT_WINDOW_NS (100 * NS_PER_MS)

struct output_ration {
    int64_t begun_ns; /* the present window */
    size_t used;      /* bytes in it */
};

struct output {
    char line[OUTPUT_LINE_MAX + 8];
    size_t length;
    bool cut; /* the rest of this line is dropped */
};

/* `bytes` were read at `now_ns`. When the next ones may be; 0: at once. */
int64_t output_pause(struct output_ration *ration, size_t bytes, int64_t now_ns);

typedef void output_handler(void *userdata, const char *line);

/* Calls `handler` for each line that ends within these `size` bytes. */
void output_feed(struct output *output, const char *bytes, size_t size, output_handler *handler,
                 void *userdata);

/* Hands over a last line without an end, if there is one. */
void output_end(struct output *output, output_handler *handler, void *userdata);
