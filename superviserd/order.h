/* order: which services may start and which may go, where some wait for others (`after`). Pure.
 *
 * A service waits with its start until those that it names run. One of them that has failed holds it back,
 * since that failure is what the node is judged by, unless its failure is to be ignored. Once it may start,
 * it stays wanted whatever becomes of them. A service is not told to end before those that name it are at
 * rest. */
#pragma once
#include "common/base.h"

struct order_item {
    bool role_wants;     /* the role, or `when = always`, wants it to run */
    bool wanted;         /* it was wanted so far */
    bool up;             /* it runs */
    bool over;           /* it has failed, and nobody minds */
    bool at_rest;        /* nothing of it runs, and nothing will */
    const size_t *after; /* indices of those that it waits for */
    size_t after_count;
};

/* Whether item `i` of `count` is wanted now. */
bool order_wants(const struct order_item *items, size_t count, size_t i);
