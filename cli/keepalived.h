/* keepalived: the text of a keepalived.conf as a tree of statements. Pure but for memory.
 *
 * A statement is a line of words, and may have a block of statements in braces. `#` and `!` begin comments,
 * double quotes hold words together, `$NAME=value` defines what `$NAME` and `${NAME}` stand for from then on.
 * Nothing is read besides: an `include` is a statement like any other. What a statement means is not known
 * here. */
#pragma once
#include "common/base.h"

enum { KEEPALIVED_STATEMENTS_MAX = 20000, KEEPALIVED_DEPTH_MAX = 12, KEEPALIVED_ERROR_MAX = 160 };

/* What has become of a statement: every one is either used or told of. */
enum fate { FATE_OPEN, FATE_USED, FATE_TOLD };

struct statement {
    int line;
    size_t word_count;
    char **words;
    bool has_block;
    struct statement *block, *next; /* the first one in its braces; the one after it */
    enum fate fate;
};

struct keepalived {
    struct statement *first;
    size_t count;
    int error_line;
    char error[KEEPALIVED_ERROR_MAX];
};

/* Parses `size` bytes. 0; -EINVAL with error and error_line; -ENOMEM. keepalived_free() either way. */
int keepalived_parse(const char *text, size_t size, struct keepalived *file);
void keepalived_free(struct keepalived *file);
