/* What the holder (holder.h) is ordered: which role, from when on, and until when. */
#include <inttypes.h>
#include <stdlib.h>

#include "takeoverd/holder_inside.h"

enum { STOP_TRIES = 3 };

static const int64_t grace_ns = NS_PER_MS;

/* ----------------------------------------------------------------- obeying */

void holder_become(struct holder *h, bool active, const char *why)
{
    h->waiting = false;
    h->active = active;
    holder_set_gate(h);
    if (active)
        lifetime_start(h->lifetime);
    else
        lifetime_stop(h->lifetime);
    holder_settle(h, why);
}

/* Orders from before are void: arbiterd has to have heard of this one. */
void holder_begin_term(struct holder *h)
{
    h->state.term = MAX(clock_now_ns() / NS_PER_US, h->state.term + 1); /* in ns it would outgrow the bus */
}

void holder_on_lease_end(void *userdata, int64_t now_ns)
{
    struct holder *h = userdata;

    if (now_ns < h->lease_ns)
        return; /* renewed at the last moment */
    if (!h->lease_late && now_ns - h->lease_ns > grace_ns) {
        h->lease_late = true; /* this loop was held up: a renewal that is still good may wait to be read */
        loop_set_timer(h->lease_timer, now_ns + grace_ns);
        return;
    }
    h->lease_ns = 0;
    h->quiet = false;
    holder_begin_term(h);
    holder_become(h, false, "the lease ran out without a renewal by arbiterd");
}

static void set_lease(struct holder *h, int64_t lease_ns)
{
    h->lease_ns = lease_ns;
    h->lease_late = false;
    announcer_until(h->announcer, lease_ns);
    asker_until(h->asker, lease_ns);
    /* Who is started again in the quiet of a handover has nothing to keep: the peer is about to serve. */
    lease_file_remember(&h->file, h->state.epoch, h->quiet ? 0 : h->lease_ns);
    if (lease_ns != 0)
        loop_set_timer(h->lease_timer, lease_ns + NS_PER_US); /* timers count whole microseconds */
    else
        loop_stop_timer(h->lease_timer);
}

/* A renewal: no question to the kernel, its state is known. */
static void confirm(struct holder *h, bool new_epoch)
{
    holder_set_gate(h);
    if (new_epoch)
        h->untold = (1u << h->plan.channel_count) - 1;
    if (h->untold || h->state.state == HOLD_STATE_FAILED)
        holder_heed_gate(h); /* it may have been in the way */
    holder_tell(h);
}

static bool wants_active(const struct role_message *role)
{
    return role->role == ROLE_ACTIVE && role->lease_ns != 0 && !role->searching; /* R12: lapsed */
}

/* An order to put addresses up that arbiterd may have taken back since: it was read late, by a process that
 * stood still, while the peer found nobody to answer. Its lease alone proves nothing, because arbiterd went
 * on renewing it. One that says what takeoverd's state was then (`term`) and is fresh is meant now. */
static bool is_void(struct holder *h, const struct role_message *role, int64_t sent_ns)
{
    if (!wants_active(role) || h->active || h->waiting)
        return false;
    const bool stale = clock_now_ns() - sent_ns > h->daemon->config->timers.takeover_after / 2;
    if (role->term == h->state.term && !stale)
        return false;
    if (role->term == h->state.term) {
        log_info("an order to serve was read %" PRId64 " ms late: asking arbiterd whether it is still meant",
                 (clock_now_ns() - sent_ns) / NS_PER_MS);
        holder_begin_term(h);
        holder_tell(h);
    }
    return true;
}

static void obey(struct holder *h, const struct role_message *role, const char *cause)
{
    const bool active = wants_active(role);
    const bool new_epoch = active && role->epoch != h->state.epoch;
    const bool new_change = role->change != h->state.change, was_quiet = h->quiet;

    if (active && role->lease_ns <= clock_now_ns())
        return; /* read too late: it gives no right, and ends none that a later one gives; the timer does */
    text_copy(h->cause, sizeof h->cause, cause);
    h->state.change = role->change;
    if (active)
        h->state.epoch = role->epoch;
    h->quiet = active && role->quiet;
    if (active && was_quiet && !h->quiet)
        h->untold = (1u << h->plan.channel_count) - 1; /* who asked meanwhile had no answer */
    set_lease(h, active ? role->lease_ns : 0);
    if (active != h->active || h->waiting)
        holder_become(h, active, "the role is passive");
    else if (active)
        confirm(h, new_epoch);
    else if (new_change)
        holder_tell(h); /* the arbiter waits to hear that this very change has been obeyed */
}

/* ------------------------------------------------- waiting before a claim */

/* When the addresses of this role may go up; 0: at once. What is up already does not wait, nor what the run
 * before put up under this epoch. */
static int64_t wait_until(const struct holder *h, const struct role_message *role)
{
    if (!wants_active(role) || h->active || (h->waiting && h->state.epoch == role->epoch))
        return 0;
    return prepare_until(&h->prepare, role, clock_now_ns());
}

/* Nothing of the claim is obeyed yet, so it leaves no trace: a renewal takes its place, another role its end.
 */
static void hold_back(struct holder *h, const struct role_message *role, const char *cause, int64_t until_ns)
{
    if (!h->claim_waits)
        log_info("the addresses wait for the before-active hooks (epoch %" PRId64 "), at most %" PRId64 " ms",
                 role->epoch, (until_ns - clock_now_ns()) / NS_PER_MS);
    h->claim_waits = true;
    h->claim = *role;
    text_copy(h->claim_cause, sizeof h->claim_cause, cause);
    loop_set_timer(h->claim_timer, until_ns);
    if (!h->waiting) /* else nothing can be said of the addresses yet */
        holder_tell(h);
}

/* `role` is obeyed now, whatever was waited for. */
static void end_wait(struct holder *h, const struct role_message *role)
{
    if (h->claim_waits && wants_active(role) && h->prepare.prepared != role->epoch)
        log_warning("superviserd did not tell in time that the before-active hooks came to their end: the "
                    "addresses go up without them");
    h->claim_waits = false;
    loop_stop_timer(h->claim_timer);
}

void holder_on_role(void *userdata, const struct bus_message *message)
{
    struct holder *h = userdata;

    if (is_void(h, message->body, message->envelope->mono_ns))
        return;
    const int64_t until_ns = wait_until(h, message->body);

    if (until_ns != 0) {
        hold_back(h, message->body, message->cause, until_ns);
        return;
    }
    end_wait(h, message->body);
    obey(h, message->body, message->cause);
}

/* If its lease ran out meanwhile, obey() leaves it to the next renewal. */
static void go_on(struct holder *h)
{
    end_wait(h, &h->claim);
    obey(h, &h->claim, h->claim_cause);
}

void holder_on_hook(void *userdata, const struct bus_message *message)
{
    struct holder *h = userdata;

    h->prepare.prepared = ((const struct hook_message *)message->body)->prepared;
    if (h->claim_waits && wait_until(h, &h->claim) == 0)
        go_on(h);
}

void holder_on_claim_timer(void *userdata, int64_t now_ns)
{
    struct holder *h = userdata;

    (void)now_ns;
    if (h->claim_waits)
        go_on(h);
}

void holder_on_stop(void *userdata)
{
    struct holder *h = userdata;

    h->claim_waits = h->quiet = false;
    set_lease(h, 0);
    for (int i = 0; i < STOP_TRIES && (i == 0 || h->trouble[0]); i++) {
        holder_become(h, false, "takeoverd stops");
        while (h->underway)
            holder_proceed(h);
    }
    loop_exit(h->daemon->loop, h->state.state == HOLD_STATE_RELEASED ? EXIT_SUCCESS : EXIT_FAILURE);
}
