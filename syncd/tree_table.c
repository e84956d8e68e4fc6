#include "syncd/tree_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tree_grow(void *array_pointer, uint32_t *room, uint64_t wanted, size_t size)
{
    const uint64_t least = (uint64_t)*room + *room / 8 + 16;
    const uint64_t better = wanted > least ? wanted : least;
    const uint64_t next = better > UINT32_MAX ? UINT32_MAX : better;
    void *array;

    if (wanted <= *room)
        return 0;
    if (wanted > next)
        return -EOVERFLOW;
    memcpy(&array, array_pointer, sizeof array);
    array = reallocarray(array, (size_t)next, size);
    if (!array)
        return -ENOMEM;
    memcpy(array_pointer, &array, sizeof array);
    *room = (uint32_t)next;
    return 0;
}

/* The highest power of two that is not above `n` (which is not 0). */
static uint32_t power_below(uint32_t n)
{
    return UINT32_C(1) << (31 - __builtin_clz(n));
}

/* Chains beyond the highest power of two are split off from those before it, one after the other. */
static uint32_t slot_of(uint32_t chains, uint64_t hash)
{
    const uint32_t half = power_below(chains), slot = (uint32_t)(hash & (2 * (uint64_t)half - 1));

    return slot < chains ? slot : slot & (half - 1);
}

uint32_t *tree_table_chain(const struct tree_table *table, uint64_t hash)
{
    return table->chains == 0 ? NULL : &table->heads[slot_of(table->chains, hash)];
}

int tree_table_reserve(struct tree_table *table)
{
    return tree_grow(&table->heads, &table->room, (uint64_t)table->chains + 1, sizeof *table->heads);
}

int tree_table_begin(struct tree_table *table, uint64_t elements)
{
    const int r = tree_grow(&table->heads, &table->room, elements, sizeof *table->heads);

    if (r < 0)
        return r;
    if (elements > 0)
        memset(table->heads, 0, (size_t)elements * sizeof *table->heads);
    table->chains = (uint32_t)elements;
    return 0;
}

static void split(struct tree_table *table, const struct tree_table_kind *kind, struct tree *tree)
{
    const uint32_t added = table->chains++;

    table->heads[added] = 0;
    if (added == 0)
        return;
    uint32_t *old = &table->heads[added - power_below(added)];
    uint32_t element = *old;
    *old = 0;
    while (element != 0) {
        const uint32_t next = kind->next(tree, element);
        kind->push(tree, element, tree_table_chain(table, kind->hash(tree, element)));
        element = next;
    }
}

void tree_table_add(struct tree_table *table, const struct tree_table_kind *kind, struct tree *tree,
                    uint32_t element)
{
    if (table->count >= table->chains)
        split(table, kind, tree);
    kind->push(tree, element, tree_table_chain(table, kind->hash(tree, element)));
    table->count++;
}

void tree_table_clear(struct tree_table *table)
{
    free(table->heads);
    *table = (struct tree_table){0};
}
