#include "cli/handover.h"

#include <errno.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/text.h"

static bool is_released(const struct follow *follow, void *userdata)
{
    const struct role_message *role = follow_role(follow);

    (void)userdata;
    return role && role->role == ROLE_PASSIVE &&
           (role->phase == PHASE_PASSIVE || role->phase == PHASE_SEARCHING);
}

static int order_stop(const struct options *options)
{
    const struct command_message command = {.command = "stop"};
    struct reply_message reply;
    int r = bus_request(options->run_dir, "arbiterd", &command, 2 * NS_PER_S, &reply_type, &reply);

    if (r < 0)
        printf("error: arbiterd cannot be asked to hand over: %s\n", strerror(-r));
    else if (!reply.ok)
        printf("warning: the role is not handed over: %s\n", reply.error);
    return r < 0 ? r : reply.ok ? 0 : -ECANCELED;
}

static int give_away(struct follow *follow, const struct options *options, int64_t limit_ns)
{
    char span[SPAN_TEXT_MAX];
    const int64_t begun_ns = clock_now_ns();
    int r = order_stop(options);

    if (r < 0)
        return r;
    const bool released = follow_until(follow, is_released, NULL, limit_ns);
    span_print(clock_now_ns() - begun_ns, span);
    if (!released) {
        printf("warning: the role was not given away within %s\n", span);
        return -ETIMEDOUT;
    }
    const struct peer_message *peer = follow_peer(follow);
    printf("this node no longer serves (after %s); %s%s\n", span,
           peer && peer->name[0] ? peer->name : "the peer",
           !peer || !peer->alive       ? " is silent"
           : peer->role == ROLE_ACTIVE ? " is active"
                                       : " may claim");
    return 0;
}

int handover_run(const struct options *options, int64_t limit_ns)
{
    struct follow follow;
    int r = follow_open(&follow, options);

    if (r == 0)
        r = give_away(&follow, options, limit_ns);
    follow_close(&follow);
    fflush(stdout);
    return r;
}

int handover_command(struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    struct config *config;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    /* A file that was broken meanwhile is no reason to cut the clients off. */
    const bool is_known = config_read(options->config, options->node, stderr, &config) == 0;
    const int64_t limit_ns = is_known ? config->timers.handover_time : 15 * NS_PER_S;
    if (is_known)
        config_free(config);
    return handover_run(options, limit_ns + 2 * NS_PER_S) < 0 ? COMMAND_REFUSED : COMMAND_DONE;
}
