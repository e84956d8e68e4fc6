#include "cli/status_text.h"

#include <inttypes.h>
#include <string.h>

#include "cli/sync_text.h"

struct view {
    const struct paper *paper;
    const struct model *model;
    int64_t now_ns;
};

static void put_label(const struct view *view, const char *label)
{
    paper_print(view->paper, TINT_FAINT, "  %-10s", label);
}

static void put_verdict(const struct view *view, bool good, const char *yes, const char *no)
{
    paper_print(view->paper, good ? TINT_GOOD : TINT_BAD, "%s", good ? yes : no);
}

static const struct role_message *role_of(const struct view *view)
{
    return model_get(view->model, &role_type, NULL, view->now_ns);
}

/* "the role is active" and "about to be" are different things: the phase is told when it says more than the
 * role. */
static void put_headline(const struct view *view, const char *cluster)
{
    const struct role_message *role = role_of(view);
    char since[CLOCK_UTC_MAX], span[SPAN_TEXT_MAX];

    if (cluster[0])
        fprintf(view->paper->out, "%s: ", cluster);
    paper_print(view->paper, TINT_BOLD, "%s", view->model->node);
    if (!role) {
        paper_print(view->paper, TINT_BAD, " has no arbiter that answers: its role is not known\n");
        return;
    }
    fputs(" is ", view->paper->out);
    paper_print(view->paper, role->role == ROLE_ACTIVE ? TINT_GOOD : TINT_BOLD, "%s",
                phase_names[role->phase]);
    moment_print(role->since_ns, since);
    span_print(MAX(view->now_ns - role->since_ns, 0), span);
    fprintf(view->paper->out, " since %s (%s), epoch %" PRId64 "\n", since, span, role->epoch);
}

static void put_hold(const struct view *view, const struct role_message *role)
{
    char span[SPAN_TEXT_MAX] = "until `duet resume`";

    if (!role->held)
        return;
    put_label(view, "hold");
    if (role->hold_until_ns != 0)
        span_print(MAX(role->hold_until_ns - view->now_ns, 0), span);
    paper_print(view->paper, TINT_WARN, "the pair is held: no change of role by itself%s%s\n",
                role->hold_until_ns ? " for " : ", ", span);
}

static void put_role(const struct view *view)
{
    const struct role_message *role = role_of(view);

    if (!role)
        return;
    put_label(view, "why");
    fprintf(view->paper->out, "%s (%s)\n", role->reason, role->rule);
    put_label(view, "ready");
    put_verdict(view, role->ready, "yes", "no: ");
    fprintf(view->paper->out, "%s\n", role->ready ? "" : role->not_ready);
    if (!role->fit) {
        put_label(view, "unfit");
        paper_print(view->paper, TINT_BAD, "%s\n", role->unfit_reason);
    }
    put_hold(view, role);
}

static void put_peer(const struct view *view)
{
    const struct peer_message *peer = model_get(view->model, &peer_type, NULL, view->now_ns);
    char span[SPAN_TEXT_MAX];

    put_label(view, "peer");
    if (!peer || peer->heard_ns == 0) {
        paper_print(view->paper, TINT_BAD, "%s\n",
                    peer ? "was never heard" : "not known, as heartbeatd does not answer");
        return;
    }
    span_print(MAX(view->now_ns - peer->heard_ns, 0), span);
    paper_print(view->paper, TINT_BOLD, "%s", peer->name);
    if (peer->alive)
        fprintf(view->paper->out, " is %s, epoch %" PRId64 ", ", phase_names[peer->phase], peer->epoch);
    put_verdict(view, peer->alive && model_peer_ready(peer), "ready",
                !peer->alive    ? " is silent"
                : peer->unfit   ? "unfit"
                : !peer->linked ? "it does not hear this node"
                : !peer->whole  ? "its data is not whole"
                                : "");
    fprintf(view->paper->out, ", last heard %s ago\n", span);
}

static void put_paths(const struct view *view)
{
    const struct model_topic *topic;
    const char *label = "paths";

    for (size_t at = 0; (topic = model_next(view->model, &path_type, false, view->now_ns, &at)); label = "") {
        const struct path_message *path = topic->body;
        put_label(view, label);
        fprintf(view->paper->out, "%-10s ", topic->name);
        paper_print(view->paper, path->state == PATH_STATE_UP ? TINT_GOOD : TINT_BAD, "%s",
                    path_state_names[path->state]);
        if (path->udp && strcmp(topic->name, "reserved") != 0)
            fprintf(view->paper->out, ", by UDP");
        if (path->rtt_us > 0)
            fprintf(view->paper->out, ", round trip %.2f ms", (double)path->rtt_us / 1e3);
        fprintf(view->paper->out, ", loss %.1f %%\n", (double)path->loss_permille / 10);
    }
}

static void put_addresses(const struct view *view, const char *channel)
{
    const struct address_channel_message *addresses =
        model_get(view->model, &address_channel_type, channel, view->now_ns);

    for (size_t i = 0; addresses && i < addresses->addresses_count; i++) {
        const struct held_address *address = &addresses->addresses[i];
        put_label(view, "");
        fprintf(view->paper->out, "%-10s %s address %s: ", "", address->active ? "active" : "passive",
                address->address);
        paper_print(view->paper, address->held ? TINT_GOOD : TINT_FAINT, "%s\n",
                    address->held ? "held" : "not held");
    }
    if (addresses && addresses->more > 0) {
        put_label(view, "");
        fprintf(view->paper->out, "%-10s and %" PRId64 " more\n", "", addresses->more);
    }
}

/* Whether a router has confirmed that the active addresses are here. */
static void put_told(const struct view *view, const char *channel, const char *router)
{
    const struct address_channel_message *addresses =
        model_get(view->model, &address_channel_type, channel, view->now_ns);

    for (size_t i = 0; addresses && i < addresses->routers_count; i++) {
        const struct told_router *told = &addresses->routers[i];
        if (strcmp(told->address, router) != 0 || told->asked == 0)
            continue;
        fputs(", ", view->paper->out);
        if (told->confirmed == told->asked)
            paper_print(view->paper, TINT_GOOD, "knows the owner");
        else
            paper_print(view->paper, TINT_BAD, "has not confirmed the owner of %" PRId64 " of %" PRId64,
                        told->asked - told->confirmed, told->asked);
    }
}

static void put_routers(const struct view *view, const char *channel)
{
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(view->model, &router_type, false, view->now_ns, &at));) {
        const struct router_message *router = topic->body;
        if (strcmp(router->channel, channel) != 0)
            continue;
        put_label(view, "");
        fprintf(view->paper->out, "%-10s router %s: ", "", router->address);
        put_verdict(view, router->answering, "answers", "silent");
        if (router->missed > 0)
            fprintf(view->paper->out, ", %" PRId64 " missed", router->missed);
        put_told(view, channel, router->address);
        fputc('\n', view->paper->out);
    }
}

static void put_channels(const struct view *view)
{
    const struct model_topic *topic;
    const char *label = "channels";

    for (size_t at = 0; (topic = model_next(view->model, &link_type, true, view->now_ns, &at));) {
        const struct link_message *link = model_get(view->model, &link_type, topic->name, view->now_ns);
        if (!link && !model_get(view->model, &address_channel_type, topic->name, view->now_ns))
            continue;
        put_label(view, label);
        label = "";
        fprintf(view->paper->out, "%-10s ", topic->name);
        if (link) {
            fprintf(view->paper->out, "%s: %s, ", link->device,
                    !link->present  ? "no such device"
                    : link->carrier ? "carrier"
                                    : "no carrier");
            put_verdict(view, link->usable, "usable", "not usable");
        }
        fputc('\n', view->paper->out);
        put_addresses(view, topic->name);
        put_routers(view, topic->name);
    }
}

static void put_services(const struct view *view)
{
    static const enum tint tints[SERVICE_STATE_COUNT] = {TINT_FAINT, TINT_WARN, TINT_GOOD, TINT_BAD};
    const struct model_topic *topic;
    const char *label = "services";

    for (size_t at = 0; (topic = model_next(view->model, &service_type, false, view->now_ns, &at));
         label = "") {
        const struct service_message *service = topic->body;
        put_label(view, label);
        fprintf(view->paper->out, "%-10s ", topic->name);
        paper_print(view->paper, tints[service->state], "%s", service_state_names[service->state]);
        if (service->pid > 0)
            fprintf(view->paper->out, ", pid %" PRId64, service->pid);
        if (service->restarts > 0)
            fprintf(view->paper->out, ", restarts %" PRId64, service->restarts);
        fprintf(view->paper->out, "%s%s\n", service->text[0] ? ": " : "", service->text);
    }
}

static void put_watchdog(const struct view *view)
{
    static const enum tint tints[WATCHDOG_STATE_COUNT] = {TINT_FAINT, TINT_BAD, TINT_GOOD};
    const struct watchdog_message *watchdog = model_get(view->model, &watchdog_type, NULL, view->now_ns);
    char span[SPAN_TEXT_MAX];

    if (!watchdog || watchdog->device[0] == '\0')
        return;
    put_label(view, "watchdog");
    paper_print(view->paper, tints[watchdog->state], "%s", watchdog_state_names[watchdog->state]);
    if (watchdog->state == WATCHDOG_STATE_ARMED) {
        span_print(watchdog->timeout_ms * NS_PER_MS, span);
        fprintf(view->paper->out, ": %s (%s), restarts this machine after %s without being fed",
                watchdog->device, watchdog->identity, span);
    }
    if (watchdog->starving_since_ns > 0) {
        span_print(MAX(view->now_ns - watchdog->fed_ns, 0), span);
        paper_print(view->paper, TINT_BAD, "; not fed for %s", span);
    }
    fprintf(view->paper->out, "%s%s\n", watchdog->text[0] ? ": " : "", watchdog->text);
}

static void put_hooks(const struct view *view)
{
    static const enum tint tints[HOOK_STATE_COUNT] = {TINT_FAINT, TINT_WARN, TINT_WARN, TINT_GOOD, TINT_BAD};
    const struct model_topic *topic;
    const char *label = "hooks";

    for (size_t at = 0; (topic = model_next(view->model, &hook_command_type, false, view->now_ns, &at));
         label = "") {
        const struct hook_command_message *hook = topic->body;
        const bool ended = hook->state == HOOK_STATE_DONE || hook->state == HOOK_STATE_FAILED;
        put_label(view, label);
        fprintf(view->paper->out, "%-10s %s: ", topic->name, hook_event_names[hook->event]);
        paper_print(view->paper, tints[hook->state], "%s", hook_state_names[hook->state]);
        if (ended && hook->at_ns > 0)
            fprintf(view->paper->out, " in %" PRId64 " ms", hook->took_ms);
        if (hook->epoch > 0)
            fprintf(view->paper->out, ", epoch %" PRId64, hook->epoch);
        fprintf(view->paper->out, "%s%s\n", hook->text[0] ? ": " : "", hook->text);
    }
}

static void put_daemons(const struct view *view)
{
    const char *label = "daemons";

    for (size_t i = 0; i < MODEL_DAEMONS; i++, label = "") {
        const struct daemon_message *pulse =
            model_get(view->model, &daemon_type, model_daemons[i], view->now_ns);
        if (!pulse && !model_wants(view->model, i))
            continue;
        put_label(view, label);
        fprintf(view->paper->out, "%-10s%s ", model_daemons[i], strlen(model_daemons[i]) > 10 ? "" : " ");
        put_verdict(view, model_runs(view->model, i, view->now_ns), "runs", "missing");
        if (pulse)
            fprintf(view->paper->out, ", pid %" PRId64 ", late by at most %.1f ms", pulse->pid,
                    (double)pulse->late_us_max / 1e3);
        if (pulse && pulse->dropped > 0)
            fprintf(view->paper->out, ", %" PRId64 " messages dropped", pulse->dropped);
        fputc('\n', view->paper->out);
    }
}

static void put_alarms(const struct view *view)
{
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(view->model, &alarm_type, false, view->now_ns, &at));) {
        const struct alarm_message *alarm = topic->body;
        if (!alarm->active)
            continue;
        paper_print(view->paper, TINT_BAD, "  ALARM     %s", topic->name);
        fprintf(view->paper->out, " since %.10s %.8s UTC: %s\n", alarm->since,
                strlen(alarm->since) > 19 ? alarm->since + 11 : "", alarm->text);
    }
}

static void put_reboot(const struct view *view)
{
    const struct reboot_message *reboot = model_get(view->model, &reboot_type, NULL, view->now_ns);
    char span[SPAN_TEXT_MAX];

    if (!reboot || reboot->state == REBOOT_STATE_NONE)
        return;
    put_label(view, "reboot");
    paper_print(view->paper, reboot->state == REBOOT_STATE_FAILED ? TINT_BAD : TINT_WARN, "%s",
                reboot_state_names[reboot->state]);
    if (reboot->until_ns > view->now_ns) {
        span_print(reboot->until_ns - view->now_ns, span);
        fprintf(view->paper->out,
                reboot->state == REBOOT_STATE_DELAYED ? ", for another %s" : ", for %s before it is forced",
                span);
    }
    if (reboot->row > 0)
        fprintf(view->paper->out, ", after %" PRId64 " in a row", reboot->row);
    fprintf(view->paper->out, ": %s%s%s\n", reboot->reason, reboot->error[0] ? ": " : "", reboot->error);
}

void status_text(const struct paper *paper, const struct model *model, const char *cluster, int64_t now_ns)
{
    const struct view view = {paper, model, now_ns};

    put_headline(&view, cluster);
    put_role(&view);
    put_peer(&view);
    put_paths(&view);
    put_channels(&view);
    put_services(&view);
    sync_text(paper, model, now_ns, false);
    put_watchdog(&view);
    put_hooks(&view);
    put_reboot(&view);
    put_daemons(&view);
    put_alarms(&view);
}
