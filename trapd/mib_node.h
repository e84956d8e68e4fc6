/* mib_node: what the generated mib.h is made of. Object identifiers are relative to the base, which the
 * configuration can move: base, then `arcs`, then the instance (0 for a scalar, else the row's index). */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { MIB_ARCS_MAX = 6, MIB_TRAP_OBJECTS_MAX = 16, MIB_WORDS_MAX = 8 };

/* The types of SMIv2 (RFC 2578, 7.1) that DUET-MIB uses. */
enum mib_kind {
    MIB_KIND_NONE,
    MIB_KIND_INTEGER,
    MIB_KIND_UNSIGNED,
    MIB_KIND_GAUGE,
    MIB_KIND_COUNTER,
    MIB_KIND_OCTETS
};

struct mib_node {
    const char *name; /* as in the MIB */
    enum mib_kind kind;
    size_t length; /* of arcs */
    uint32_t arcs[MIB_ARCS_MAX];
};

struct mib_trap {
    struct mib_node node;
    size_t object_count; /* in the order in which they are sent */
    int objects[MIB_TRAP_OBJECTS_MAX];
};

/* The words of an enumeration, which count from 1; the list ends with a name of NULL. */
struct mib_words {
    const char *name;
    size_t count;
    const char *words[MIB_WORDS_MAX];
};
