#include "takeoverd/holder.h"

#include <inttypes.h>
#include <string.h>

#include "takeoverd/holder_inside.h"
#include "takeoverd/words.h"

enum { ROUNDS_MAX = 4 };

static const int64_t retry_after_ns = 200 * NS_PER_MS;
static const int64_t defend_interval_ns = 10 * NS_PER_S; /* DEFEND_INTERVAL of RFC 5227, section 1.1 */

static const struct adapter *adapter_of(const struct holder *h, int channel)
{
    return adapters_get(h->adapters, (size_t)channel);
}

static const char *channel_name(const struct holder *h, int channel)
{
    return h->daemon->config->channels[channel].name;
}

/* ----------------------------------------------------------------- telling */

static void count_held(const struct holder *h, size_t counts[static PLAN_CHANNELS_MAX])
{
    memset(counts, 0, PLAN_CHANNELS_MAX * sizeof *counts);
    for (size_t i = 0; i < h->plan.address_count; i++)
        if (h->plan.addresses[i].active && plan_holds(&h->plan.addresses[i]))
            counts[h->plan.addresses[i].channel]++;
}

static bool adds(const struct plan_operation *operation)
{
    return operation->verb == PLAN_ADD_ADDRESS || operation->verb == PLAN_ADD_ROUTE ||
           operation->verb == PLAN_ADD_RULE;
}

static void set_trouble(struct holder *h, const struct adapters_failure *failure)
{
    char what[160];

    words_operation(h->daemon->config, &h->plan, &failure->operation, what, sizeof what);
    snprintf(h->trouble, sizeof h->trouble, "cannot %s %s: %s", adds(&failure->operation) ? "add" : "remove",
             what, strerror(-failure->error));
}

/* The addresses are there, and the kernel has not shown that it answers for them. That comes with the next
 * frame, or the gate is given up: what held before, and is not known to be at fault, holds until then. */
static enum hold_state judge_unproved(const struct holder *h, char error[static sizeof h->state.error])
{
    const char *fault = gate_error(h->gate);

    if (!error[0])
        snprintf(error, sizeof h->state.error, "%.180s", fault);
    return h->state.state == HOLD_STATE_HOLDING && !fault[0] ? HOLD_STATE_HOLDING : HOLD_STATE_FAILED;
}

/* What the inventory amounts to: the state, and what is wrong. */
static enum hold_state judge(const struct holder *h, char error[static sizeof h->state.error])
{
    const struct plan_tally tally = plan_count(&h->plan, h->active);
    const bool whole = h->active ? tally.active_missing + tally.routes_missing == 0 : tally.active_held == 0;

    text_copy(error, sizeof h->state.error, h->trouble);
    if (!h->blind && tally.absent >= 0)
        snprintf(error, sizeof h->state.error,
                 "there is no device %s (channel %s); it is taken up when it appears",
                 adapter_of(h, tally.absent)->device, channel_name(h, tally.absent));
    if (h->blind || !whole)
        return HOLD_STATE_FAILED;
    if (h->active && !h->quiet && !gate_is_open(h->gate))
        return judge_unproved(h, error);
    return h->active ? HOLD_STATE_HOLDING : HOLD_STATE_RELEASED;
}

static enum gate_condition gate_condition(const struct holder *h)
{
    return !h->gate ? GATE_CONDITION_OFF : gate_error(h->gate)[0] ? GATE_CONDITION_FAILED : GATE_CONDITION_ON;
}

/* Publishes the state: with each renewal, and when it changed. */
void holder_tell(struct holder *h)
{
    size_t counts[PLAN_CHANNELS_MAX];

    count_held(h, counts);
    h->state.held = 0;
    for (size_t i = 0; i < h->plan.channel_count; i++)
        h->state.held += (int64_t)counts[i];
    h->state.lease_ns = h->active ? h->lease_ns : 0;
    h->state.gate = gate_condition(h);
    h->state.silent = h->quiet && gate_is_silent(h->gate);
    bus_publish(h->daemon->bus, &address_type, NULL, &h->state, h->cause[0] ? h->cause : NULL);
}

static void log_state(const struct holder *h, int priority, const char *text)
{
    char addresses[32], epoch[48];

    snprintf(addresses, sizeof addresses, "DUET_ADDRESSES=%s", hold_state_names[h->state.state]);
    snprintf(epoch, sizeof epoch, "DUET_EPOCH=%" PRId64, h->state.epoch);
    const char *const fields[] = {addresses, epoch, NULL};
    log_fields(priority, fields, "%s", text);
}

/* ------------------------------------------------------------------- doing */

/* Active addresses held, by channel. */
static void look(struct holder *h, int r)
{
    h->blind = r < 0;
    if (r < 0)
        snprintf(h->trouble, sizeof h->trouble, "cannot read addresses and routes from the kernel: %s",
                 strerror(-r));
}

/* Does what the plan says is missing, at most a slice of it. False: there may be more. Goes on after a
 * failure only with the next try. */
static bool carry_out(struct holder *h)
{
    struct adapters_failure failure;

    for (int round = 0; round < ROUNDS_MAX && !h->blind; round++) {
        const size_t count = plan_make(&h->plan, h->active, h->operations, HOLDER_SLICE);
        if (count == 0)
            return true;
        if (adapters_apply(h->adapters, &h->plan, h->operations, count, &failure) < 0) {
            set_trouble(h, &failure);
            look(h, adapters_refresh(h->adapters, &h->plan));
            return true;
        }
        if (count == HOLDER_SLICE && ++h->slices * HOLDER_SLICE <= h->operations_max)
            return false;
    }
    if (!h->blind)
        text_copy(h->trouble, sizeof h->trouble, "the kernel's addresses do not come to rest");
    return true;
}

/* What the configuration before had goes last. What is missing then is what it stood in the way of. */
static bool bring_about(struct holder *h)
{
    if (!carry_out(h))
        return false;
    if (!h->leaving.adapters)
        return true;
    if (!holder_leave(h))
        return false;
    if (h->left > 0)
        look(h, adapters_refresh(h->adapters, &h->plan));
    return carry_out(h);
}

/* "active: 2 addresses on outside, 1 on inside up in 0.8 ms, announced (epoch 17)" */
static void log_change(const struct holder *h, const size_t changed[], int64_t took_ns, const char *more)
{
    const bool active = h->state.state == HOLD_STATE_HOLDING;
    char counts[128], epoch[40] = "", text[320];

    words_counts(h->daemon->config, changed, counts, sizeof counts);
    if (h->state.epoch != 0)
        snprintf(epoch, sizeof epoch, " (epoch %" PRId64 ")", h->state.epoch);
    snprintf(text, sizeof text, "%s: %s %s in %.1f ms, %s%s%s", active ? "active" : "passive", counts,
             active ? "up" : "removed", (double)took_ns / (double)NS_PER_MS, active ? "" : "since ", more,
             epoch);
    log_state(h, LOG_NOTICE, text);
}

static void log_error_of(const struct holder *h)
{
    char text[320];
    const char *what = h->state.state != HOLD_STATE_FAILED ? ""
                       : h->active                         ? "not all active addresses and routes are there: "
                                                           : "active addresses may be left: ";

    snprintf(text, sizeof text, "%s%s", what, h->state.error);
    log_state(h, h->state.state == HOLD_STATE_FAILED ? LOG_ERR : LOG_WARNING, text);
}

/* Judges, and tells of it if it changed, or if `always`. True if it changed for the better. */
static bool show(struct holder *h, bool always)
{
    char error[sizeof h->state.error];
    const enum hold_state state = judge(h, error);
    const bool changed = state != h->state.state || h->state.changed_ns == 0;
    const bool other_error = strcmp(error, h->state.error) != 0;

    h->state.state = state;
    text_copy(h->state.error, sizeof h->state.error, error);
    if (changed)
        h->state.changed_ns = clock_now_ns();
    if (changed || other_error || always)
        holder_tell(h);
    if (error[0] && (changed || other_error))
        log_error_of(h);
    report_tell(h->report, h->active, h->cause[0] ? h->cause : NULL);
    return changed && state != HOLD_STATE_FAILED;
}

/* What is sent from the active addresses gets out, and is right: they answer, and the lease stands. Where
 * that is over, a renewal may still wait to be read. */
static bool may_proclaim(const struct holder *h)
{
    return h->active && !h->quiet && gate_lets_out(h->gate) && clock_now_ns() < h->lease_ns;
}

/* Shouts, and asks whether it was heard. */
static bool proclaim(struct holder *h)
{
    const unsigned channels = h->untold;
    const bool sent = announcer_start(h->announcer, channels);

    h->untold = 0;
    if (sent)
        h->state.announced_ns = clock_now_ns();
    asker_begin(h->asker, channels); /* both go on by themselves, if something is in the way */
    return sent;
}

void holder_on_asker_news(void *userdata)
{
    struct holder *h = userdata;

    report_tell(h->report, h->active, h->cause[0] ? h->cause : NULL);
}

/* Says once more where the address is, as RFC 5227, section 2.4 (c) has it: not more often than each ten
 * seconds, or two who defend themselves would fill the network. */
void holder_on_conflict(void *userdata, int channel, const struct net_address *address, const struct mac *mac)
{
    struct holder *h = userdata;
    char shown[ADDRESS_TEXT_MAX], owner[MAC_TEXT_MAX];
    const int64_t now_ns = clock_now_ns();

    if (h->state.conflict_ns != 0 && now_ns - h->state.conflict_ns < defend_interval_ns)
        return;
    net_address_print(address, false, shown);
    mac_print(mac, owner);
    snprintf(h->state.conflict, sizeof h->state.conflict, "%s uses %s on %s", owner, shown,
             channel_name(h, channel));
    h->state.conflict_ns = now_ns;
    log_warning("%s, which is an active address of this node: announced once more", h->state.conflict);
    announcer_start(h->announcer, 1u << channel);
    holder_tell(h);
}

/* Announces where there is more than before, and what came up. Says what it did, for the log. */
static const char *announce(struct holder *h, const size_t before[], const size_t after[])
{
    h->untold |= h->risen;
    h->risen = 0;
    if (!h->active) {
        h->untold = 0;
        return "";
    }
    for (size_t i = 0; i < h->plan.channel_count; i++)
        if (after[i] > before[i])
            h->untold |= 1u << i;
    if (h->untold == 0)
        return "as they were";
    return may_proclaim(h) && proclaim(h) ? "announced" : "not yet announced";
}

/* No timer runs while the kernel answers at once. */
static void wait_for_gate(struct holder *h)
{
    const int64_t next_ns = gate_next_ns(h->gate);

    if (next_ns != 0)
        loop_set_timer(h->gate_timer, next_ns);
    else
        loop_stop_timer(h->gate_timer);
}

/* Quiet without a gate would be a word only: then it is not confirmed, and arbiterd finds another way. */
void holder_set_gate(struct holder *h)
{
    const enum gate_state state = !h->active ? GATE_CLOSED : h->quiet ? GATE_TRAFFIC : GATE_OPEN;

    gate_set(h->gate, state, h->lease_ns);
    wait_for_gate(h);
    if (h->quiet || !h->active) {
        announcer_stop(h->announcer);
        asker_end(h->asker);
    }
}

/* What the kernel has by now; and the gate is at the adapters that there are. */
static void catch_up(struct holder *h)
{
    look(h, adapters_catch_up(h->adapters, &h->plan, &h->risen));
    if (gate_is_stale(h->gate))
        gate_build(h->gate);
    wait_for_gate(h);
}

/* Neither what was nor what is wanted: nobody may take it for either. */
static void say_underway(struct holder *h)
{
    h->underway = true;
    h->state.state = HOLD_STATE_FAILED;
    h->state.changed_ns = clock_now_ns();
    text_copy(h->state.error, sizeof h->state.error,
              h->active ? "the addresses are being put up" : "the addresses are being taken away");
    loop_set_timer(h->more_timer, h->state.changed_ns + (clerk_is_behind(h->clerk) ? NS_PER_MS : 0));
}

/* The next slice; and when that was the last one, everything else that belongs to the change. */
void holder_proceed(struct holder *h)
{
    size_t after[PLAN_CHANNELS_MAX];

    if (!bring_about(h)) {
        say_underway(h);
        return;
    }
    h->underway = false;
    count_held(h, after);
    const int64_t took_ns = clock_now_ns() - h->settling.began_ns;
    const char *announced = announce(h, h->settling.before, after);
    if (show(h, h->settling.always))
        log_change(h, h->active ? after : h->settling.before, took_ns,
                   h->active ? announced : h->settling.why);
    if (h->trouble[0])
        loop_set_timer(h->retry_timer, clock_now_ns() + retry_after_ns);
    else
        loop_stop_timer(h->retry_timer);
}

/* Brings the kernel to what is wanted now; `why` says in the log what for; `always`: the bus waits for an
 * answer. What is much goes on in slices, so that leases are renewed meanwhile. */
static void settle(struct holder *h, const char *why, bool always)
{
    h->settling.began_ns = clock_now_ns();
    h->settling.why = why;
    h->settling.always = always || h->underway;
    h->slices = 0;
    h->trouble[0] = '\0';
    catch_up(h);
    count_held(h, h->settling.before);
    holder_proceed(h);
}

void holder_on_more(void *userdata, int64_t now_ns)
{
    struct holder *h = userdata;

    (void)now_ns;
    if (!h->underway)
        return;
    catch_up(h);
    holder_proceed(h);
}

void holder_settle(struct holder *h, const char *why)
{
    settle(h, why, true);
}

/* -------------------------------------------------------------- repairing */

static void repair(struct holder *h, const struct plan_operation *first)
{
    char what[160];

    words_operation(h->daemon->config, &h->plan, first, what, sizeof what);
    const int64_t again_ns = repairs_allow(&h->repairs, clock_now_ns());
    if (again_ns == 0) {
        snprintf(h->state.repaired, sizeof h->state.repaired, "%.96s was %s", what,
                 adds(first) ? "removed" : "added");
        h->state.repaired_ns = clock_now_ns();
        if (log_allowed(&h->repair_log, 5))
            log_warning("%s was %s by something else: put right", what, adds(first) ? "removed" : "added");
        settle(h, "it was repaired", false);
        holder_tell(h);
        return;
    }
    snprintf(h->trouble, sizeof h->trouble, "%.150s: something else keeps %s it", what,
             adds(first) ? "removing" : "adding");
    loop_set_timer(h->retry_timer, again_ns);
    show(h, false);
}

/* The inventory may have changed without our doing. */
static void compare(struct holder *h)
{
    struct plan_operation first;

    if (h->waiting || h->underway)
        return;
    if (h->risen)
        settle(h, "an adapter changed", false);
    else if (h->trouble[0])
        return; /* a retry is under way */
    else if (plan_make(&h->plan, h->active, &first, 1) > 0)
        repair(h, &first);
    else if (show(h, false))
        log_state(h, LOG_NOTICE,
                  h->active ? "active: all is there again" : "passive: no active address is left");
}

void holder_on_events(void *userdata, int fd, unsigned events)
{
    struct holder *h = userdata;

    (void)fd;
    (void)events;
    if (adapters_catch_up(h->adapters, &h->plan, &h->risen) < 0)
        settle(h, "the kernel could be read again", false);
    else
        compare(h);
}

/* Between the removal and this, the addresses were no lease: somebody has to know. */
void holder_on_gate(void *userdata, int fd, unsigned events)
{
    struct holder *h = userdata;

    (void)fd;
    (void)events;
    if (!gate_was_changed(h->gate)) {
        wait_for_gate(h);
        return;
    }
    gate_build(h->gate);
    wait_for_gate(h);
    h->state.gate_lost_ns = clock_now_ns();
    log_warning("something else changed the gate (table netdev " GATE_TABLE " of nftables): %s",
                gate_error(h->gate)[0] ? gate_error(h->gate) : "put back");
    holder_tell(h);
}

/* The gate has shown something since it was last told its state, or was given up. */
void holder_heed_gate(struct holder *h)
{
    const bool silent = h->quiet && gate_is_silent(h->gate);

    wait_for_gate(h);
    if (h->waiting || h->underway)
        return;
    if (silent != h->state.silent || gate_condition(h) != h->state.gate)
        holder_tell(h);
    if (h->untold && may_proclaim(h))
        settle(h, "the gate is open", false);
    else if (show(h, false))
        log_state(h, LOG_NOTICE, "active: the gate is open");
}

/* The kernel obeyed after gate_set() had looked. */
void holder_on_gate_echo(void *userdata, int fd, unsigned events)
{
    struct holder *h = userdata;

    (void)fd;
    (void)events;
    gate_hear(h->gate);
    holder_heed_gate(h);
}

void holder_on_gate_timer(void *userdata, int64_t now_ns)
{
    struct holder *h = userdata;

    gate_work(h->gate, now_ns);
    holder_heed_gate(h);
}

/* Events are all that keeps the inventory right in between: now and then it is held against the kernel
 * itself. */
void holder_on_audit(void *userdata, int64_t now_ns)
{
    struct holder *h = userdata;

    /* An active node does that all the time. So a passive one knows of a fault before it has to serve. */
    if (!h->active && !h->waiting)
        holder_set_gate(h);
    if (gate_is_stale(h->gate) && !h->underway)
        settle(h, "an adapter changed", false);
    loop_set_timer(h->audit_timer,
                   now_ns + (clerk_audit(h->clerk) ? HOLDER_AUDIT_NS : HOLDER_AUDIT_AGAIN_NS));
}

/* The audit found something else than the events had told: it is read once more, and believed. */
static void correct(struct holder *h)
{
    if (adapters_refresh(h->adapters, &h->plan) < 0)
        settle(h, "the kernel could be read again", false);
    else
        compare(h);
}

void holder_on_clerk(void *userdata, const struct plan *found, int error)
{
    struct holder *h = userdata;

    if (!found) {
        lifetime_renewed(h->lifetime, error);
        return;
    }
    if (h->underway)
        return;
    if (error < 0 || adapters_catch_up(h->adapters, &h->plan, &h->risen) < 0 || !plan_agrees(&h->plan, found))
        correct(h);
    else
        compare(h);
}

void holder_on_retry(void *userdata, int64_t now_ns)
{
    (void)now_ns;
    settle(userdata, "it was tried again", false);
}
