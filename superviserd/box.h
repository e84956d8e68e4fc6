/* box: the file of the black box, mapped for writing (common/blackbox.h tells what is in it).
 *
 * A boot has one file, `blackbox`. The file of another boot, or a damaged one, is kept under its number, and
 * a new one is begun: written whole and flushed before it gets its name, so that neither a full disk nor a
 * crash leaves half of one. The BOX_KEPT latest are kept. One process writes: it holds a lock on the file.
 *
 * A store to a mapped page may wait for the disk, and kills the process by SIGBUS where the disk refuses it
 * (it is broken, or was made read-only). So all of this runs in a thread that nothing else depends on, and
 * SIGBUS within the mapping puts memory in the place of the page: the box is then given up, and nothing else
 * happens. One box a process. */
#pragma once
#include "common/blackbox.h"

enum { BOX_KEPT = 4 };

struct box;

/* Opens or begins the box in `directory` for the boot and node of `about`, whose number it fills. 0; -EBUSY
 * (another process writes it); or another negative errno. The caller closes. */
int box_open(const char *directory, struct blackbox_about *about, struct box **box);
void box_close(struct box *box); /* without a flush; NULL is ignored */

/* 0, or -EIO: the disk refuses, and the box must be closed. */
int box_append(struct box *box, const struct blackbox_record *record);
int box_mark(struct box *box, const struct blackbox_mark *mark);

/* Blocks until everything is on the disk. 0 or a negative errno. */
int box_flush(struct box *box);

/* What the box holds, in place: valid until the next record. The caller forgets it (blackbox_forget). 0 or a
 * negative errno. */
int box_read(const struct box *box, struct blackbox_reading *reading);

/* Where the ring of changes is, as the sieve counts: in bytes; and where this record is. */
uint64_t box_position(const struct box *box);
uint64_t box_position_of(const struct box *box, const struct blackbox_record *record);
