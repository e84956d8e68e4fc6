/* config_compare: what differs between two readings of the configuration, for `duet reload`.
 *
 * Pure. A thing of one configuration is the same as one of the other if it has the same name and every key
 * has the same value after defaults: where it stands in the file does not matter. */
#pragma once
#include "common/config.h"

bool config_strings_equal(const struct config_strings *a, const struct config_strings *b);
bool config_addresses_equal(const struct config_addresses *a, const struct config_addresses *b);
bool config_channel_equal(const struct config_channel *a, const struct config_channel *b);
bool config_heartbeat_equal(const struct config_channel *a, const struct config_channel *b); /* how they go */
bool config_route_equal(const struct config_route *a, const struct config_route *b);
bool config_rule_equal(const struct config_rule *a, const struct config_rule *b);
bool config_hook_equal(const struct config_hook *a, const struct config_hook *b);
bool config_sync_equal(const struct config_sync *a, const struct config_sync *b);

/* The same program is started in the same way: a running one of the one is a running one of the other. */
bool config_service_same_program(const struct config_service *a, const struct config_service *b);
bool config_service_equal(const struct config_service *a, const struct config_service *b);

/* The same, for all of a kind, also in their order. */
bool config_channels_equal(const struct config *a, const struct config *b);
bool config_services_equal(const struct config *a, const struct config *b);
bool config_routes_equal(const struct config *a, const struct config *b);
bool config_rules_equal(const struct config *a, const struct config *b);
bool config_hooks_equal(const struct config *a, const struct config *b);
bool config_syncs_equal(const struct config *a, const struct config *b);
bool config_snmp_equal(const struct config *a, const struct config *b);
bool config_monitor_equal(const struct config *a, const struct config *b);
bool config_timers_equal(const struct config *a, const struct config *b);

enum { CONFIG_REFUSAL_MAX = 256 };

/* Whether a serving node may go from `now` to `next` without a restart. False with the reason, and what to do
 * instead, in `why`. */
bool config_can_reload(const struct config *now, const struct config *next,
                       char why[static CONFIG_REFUSAL_MAX]);

/* One line to `out` for each thing that differs: "channel outside: changed". Returns how many. */
int config_list_changes(const struct config *now, const struct config *next, FILE *out);
