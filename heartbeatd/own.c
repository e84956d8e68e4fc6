#include "heartbeatd/own.h"

void own_set_session(struct own *own, const struct heartbeat_session *session)
{
    own->session = *session;
    own->sequence = 0;
}

static bool role_differs(const struct role_message *a, const struct role_message *b)
{
    return a->change != b->change || a->considered != b->considered || a->role != b->role ||
           a->phase != b->phase || a->epoch != b->epoch || a->next_epoch != b->next_epoch ||
           a->offer != b->offer || a->prefers != b->prefers || a->released != b->released ||
           a->silent != b->silent || a->held != b->held || a->hold_version != b->hold_version ||
           a->hold_until_ns != b->hold_until_ns || a->fit != b->fit || a->whole != b->whole ||
           a->reboot != b->reboot || a->suspicious != b->suspicious ||
           a->services_failed != b->services_failed;
}

bool own_set_role(struct own *own, const struct role_message *role, int64_t sent_ns)
{
    const bool tell = own->role_ns == 0 || role_differs(role, &own->role);

    own->role = *role;
    own->role_ns = sent_ns;
    return tell;
}

bool own_set_address(struct own *own, const struct address_message *address)
{
    const bool tell = address->state != own->address.state || address->epoch != own->address.epoch;

    own->address = *address;
    return tell;
}

bool own_holds(const struct own *own, int64_t now_ns)
{
    return own->role.role == ROLE_ACTIVE && own->role.lease_ns > now_ns && !own->role.searching;
}

bool own_serves(const struct own *own, int64_t now_ns)
{
    return own->role.role == ROLE_ACTIVE && own->address.state == HOLD_STATE_HOLDING &&
           own->address.lease_ns > now_ns && !own->address.silent;
}

static int64_t age_us(int64_t since_ns, int64_t now_ns)
{
    return since_ns == 0 ? HEARTBEAT_NUMBER_MAX : MAX(now_ns - since_ns, 0) / NS_PER_US;
}

static int64_t lease_us(const struct own *own, int64_t now_ns)
{
    /* Also while some addresses are missing: the lease stands behind those that are there. */
    return own->address.held > 0 ? MAX(own->address.lease_ns - now_ns, 0) / NS_PER_US : 0;
}

/* 0 says unlimited, so a hold that ends now has a millisecond left. */
static int64_t hold_left_ms(const struct role_message *role, int64_t now_ns)
{
    return role->held && role->hold_until_ns ? MAX((role->hold_until_ns - now_ns) / NS_PER_MS, 1) : 0;
}

void own_head(struct own *own, const char *cluster, enum datagram_kind kind, struct heartbeat_header *header)
{
    *header = (struct heartbeat_header){
        .kind = kind,
        .cluster = heartbeat_hash(cluster),
        .version = HEARTBEAT_VERSION,
        .version_min = HEARTBEAT_VERSION,
        .version_max = HEARTBEAT_VERSION,
        .session = own->session,
        .sequence = ++own->sequence,
    };
}

void own_say(const struct own *own, int64_t now_ns, struct heartbeat *heartbeat)
{
    const struct role_message *role = &own->role;

    heartbeat->role = role->role;
    heartbeat->phase = role->phase;
    heartbeat->offer = role->offer;
    heartbeat->prefers = role->prefers;
    heartbeat->whole = role->whole;
    heartbeat->held = role->held;
    heartbeat->unfit = own->role_ns != 0 && !role->fit;
    heartbeat->released = role->released;
    heartbeat->silent = role->silent;
    heartbeat->takes_silent = heartbeat->takes_records = true;
    heartbeat->suspicious = role->suspicious;
    heartbeat->epoch = role->epoch;
    heartbeat->next_epoch = role->next_epoch;
    heartbeat->arbiter_age_us = age_us(own->role_ns, now_ns);
    heartbeat->lease_us = lease_us(own, now_ns);
    heartbeat->phase_age_us = age_us(role->since_ns, now_ns);
    heartbeat->change = role->change;
    heartbeat->considered = role->considered;
    heartbeat->hold_version = role->hold_version;
    heartbeat->hold_left_ms = hold_left_ms(role, now_ns);
    heartbeat->data_epoch = role->data_epoch;
    heartbeat->data_generation = role->data_generation;
    heartbeat->services_failed = (uint32_t)MIN(role->services_failed, (int64_t)UINT32_MAX);
}
