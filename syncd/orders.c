/* What people ask of syncd: `duet sync now|verify|log|rollback`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "syncd/syncd.h"

static struct set *find(struct syncd *s, const char *name)
{
    for (size_t i = 0; i < s->set_count; i++)
        if (strcmp(s->sets[i].config->name, name) == 0)
            return &s->sets[i];
    return NULL;
}

static bool refuse(struct bus_answer *answer, const char *text)
{
    text_copy(answer->reply.error, sizeof answer->reply.error, text);
    return false;
}

/* Nothing can be sent now: why. */
static const char *hindrance(const struct syncd *s)
{
    if (s->set_count == 0)
        return "no sync set is configured";
    if (!s->up)
        return "the peer's syncd is not reached";
    if (!s->agreed)
        return "the two nodes have not agreed yet who sends; try again in a moment";
    if (!exchange_is_sender(s) && !exchange_is_receiver(s))
        return "both nodes are active, or none is";
    return NULL;
}

static void now(struct syncd *s, const struct command_message *command, struct bus_answer *answer)
{
    for (size_t i = 0; i < s->set_count; i++) {
        struct set *set = &s->sets[i];
        struct sync_message m = {.header.kind = SYNC_NOW};
        if (command->name[0] != '\0' && strcmp(set->config->name, command->name) != 0)
            continue;
        if (exchange_is_receiver(s)) {
            exchange_send(s, set, &m);
        } else {
            set->sending.urgent = true;
            set->again_ns = 1;
            if (set->snapshot)
                snapshot_now(set->snapshot);
        }
    }
    syncd_work_soon(s);
    answer->reply.ok = true;
    text_copy(answer->reply.text, sizeof answer->reply.text, "what waits is being sent");
}

static void verify(struct syncd *s, const struct command_message *command, struct bus_answer *answer)
{
    for (size_t i = 0; i < s->set_count; i++)
        if (command->name[0] == '\0' || strcmp(s->sets[i].config->name, command->name) == 0)
            verify_begin(&s->sets[i], false);
    syncd_work_soon(s);
    answer->reply.ok = true;
    text_copy(answer->reply.text, sizeof answer->reply.text, "both nodes read everything");
}

static void list(const struct set *set, struct bus_answer *answer)
{
    static struct generations_message all;
    struct sync_log_entry log[SYNC_LOG_MAX];

    all = (struct generations_message){.ok = true};
    all.generations_count = replica_log(set->replica, log, ARRAY_LENGTH(all.generations));
    for (size_t i = 0; i < all.generations_count; i++) {
        struct kept_generation *one = &all.generations[i];
        one->epoch = (int64_t)log[i].generation.epoch;
        one->generation = (int64_t)log[i].generation.counter;
        for (size_t k = 0; k < SYNC_HASH_BYTES; k++)
            snprintf(one->tree + 2 * k, 3, "%02x", log[i].tree.bytes[k]);
    }
    answer->type = &generations_type;
    answer->body = &all;
}

static bool read_generation(const char *text, struct sync_generation *generation)
{
    char *end, *last;

    generation->epoch = strtoull(text, &end, 10);
    if (end == text || *end != '.')
        return false;
    generation->counter = strtoull(end + 1, &last, 10);
    return last != end + 1 && *last == '\0';
}

static void roll_back(struct set *set, const struct command_message *command, struct bus_answer *answer)
{
    struct sync_generation generation;

    if (!read_generation(command->generation, &generation)) {
        refuse(answer, "a generation is EPOCH.NUMBER, as `duet sync log` shows it");
        return;
    }
    if (!exchange_is_sender(set->syncd)) {
        refuse(answer, "a rollback is made on the active node, while the passive one is connected");
        return;
    }
    if (restore_ask(set, generation) < 0) {
        refuse(answer, "the set is being sent; try again when `duet sync status` says current");
        return;
    }
    log_notice("set %s: the operator rolls back to %" PRIu64 ".%" PRIu64, set->config->name, generation.epoch,
               generation.counter);
    answer->reply.ok = true;
    text_copy(answer->reply.text, sizeof answer->reply.text,
              "being rolled back; the result travels to the peer as a new generation");
}

void orders_command(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    struct syncd *s = userdata;
    struct set *set = command->name[0] != '\0' ? find(s, command->name) : NULL;
    const bool is_log = strcmp(command->command, "sync-log") == 0;
    const bool is_rollback = strcmp(command->command, "sync-rollback") == 0;
    const bool is_now = strcmp(command->command, "sync-now") == 0;

    if (!is_log && !is_rollback && !is_now && strcmp(command->command, "sync-verify") != 0) {
        snprintf(answer->reply.error, sizeof answer->reply.error,
                 "syncd knows no command \"%.16s\"; it has sync-now, sync-verify, sync-log, sync-rollback",
                 command->command);
        return;
    }
    if (!set && (command->name[0] != '\0' || is_log || is_rollback)) {
        snprintf(answer->reply.error, sizeof answer->reply.error, "there is no sync set \"%.32s\"",
                 command->name);
        return;
    }
    if (is_log) {
        list(set, answer);
        return;
    }
    if (hindrance(s)) {
        refuse(answer, hindrance(s));
        return;
    }
    if (is_rollback)
        roll_back(set, command, answer);
    else if (is_now)
        now(s, command, answer);
    else
        verify(s, command, answer);
}
