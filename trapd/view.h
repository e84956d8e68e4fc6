/* view: all that DUET-MIB lets a manager read, as one list of values in the order of their object
 * identifiers.
 *
 * SNMP asks for the value with a certain identifier, or for the one that comes after it (RFC 3416, 4.2.1
 * and 4.2.2); a list in order answers both, and a walk of it is a walk of all tables. The list is made anew
 * from what is known of the pair whenever that has changed; a row stands in it if `duet status` shows it.
 * Pure. */
#pragma once
#include "common/model.h"
#include "trapd/mib.h"

/* An identifier relative to the base has at most a name and an address after the column's own arcs. A list
 * that is full takes no more, and counts what it refused. */
enum { VIEW_ARCS_MAX = 120, VIEW_OCTETS_MAX = 255, VIEW_CELLS_MAX = 8192 };

struct view_cell {
    enum mib_kind kind;
    uint32_t number;    /* of all kinds but MIB_KIND_OCTETS */
    size_t octet_count; /* of MIB_KIND_OCTETS */
    uint8_t octets[VIEW_OCTETS_MAX];
    size_t length; /* of arcs */
    uint32_t arcs[VIEW_ARCS_MAX];
};

struct view {
    size_t count, refused;
    const struct view_cell *order[VIEW_CELLS_MAX]; /* of `cells`, by their arcs */
    struct view_cell cells[VIEW_CELLS_MAX];
};

struct view_source {
    const struct model *model;
    const char *cluster, *node;
    int64_t now_ns, wall_offset_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
};

void view_make(struct view *view, const struct view_source *source);

/* The value with this identifier; NULL if there is none. */
const struct view_cell *view_at(const struct view *view, const uint32_t *arcs, size_t length);

/* The first value after this identifier (`or_at`: at it or after it); NULL if there is none. */
const struct view_cell *view_after(const struct view *view, const uint32_t *arcs, size_t length, bool or_at);
