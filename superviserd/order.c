#include "superviserd/order.h"

static bool may_start(const struct order_item *items, size_t i)
{
    for (size_t k = 0; k < items[i].after_count; k++) {
        const struct order_item *first = &items[items[i].after[k]];
        if (!first->up && !first->over)
            return false;
    }
    return true;
}

static bool waits_for(const struct order_item *item, size_t other)
{
    for (size_t k = 0; k < item->after_count; k++)
        if (item->after[k] == other)
            return true;
    return false;
}

/* Somebody that was started on top of it is still there. */
static bool is_needed(const struct order_item *items, size_t count, size_t i)
{
    for (size_t k = 0; k < count; k++)
        if (waits_for(&items[k], i) && !items[k].at_rest)
            return true;
    return false;
}

bool order_wants(const struct order_item *items, size_t count, size_t i)
{
    if (items[i].role_wants)
        return items[i].wanted || may_start(items, i);
    return items[i].wanted && is_needed(items, count, i);
}
