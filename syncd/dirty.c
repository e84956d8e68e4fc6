#include "syncd/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "syncd/paths.h"

enum { TABLE_MIN = 64 };

struct dirty {
    int64_t quiet_ns, max_delay_ns;
    struct dirty_entry **table; /* by path; a power of two */
    size_t table_size, count, held;
    struct dirty_entry **heap; /* by due_ns */
    size_t heap_room;
    struct dirty_entry *oldest, *newest;
    uint64_t files, bytes;
};

int dirty_new(int64_t quiet_ns, int64_t max_delay_ns, struct dirty **dirty)
{
    struct dirty *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->quiet_ns = quiet_ns;
    made->max_delay_ns = max_delay_ns;
    made->table_size = TABLE_MIN;
    made->table = calloc(made->table_size, sizeof *made->table);
    if (!made->table) {
        free(made);
        return -ENOMEM;
    }
    *dirty = made;
    return 0;
}

void dirty_free(struct dirty *dirty)
{
    if (!dirty)
        return;
    for (size_t i = 0; i < dirty->count; i++)
        free(dirty->heap[i]);
    free(dirty->heap);
    free(dirty->table);
    free(dirty);
}

/* --------------------------------------------------------------------- heap */

static void heap_put(struct dirty *dirty, size_t at, struct dirty_entry *entry)
{
    dirty->heap[at] = entry;
    entry->heap_at = at;
}

static void heap_settle(struct dirty *dirty, struct dirty_entry *entry)
{
    size_t at = entry->heap_at;

    for (; at > 0 && dirty->heap[(at - 1) / 2]->due_ns > entry->due_ns; at = (at - 1) / 2)
        heap_put(dirty, at, dirty->heap[(at - 1) / 2]);
    for (size_t child; (child = 2 * at + 1) < dirty->count; at = child) {
        if (child + 1 < dirty->count && dirty->heap[child + 1]->due_ns < dirty->heap[child]->due_ns)
            child++;
        if (dirty->heap[child]->due_ns >= entry->due_ns)
            break;
        heap_put(dirty, at, dirty->heap[child]);
    }
    heap_put(dirty, at, entry);
}

static int heap_reserve(struct dirty *dirty)
{
    if (dirty->count < dirty->heap_room)
        return 0;
    const size_t room = MAX(dirty->heap_room * 2, TABLE_MIN);
    struct dirty_entry **heap = realloc(dirty->heap, room * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    dirty->heap = heap;
    dirty->heap_room = room;
    return 0;
}

/* -------------------------------------------------------------------- table */

static struct dirty_entry **chain(const struct dirty *dirty, struct sync_bytes path)
{
    return &dirty->table[path_hash(path, 0) & (dirty->table_size - 1)];
}

static int table_reserve(struct dirty *dirty)
{
    struct dirty_entry **old = dirty->table;
    const size_t old_size = dirty->table_size;

    if (dirty->count < old_size)
        return 0;
    struct dirty_entry **table = calloc(old_size * 2, sizeof *table);
    if (!table)
        return -ENOMEM;
    dirty->table = table;
    dirty->table_size = old_size * 2;
    for (size_t i = 0; i < old_size; i++)
        for (struct dirty_entry *entry = old[i], *next; entry; entry = next) {
            next = entry->next;
            struct dirty_entry **head = chain(dirty, dirty_path(entry));
            entry->next = *head;
            *head = entry;
        }
    free(old);
    return 0;
}

struct dirty_entry *dirty_find(const struct dirty *dirty, struct sync_bytes path)
{
    struct dirty_entry *entry = *chain(dirty, path);

    while (entry && !path_equal(dirty_path(entry), path))
        entry = entry->next;
    return entry;
}

/* ------------------------------------------------------------ order of time */

/* Times mostly come in order, so the right place is near the end. */
static void join_order(struct dirty *dirty, struct dirty_entry *entry)
{
    struct dirty_entry *before = dirty->newest;

    while (before && before->first_ns > entry->first_ns)
        before = before->before;
    entry->before = before;
    entry->after = before ? before->after : dirty->oldest;
    *(before ? &before->after : &dirty->oldest) = entry;
    *(entry->after ? &entry->after->before : &dirty->newest) = entry;
}

static void leave_order(struct dirty *dirty, struct dirty_entry *entry)
{
    *(entry->before ? &entry->before->after : &dirty->oldest) = entry->after;
    *(entry->after ? &entry->after->before : &dirty->newest) = entry->before;
}

/* ------------------------------------------------------------------ entries */

static int add(struct dirty *dirty, struct sync_bytes path, int64_t first_ns, struct dirty_entry **added)
{
    if (heap_reserve(dirty) < 0 || table_reserve(dirty) < 0)
        return -ENOMEM;
    struct dirty_entry *entry = calloc(1, sizeof *entry + path.size);
    if (!entry)
        return -ENOMEM;
    entry->size = (uint32_t)path.size;
    memcpy(entry->path, path.at, path.size);
    entry->first_ns = first_ns;
    entry->due_ns = INT64_MAX;
    struct dirty_entry **head = chain(dirty, path);
    entry->next = *head;
    *head = entry;
    join_order(dirty, entry);
    heap_put(dirty, dirty->count++, entry);
    *added = entry;
    return 0;
}

static void detach(struct dirty *dirty, struct dirty_entry *entry)
{
    struct dirty_entry **at = chain(dirty, dirty_path(entry));
    struct dirty_entry *last = dirty->heap[dirty->count - 1];

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    leave_order(dirty, entry);
    dirty->count--;
    if (last != entry) {
        heap_put(dirty, entry->heap_at, last);
        heap_settle(dirty, last);
    }
    dirty->held -= entry->held;
    dirty->files -= entry->files;
    dirty->bytes -= entry->bytes;
}

static void set_held(struct dirty *dirty, struct dirty_entry *entry, bool held)
{
    dirty->held += held;
    dirty->held -= entry->held;
    entry->held = held;
}

/* What is due stays due: a file that is written again and again must not be put off by that. */
static void set_due(const struct dirty *dirty, struct dirty_entry *entry, enum dirty_when when,
                    int64_t now_ns)
{
    const bool fresh = entry->due_ns == INT64_MAX;

    if (when == DIRTY_NOW || (when == DIRTY_SOFT && !entry->writing)) {
        entry->due_ns = fresh ? now_ns : MIN(entry->due_ns, now_ns);
        entry->writing = false;
    } else if (when == DIRTY_QUIET && (fresh || entry->writing)) {
        entry->due_ns = MIN(now_ns + dirty->quiet_ns, entry->first_ns + dirty->max_delay_ns);
        entry->writing = true;
    }
}

int dirty_mark(struct dirty *dirty, struct sync_bytes path, unsigned flags, enum dirty_when when,
               int64_t now_ns)
{
    struct dirty_entry *entry = dirty_find(dirty, path);
    int r = entry ? 0 : add(dirty, path, now_ns, &entry);

    if (r < 0)
        return r;
    if (entry->held) {
        set_held(dirty, entry, false);
        entry->due_ns = INT64_MAX;
    }
    entry->flags |= (uint16_t)flags;
    set_due(dirty, entry, when, now_ns);
    heap_settle(dirty, entry);
    return 0;
}

int dirty_retry(struct dirty *dirty, struct sync_bytes path, unsigned flags, unsigned tries, int64_t first_ns,
                int64_t at_ns)
{
    struct dirty_entry *entry = dirty_find(dirty, path);
    const bool fresh = !entry;
    int r = entry ? 0 : add(dirty, path, first_ns, &entry);

    if (r < 0)
        return r;
    entry->flags |= (uint16_t)flags;
    entry->tries = (uint8_t)MIN(tries, UINT8_MAX);
    if (fresh) {
        set_held(dirty, entry, true);
        entry->due_ns = at_ns;
    } else if (first_ns < entry->first_ns) {
        leave_order(dirty, entry);
        entry->first_ns = first_ns;
        join_order(dirty, entry);
    }
    heap_settle(dirty, entry);
    return 0;
}

void dirty_weigh(struct dirty *dirty, struct dirty_entry *entry, uint64_t files, uint64_t bytes)
{
    entry->files += files;
    entry->bytes += bytes;
    dirty->files += files;
    dirty->bytes += bytes;
}

/* What the peer has at the old name did not go elsewhere by a rename here. */
static void leave_mark(struct dirty *dirty, struct dirty_entry *old)
{
    dirty->files -= old->files;
    dirty->bytes -= old->bytes;
    old->files = old->bytes = 0;
    old->flags = DIRTY_NAME | DIRTY_FORCE;
}

/* The new name's own entry, if there is one, is that of what was there before: both are looked at as one. */
static int rename_one(struct dirty *dirty, struct dirty_entry *old, struct sync_bytes to)
{
    struct dirty_entry *entry = dirty_find(dirty, to);
    int r = entry ? 0 : add(dirty, to, old->first_ns, &entry);

    if (r < 0)
        return r;
    entry->flags |= old->flags;
    entry->tries = MAX(entry->tries, old->tries);
    entry->due_ns = MIN(entry->due_ns, old->due_ns);
    entry->writing = old->writing && (entry->writing || entry->due_ns == old->due_ns);
    set_held(dirty, entry, old->held && (entry->held || entry->due_ns == old->due_ns));
    dirty_weigh(dirty, entry, old->files, old->bytes);
    heap_settle(dirty, entry);
    if (old->flags & DIRTY_FORCE) {
        leave_mark(dirty, old);
        return 0;
    }
    detach(dirty, old);
    free(old);
    return 0;
}

int dirty_force_moved(struct dirty *dirty, struct sync_bytes from, struct sync_bytes to, int64_t now_ns)
{
    uint8_t path[SYNC_PATH_MAX];
    int r = 0;

    for (struct dirty_entry *entry = dirty->oldest; entry && r == 0; entry = entry->after) {
        const size_t rest = entry->size - from.size;
        if (!(entry->flags & DIRTY_FORCE) || !path_below(dirty_path(entry), from) ||
            to.size + rest > sizeof path)
            continue;
        memcpy(path, to.at, to.size);
        memcpy(path + to.size, entry->path + from.size, rest);
        r = dirty_mark(dirty, (struct sync_bytes){.at = path, .size = to.size + rest}, entry->flags,
                       DIRTY_NOW, now_ns);
    }
    return r;
}

int dirty_rename(struct dirty *dirty, struct sync_bytes from, struct sync_bytes to)
{
    uint8_t path[SYNC_PATH_MAX];

    for (struct dirty_entry *entry = dirty->oldest, *after; entry; entry = after) {
        after = entry->after;
        const size_t rest = entry->size - from.size;
        if (!path_below(dirty_path(entry), from) || to.size + rest > sizeof path)
            continue;
        memcpy(path, to.at, to.size);
        memcpy(path + to.size, entry->path + from.size, rest);
        int r = rename_one(dirty, entry, (struct sync_bytes){.at = path, .size = to.size + rest});
        if (r < 0)
            return r;
    }
    return 0;
}

/* ------------------------------------------------------------- what there is */

size_t dirty_count(const struct dirty *dirty)
{
    return dirty->count;
}

bool dirty_is_forced(const struct dirty *dirty)
{
    for (size_t i = 0; i < dirty->count; i++)
        if (dirty->heap[i]->flags & DIRTY_FORCE)
            return true;
    return false;
}

uint64_t dirty_files(const struct dirty *dirty)
{
    return dirty->count + dirty->files;
}

uint64_t dirty_bytes(const struct dirty *dirty)
{
    return dirty->bytes;
}

int64_t dirty_oldest_ns(const struct dirty *dirty)
{
    return dirty->oldest ? dirty->oldest->first_ns : 0;
}

int64_t dirty_due_ns(const struct dirty *dirty, bool urgent)
{
    if (dirty->count == 0)
        return 0;
    if (urgent && dirty->held < dirty->count)
        return MIN(dirty->oldest->first_ns, dirty->heap[0]->due_ns);
    return dirty->heap[0]->due_ns;
}

static int by_path(const void *a, const void *b)
{
    const struct dirty_entry *const *one = a, *const *other = b;

    return path_compare(dirty_path(*one), dirty_path(*other));
}

long dirty_take(struct dirty *dirty, int64_t now_ns, bool urgent, struct dirty_entry ***taken)
{
    size_t count = 0, due = 0;

    for (size_t i = 0; i < dirty->count; i++)
        due += dirty->heap[i]->due_ns <= now_ns || (urgent && !dirty->heap[i]->held);
    struct dirty_entry **list = malloc(MAX(due, 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    for (struct dirty_entry *entry = dirty->oldest, *after; entry; entry = after) {
        after = entry->after;
        if (entry->due_ns <= now_ns || (urgent && !entry->held)) {
            detach(dirty, entry);
            list[count++] = entry;
        }
    }
    qsort(list, count, sizeof *list, by_path);
    *taken = list;
    return (long)count;
}
