/* What many entries have in common, kept once. Names of owners stay until the tree is cleared: there are as
 * many as the system has users. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_inside.h"

static uint64_t bytes_hash(const struct tree *tree, const void *bytes, size_t size)
{
    const struct sync_hash hash = hash_bytes(tree->hasher, bytes, size);
    uint64_t number;

    memcpy(&number, &hash, sizeof number);
    return number;
}

/* ------------------------------------------------------ texts */

static uint64_t text_hash(const struct tree *tree, uint32_t text)
{
    return bytes_hash(tree, tree->texts[text].text, strlen(tree->texts[text].text));
}

static uint32_t text_next(const struct tree *tree, uint32_t text)
{
    return tree->texts[text].next;
}

static void text_push(struct tree *tree, uint32_t text, uint32_t *head)
{
    tree->texts[text].next = *head;
    *head = text;
}

static const struct tree_table_kind by_text = {text_hash, text_next, text_push};

static uint32_t find_text(const struct tree *tree, const char *text)
{
    const uint32_t *head = tree_table_chain(&tree->by_text, bytes_hash(tree, text, strlen(text)));
    uint32_t i = head ? *head : 0;

    while (i != 0 && strcmp(tree->texts[i].text, text) != 0)
        i = tree->texts[i].next;
    return i;
}

static int take_text(struct tree *tree, const char *text, uint32_t *number)
{
    *number = find_text(tree, text);
    if (*number != 0)
        return 0;
    const uint32_t added = tree->text_count > 0 ? tree->text_count : 1;
    int r = tree_grow(&tree->texts, &tree->text_room, (uint64_t)added + 1, sizeof *tree->texts);
    if (r == 0)
        r = tree_table_reserve(&tree->by_text);
    if (r < 0)
        return r;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    tree->texts[0] = (struct text){0};
    tree->texts[added] = (struct text){.text = copy};
    tree->text_count = added + 1;
    tree->text_bytes += strlen(text) + 1;
    tree_table_add(&tree->by_text, &by_text, tree, added);
    *number = added;
    return 0;
}

/* ------------------------------------------------------ looks */

/* What tells two looks apart stands at their front. */
enum { LOOK_KEY_BYTES = offsetof(struct look, references) };

static uint64_t look_hash(const struct tree *tree, uint32_t look)
{
    return bytes_hash(tree, &tree->looks[look], LOOK_KEY_BYTES);
}

static uint32_t look_next(const struct tree *tree, uint32_t look)
{
    return tree->looks[look].next;
}

static void look_push(struct tree *tree, uint32_t look, uint32_t *head)
{
    tree->looks[look].next = *head;
    *head = look;
}

static const struct tree_table_kind by_look = {look_hash, look_next, look_push};

static uint32_t find_look(const struct tree *tree, const struct look *look)
{
    const uint32_t *head = tree_table_chain(&tree->by_look, bytes_hash(tree, look, LOOK_KEY_BYTES));
    uint32_t i = head ? *head : 0;

    while (i != 0 && memcmp(&tree->looks[i], look, LOOK_KEY_BYTES) != 0)
        i = tree->looks[i].next;
    return i;
}

static int add_look(struct tree *tree, const struct look *look, uint32_t *number)
{
    const uint32_t fresh = tree->look_count > 0 ? tree->look_count : 1;
    int r = tree_table_reserve(&tree->by_look);

    if (r == 0 && tree->look_free == 0)
        r = tree_grow(&tree->looks, &tree->look_room, (uint64_t)fresh + 1, sizeof *tree->looks);
    if (r < 0)
        return r;
    if (tree->look_free != 0) {
        *number = tree->look_free;
        tree->look_free = tree->looks[*number].next;
    } else {
        *number = fresh;
        tree->look_count = fresh + 1;
        tree->looks[0] = (struct look){0};
    }
    tree->looks[*number] = *look;
    tree_table_add(&tree->by_look, &by_look, tree, *number);
    return 0;
}

int tree_looks_take(struct tree *tree, const struct tree_entry *entry, uint32_t *number)
{
    struct look look = {.xattrs = entry->xattrs, .uid = entry->uid, .gid = entry->gid};
    int r = take_text(tree, entry->owner ? entry->owner : "", &look.owner);

    if (r == 0)
        r = take_text(tree, entry->group ? entry->group : "", &look.group);
    if (r < 0)
        return r;
    *number = find_look(tree, &look);
    if (*number == 0)
        r = add_look(tree, &look, number);
    if (r == 0)
        tree->looks[*number].references++;
    return r;
}

void tree_looks_drop(struct tree *tree, uint32_t number)
{
    struct look *look = &tree->looks[number];

    if (--look->references > 0)
        return;
    uint32_t *at = tree_table_chain(&tree->by_look, look_hash(tree, number));
    while (*at != number)
        at = &tree->looks[*at].next;
    *at = look->next;
    tree->by_look.count--;
    *look = (struct look){.next = tree->look_free};
    tree->look_free = number;
}

void tree_looks_clear(struct tree *tree)
{
    tree_table_clear(&tree->by_look);
    free(tree->looks);
    tree->looks = NULL;
    tree->look_count = tree->look_room = tree->look_free = 0;

    tree_table_clear(&tree->by_text);
    for (uint32_t i = 1; i < tree->text_count; i++)
        free(tree->texts[i].text);
    free(tree->texts);
    tree->texts = NULL;
    tree->text_count = tree->text_room = 0;
    tree->text_bytes = 0;
}
