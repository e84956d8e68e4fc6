/* tables_child: runs `trapd-tables` (tables.h) as a child: started with trapd, started again with a growing
 * pause when it ends, and ended with trapd, however that ends. Implemented in linux_tables_child.c. */
#pragma once
#include "common/daemon.h"

struct tables_child;

/* `daemon` is kept by reference. Where it cannot be started it is tried again. 0 or a negative errno. */
int tables_child_start(struct daemon *daemon, struct tables_child **child);

/* Ends it; NULL is ignored. */
void tables_child_free(struct tables_child *child);
