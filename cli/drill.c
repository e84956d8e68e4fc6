/* A pair whose passive node was never tried is a hope. The drill does by daylight what a fault would do at
 * night: the role goes to the other node, and comes back. Both ways it tells how long it took, for how long
 * nobody answered, and what the new owner needed until routers and services knew.
 *
 * It is refused when anything would be risked by it. Nodes give each other no orders, so the way back begins
 * by an order on the other node; this command, on the first one, waits for it and measures it. */
#include "cli/drill.h"

#include <inttypes.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/orders.h"
#include "cli/text.h"

/* What one of the two ways showed. Points in time, 0 = not seen. */
struct leg {
    int64_t began_ns;  /* the order, or the peer's offer */
    int64_t silent_ns; /* who gives answers no more */
    int64_t served_ns; /* who takes serves */
    bool released;     /* who gives holds nothing any more … */
    bool passive;      /* … and its arbiter is at rest */
    bool failed;       /* the role stayed, or came back at once */
};

struct drill {
    struct invocation *invocation;
    struct follow follow;
    struct leg there, back;
};

/* ------------------------------------------------------------- may it be done */

static void say_alarms(const struct follow *follow)
{
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(&follow->model, &alarm_type, false, clock_now_ns(), &at));) {
        const struct alarm_message *alarm = topic->body;
        if (alarm->active)
            fprintf(stderr, "  alarm %s: %s\n", topic->name, alarm->text);
    }
}

static void say_missing(const struct follow *follow)
{
    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        if (model_wants(&follow->model, i) && !model_runs(&follow->model, i, clock_now_ns()))
            fprintf(stderr, "  %s does not run\n", model_daemons[i]);
}

static const struct data_message *data_of(const struct follow *follow)
{
    return model_get(&follow->model, &data_type, NULL, clock_now_ns());
}

static bool is_data_current(const struct follow *follow)
{
    const struct data_message *data = data_of(follow);

    return !follow->model.has_sync || (data && data->state == SYNC_STATE_CURRENT);
}

/* Both could serve now, and nothing is wrong. */
static bool is_sound(const struct follow *follow, void *userdata)
{
    const struct peer_message *peer = follow_peer(follow);

    (void)userdata;
    return model_health(&follow->model, clock_now_ns()) == HEALTH_GOOD && peer && model_peer_ready(peer) &&
           is_data_current(follow);
}

static void say_unsound(const struct follow *follow)
{
    const struct role_message *role = follow_role(follow);
    const struct peer_message *peer = follow_peer(follow);

    if (!role)
        fputs("  arbiterd does not answer\n", stderr);
    else if (!role->ready)
        fprintf(stderr, "  not ready: %s\n", role->not_ready);
    if (!peer || !model_peer_ready(peer))
        fputs("  the peer could not take over\n", stderr);
    if (!is_data_current(follow))
        fputs("  the passive node's data is not current\n", stderr);
    say_missing(follow);
    say_alarms(follow);
}

static int check(struct drill *drill)
{
    const struct follow *follow = &drill->follow;
    const struct role_message *role = follow_role(follow);
    const struct peer_message *peer = follow_peer(follow);

    if (!role) {
        command_error(drill->invocation, "arbiterd does not answer below %s; is duet running?",
                      drill->invocation->options.run_dir);
        return COMMAND_NO_ANSWER;
    }
    if (role->phase != PHASE_ACTIVE) {
        command_error(drill->invocation, "a drill begins on the active node: give it on %s",
                      peer && peer->alive ? peer->name : "the other one");
        return COMMAND_REFUSED;
    }
    if (is_sound(follow, NULL))
        return COMMAND_DONE;
    command_error(drill->invocation, "refused, because it would hurt:");
    say_unsound(follow);
    return COMMAND_REFUSED;
}

/* ---------------------------------------------------------------- the way there */

static void note(int64_t *at_ns, bool seen, int64_t when_ns)
{
    if (seen && *at_ns == 0)
        *at_ns = when_ns;
}

static void see_there(void *userdata, const struct message_type *type, const struct envelope *envelope,
                      const void *body)
{
    struct leg *leg = userdata;
    const struct address_message *address = body;
    const struct role_message *role = body;
    const struct peer_message *peer = body;

    if (type == &address_type) {
        note(&leg->silent_ns, address->silent || address->state == HOLD_STATE_RELEASED, envelope->mono_ns);
        leg->released = address->state == HOLD_STATE_RELEASED;
    } else if (type == &peer_type) {
        note(&leg->served_ns, peer->alive && peer->phase == PHASE_ACTIVE,
             MAX(peer->phase_since_ns, leg->began_ns + 1));
    } else if (type == &role_type) {
        leg->failed = role->phase == PHASE_ACTIVE && role->since_ns > leg->began_ns;
        leg->passive = role->phase == PHASE_PASSIVE;
    }
}

static void see_back(void *userdata, const struct message_type *type, const struct envelope *envelope,
                     const void *body)
{
    struct leg *leg = userdata;
    const struct role_message *role = body;
    const struct peer_message *peer = body;

    if (type == &peer_type) {
        note(&leg->began_ns, peer->alive && peer->offer != OFFER_NONE, envelope->mono_ns);
        note(&leg->silent_ns, leg->began_ns && (peer->silent || peer->released), envelope->mono_ns);
        leg->released = peer->released;
        leg->passive = peer->phase == PHASE_PASSIVE;
    } else if (type == &role_type) {
        note(&leg->served_ns, role->phase == PHASE_ACTIVE, role->since_ns);
    }
}

/* Who gave holds nothing any more, or it came to nothing. */
static bool is_over(const struct follow *follow, void *userdata)
{
    const struct leg *leg = userdata;

    (void)follow;
    return leg->failed || (leg->served_ns && leg->released && leg->passive);
}

static bool walk(struct drill *drill, struct leg *leg, follow_handler *see, int64_t limit_ns)
{
    struct follow *follow = &drill->follow;

    follow->handler = see;
    follow->userdata = leg;
    const bool over = follow_until(follow, is_over, leg, limit_ns);
    follow->handler = NULL;
    return over;
}

static void say_leg(const char *way, const char *node, const struct leg *leg)
{
    char took[SPAN_TEXT_MAX], gap[SPAN_TEXT_MAX];

    span_print(MAX(leg->served_ns - leg->began_ns, 0), took);
    span_print(MAX(leg->served_ns - leg->silent_ns, 0), gap);
    printf("%-8s%s serves", way, node);
    if (leg->began_ns)
        printf(" after %s", took);
    if (leg->silent_ns)
        printf("; nobody answered for about %s", gap);
    putchar('\n');
}

static int order_switch(struct drill *drill)
{
    const struct command_message command = {.command = "switch"};
    struct reply_message reply;

    drill->there = (struct leg){.began_ns = clock_now_ns()};
    return orders_send(drill->invocation, "arbiterd", &command, &reply);
}

static int settle(struct drill *drill, const char *when)
{
    const struct follow *follow = &drill->follow;

    if (follow_until(&drill->follow, is_sound, NULL, 2 * follow->timers.settle_time + 10 * NS_PER_S))
        return COMMAND_DONE;
    command_error(drill->invocation, "%s not all is well:", when);
    say_unsound(follow);
    return COMMAND_REFUSED;
}

static int go_there(struct drill *drill, const char *peer)
{
    const int64_t limit_ns = drill->follow.timers.handover_time + 2 * NS_PER_S;
    int code = order_switch(drill);

    if (code != COMMAND_DONE)
        return code;
    walk(drill, &drill->there, see_there, limit_ns);
    if (drill->there.failed || !drill->there.served_ns) {
        command_error(drill->invocation, "%s did not take the role; `duet status` tells how it stands", peer);
        return COMMAND_REFUSED;
    }
    say_leg("there", peer, &drill->there);
    return settle(drill, "with the role there");
}

/* --------------------------------------------------------------------- and back */

static void say_routers(const struct follow *follow)
{
    const struct model_topic *topic;
    char took[SPAN_TEXT_MAX];

    for (size_t at = 0;
         (topic = model_next(&follow->model, &address_channel_type, false, clock_now_ns(), &at));) {
        const struct address_channel_message *channel = topic->body;
        for (size_t i = 0; i < channel->routers_count; i++) {
            const struct told_router *router = &channel->routers[i];
            span_print(router->took_us * NS_PER_US, took);
            if (router->asked > 0 && router->confirmed == router->asked)
                printf("        router %s knows after %s\n", router->address, took);
            else if (router->asked > 0)
                printf("        router %s has not confirmed\n", router->address);
        }
    }
}

static void say_services(const struct drill *drill)
{
    const struct model_topic *topic;
    const int64_t began_ns = drill->back.began_ns ? drill->back.began_ns : drill->back.served_ns;
    char took[SPAN_TEXT_MAX];

    for (size_t at = 0;
         (topic = model_next(&drill->follow.model, &service_type, false, clock_now_ns(), &at));) {
        const struct service_message *service = topic->body;
        span_print(MAX(service->since_ns - began_ns, 0), took);
        if (service->state == SERVICE_STATE_RUNNING && service->since_ns > began_ns)
            printf("        service %s runs after %s\n", topic->name, took);
        else if (service->state != SERVICE_STATE_RUNNING)
            printf("        service %s: %s\n", topic->name, service_state_names[service->state]);
    }
}

static int come_back(struct drill *drill, const char *peer, int64_t patience_ns)
{
    char patience[DURATION_TEXT_MAX];

    duration_print(patience_ns, patience);
    printf("now on %s: duet switch (waiting for at most %s)\n", peer, patience);
    fflush(stdout);
    if (!walk(drill, &drill->back, see_back, patience_ns)) {
        command_error(drill->invocation, "the role did not come back within %s: it is on %s, which serves",
                      patience, peer);
        return COMMAND_REFUSED;
    }
    say_leg("back", drill->follow.model.node, &drill->back);
    const int code = settle(drill, "with the role back here");
    say_routers(&drill->follow);
    say_services(drill);
    return code;
}

static int run(struct drill *drill, bool one_way, int64_t patience_ns)
{
    char peer[CONFIG_NAME_MAX];
    int code = check(drill);

    if (code != COMMAND_DONE)
        return code;
    text_copy(peer, sizeof peer, follow_peer(&drill->follow)->name);
    printf("before  %s serves, %s could at once; no alarm\n", drill->follow.model.node, peer);
    code = go_there(drill, peer);
    if (code == COMMAND_DONE && !one_way)
        code = come_back(drill, peer, patience_ns);
    if (code == COMMAND_DONE)
        printf("after   %s serves, the other could at once; no alarm\n",
               one_way ? peer : drill->follow.model.node);
    return code;
}

int drill_command(struct invocation *invocation)
{
    struct drill drill = {.invocation = invocation};
    const bool one_way = command_take_flag(invocation, "--one-way");
    const char *text = "10m";
    int64_t patience_ns;

    if (command_take_value(invocation, "--wait", &text) < 0 || !command_all_taken(invocation))
        return COMMAND_USAGE;
    if (duration_parse(text, &patience_ns) < 0 || patience_ns <= 0) {
        command_error(invocation, "--wait \"%s\" is no duration; write a number and its unit, such as 10m",
                      text);
        return COMMAND_USAGE;
    }
    int code = COMMAND_REFUSED;
    if (follow_open(&drill.follow, &invocation->options) < 0) {
        command_error(invocation, "cannot open the bus below %s", invocation->options.run_dir);
    } else {
        follow_collect(&drill.follow);
        code = run(&drill, one_way, patience_ns);
    }
    follow_close(&drill.follow);
    return code;
}
