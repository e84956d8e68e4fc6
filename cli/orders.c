#include "cli/orders.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/text.h"

static const int64_t answer_timeout_ns = 2 * NS_PER_S;

int orders_send(const struct invocation *invocation, const char *daemon,
                      const struct command_message *command, struct reply_message *reply)
{
    const char *run_dir = invocation->options.run_dir;
    int r = bus_request(run_dir, daemon, command, answer_timeout_ns, &reply_type, reply);

    if (r == -ETIMEDOUT) {
        command_error(invocation, "%s does not answer below %s; is duet running, and is this its --run-dir?",
                      daemon, run_dir);
        return COMMAND_NO_ANSWER;
    }
    if (r < 0) {
        command_error(invocation, "%s's answer cannot be used: %s; is it of this version?", daemon,
                      strerror(-r));
        return COMMAND_REFUSED;
    }
    if (!reply->ok) {
        command_error(invocation, "refused: %s", reply->error);
        return COMMAND_REFUSED;
    }
    return COMMAND_DONE;
}

static int open_follow(const struct invocation *invocation, struct follow *follow)
{
    int r = follow_open(follow, &invocation->options);

    if (r < 0) {
        command_error(invocation, "cannot open the bus below %s: %s", invocation->options.run_dir,
                      strerror(-r));
        return COMMAND_REFUSED;
    }
    return COMMAND_DONE;
}

/* ---------------------------------------------------- a change of the role */

/* Watches for one node's becoming active after an order. */
struct change_watch {
    bool peer_claims;   /* it is the peer who is to become active, else this node */
    int64_t ordered_ns; /* when the order was given */
    int64_t active_ns;  /* when the claimant was active; 0 = not yet */
    bool failed;        /* the role was given away, and came back */
};

static bool is_peer_active(const struct peer_message *peer)
{
    return peer && peer->alive && peer->role == ROLE_ACTIVE && peer->phase == PHASE_ACTIVE;
}

static void watch_peer(struct change_watch *watch, const struct role_message *role,
                       const struct peer_message *peer)
{
    /* Active anew, not still: between two looks it may have gone there and back. */
    watch->failed = role && role->phase == PHASE_ACTIVE && role->since_ns > watch->ordered_ns;
    if (!watch->failed && is_peer_active(peer))
        watch->active_ns = MAX(peer->phase_since_ns, watch->ordered_ns + 1);
}

static bool is_change_over(const struct follow *follow, void *userdata)
{
    struct change_watch *watch = userdata;
    const struct role_message *role = follow_role(follow);

    if (watch->peer_claims)
        watch_peer(watch, role, follow_peer(follow));
    else if (role && role->role == ROLE_ACTIVE && role->phase == PHASE_ACTIVE)
        watch->active_ns = MAX(role->since_ns, watch->ordered_ns + 1);
    return watch->active_ns != 0 || watch->failed;
}

static void say_active(const char *node, int64_t span_ns)
{
    char span[SPAN_TEXT_MAX];

    span_print(span_ns, span);
    printf("%s is active after %s\n", node[0] ? node : "the peer", span);
}

static int await_change(const struct invocation *invocation, struct follow *follow,
                        struct change_watch *watch, int64_t limit_ns)
{
    char limit[DURATION_TEXT_MAX];
    const struct role_message *role;

    if (!follow_until(follow, is_change_over, watch, limit_ns)) {
        duration_print(limit_ns, limit);
        command_error(invocation,
                      "the order was accepted, but nobody was seen to take the role within %s; `duet status` "
                      "tells how it stands",
                      limit);
        return COMMAND_REFUSED;
    }
    if (watch->failed) {
        role = follow_role(follow);
        command_error(invocation, "the role came back to this node: %s",
                      role ? role->reason : "its arbiter is gone");
        return COMMAND_REFUSED;
    }
    const struct peer_message *peer = follow_peer(follow);
    say_active(watch->peer_claims ? (peer ? peer->name : "") : follow->model.node,
               watch->active_ns - watch->ordered_ns);
    return COMMAND_DONE;
}

static bool is_placed(const struct follow *follow, void *userdata)
{
    (void)userdata;
    return follow_role(follow) && follow_peer(follow);
}

/* The order is given from here on; what this node's role is at that moment tells who is to become active. */
static struct change_watch watch_from_now(const struct follow *follow)
{
    const struct role_message *role = follow_role(follow);

    return (struct change_watch){.peer_claims = role && role->role == ROLE_ACTIVE,
                                 .ordered_ns = clock_now_ns()};
}

static int switch_over(const struct invocation *invocation, struct follow *follow, bool force)
{
    const struct command_message command = {.command = "switch", .force = force};
    struct reply_message reply;

    follow_until(follow, is_placed, NULL, 600 * NS_PER_MS);
    struct change_watch watch = watch_from_now(follow);
    const struct peer_message *peer = follow_peer(follow);
    const bool misplaced = !watch.peer_claims && is_peer_active(peer);
    int code = orders_send(invocation, "arbiterd", &command, &reply);
    if (code == COMMAND_REFUSED && misplaced)
        command_error(invocation, "a switch is an order to the active node: give it on %s", peer->name);
    if (code != COMMAND_DONE)
        return code;
    return await_change(invocation, follow, &watch, follow->timers.handover_time + NS_PER_S);
}

int switch_command(struct invocation *invocation)
{
    const bool force = command_take_flag(invocation, "--force");
    struct follow follow;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    int code = open_follow(invocation, &follow);
    if (code == COMMAND_DONE)
        code = switch_over(invocation, &follow, force);
    follow_close(&follow);
    return code;
}

static int claim_role(const struct invocation *invocation, struct follow *follow)
{
    const struct command_message command = {.command = "claim", .force = true};
    struct reply_message reply;

    follow_until(follow, is_placed, NULL, 600 * NS_PER_MS);
    struct change_watch watch = watch_from_now(follow);
    int code = orders_send(invocation, "arbiterd", &command, &reply);
    if (code != COMMAND_DONE)
        return code;
    if (reply.text[0])
        printf("%s\n", reply.text);
    watch.peer_claims = false;
    return await_change(invocation, follow, &watch, follow->timers.claim_time + NS_PER_S);
}

int claim_command(struct invocation *invocation)
{
    const bool force = command_take_flag(invocation, "--force");
    struct follow follow;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    if (!force) {
        command_error(
            invocation,
            "makes this node active with the data that it has; what the other node changed since is "
            "lost to the users. If that is wanted: duet claim --force");
        return COMMAND_USAGE;
    }
    int code = open_follow(invocation, &follow);
    if (code == COMMAND_DONE)
        code = claim_role(invocation, &follow);
    follow_close(&follow);
    return code;
}

/* --------------------------------------------------------------- the hold */

static bool is_hold_as_wanted(const struct follow *follow, void *userdata)
{
    const struct role_message *role = follow_role(follow);

    return role && role->held == *(bool *)userdata;
}

static void say_hold(const struct follow *follow, const struct role_message *role)
{
    const struct peer_message *peer = follow_peer(follow);
    char until[CLOCK_UTC_MAX];

    if (!role->held) {
        printf("no hold: the pair changes roles by itself again");
    } else {
        printf("the pair is held: no change of role by itself ");
        if (role->hold_until_ns == 0)
            printf("until `duet resume`");
        else
            printf("until %s", moment_print(role->hold_until_ns, until));
    }
    if (!peer || !peer->alive)
        printf(" (the peer is silent, and learns it when it returns)");
    else if (peer->held != role->held || peer->hold_version != role->hold_version)
        printf(" (%s has not yet shown that it knows)", peer->name);
    putchar('\n');
}

static int order_hold(const struct invocation *invocation, struct follow *follow,
                      const struct command_message *command)
{
    struct reply_message reply;
    bool wanted = strcmp(command->command, "hold") == 0;

    follow_until(follow, is_placed, NULL, 600 * NS_PER_MS);
    int code = orders_send(invocation, "arbiterd", command, &reply);
    if (code != COMMAND_DONE)
        return code;
    if (!follow_until(follow, is_hold_as_wanted, &wanted, 2 * NS_PER_S)) {
        command_error(invocation,
                      "the order was accepted, but arbiterd does not show it yet; see `duet status`");
        return COMMAND_REFUSED;
    }
    follow_until(follow, NULL, NULL, 4 * follow->timers.heartbeat_interval); /* let the peer's echo come in */
    say_hold(follow, follow_role(follow));
    return COMMAND_DONE;
}

static int change_hold(const struct invocation *invocation, const struct command_message *command)
{
    struct follow follow;
    int code = open_follow(invocation, &follow);

    if (code == COMMAND_DONE)
        code = order_hold(invocation, &follow, command);
    follow_close(&follow);
    return code;
}

int hold_command(struct invocation *invocation)
{
    struct command_message command = {.command = "hold"};
    const char *text = NULL;
    int64_t span_ns = 0;

    if (command_take_value(invocation, "--for", &text) < 0 || !command_all_taken(invocation))
        return COMMAND_USAGE;
    if (text && (duration_parse(text, &span_ns) < 0 || span_ns < NS_PER_MS)) {
        command_error(invocation, "--for \"%s\" is no duration; write a number and its unit, such as 30m",
                      text);
        return COMMAND_USAGE;
    }
    command.for_ms = span_ns / NS_PER_MS;
    return change_hold(invocation, &command);
}

int resume_command(struct invocation *invocation)
{
    const struct command_message command = {.command = "resume"};

    return command_all_taken(invocation) ? change_hold(invocation, &command) : COMMAND_USAGE;
}

/* -------------------------------------------------------------- the clear */

int clear_command(struct invocation *invocation)
{
    static const char *const daemons[] = {"superviserd",
                                          "arbiterd"}; /* the one that counts last: it looks anew */
    const struct command_message command = {.command = "clear"};
    int worst = COMMAND_DONE;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    for (size_t i = 0; i < ARRAY_LENGTH(daemons); i++) {
        struct reply_message reply;
        const int code = orders_send(invocation, daemons[i], &command, &reply);
        if (code == COMMAND_DONE)
            printf("%s: %s\n", daemons[i], reply.text[0] ? reply.text : "cleared");
        worst = MAX(worst, code);
    }
    return worst;
}
