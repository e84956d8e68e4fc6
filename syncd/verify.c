/* Both nodes read all of a set from their disks and compare BLAKE2b: `duet sync verify`. The node that was
 * asked does the comparing; the other one answers. An entry's digest covers its path, type and content (the
 * rest is in the hash tree, which every comparison looks at); the digests of all entries are added up, so
 * that the order in which a node looks at them does not matter. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

enum { PIECE = 1 << 18, ENTRIES_A_STEP = 256, STEP_BYTES = 1 << 20 };

struct verifying {
    bool by_peer;    /* it asked, and gets the answer */
    bool read;       /* this node has read everything */
    bool answered;   /* the peer has */
    unsigned bucket; /* where the walk is */
    tree_node node;
    int file; /* open, being read; -1: none */
    struct digest *entry;
    uint64_t sum[SYNC_DIGEST_BYTES / 8];
    uint64_t files, bytes, unreadable;
    struct sync_message peer; /* its answer */
    uint8_t piece[PIECE];
};

void verify_end(struct set *set)
{
    struct verifying *v = set->verifying;

    if (!v)
        return;
    if (v->file >= 0)
        close(v->file);
    digest_free(v->entry);
    free(v);
    set->verifying = NULL;
}

static void tell(struct set *set, bool asked)
{
    const struct verifying *v = set->verifying;
    struct sync_message m = {.header.kind = SYNC_VERIFY};

    m.verify.asked = asked;
    if (!asked) {
        m.verify.files = v->files;
        m.verify.bytes = v->bytes;
        for (size_t i = 0; i < SYNC_DIGEST_BYTES; i++)
            m.verify.digest[i] = (uint8_t)(v->sum[i / 8] >> (8 * (i % 8)));
    }
    exchange_send(set->syncd, set, &m);
}

void verify_begin(struct set *set, bool asked_by_peer)
{
    if (set->verifying && !asked_by_peer)
        return; /* under way already */
    verify_end(set);
    struct verifying *v = calloc(1, sizeof *v);
    if (!v || digest_new(&v->entry) < 0) {
        free(v);
        return;
    }
    v->by_peer = asked_by_peer;
    v->file = -1;
    set->verifying = v;
    text_copy(set->verify_text, sizeof set->verify_text, "reading everything");
    if (!asked_by_peer)
        tell(set, true);
    publish_soon(set);
}

static void add_entry(struct verifying *v)
{
    uint8_t digest[SYNC_DIGEST_BYTES];

    digest_end(v->entry, digest);
    for (size_t i = 0; i < ARRAY_LENGTH(v->sum); i++) {
        uint64_t part = 0;
        for (size_t k = 0; k < 8; k++)
            part |= (uint64_t)digest[8 * i + k] << (8 * k);
        v->sum[i] += part;
    }
    v->files++;
}

/* Where an entry lies on this node. */
static bool disk_path(const struct set *set, struct sync_bytes path, char *out, size_t room)
{
    char *end;
    const char *const *roots =
        set->snapshot && set->syncd->active ? &set->snapshot_root : (const char *const *)set->roots;
    char text[SYNC_PATH_MAX + 1];

    memcpy(text, path.at, path.size);
    text[path.size] = '\0';
    const unsigned long root = strtoul(text, &end, 10);
    return root < set->root_count && (size_t)snprintf(out, room, "%s%s", roots[root], end) < room;
}

static void begin_entry(struct set *set, tree_node node)
{
    struct verifying *v = set->verifying;
    uint8_t path[SYNC_PATH_MAX];
    const struct sync_bytes bytes = {path, tree_path(set->tree, node, path)};
    struct tree_entry entry;
    char disk[2 * PATH_MAX], target[PATH_MAX];

    tree_get(set->tree, node, &entry);
    const uint8_t type = (uint8_t)entry.type;
    digest_begin(v->entry);
    digest_add(v->entry, path, bytes.size);
    digest_add(v->entry, &type, 1);
    if (!disk_path(set, bytes, disk, sizeof disk)) {
        v->unreadable++;
    } else if (entry.type == SYNC_SYMLINK) {
        const ssize_t size = readlink(disk, target, sizeof target);
        v->unreadable += size < 0;
        digest_add(v->entry, (const uint8_t *)target, size < 0 ? 0 : (size_t)size);
    } else if (entry.type == SYNC_FILE || entry.type == SYNC_HARDLINK) {
        v->file = open(disk, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        v->unreadable += v->file < 0;
    }
    if (v->file < 0)
        add_entry(v);
}

/* A piece of the file that is open. */
static size_t read_piece(struct verifying *v)
{
    const ssize_t size = read(v->file, v->piece, sizeof v->piece);

    if (size > 0) {
        digest_add(v->entry, v->piece, (size_t)size);
        v->bytes += (uint64_t)size;
        return (size_t)size;
    }
    v->unreadable += size < 0;
    close(v->file);
    v->file = -1;
    add_entry(v);
    return 0;
}

static tree_node next_node(struct set *set)
{
    struct verifying *v = set->verifying;

    while (v->bucket < SYNC_BUCKETS) {
        v->node = tree_in_bucket(set->tree, v->bucket, v->node);
        if (v->node)
            return v->node;
        v->bucket++;
    }
    return 0;
}

static void conclude(struct set *set)
{
    const struct verifying *v = set->verifying;
    uint8_t own[SYNC_DIGEST_BYTES];

    for (size_t i = 0; i < sizeof own; i++)
        own[i] = (uint8_t)(v->sum[i / 8] >> (8 * (i % 8)));
    set->verified_equal = v->files == v->peer.verify.files && v->bytes == v->peer.verify.bytes &&
                          memcmp(own, v->peer.verify.digest, sizeof own) == 0;
    set->verified_ns = clock_now_ns();
    snprintf(set->verify_text, sizeof set->verify_text,
             "%s: %" PRIu64 " entries, %" PRIu64 " bytes here; %" PRIu64 " entries, %" PRIu64
             " bytes there%s",
             set->verified_equal ? "equal" : "NOT equal", v->files, v->bytes, v->peer.verify.files,
             v->peer.verify.bytes,
             set->verified_equal     ? ""
             : v->unreadable > 0     ? "; some could not be read here"
             : sender_oldest_ns(set) ? "; it is being changed just now"
                                     : "");
    log_notice("set %s: verified: %s", set->config->name, set->verify_text);
    verify_end(set);
    publish_soon(set);
}

static void all_read(struct set *set)
{
    struct verifying *v = set->verifying;

    v->read = true;
    if (v->by_peer) {
        tell(set, false);
        set->verify_text[0] = '\0';
        verify_end(set);
    } else if (v->answered) {
        conclude(set);
    }
}

bool verify_work(struct set *set)
{
    struct verifying *v = set->verifying;
    size_t bytes = 0;

    if (!v || v->read)
        return false;
    for (int i = 0; i < ENTRIES_A_STEP && bytes < STEP_BYTES; i++) {
        if (v->file >= 0) {
            bytes += read_piece(v);
            continue;
        }
        const tree_node node = next_node(set);
        if (node == 0) {
            all_read(set);
            return false;
        }
        begin_entry(set, node);
    }
    return true;
}

void verify_message(struct set *set, const struct sync_message *m)
{
    struct verifying *v = set->verifying;

    if (m->verify.asked) {
        verify_begin(set, true);
    } else if (v && !v->by_peer) {
        v->peer = *m;
        v->answered = true;
        if (v->read)
            conclude(set);
    }
}
