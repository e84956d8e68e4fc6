#include "superviserd/tenure.h"

void tenure_init(struct tenure *tenure, int64_t now_ns)
{
    *tenure = (struct tenure){.ends_ns = now_ns};
}

void tenure_role(struct tenure *tenure, bool active, int64_t lease_ns, int64_t now_ns)
{
    if (active && !tenure->active)
        tenure->ends_ns = now_ns;
    tenure->active = active;
    tenure->passive = !active;
    tenure->ends_ns = MAX(tenure->ends_ns, lease_ns);
}

void tenure_address(struct tenure *tenure, bool released)
{
    tenure->released = released;
}

int64_t tenure_over_ns(const struct tenure *tenure)
{
    return tenure->passive || !tenure->released ? 0 : tenure->ends_ns + TENURE_GRACE_NS;
}

bool tenure_is_over(const struct tenure *tenure, int64_t now_ns)
{
    const int64_t over_ns = tenure_over_ns(tenure);

    return over_ns != 0 && over_ns <= now_ns;
}
