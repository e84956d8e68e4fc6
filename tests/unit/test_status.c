/* What `duet status` knows and shows: the model and its health, the JSON and the text made of it, and what is
 * news. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/status_check.h"
#include "cli/status_json.h"
#include "cli/status_text.h"
#include "common/model.h"

static const int64_t now_ns = 100 * NS_PER_S;

/* ---------------------------------------------------------------- a pair */

static bool tell(struct model *model, const struct message_type *type, const char *name, const char *from,
                 const void *body)
{
    struct envelope envelope = {.node = "alpha", .seq = 1};

    text_copy(envelope.from, sizeof envelope.from, from);
    return model_take(model, type, name, &envelope, body, now_ns);
}

static const struct role_message active = {.role = ROLE_ACTIVE,
                                           .phase = PHASE_ACTIVE,
                                           .epoch = 17,
                                           .since_ns = 90 * NS_PER_S,
                                           .rule = "takeover",
                                           .reason = "the peer fell silent",
                                           .fit = true,
                                           .ready = true,
                                           .lease_ns = 100};
static const struct peer_message peer = {.alive = true,
                                         .linked = true,
                                         .name = "beta",
                                         .heard_ns = 100 * NS_PER_S - 12 * NS_PER_MS,
                                         .role = ROLE_PASSIVE,
                                         .phase = PHASE_PASSIVE,
                                         .epoch = 16,
                                         .whole = true};

static void tell_pulses(struct model *model)
{
    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        const struct daemon_message pulse = {.pid = 100 + (int64_t)i, .late_us_max = 250, .version = "0.1.0"};
        tell(model, &daemon_type, model_daemons[i], model_daemons[i], &pulse);
    }
}

static void tell_channel(struct model *model)
{
    const struct link_message link = {.device = "eth0", .present = true, .carrier = true, .usable = true};
    const struct router_message router = {
        .channel = "outside", .address = "203.0.113.1", .answering = false, .missed = 2};
    const struct router_message other = {.channel = "inside", .address = "10.0.0.1", .answering = true};
    struct address_channel_message addresses = {.device = "eth0", .addresses_count = 2};

    addresses.addresses[0] = (struct held_address){"203.0.113.10/24", true, true};
    addresses.addresses[1] = (struct held_address){"203.0.113.11/24", false, false};
    tell(model, &link_type, "outside", "heartbeatd", &link);
    tell(model, &router_type, "203.0.113.1", "heartbeatd", &router);
    tell(model, &router_type, "10.0.0.1", "heartbeatd", &other);
    tell(model, &address_channel_type, "outside", "takeoverd", &addresses);
}

/* Everything in order on an active node. */
static struct model *pair_new(void)
{
    const struct path_message path = {
        .state = PATH_STATE_UP, .udp = true, .rtt_us = 210, .loss_permille = 15};
    const struct service_message service = {.state = SERVICE_STATE_RUNNING, .pid = 4711, .restarts = 1};
    const struct hook_command_message hook = {.event = HOOK_EVENT_BEFORE_ACTIVE,
                                              .state = HOOK_STATE_FAILED,
                                              .at_ns = 90 * NS_PER_S,
                                              .took_ms = 200,
                                              .epoch = 17,
                                              .text = "did not end within 200 ms, and was killed"};
    const struct alarm_message past = {.active = false, .text = "long past"};
    const struct watchdog_message watchdog = {.state = WATCHDOG_STATE_ARMED,
                                              .device = "/dev/watchdog",
                                              .identity = "i6300ESB timer",
                                              .timeout_ms = 10000};
    struct model *model = calloc(1, sizeof *model);

    tell(model, &role_type, NULL, "arbiterd", &active);
    tell(model, &peer_type, NULL, "heartbeatd", &peer);
    tell_pulses(model);
    tell_channel(model);
    tell(model, &path_type, "reserved", "heartbeatd", &path);
    tell(model, &service_type, "vpn", "superviserd", &service);
    tell(model, &hook_command_type, "commit", "superviserd", &hook);
    tell(model, &alarm_type, "old", "arbiterd", &past);
    tell(model, &watchdog_type, NULL, "superviserd", &watchdog);
    return model;
}

static void pair_free(struct model *model)
{
    model_clear(model);
    free(model);
}

static void raise_alarm(struct model *model)
{
    const struct alarm_message alarm = {
        .active = true, .since = "2026-11-22T12:11:16.000001Z", .text = "look here"};

    tell(model, &alarm_type, "clock", "arbiterd", &alarm);
}

/* ----------------------------------------------------------------- health */

static void test_health_good(void **state)
{
    struct model *model = pair_new();

    (void)state;
    assert_int_equal(model_health(model, now_ns), HEALTH_GOOD);
    pair_free(model);
}

static void test_health_degraded_by_alarm(void **state)
{
    struct model *model = pair_new();

    (void)state;
    raise_alarm(model);
    assert_int_equal(model_health(model, now_ns), HEALTH_DEGRADED);
    pair_free(model);
}

static void test_health_degraded_when_not_ready(void **state)
{
    struct model *model = pair_new();
    struct role_message role = active;

    (void)state;
    role.ready = false;
    tell(model, &role_type, NULL, "arbiterd", &role);
    assert_int_equal(model_health(model, now_ns), HEALTH_DEGRADED);
    pair_free(model);
}

static void test_health_degraded_without_a_daemon(void **state)
{
    struct model *model = pair_new();

    (void)state;
    model->heard_ns[3] = 0;
    assert_int_equal(model_health(model, now_ns), HEALTH_DEGRADED);
    pair_free(model);
}

static void test_health_down_when_nobody_is_active(void **state)
{
    struct model *model = pair_new();
    struct role_message role = active;
    struct peer_message dead = peer;

    (void)state;
    role.role = ROLE_PASSIVE;
    tell(model, &role_type, NULL, "arbiterd", &role);
    assert_int_equal(model_health(model, now_ns), HEALTH_DOWN);
    dead.role = ROLE_ACTIVE;
    tell(model, &peer_type, NULL, "heartbeatd", &dead);
    assert_int_equal(model_health(model, now_ns), HEALTH_GOOD);
    dead.alive = false; /* what a silent peer was last is no sign of service */
    tell(model, &peer_type, NULL, "heartbeatd", &dead);
    assert_int_equal(model_health(model, now_ns), HEALTH_DOWN);
    pair_free(model);
}

static void test_health_held_addresses_speak_for_a_missing_arbiter(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    struct address_message address = {.state = HOLD_STATE_HOLDING};

    (void)state;
    tell(model, &address_type, NULL, "takeoverd", &address);
    assert_int_equal(model_health(model, now_ns), HEALTH_DEGRADED);
    address.state = HOLD_STATE_RELEASED;
    tell(model, &address_type, NULL, "takeoverd", &address);
    assert_int_equal(model_health(model, now_ns), HEALTH_DOWN);
    pair_free(model);
}

static void test_health_unknown_when_all_grew_old(void **state)
{
    struct model *model = pair_new();

    (void)state;
    assert_int_equal(model_health(model, now_ns + MODEL_STALE_NS - 1), HEALTH_GOOD);
    assert_int_equal(model_health(model, now_ns + MODEL_STALE_NS), HEALTH_UNKNOWN);
    assert_null(model_get(model, &role_type, NULL, now_ns + MODEL_STALE_NS));
    pair_free(model);
}

/* ------------------------------------------------------------ status --json */

static json_t *status_of(const struct model *model)
{
    char *text = status_json(model, "gate", now_ns, false);
    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    json_t *status = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(status);
    return status;
}

/* Has these keys, and no other. */
static void assert_keys(json_t *object, const char *keys)
{
    const char *key;
    json_t *value;
    char *copy = strdup(keys), *rest = copy, *wanted;

    assert_true(json_is_object(object));
    while ((wanted = strsep(&rest, " ")))
        if (!json_object_get(object, wanted))
            fail_msg("no field %s", wanted);
    json_object_foreach(object, key, value)
    {
        char padded[80], all[400];
        snprintf(padded, sizeof padded, " %s ", key);
        snprintf(all, sizeof all, " %s ", keys);
        if (!strstr(all, padded))
            fail_msg("field %s is not described", key);
    }
    free(copy);
}

static json_t *only(json_t *status, const char *list)
{
    json_t *array = json_object_get(status, list);

    assert_int_equal(json_array_size(array), 1);
    return json_array_get(array, 0);
}

static void assert_text(json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static void assert_number(json_t *object, const char *key, int64_t wanted)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    assert_int_equal(json_integer_value(json_object_get(object, key)), wanted);
}

static void assert_flag(json_t *object, const char *key, bool wanted)
{
    assert_true(json_is_boolean(json_object_get(object, key)));
    assert_int_equal(json_is_true(json_object_get(object, key)), wanted);
}

static void test_json_role(void **state)
{
    struct model *model = pair_new();
    json_t *status = status_of(model);
    const char *since = json_string_value(json_object_get(status, "since"));

    (void)state;
    assert_keys(status,
                "cluster node role phase epoch since reason fit held ready not_ready peer paths channels "
                "services hooks sync watchdog reboot daemons alarms");
    assert_text(status, "cluster", "gate");
    assert_text(status, "node", "alpha");
    assert_text(status, "role", "active");
    assert_text(status, "phase", "active");
    assert_number(status, "epoch", 17);
    assert_text(status, "reason", "the peer fell silent");
    assert_flag(status, "fit", true);
    assert_flag(status, "held", false);
    assert_flag(status, "ready", true);
    assert_int_equal(strlen(since), strlen("2026-11-22T12:11:16.123456Z"));
    assert_int_equal(since[10], 'T');
    assert_int_equal(since[26], 'Z');
    json_decref(status);
    pair_free(model);
}

static void test_json_peer(void **state)
{
    struct model *model = pair_new();
    json_t *status = status_of(model), *object = json_object_get(status, "peer");

    (void)state;
    assert_keys(object, "node alive role phase epoch fit ready last_heard_ms");
    assert_text(object, "node", "beta");
    assert_flag(object, "alive", true);
    assert_text(object, "role", "passive");
    assert_text(object, "phase", "passive");
    assert_number(object, "epoch", 16);
    assert_flag(object, "fit", true);
    assert_flag(object, "ready", true);
    assert_number(object, "last_heard_ms", 12);
    json_decref(status);
    pair_free(model);
}

static void test_json_channels(void **state)
{
    struct model *model = pair_new();
    json_t *status = status_of(model), *channel = only(status, "channels");
    json_t *router = only(channel, "routers"), *addresses = json_object_get(channel, "addresses");

    (void)state;
    assert_keys(channel, "name device carrier usable addresses routers");
    assert_text(channel, "name", "outside");
    assert_text(channel, "device", "eth0");
    assert_flag(channel, "carrier", true);
    assert_flag(channel, "usable", true);
    assert_int_equal(json_array_size(addresses), 2);
    assert_keys(json_array_get(addresses, 0), "address held");
    assert_text(json_array_get(addresses, 0), "address", "203.0.113.10/24");
    assert_flag(json_array_get(addresses, 0), "held", true);
    assert_flag(json_array_get(addresses, 1), "held", false);
    assert_keys(router, "address answering missed");
    assert_text(router, "address", "203.0.113.1");
    assert_flag(router, "answering", false);
    assert_number(router, "missed", 2);
    json_decref(status);
    pair_free(model);
}

static void test_json_rest(void **state)
{
    struct model *model = pair_new();
    raise_alarm(model);
    json_t *status = status_of(model), *path = only(status, "paths"), *service = only(status, "services");
    json_t *alarm = only(status, "alarms"), *daemon = json_array_get(json_object_get(status, "daemons"), 1);

    (void)state;
    assert_keys(path, "name state udp rtt_us loss");
    assert_text(path, "name", "reserved");
    assert_text(path, "state", "up");
    assert_true(json_is_true(json_object_get(path, "udp")));
    assert_number(path, "rtt_us", 210);
    assert_true(json_real_value(json_object_get(path, "loss")) > 1.49 &&
                json_real_value(json_object_get(path, "loss")) < 1.51);
    assert_keys(service, "name state pid restarts");
    assert_text(service, "name", "vpn");
    assert_text(service, "state", "running");
    assert_number(service, "pid", 4711);
    assert_number(service, "restarts", 1);
    assert_keys(alarm, "name since text");
    assert_text(alarm, "name", "clock");
    assert_text(alarm, "since", "2026-11-22T12:11:16.000001Z");
    assert_text(alarm, "text", "look here");
    assert_int_equal(json_array_size(json_object_get(status, "daemons")), MODEL_DAEMONS);
    assert_keys(daemon, "name state pid late_us_max");
    assert_text(daemon, "name", "arbiterd");
    assert_text(daemon, "state", "running");
    assert_number(daemon, "pid", 101);
    assert_number(daemon, "late_us_max", 250);
    json_t *sync = json_object_get(status, "sync"), *watchdog = json_object_get(status, "watchdog");
    assert_keys(sync, "state sending whole behind_files behind_bytes behind_ms sets");
    assert_text(sync, "state", "off");
    assert_keys(watchdog, "device state timeout_ms");
    assert_text(watchdog, "device", "/dev/watchdog");
    assert_text(watchdog, "state", "armed");
    assert_number(watchdog, "timeout_ms", 10000);
    json_decref(status);
    pair_free(model);
}

static void test_json_hooks(void **state)
{
    struct model *model = pair_new();
    json_t *status = status_of(model), *hook = only(status, "hooks");

    (void)state;
    assert_keys(hook, "name event state took_ms epoch text");
    assert_text(hook, "name", "commit");
    assert_text(hook, "event", "before-active");
    assert_text(hook, "state", "failed");
    assert_number(hook, "took_ms", 200);
    assert_number(hook, "epoch", 17);
    assert_text(hook, "text", "did not end within 200 ms, and was killed");
    json_decref(status);
    pair_free(model);
}

static void test_json_reasons_are_a_list(void **state)
{
    struct model *model = pair_new();
    struct role_message role = active;

    (void)state;
    role.ready = false;
    text_copy(role.not_ready, sizeof role.not_ready, "the peer is silent; channel inside has no carrier");
    tell(model, &role_type, NULL, "arbiterd", &role);
    json_t *status = status_of(model), *reasons = json_object_get(status, "not_ready");
    assert_int_equal(json_array_size(reasons), 2);
    assert_string_equal(json_string_value(json_array_get(reasons, 0)), "the peer is silent");
    assert_string_equal(json_string_value(json_array_get(reasons, 1)), "channel inside has no carrier");
    json_decref(status);
    pair_free(model);
}

/* A script finds each field also when nothing is known. */
static void test_json_of_nothing(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    json_t *status = status_of(model);

    (void)state;
    assert_keys(status,
                "cluster node role phase epoch since reason fit held ready not_ready peer paths channels "
                "services hooks sync watchdog reboot daemons alarms");
    assert_true(json_is_null(json_object_get(status, "role")));
    assert_flag(status, "ready", false);
    assert_keys(json_object_get(status, "peer"), "node alive role phase epoch fit ready last_heard_ms");
    assert_true(json_is_null(json_object_get(json_object_get(status, "peer"), "last_heard_ms")));
    assert_text(json_array_get(json_object_get(status, "daemons"), 0), "state", "missing");
    assert_keys(json_object_get(status, "watchdog"), "device state timeout_ms");
    assert_true(json_is_null(json_object_get(json_object_get(status, "watchdog"), "state")));
    json_decref(status);
    pair_free(model);
}

/* The configuration's order, whichever daemon is heard first. */
static void test_channels_in_order_of_the_configuration(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    struct config *config = calloc(1, sizeof *config);
    const struct link_message link = {.device = "eth0"};
    const struct address_channel_message addresses = {.device = "eth1"};

    (void)state;
    config->channel_count = 3;
    text_copy(config->channels[0].name, sizeof config->channels[0].name, "outside");
    text_copy(config->channels[1].name, sizeof config->channels[1].name, "inside");
    text_copy(config->channels[2].name, sizeof config->channels[2].name, "unheard");
    model_expect(model, config);
    tell(model, &address_channel_type, "inside", "takeoverd", &addresses);
    tell(model, &link_type, "outside", "heartbeatd", &link);
    json_t *status = status_of(model), *channels = json_object_get(status, "channels");
    assert_int_equal(json_array_size(channels), 2);
    assert_text(json_array_get(channels, 0), "name", "outside");
    assert_text(json_array_get(channels, 1), "name", "inside");
    assert_text(json_array_get(channels, 1), "device", "eth1");
    json_decref(status);
    free(config);
    pair_free(model);
}

/* ------------------------------------------------------------- for people */

static char *text_of(const struct model *model)
{
    char *text = NULL;
    size_t size;
    const struct paper paper = {.out = open_memstream(&text, &size)};

    status_text(&paper, model, "gate", now_ns);
    fclose(paper.out);
    return text;
}

static void test_text(void **state)
{
    static const char *const wanted[] = {"gate: alpha is active since ",
                                         "epoch 17\n",
                                         "the peer fell silent (takeover)",
                                         "beta is passive, epoch 16, ready, last heard 12.0 ms ago",
                                         "round trip 0.21 ms",
                                         "eth0: carrier, usable",
                                         "active address 203.0.113.10/24: held",
                                         "router 203.0.113.1: silent, 2 missed",
                                         "running, pid 4711",
                                         "commit     before-active: failed in 200 ms, epoch 17: did not end",
                                         "late by at most 0.2 ms",
                                         ("watchdog  armed: /dev/watchdog (i6300ESB timer), restarts this "
                                          "machine after 10.0 s without being fed\n"),
                                         "ALARM     clock since 2026-11-22 12:11:16 UTC: look here"};
    struct model *model = pair_new();

    (void)state;
    raise_alarm(model);
    char *text = text_of(model);
    for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
        if (!strstr(text, wanted[i]))
            fail_msg("\"%s\" is not in:\n%s", wanted[i], text);
    assert_null(strchr(text, '\033'));
    assert_null(strstr(text, "long past"));
    free(text);
    pair_free(model);
}

static void test_a_reboot_that_waits(void **state)
{
    struct model *model = pair_new();
    const struct reboot_message reboot = {.state = REBOOT_STATE_DELAYED,
                                          .reason = "a service stayed down here",
                                          .row = 2,
                                          .until_ns = now_ns + 40 * NS_PER_S};

    (void)state;
    char *text = text_of(model);
    assert_null(strstr(text, "reboot"));
    free(text);
    tell(model, &reboot_type, NULL, "superviserd", &reboot);
    text = text_of(model);
    assert_non_null(strstr(text,
                           "reboot    delayed, for another 40.0 s, after 2 in a row: a service stayed down "
                           "here\n"));
    free(text);
    json_t *status = status_of(model), *told = json_object_get(status, "reboot");
    assert_keys(told, "state reason row left_ms error");
    assert_text(told, "state", "delayed");
    assert_number(told, "left_ms", 40000);
    json_decref(status);
    pair_free(model);
}

static void test_text_of_a_watchdog_that_is_not_well(void **state)
{
    struct model *model = pair_new();
    struct watchdog_message watchdog = {.state = WATCHDOG_STATE_ARMED,
                                        .device = "/dev/watchdog",
                                        .identity = "dog",
                                        .timeout_ms = 10000,
                                        .fed_ns = now_ns - 3 * NS_PER_S,
                                        .starving_since_ns = now_ns - 2 * NS_PER_S,
                                        .text = "arbiterd silent for 7.0 s"};

    (void)state;
    tell(model, &watchdog_type, NULL, "superviserd", &watchdog);
    char *text = text_of(model);
    assert_non_null(strstr(text, "without being fed; not fed for 3.0 s: arbiterd silent for 7.0 s\n"));
    free(text);
    watchdog = (struct watchdog_message){
        .state = WATCHDOG_STATE_ABSENT, .device = "/dev/watchdog", .text = "cannot arm it"};
    tell(model, &watchdog_type, NULL, "superviserd", &watchdog);
    text = text_of(model);
    assert_non_null(strstr(text, "watchdog  absent: cannot arm it\n"));
    free(text);
    watchdog = (struct watchdog_message){.state = WATCHDOG_STATE_OFF};
    tell(model, &watchdog_type, NULL, "superviserd", &watchdog);
    text = text_of(model);
    assert_null(strstr(text, "watchdog")); /* none is configured */
    free(text);
    pair_free(model);
}

static void check_line(const struct model *model, const char *const parts[], size_t count)
{
    char line[STATUS_CHECK_MAX];

    status_check(model, now_ns, line);
    for (size_t i = 0; i < count; i++)
        if (!strstr(line, parts[i]))
            fail_msg("there is no \"%s\" in %s", parts[i], line);
    assert_null(strchr(line, '\n'));
}

static void test_check_of_a_sound_pair(void **state)
{
    struct model *model = pair_new();
    const char *const parts[] = {"DUET OK - alpha is active (epoch 17), beta is passive |",
                                 " active=1;;;0;1 epoch=17 ", " peer_heard=0.012s;;;0 ",
                                 " services_failed=0;;;0;1 alarms=0;;;0", " late=0.000250s;;;0"};

    (void)state;
    check_line(model, parts, ARRAY_LENGTH(parts));
    pair_free(model);
}

/* What others say must not be taken for the end of the words, or of the line. */
static void test_check_with_text_that_is_not_plain(void **state)
{
    struct model *model = pair_new();
    const struct alarm_message alarm = {.active = true, .text = "a|b\nc"};
    const char *const parts[] = {"DUET WARNING - ", "; alarm odd: a/b/c |", " alarms=1;;;0"};

    (void)state;
    tell(model, &alarm_type, "odd", "arbiterd", &alarm);
    check_line(model, parts, ARRAY_LENGTH(parts));
    pair_free(model);
}

static void test_check_that_is_too_long_keeps_its_data(void **state)
{
    struct model *model = pair_new();
    struct alarm_message alarm = {.active = true};
    const char *const parts[] = {"DUET WARNING - ", " |", " alarms=40;;;0", " late="};
    char name[16];

    (void)state;
    memset(alarm.text, 'x', sizeof alarm.text - 1);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "alarm-%d", i);
        tell(model, &alarm_type, name, "arbiterd", &alarm);
    }
    check_line(model, parts, ARRAY_LENGTH(parts));
    pair_free(model);
}

static void test_spans(void **state)
{
    char text[SPAN_TEXT_MAX];

    (void)state;
    span_print(6200 * NS_PER_US, text);
    assert_string_equal(text, "6.2 ms");
    span_print(3400 * NS_PER_MS, text);
    assert_string_equal(text, "3.4 s");
    span_print(312 * NS_PER_S, text);
    assert_string_equal(text, "5 min 12 s");
    span_print(26 * 3600 * NS_PER_S, text);
    assert_string_equal(text, "1 d 2 h");
}

/* ------------------------------------------------------------------- news */

static void test_renewal_is_no_news(void **state)
{
    struct model *model = pair_new();
    struct role_message role = active;
    struct peer_message other = peer;

    (void)state;
    role.lease_ns = 200;
    role.change = 9;
    assert_false(tell(model, &role_type, NULL, "arbiterd", &role));
    role.phase = PHASE_OFFERING;
    assert_true(tell(model, &role_type, NULL, "arbiterd", &role));
    other.heard_ns++;
    other.arbiter_age_us = 5;
    assert_false(tell(model, &peer_type, NULL, "heartbeatd", &other));
    other.channels_count = 1;
    assert_true(tell(model, &peer_type, NULL, "heartbeatd", &other));
    other.channels[0].evidence_ns = 77;
    assert_false(tell(model, &peer_type, NULL, "heartbeatd", &other));
    other.channels[0].usable = true;
    assert_true(tell(model, &peer_type, NULL, "heartbeatd", &other));
    pair_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_good),
        cmocka_unit_test(test_health_degraded_by_alarm),
        cmocka_unit_test(test_health_degraded_when_not_ready),
        cmocka_unit_test(test_health_degraded_without_a_daemon),
        cmocka_unit_test(test_health_down_when_nobody_is_active),
        cmocka_unit_test(test_health_held_addresses_speak_for_a_missing_arbiter),
        cmocka_unit_test(test_health_unknown_when_all_grew_old),
        cmocka_unit_test(test_json_role),
        cmocka_unit_test(test_json_peer),
        cmocka_unit_test(test_json_channels),
        cmocka_unit_test(test_json_rest),
        cmocka_unit_test(test_json_hooks),
        cmocka_unit_test(test_json_reasons_are_a_list),
        cmocka_unit_test(test_json_of_nothing),
        cmocka_unit_test(test_channels_in_order_of_the_configuration),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_a_reboot_that_waits),
        cmocka_unit_test(test_text_of_a_watchdog_that_is_not_well),
        cmocka_unit_test(test_check_of_a_sound_pair),
        cmocka_unit_test(test_check_with_text_that_is_not_plain),
        cmocka_unit_test(test_check_that_is_too_long_keeps_its_data),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_renewal_is_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
