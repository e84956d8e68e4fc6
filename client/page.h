/* page: one page on loopback that shows the profiles, each with a button that switches to it. It is served
 * from the daemon's loop by libmicrohttpd; guard.h says whom. Whoever may open a connection to it on this
 * machine may switch, so it is for machines with one user, and off unless it is configured. */
#pragma once
#include "client/view.h"
#include "common/loop.h"

struct page;

/* Both are called from the loop. `use` returns NULL, or why not. */
struct page_handlers {
    void (*view)(void *userdata, struct view *view);
    const char *(*use)(void *userdata, const char *profile);
    void *userdata;
};

/* 0 or a negative errno (-EADDRINUSE); the caller closes it while the loop is there. */
int page_open(struct loop *loop, const struct client_config *config, const struct page_handlers *handlers,
              struct page **page);
void page_close(struct page *page); /* NULL is ignored */
