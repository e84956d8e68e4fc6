#include "takeoverd/words.h"

#include <stdio.h>

void words_operation(const struct config *config, const struct plan *plan,
                     const struct plan_operation *operation, char *text, size_t size)
{
    const bool is_route = operation->verb == PLAN_ADD_ROUTE || operation->verb == PLAN_DELETE_ROUTE;
    char shown[ADDRESS_TEXT_MAX];
    bool is_local = false;
    int channel;

    if (operation->verb == PLAN_ADD_RULE || operation->verb == PLAN_DELETE_RULE) {
        snprintf(text, size, "rule %s", config->rules[operation->index].name);
        return;
    }
    if (is_route) {
        text_copy(shown, sizeof shown, config->routes[operation->index].name);
        channel = plan->routes[operation->index].channel;
    } else {
        const struct plan_address *item = &plan->addresses[operation->index];
        struct net_address address = item->address;
        is_local = operation->length == PLAN_ROUTED;
        address.prefix = is_local ? 32 : operation->length;
        net_address_print(&address, true, shown);
        channel = item->channel;
    }
    snprintf(text, size, "%s %s on %s (channel %s)",
             is_route   ? "route"
             : is_local ? "local route"
                        : "address",
             shown, config->channels[channel].device, config->channels[channel].name);
}

void words_counts(const struct config *config, const size_t counts[], char *text, size_t size)
{
    size_t used = 0;

    text_copy(text, size, "no addresses");
    for (size_t i = 0; i < config->channel_count; i++) {
        if (counts[i] == 0 || used >= size)
            continue;
        const char *unit = used > 0 ? "" : counts[i] == 1 ? " address" : " addresses";
        used += (size_t)snprintf(text + used, size - used, "%s%zu%s on %s", used > 0 ? ", " : "", counts[i],
                                 unit, config->channels[i].name);
    }
}
