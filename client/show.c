#include "client/show.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/base.h"
#include "common/clock.h"

void picture_take_gateway(struct picture *picture, const char *name, const struct gateway_message *state)
{
    size_t i = 0;

    while (i < picture->gateway_count && strcmp(picture->gateways[i].name, name) != 0)
        i++;
    if (i == SHOW_GATEWAYS_MAX)
        return;
    if (i == picture->gateway_count) {
        text_copy(picture->gateways[i].name, sizeof picture->gateways[i].name, name);
        picture->gateway_count++;
    }
    picture->gateways[i].state = *state;
}

static void put_since(FILE *out, int64_t since_ns, int64_t now_ns)
{
    char utc[CLOCK_UTC_MAX];

    clock_utc(since_ns, utc);
    utc[10] = ' ';
    utc[19] = '\0';
    fprintf(out, "since %s UTC (%.1f s)", utc, (double)(now_ns - since_ns) / NS_PER_S);
}

static void put_switch(FILE *out, const struct profile_message *profile)
{
    if (profile->outcome == SWITCH_STATE_SWITCHING)
        fprintf(out, "  switch    under way to %s%s\n", profile->to, profile->by_itself ? ", by itself" : "");
    else if (profile->outcome == SWITCH_STATE_DONE)
        fprintf(out, "  switch    to %s%s, took %.1f ms\n", profile->to,
                profile->by_itself ? ", by itself" : "",
                (double)(profile->carries_ns - profile->asked_ns) / NS_PER_MS);
    else if (profile->outcome == SWITCH_STATE_FAILED)
        fprintf(out, "  switch    failed: %s\n", profile->error);
}

static void put_gateways(FILE *out, const struct picture *picture)
{
    for (size_t i = 0; i < picture->gateway_count; i++) {
        const struct gateway_message *gateway = &picture->gateways[i].state;
        fprintf(out, "  %-9s %-18s %s %s: %s", i == 0 ? "gateways" : "", picture->gateways[i].name,
                gateway->test, gateway->address, answer_state_names[gateway->state]);
        if (gateway->state == ANSWER_STATE_ANSWERS)
            fprintf(out, " in %.2f ms", (double)gateway->rtt_us / 1000);
        if (gateway->text[0] != '\0')
            fprintf(out, " (%s)", gateway->text);
        fputc('\n', out);
    }
}

void show_text(FILE *out, const struct picture *picture, int64_t now_ns)
{
    const struct profile_message *profile = &picture->profile;

    fprintf(out, "%s is %s, in use ", profile->current, profile->connected ? "connected" : "not connected");
    put_since(out, profile->since_ns, now_ns);
    fputc('\n', out);
    if (profile->silent_since_ns != 0) {
        fputs("  trouble   unreachable ", out);
        put_since(out, profile->silent_since_ns, now_ns);
        fputc('\n', out);
    }
    if (profile->advice[0] != '\0')
        fprintf(out, "  advice    %s\n", profile->advice);
    put_switch(out, profile);
    fprintf(out, "  default   %s\n  auto      %s\n",
            profile->remembered[0] ? profile->remembered : "none chosen yet",
            client_auto_names[profile->automatic]);
    for (size_t i = 0; i < profile->profiles_count; i++) {
        const struct profile_entry *entry = &profile->profiles[i];
        fprintf(out, "  %-9s %-18s %s, gateway: %s%s%s%s\n", i == 0 ? "profiles" : "", entry->name,
                connection_state_names[entry->state], answer_state_names[entry->gateways],
                entry->text[0] ? " (" : "", entry->text, entry->text[0] ? ")" : "");
    }
    put_gateways(out, picture);
}

void show_list(FILE *out, const struct picture *picture)
{
    const struct profile_message *profile = &picture->profile;

    for (size_t i = 0; i < profile->profiles_count; i++) {
        const struct profile_entry *entry = &profile->profiles[i];
        fprintf(out, "%c %-24s %-10s gateway: %s\n", strcmp(entry->name, profile->current) == 0 ? '*' : ' ',
                entry->name, connection_state_names[entry->state], answer_state_names[entry->gateways]);
    }
}

/* ---- JSON */

static json_t *json_time(int64_t at_ns)
{
    char utc[CLOCK_UTC_MAX];

    if (at_ns == 0)
        return json_null();
    clock_utc(at_ns, utc);
    return json_string(utc);
}

static json_t *json_ms(int64_t from_ns, int64_t to_ns)
{
    return from_ns > 0 && to_ns >= from_ns ? json_real((double)(to_ns - from_ns) / NS_PER_MS) : json_null();
}

static json_t *json_switch(const struct profile_message *profile)
{
    return json_pack("{s:I, s:s, s:s, s:b, s:s, s:o, s:o, s:o}", "number", (json_int_t)profile->number,
                     "outcome", switch_state_names[profile->outcome], "to", profile->to, "by_itself",
                     profile->by_itself, "error", profile->error, "up_ms",
                     json_ms(profile->asked_ns, profile->up_ns), "proven_ms",
                     json_ms(profile->asked_ns, profile->proven_ns), "took_ms",
                     json_ms(profile->asked_ns, profile->carries_ns));
}

static json_t *json_profiles(const struct profile_message *profile)
{
    json_t *list = json_array();

    for (size_t i = 0; i < profile->profiles_count; i++) {
        const struct profile_entry *entry = &profile->profiles[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", entry->name, "state",
                                              connection_state_names[entry->state], "gateways",
                                              answer_state_names[entry->gateways], "since",
                                              json_time(entry->since_ns), "text", entry->text));
    }
    return list;
}

static json_t *json_gateways(const struct picture *picture)
{
    json_t *list = json_array();

    for (size_t i = 0; i < picture->gateway_count; i++) {
        const struct gateway_message *gateway = &picture->gateways[i].state;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "name",
                                              picture->gateways[i].name, "test", gateway->test, "address",
                                              gateway->address, "state", answer_state_names[gateway->state],
                                              "missed", (json_int_t)gateway->missed, "rtt_us",
                                              (json_int_t)gateway->rtt_us, "text", gateway->text));
    }
    return list;
}

void show_json(FILE *out, const struct picture *picture, bool pretty, int64_t now_ns)
{
    const struct profile_message *profile = &picture->profile;
    json_t *object = json_pack(
        "{s:s, s:b, s:o, s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "current", profile->current, "connected",
        profile->connected, "since", json_time(profile->since_ns), "default", profile->remembered,
        "unreachable_since", json_time(profile->silent_since_ns), "unreachable_ms",
        json_ms(profile->silent_since_ns, now_ns), "auto", client_auto_names[profile->automatic], "advice",
        profile->advice, "switch", json_switch(profile), "profiles", json_profiles(profile), "gateways",
        json_gateways(picture));

    json_dumpf(object, out, pretty ? JSON_INDENT(2) : JSON_COMPACT);
    fputc('\n', out);
    json_decref(object);
}

void show_event_json(FILE *out, const char *topic, const char *json, size_t size)
{
    json_t *message = json_loadb(json, size, 0, NULL), *line = json_pack("{s:s}", "topic", topic);

    if (json_is_object(message) && line && json_object_update(line, message) == 0) {
        json_dumpf(line, out, JSON_COMPACT);
        fputc('\n', out);
    }
    json_decref(line);
    json_decref(message);
}
