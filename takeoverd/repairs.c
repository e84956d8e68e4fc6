#include "takeoverd/repairs.h"

static const int64_t window_ns = 10 * NS_PER_S;

int64_t repairs_allow(struct repairs *repairs, int64_t now_ns)
{
    int64_t *const oldest_ns = &repairs->at_ns[repairs->next];

    if (*oldest_ns != 0 && now_ns - *oldest_ns < window_ns)
        return *oldest_ns + window_ns;
    *oldest_ns = now_ns;
    repairs->next = (repairs->next + 1) % REPAIRS_MAX;
    return 0;
}
