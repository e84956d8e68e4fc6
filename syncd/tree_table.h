/* tree_table: a hash table of numbers by linear hashing: it grows by one chain with each element, so that no
 * single insertion is ever long, and takes four bytes an element. The links of the chains are where the
 * elements are: the table's kind knows them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tree;

struct tree_table {
    uint32_t *heads;
    uint32_t chains, room, count;
};

struct tree_table_kind {
    uint64_t (*hash)(const struct tree *tree, uint32_t element);
    uint32_t (*next)(const struct tree *tree, uint32_t element);
    void (*push)(struct tree *tree, uint32_t element, uint32_t *head); /* in front of its chain */
};

/* As many chains as elements are to be expected, in a table that has none. 0, -ENOMEM, -EOVERFLOW. */
int tree_table_begin(struct tree_table *table, uint64_t elements);
/* Makes sure that one more element can be added. 0 or -ENOMEM. */
int tree_table_reserve(struct tree_table *table);
/* Adds an element, for which there is room. */
void tree_table_add(struct tree_table *table, const struct tree_table_kind *kind, struct tree *tree,
                    uint32_t element);
/* The head of the chain for this hash; NULL in a table that never had an element. Whoever takes an element
 * out of its chain counts it off. */
uint32_t *tree_table_chain(const struct tree_table *table, uint64_t hash);
void tree_table_clear(struct tree_table *table);

/* Room for `wanted` elements of `size` bytes in a grown array: an eighth more than it has, at least. 0,
 * -ENOMEM, or -EOVERFLOW (numbers of 32 bits do not suffice). */
int tree_grow(void *array_pointer, uint32_t *room, uint64_t wanted, size_t size);
