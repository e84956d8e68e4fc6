#include "client/roam.h"

#include <string.h>

static const int64_t retry_first_ns = NS_PER_S, retry_most_ns = 60 * NS_PER_S, row_ends_ns = 3600 * NS_PER_S;

static uint32_t bit(int index)
{
    return UINT32_C(1) << index;
}

static const struct roam_profile_rule *rule_of(const struct roam *roam, int profile)
{
    return &roam->rules->profiles[profile];
}

void roam_init(struct roam *roam, const struct roam_rules *rules)
{
    memset(roam, 0, sizeof *roam);
    roam->rules = rules;
    roam->current = roam->target = roam->to = -1;
}

/* ---- gateways */

/* ROAM_ANSWERS if any of them does, ROAM_SILENT if all are silent; `since_ns`: since when. */
static enum roam_answer answer_of(const struct roam *roam, uint32_t gateways, int64_t *since_ns)
{
    bool unknown = false;

    *since_ns = 0;
    for (size_t i = 0; i < roam->rules->gateway_count; i++) {
        const struct roam_gateway *gateway = &roam->gateways[i];
        if (!(gateways & bit((int)i)))
            continue;
        if (gateway->answer == ROAM_ANSWERS)
            return ROAM_ANSWERS;
        unknown = unknown || gateway->answer == ROAM_UNKNOWN;
        *since_ns = MAX(*since_ns, gateway->first_miss_ns);
    }
    return unknown ? ROAM_UNKNOWN : ROAM_SILENT;
}

enum roam_answer roam_reachable(const struct roam *roam, int profile)
{
    const uint32_t gateways = rule_of(roam, profile)->gateways;
    int64_t since_ns;

    return gateways == 0 ? ROAM_ANSWERS : answer_of(roam, gateways, &since_ns);
}

static bool is_inside_known(const struct roam *roam, int profile)
{
    return roam->profiles[profile].link == ROAM_LINK_UP;
}

uint32_t roam_tested(const struct roam *roam)
{
    uint32_t tested = 0;

    for (size_t i = 0; i < roam->rules->profile_count; i++) {
        tested |= rule_of(roam, (int)i)->gateways;
        if (is_inside_known(roam, (int)i))
            tested |= rule_of(roam, (int)i)->inside;
    }
    return tested;
}

uint32_t roam_awaited(const struct roam *roam)
{
    const bool waits = roam->target >= 0 && !roam->carrying && is_inside_known(roam, roam->target);

    return waits ? rule_of(roam, roam->target)->inside : 0;
}

static void forget_gateways(struct roam *roam, uint32_t gateways)
{
    for (size_t i = 0; i < roam->rules->gateway_count; i++)
        if (gateways & bit((int)i))
            roam->gateways[i] = (struct roam_gateway){.answered_ns = roam->gateways[i].answered_ns};
}

static void lose_routes(struct roam_profile *profile)
{
    profile->carries = profile->carried = false;
}

static void take_test(struct roam *roam, const struct roam_event *event)
{
    struct roam_gateway *gateway = &roam->gateways[event->index];

    if (!(roam_tested(roam) & bit(event->index)))
        return; /* begun before its connection went down */
    if (event->good) {
        /* A tunnel that was away for a moment may have lost its routes with its device: set them again. */
        if (gateway->missed > 0 && roam->current >= 0 &&
            rule_of(roam, roam->current)->inside & bit(event->index))
            lose_routes(&roam->profiles[roam->current]);
        *gateway = (struct roam_gateway){.answer = ROAM_ANSWERS, .answered_ns = event->now_ns};
        return;
    }
    if (gateway->missed++ == 0)
        gateway->first_miss_ns = event->began_ns;
    if (gateway->missed >= roam->rules->failures)
        gateway->answer = ROAM_SILENT;
}

/* ---- the current profile */

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : MIN(a, b);
}

/* It was connected for the first time not long ago, and nothing inside has answered since: that is to be
 * waited for, as a switch would. */
static bool is_being_proven(const struct roam *roam, int64_t now_ns)
{
    const struct roam_profile_rule *rule = rule_of(roam, roam->current);
    const int64_t since_ns = roam->profiles[roam->current].since_ns;

    for (size_t i = 0; i < roam->rules->gateway_count; i++)
        if (rule->inside & bit((int)i) && roam->gateways[i].answered_ns >= since_ns)
            return false;
    return roam->bad_since_ns == 0 && now_ns < since_ns + rule->connect_timeout;
}

/* Since when the current profile has been unreachable; 0: it is well, or nobody knows yet. */
static int64_t bad_since(const struct roam *roam, int64_t now_ns)
{
    const struct roam_profile_rule *rule = rule_of(roam, roam->current);
    const struct roam_profile *profile = &roam->profiles[roam->current];
    /* The first try to connect is no trouble yet, however long it takes. */
    int64_t bad_ns = profile->link == ROAM_LINK_UP || profile->failures == 0 ? 0 : profile->since_ns,
            since_ns;

    /* One that could not be connected goes through starting and down again and again. */
    if (bad_ns != 0 && roam->bad_since_ns != 0)
        bad_ns = MIN(bad_ns, roam->bad_since_ns);
    if (rule->gateways != 0 && answer_of(roam, rule->gateways, &since_ns) == ROAM_SILENT)
        bad_ns = earlier(bad_ns, since_ns);
    if (rule->inside != 0 && profile->link == ROAM_LINK_UP) {
        const enum roam_answer inside = answer_of(roam, rule->inside, &since_ns);
        if (inside == ROAM_SILENT && !is_being_proven(roam, now_ns))
            bad_ns = earlier(bad_ns, since_ns);
        else if (inside == ROAM_UNKNOWN && bad_ns == 0)
            return roam->bad_since_ns; /* connected again: whether that helps is not known yet */
    }
    return bad_ns;
}

static void look_at_current(struct roam *roam, int64_t now_ns)
{
    roam->bad_since_ns = bad_since(roam, now_ns);
    if (roam->bad_since_ns == 0)
        roam->told = false;
}

int roam_candidate(const struct roam *roam, int64_t now_ns)
{
    for (size_t i = 0; i < roam->rules->order_count; i++) {
        const int profile = roam->rules->order[i];
        if (profile != roam->current && roam->profiles[profile].shunned_until <= now_ns &&
            roam_reachable(roam, profile) == ROAM_ANSWERS)
            return profile;
    }
    return -1;
}

/* ---- switching */

static bool conflict(const struct roam *roam, int a, int b)
{
    return a != b && !(rule_of(roam, a)->overlaps && rule_of(roam, b)->overlaps);
}

/* Until when nothing more is done by itself about what was tried now. */
static int64_t settle_until(const struct roam *roam, int64_t now_ns)
{
    const int64_t row = MAX(roam->auto_row - 1, 0);

    return now_ns + roam->rules->settle_time * (INT64_C(1) << MIN(row, ROAM_SETTLE_DOUBLINGS_MAX));
}

static void fail(struct roam *roam, enum roam_cause cause, int64_t now_ns, struct roam_effects *effects)
{
    roam->outcome = ROAM_FAILED;
    roam->cause = cause;
    if (cause != ROAM_CAUSE_OTHER) {
        /* Only this one: the next in the order is tried at once. */
        roam->profiles[roam->target].shunned_until = settle_until(roam, now_ns);
        effects->news = ROAM_NEWS_FAILED;
    }
    roam->target = -1;
    roam->carrying = false;
    roam->deadline_ns = 0;
}

static void succeed(struct roam *roam, int64_t now_ns, struct roam_effects *effects)
{
    if (roam->current >= 0)
        lose_routes(&roam->profiles[roam->current]);
    roam->current = roam->target;
    roam->target = -1;
    roam->carrying = false;
    roam->deadline_ns = 0;
    roam->since_ns = roam->carries_ns = now_ns;
    roam->bad_since_ns = 0;
    roam->told = false;
    roam->outcome = ROAM_SWITCHED;
    effects->remember = roam->current;
    effects->news = ROAM_NEWS_SWITCHED;
    roam->settled_ns = settle_until(roam, now_ns);
}

static void begin(struct roam *roam, int profile, bool by_itself, int64_t now_ns,
                  struct roam_effects *effects)
{
    if (roam->target >= 0)
        fail(roam, ROAM_CAUSE_OTHER, now_ns, effects);
    if (!by_itself || now_ns - roam->auto_ns > row_ends_ns)
        roam->auto_row = 0;
    if (by_itself) {
        roam->auto_row++;
        roam->auto_ns = now_ns;
    }
    roam->target = roam->to = profile;
    roam->profiles[profile].retry_ns = 0;
    roam->number++;
    roam->by_itself = by_itself;
    roam->asked_ns = now_ns;
    roam->up_ns = roam->proven_ns = roam->carries_ns = 0;
    roam->outcome = ROAM_SWITCHING;
    roam->cause = ROAM_CAUSE_NONE;
}

static void use(struct roam *roam, int profile, int64_t now_ns, struct roam_effects *effects)
{
    if (profile == roam->target)
        return;
    if (profile != roam->current) {
        begin(roam, profile, false, now_ns, effects);
        return;
    }
    if (roam->target >= 0)
        fail(roam, ROAM_CAUSE_OTHER, now_ns, effects);
    roam->profiles[profile].retry_ns = 0;
    effects->remember = profile;
}

/* ---- connections */

static void take_down(struct roam *roam, int index, int64_t now_ns, struct roam_effects *effects)
{
    struct roam_profile *profile = &roam->profiles[index];

    if (!profile->asked)
        return; /* taken down */
    profile->asked = false;
    profile->failures++;
    profile->retry_ns = now_ns + backoff_ns(retry_first_ns, profile->failures, retry_most_ns);
    if (index == roam->target)
        fail(roam, ROAM_CAUSE_CONNECT, now_ns, effects);
}

static void take_link(struct roam *roam, const struct roam_event *event, struct roam_effects *effects)
{
    struct roam_profile *profile = &roam->profiles[event->index];

    if (profile->link == event->link)
        return;
    profile->link = event->link;
    profile->since_ns = event->now_ns;
    if (event->link == ROAM_LINK_DOWN) {
        lose_routes(profile);
        take_down(roam, event->index, event->now_ns, effects);
        /* What it took away with it may have been a route of the current one, too. */
        if (event->index != roam->current)
            roam->profiles[roam->current].carries = false;
    } else if (event->link == ROAM_LINK_UP) {
        profile->failures = 0;
        profile->retry_ns = 0;
        forget_gateways(roam, rule_of(roam, event->index)->inside);
        if (event->index == roam->target)
            roam->up_ns = event->now_ns;
    }
}

/* One that was left up by an earlier run. */
static void adopt(struct roam *roam, const struct roam_event *event)
{
    roam->profiles[event->index].link = event->link;
    roam->profiles[event->index].since_ns = event->now_ns;
    roam->profiles[event->index].asked = event->link == ROAM_LINK_UP;
}

static void take_carried(struct roam *roam, const struct roam_event *event, struct roam_effects *effects)
{
    struct roam_profile *profile = &roam->profiles[event->index];

    profile->carried = event->good && profile->carries;
    if (event->index == roam->current && !event->good) {
        lose_routes(profile);
        profile->retry_ns = event->now_ns + retry_first_ns;
    }
    if (event->index != roam->target || !roam->carrying)
        return;
    if (event->good)
        succeed(roam, event->now_ns, effects);
    else
        fail(roam, ROAM_CAUSE_ROUTES, event->now_ns, effects);
}

/* ---- what follows from all of it */

static bool is_proven(const struct roam *roam, int profile)
{
    const uint32_t inside = rule_of(roam, profile)->inside;
    int64_t since_ns;

    return roam->profiles[profile].link == ROAM_LINK_UP &&
           (inside == 0 || answer_of(roam, inside, &since_ns) == ROAM_ANSWERS);
}

bool roam_connected(const struct roam *roam)
{
    return roam->current >= 0 && roam->bad_since_ns == 0 && is_proven(roam, roam->current) &&
           roam->profiles[roam->current].carried;
}

static void look_at_target(struct roam *roam, int64_t now_ns, struct roam_effects *effects)
{
    if (roam->target < 0 || roam->carrying)
        return;
    if (is_proven(roam, roam->target)) {
        roam->proven_ns = now_ns;
        roam->carrying = true;
        roam->profiles[roam->target].carries = true;
        if (roam->current >= 0)
            lose_routes(&roam->profiles[roam->current]); /* if it comes back, they are set anew */
        effects->carry = roam->target;
    } else if (roam->deadline_ns != 0 && now_ns >= roam->deadline_ns) {
        const bool up = roam->profiles[roam->target].link == ROAM_LINK_UP;
        fail(roam, up ? ROAM_CAUSE_SILENT : ROAM_CAUSE_TIME, now_ns, effects);
    }
}

static bool is_wanted(const struct roam *roam, int profile)
{
    if (roam->stopping)
        return false;
    if (profile == roam->target)
        return true;
    return profile == roam->current && (roam->target < 0 || !conflict(roam, profile, roam->target));
}

static bool can_start(const struct roam *roam, int profile, int64_t now_ns)
{
    if (roam->profiles[profile].link != ROAM_LINK_DOWN || now_ns < roam->profiles[profile].retry_ns)
        return false;
    for (size_t i = 0; i < roam->rules->profile_count; i++)
        if (roam->profiles[i].link != ROAM_LINK_DOWN && conflict(roam, (int)i, profile))
            return false;
    return true;
}

static void set_link(struct roam *roam, int index, enum roam_link link, int64_t now_ns)
{
    struct roam_profile *profile = &roam->profiles[index];

    profile->asked = link == ROAM_LINK_STARTING;
    lose_routes(profile);
    profile->link = link;
    profile->since_ns = now_ns;
    if (index == roam->target && profile->asked)
        roam->deadline_ns = now_ns + rule_of(roam, index)->connect_timeout;
}

static void reconcile(struct roam *roam, int64_t now_ns, struct roam_effects *effects)
{
    for (int i = 0; i < (int)roam->rules->profile_count; i++)
        if (!is_wanted(roam, i) && roam->profiles[i].asked) {
            effects->disconnect |= bit(i);
            set_link(roam, i, ROAM_LINK_STOPPING, now_ns);
        }
    for (int i = 0; i < (int)roam->rules->profile_count; i++)
        if (is_wanted(roam, i) && !roam->profiles[i].asked && can_start(roam, i, now_ns)) {
            effects->connect |= bit(i);
            set_link(roam, i, ROAM_LINK_STARTING, now_ns);
        }
    if (roam->target >= 0 || roam->current < 0 || roam->stopping)
        return;
    struct roam_profile *current = &roam->profiles[roam->current];
    if (is_proven(roam, roam->current) && !current->carries && now_ns >= current->retry_ns) {
        current->carries = true;
        effects->carry = roam->current;
    }
}

static void obey_policy(struct roam *roam, int64_t now_ns, struct roam_effects *effects)
{
    const int candidate = roam_candidate(roam, now_ns);

    if (roam->stopping || roam->target >= 0 || roam->bad_since_ns == 0 || roam->rules->policy == ROAM_OFF ||
        now_ns < roam->bad_since_ns + roam->rules->unreachable_for)
        return;
    if (roam->rules->policy == ROAM_ON && candidate >= 0) {
        if (now_ns >= roam->settled_ns)
            begin(roam, candidate, true, now_ns, effects);
        return;
    }
    if (!roam->told && effects->news == ROAM_NEWS_NONE) {
        effects->news = ROAM_NEWS_UNREACHABLE;
        roam->told = true;
    }
}

static void wake_at(struct roam_effects *effects, int64_t now_ns, int64_t at_ns)
{
    if (at_ns > now_ns)
        effects->wake_ns = earlier(effects->wake_ns, at_ns);
}

static void plan_wake(const struct roam *roam, int64_t now_ns, struct roam_effects *effects)
{
    wake_at(effects, now_ns, roam->deadline_ns);
    for (int i = 0; i < (int)roam->rules->profile_count; i++) {
        if (is_wanted(roam, i) && (!roam->profiles[i].asked || !roam->profiles[i].carries))
            wake_at(effects, now_ns, roam->profiles[i].retry_ns);
        if (roam->bad_since_ns != 0)
            wake_at(effects, now_ns, roam->profiles[i].shunned_until);
    }
    if (roam->bad_since_ns == 0 || roam->rules->policy == ROAM_OFF)
        return;
    wake_at(effects, now_ns, roam->bad_since_ns + roam->rules->unreachable_for);
    wake_at(effects, now_ns, roam->settled_ns);
}

static void take(struct roam *roam, const struct roam_event *event, struct roam_effects *effects)
{
    switch (event->kind) {
    case ROAM_EVENT_START:
        roam->current = event->index;
        roam->since_ns = event->now_ns;
        if (roam->profiles[event->index].since_ns == 0)
            roam->profiles[event->index].since_ns = event->now_ns;
        break;
    case ROAM_EVENT_USE:
        use(roam, event->index, event->now_ns, effects);
        break;
    case ROAM_EVENT_TESTED:
        take_test(roam, event);
        break;
    case ROAM_EVENT_LINK:
        if (roam->current < 0)
            adopt(roam, event);
        else
            take_link(roam, event, effects);
        break;
    case ROAM_EVENT_CARRIED:
        take_carried(roam, event, effects);
        break;
    case ROAM_EVENT_STOP:
        roam->stopping = true;
        break;
    case ROAM_EVENT_TIME:
        break;
    }
}

void roam_step(struct roam *roam, const struct roam_event *event, struct roam_effects *effects)
{
    *effects = (struct roam_effects){.carry = -1, .remember = -1};
    take(roam, event, effects);
    if (roam->current < 0)
        return; /* not started */
    look_at_target(roam, event->now_ns, effects);
    look_at_current(roam, event->now_ns);
    obey_policy(roam, event->now_ns, effects);
    reconcile(roam, event->now_ns, effects);
    plan_wake(roam, event->now_ns, effects);
}
