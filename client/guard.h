/* guard: which requests the page answers. A page on loopback is open to every site that the user's browser
 * shows: such a site can send requests here, and can have its own name point here. So the name in the address
 * must be this one (Host), what changes something must come from this page itself (Origin, Sec-Fetch-Site),
 * and must carry a token that only this page was given. Pure. */
#pragma once
#include "common/base.h"

enum { GUARD_TOKEN_MAX = 33, GUARD_HOST_MAX = 80 };

struct guard {
    char hosts[2][GUARD_HOST_MAX]; /* ADDRESS:PORT and localhost:PORT */
    char token[GUARD_TOKEN_MAX];   /* random, anew at each start */
};

/* Header values; NULL: not there. */
struct guard_request {
    const char *host, *origin, *fetch_site;
    bool changes;      /* it is to change something */
    const char *token; /* that came with it */
};

/* Why it is refused, for people; NULL: it is answered. */
const char *guard_refuses(const struct guard *guard, const struct guard_request *request);
