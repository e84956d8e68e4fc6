#include "client/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *name_of(const struct client_config *config, int profile)
{
    return profile < 0 ? "" : config->profiles[profile].name;
}

static void describe_failure(const struct client_config *config, const struct roam *roam, const char *said,
                             char *text, size_t size)
{
    const char *to = name_of(config, roam->to);

    switch (roam->cause) {
    case ROAM_CAUSE_NONE:
        text[0] = '\0';
        break;
    case ROAM_CAUSE_CONNECT:
        snprintf(text, size, "%s could not be connected: %.185s", to, said[0] ? said : "it ended at once");
        break;
    case ROAM_CAUSE_SILENT:
        snprintf(text, size, "%s was connected, but nothing inside it answered in time", to);
        break;
    case ROAM_CAUSE_TIME:
        if (said[0]) /* it failed, and was not yet cleaned up when its time was over */
            snprintf(text, size, "%s could not be connected: %.185s", to, said);
        else
            snprintf(text, size, "%s was not connected within its connect-timeout", to);
        break;
    case ROAM_CAUSE_ROUTES:
        snprintf(text, size, "the routes of %s could not be set: %.185s", to, said);
        break;
    case ROAM_CAUSE_OTHER:
        snprintf(text, size, "another profile was asked for meanwhile");
        break;
    }
}

static void advise(const struct client_config *config, const struct roam *roam, int64_t now_ns, char *text,
                   size_t size)
{
    const char *current = name_of(config, roam->current);
    const int candidate = roam_candidate(roam, now_ns);

    if (roam->bad_since_ns == 0 || roam->target >= 0 ||
        now_ns < roam->bad_since_ns + roam->rules->unreachable_for)
        text[0] = '\0';
    else if (candidate >= 0)
        snprintf(text, size, "%s is unreachable; %s can be reached: duet-client use %s", current,
                 name_of(config, candidate), name_of(config, candidate));
    else
        snprintf(text, size,
                 "%s is unreachable, and so are all others; look after this machine's own network", current);
}

static void fill_entries(struct profile_message *message, const struct client_config *config,
                         const struct roam *roam, const struct connections *connections)
{
    message->profiles_count = config->rules.profile_count;
    for (size_t i = 0; i < config->rules.profile_count; i++) {
        struct profile_entry *entry = &message->profiles[i];
        text_copy(entry->name, sizeof entry->name, config->profiles[i].name);
        entry->state = (enum connection_state)roam->profiles[i].link;
        entry->gateways = (enum answer_state)roam_reachable(roam, (int)i);
        entry->since_ns = roam->profiles[i].since_ns;
        text_copy(entry->text, sizeof entry->text, connections_text(connections, (int)i));
    }
}

static void fill_profile(struct profile_message *message, const struct client_config *config,
                         const struct roam *roam, const struct connections *connections, int64_t now_ns)
{
    *message = (struct profile_message){.since_ns = roam->since_ns,
                                        .silent_since_ns = roam->bad_since_ns,
                                        .automatic = (enum client_auto)roam->rules->policy,
                                        .number = roam->number,
                                        .outcome = (enum switch_state)roam->outcome,
                                        .by_itself = roam->by_itself,
                                        .asked_ns = roam->asked_ns,
                                        .up_ns = roam->up_ns,
                                        .proven_ns = roam->proven_ns,
                                        .carries_ns = roam->carries_ns};
    text_copy(message->current, sizeof message->current, name_of(config, roam->current));
    text_copy(message->to, sizeof message->to, name_of(config, roam->to));
    message->connected = roam_connected(roam);
    if (roam->outcome == ROAM_FAILED)
        describe_failure(config, roam, connections_text(connections, roam->to), message->error,
                         sizeof message->error);
    advise(config, roam, now_ns, message->advice, sizeof message->advice);
    fill_entries(message, config, roam, connections);
}

static void fill_gateway(struct gateway_message *message, const struct client_gateway *gateway,
                         const struct roam_gateway *state, bool tested)
{
    *message =
        (struct gateway_message){.state = tested ? (enum answer_state)state->answer : ANSWER_STATE_NOT_TESTED,
                                 .missed = state->missed,
                                 .answered_ns = state->answered_ns,
                                 .first_miss_ns = state->first_miss_ns};
    text_copy(message->test, sizeof message->test, client_test_name(gateway->test));
    if (gateway->address.family != 0)
        net_address_print(&gateway->address, false, message->address);
    else
        text_copy(message->address, sizeof message->address,
                  gateway->test == CLIENT_TEST_HANDSHAKE ? gateway->device : gateway->command.items[0]);
}

void view_fill(struct view *view, const struct client_config *config, const struct roam *roam,
               const struct connections *connections, const struct probes *probes, int chosen, int64_t now_ns)
{
    const uint32_t tested = roam_tested(roam);

    fill_profile(&view->profile, config, roam, connections, now_ns);
    text_copy(view->profile.remembered, sizeof view->profile.remembered, name_of(config, chosen));
    view->gateway_count = config->rules.gateway_count;
    for (size_t i = 0; i < view->gateway_count; i++) {
        view->gateway_names[i] = config->gateways[i].name;
        fill_gateway(&view->gateways[i], &config->gateways[i], &roam->gateways[i], tested & UINT32_C(1) << i);
        view->gateways[i].rtt_us = probes_rtt_ns(probes, (int)i) / NS_PER_US;
        text_copy(view->gateways[i].text, sizeof view->gateways[i].text, probes_text(probes, (int)i));
    }
}
