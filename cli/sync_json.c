#include "cli/sync_json.h"

#include <stdio.h>

static int64_t since_ms(int64_t at_ns, int64_t now_ns)
{
    return at_ns > 0 && now_ns > at_ns ? (now_ns - at_ns) / NS_PER_MS : 0;
}

/* One that does not answer is disconnected for all that is known. */
static json_t *set_row(const struct model_topic *topic, int64_t now_ns)
{
    static const struct data_set_message silent = {.state = SYNC_STATE_DISCONNECTED,
                                                   .text = "syncd does not answer"};
    const bool fresh = topic->heard_ns != 0 && now_ns - topic->heard_ns < MODEL_STALE_NS;
    const struct data_set_message *set = fresh ? topic->body : &silent;
    char generation[48];

    snprintf(generation, sizeof generation, "%lld.%lld", (long long)set->epoch, (long long)set->generation);
    return json_pack(
        "{s:s s:s s:s s:b s:I s:I s:I s:I s:I s:s s:I s:I s:s s:s s:s}", "name", topic->name, "state",
        sync_state_names[set->state], "stage", set->stage, "whole", set->whole, "behind_files",
        (json_int_t)set->behind_files, "behind_bytes", (json_int_t)set->behind_bytes, "behind_ms",
        (json_int_t)since_ms(set->behind_since_ns, now_ns), "as_of_ms",
        (json_int_t)since_ms(set->as_of_ns, now_ns), "entries", (json_int_t)set->entries, "generation",
        generation, "bytes", (json_int_t)set->bytes, "conflicts", (json_int_t)set->conflicts, "conflict_dir",
        set->conflict_dir, "verified", set->verify_text, "text", set->text);
}

json_t *sync_json(const struct model *model, int64_t now_ns)
{
    const struct data_message *all = model_get(model, &data_type, NULL, now_ns);
    const struct model_topic *topic;
    json_t *sets = json_array();

    for (size_t at = 0; (topic = model_next(model, &data_set_type, true, now_ns, &at));)
        json_array_append_new(sets, set_row(topic, now_ns));
    const enum sync_state none = json_array_size(sets) > 0 ? SYNC_STATE_DISCONNECTED : SYNC_STATE_OFF;
    return json_pack("{s:s s:b s:b s:I s:I s:I s:o}", "state", sync_state_names[all ? all->state : none],
                     "sending", all ? all->sending : 0, "whole", all ? all->whole : 0, "behind_files",
                     (json_int_t)(all ? all->behind_files : 0), "behind_bytes",
                     (json_int_t)(all ? all->behind_bytes : 0), "behind_ms",
                     (json_int_t)(all ? since_ms(all->behind_since_ns, now_ns) : 0), "sets", sets);
}
