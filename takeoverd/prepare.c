#include "takeoverd/prepare.h"

void prepare_init(struct prepare *prepare, int64_t hooks_ns, int64_t claim_ns)
{
    *prepare = (struct prepare){.limit_ns = hooks_ns > 0 ? hooks_ns + claim_ns / 20 : 0};
}

int64_t prepare_until(const struct prepare *prepare, const struct role_message *role, int64_t now_ns)
{
    if (prepare->limit_ns == 0 || role->phase != PHASE_CLAIMING || role->epoch == prepare->prepared)
        return 0;
    const int64_t until_ns = MIN(role->since_ns, now_ns) + prepare->limit_ns;
    return until_ns > now_ns ? until_ns : 0;
}
