/* lease_file: RUNDIR/takeoverd.lease, the record of the lease that was obeyed last (lease.h). */
#pragma once
#include "takeoverd/lease.h"

struct lease_file {
    int fd;
    struct lease_record record; /* as written */
};

/* 0 or a negative errno (logged). The caller closes `file->fd`, which is -1 if it could not be opened. */
int lease_file_open(struct lease_file *file, const char *run_dir);

/* The lease of the run before, if it still stands, with its epoch; else 0. */
int64_t lease_file_recall(const struct lease_file *file, int64_t *epoch);

/* Called before each change, so that what a killed run leaves does not look more rightful than it is. */
void lease_file_remember(struct lease_file *file, int64_t epoch, int64_t lease_ns);
