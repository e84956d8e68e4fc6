/* Whether there is room for a generation, and whether it can be written at all, asked before it counts: once
 * some of it is switched to, a full disk would leave neither the old one nor the new one. What came for the
 * staging files has its room already, and so has what is in the journal; the files that the switch makes of
 * it have not. What they replace stays for the history, so nothing is set off against it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "syncd/replica_inside.h"

enum { BLOCK = 4096 }; /* as file systems count; names and attributes of an entry take no more than that */

void room_begin(struct replica *r)
{
    memset(r->needs, 0, r->options.root_count * sizeof *r->needs);
}

static uint64_t size_now(const struct replica *r, struct sync_bytes path)
{
    const tree_node node = tree_find(r->options.tree, path);
    struct tree_entry entry = {0};

    if (node)
        tree_get(r->options.tree, node, &entry);
    return entry.size;
}

/* One that is patched in place grows; of the others a copy is made. */
static uint64_t need_of_patch(const struct replica *r, const struct sync_op *op)
{
    const uint64_t now = size_now(r, op->path);

    if (r->options.database || now < IN_PLACE_MIN)
        return op->size;
    return op->size > now ? op->size - now : 0;
}

uint64_t room_of(uint64_t bytes)
{
    return (bytes + BLOCK - 1) / BLOCK * BLOCK + BLOCK;
}

void room_add(struct replica *r, const struct sync_op *op)
{
    const bool makes = op->kind == SYNC_OP_PUT || (op->kind == SYNC_OP_OPEN && op->patch);

    if (op->path.size == 0)
        return; /* within a file */
    struct need *need = &r->needs[sync_path_root(op->path)];
    need->touched = true;
    if (!makes)
        return;
    const uint64_t bytes = op->kind == SYNC_OP_OPEN ? need_of_patch(r, op) : op->content.size;
    need->bytes += room_of(bytes);
    need->files++;
}

static struct area *area_of_root(struct replica *r, size_t root)
{
    char text[24];
    const int size = snprintf(text, sizeof text, "%zu", root);

    return replica_area(r, (struct sync_bytes){(const uint8_t *)text, (size_t)size});
}

static bool is_on(struct replica *r, size_t root, dev_t device)
{
    struct area *area = r->needs[root].files > 0 ? area_of_root(r, root) : NULL;
    struct stat st;

    return area && fstat(area_directory(area), &st) == 0 && st.st_dev == device;
}

/* Of all roots that are on the file system of this one. */
static struct need need_of_disk(struct replica *r, dev_t device)
{
    struct need sum = {0};

    for (size_t i = 0; i < r->options.root_count; i++)
        if (is_on(r, i, device)) {
            sum.bytes += r->needs[i].bytes;
            sum.files += r->needs[i].files;
        }
    /* What was made early is there. */
    if (r->fresh.early > 0 &&
        is_on(r, sync_path_root((struct sync_bytes){r->fresh.path, r->fresh.size}), device)) {
        sum.bytes -= r->fresh.bytes;
        sum.files -= r->fresh.files;
    }
    return sum;
}

static int check_root(struct replica *r, size_t root)
{
    struct area *area = area_of_root(r, root);
    struct statvfs disk;
    struct stat st;

    /* Whoever cannot say how full it is hinders nobody. */
    if (!area || fstat(area_directory(area), &st) < 0 || fstatvfs(area_directory(area), &disk) < 0)
        return 0;
    const struct need need = need_of_disk(r, st.st_dev);
    const uint64_t bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (disk.f_blocks > 0 && need.bytes > bytes)
        return replica_fail(r, -ENOSPC, "%" PRIu64 " kB are needed for %s, %" PRIu64 " are free",
                            need.bytes / 1024, r->options.roots[root], bytes / 1024);
    if (disk.f_files > 0 && need.files > disk.f_favail)
        return replica_fail(r, -ENOSPC,
                            "%" PRIu64 " files are to be made for %s, and so many inodes are not free",
                            need.files, r->options.roots[root]);
    return 0;
}

/* A disk with errors is often made read-only by the kernel. */
static int check_writable(struct replica *r, const char *root)
{
    struct statvfs disk;

    if (statvfs(root, &disk) < 0 || !(disk.f_flag & ST_RDONLY))
        return 0;
    return replica_fail(r, -EROFS, "%s: %s", root, strerror(EROFS));
}

int room_check(struct replica *r)
{
    int done = 0;

    for (size_t i = 0; i < r->options.root_count && done == 0; i++) {
        if (r->needs[i].touched)
            done = check_writable(r, r->options.roots[i]);
        if (done == 0 && r->needs[i].files > 0)
            done = check_root(r, i);
    }
    return done;
}
