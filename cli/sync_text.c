#include "cli/sync_text.h"

#include <inttypes.h>
#include <stdio.h>

enum { SIZE_TEXT_MAX = 24 };

static void size_print(int64_t bytes, char text[static SIZE_TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;

    while (size >= 1024 && unit + 1 < ARRAY_LENGTH(units)) {
        size /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

static void put_lag(const struct paper *paper, const struct data_set_message *set, int64_t now_ns)
{
    char span[SPAN_TEXT_MAX], size[SIZE_TEXT_MAX];

    if (set->behind_since_ns > 0) {
        span_print(MAX(now_ns - set->behind_since_ns, 0), span);
        size_print(set->behind_bytes, size);
        fprintf(paper->out, ", %s behind: %" PRId64 " entries, %s", span, set->behind_files, size);
    } else if (set->as_of_ns > 0 && set->state != SYNC_STATE_CURRENT) {
        span_print(MAX(now_ns - set->as_of_ns, 0), span);
        fprintf(paper->out, ", as the active node had it %s ago", span);
    }
}

static void put_details(const struct paper *paper, const struct data_set_message *set, int64_t now_ns)
{
    char size[SIZE_TEXT_MAX], span[SPAN_TEXT_MAX];

    size_print(set->bytes, size);
    fprintf(paper->out, "            generation %" PRId64 ".%" PRId64 ", %" PRId64 " entries, %s; %s\n",
            set->epoch, set->generation, set->entries, size, set->stage);
    if (set->conflicts > 0)
        fprintf(paper->out, "            kept aside: %" PRId64 " entries, below %s\n", set->conflicts,
                set->conflict_dir);
    if (set->verified_ns > 0) {
        span_print(MAX(now_ns - set->verified_ns, 0), span);
        fprintf(paper->out, "            verified %s ago: %s\n", span, set->verify_text);
    }
}

void sync_text(const struct paper *paper, const struct model *model, int64_t now_ns, bool details)
{
    static const enum tint tints[SYNC_STATE_COUNT] = {TINT_FAINT, TINT_BAD, TINT_WARN, TINT_WARN, TINT_GOOD};
    const struct model_topic *topic;
    const char *label = "sync";

    for (size_t at = 0; (topic = model_next(model, &data_set_type, true, now_ns, &at)); label = "") {
        const struct data_set_message *set = model_get(model, &data_set_type, topic->name, now_ns);
        paper_print(paper, TINT_FAINT, "  %-10s", label);
        fprintf(paper->out, "%-10s ", topic->name);
        if (!set) {
            paper_print(paper, TINT_BAD, "syncd does not answer\n");
            continue;
        }
        paper_print(paper, tints[set->state], "%s", sync_state_names[set->state]);
        put_lag(paper, set, now_ns);
        fprintf(paper->out, "%s%s\n", set->text[0] ? ": " : "", set->text);
        if (details)
            put_details(paper, set, now_ns);
    }
    if (details && *label)
        fputs("  no sync set is configured\n", paper->out);
}

void sync_progress(const struct paper *paper, const char *name, const struct data_set_message *set,
                   int64_t now_ns)
{
    const double seconds = set->began_ns > 0 ? (double)(now_ns - set->began_ns) / 1e9 : 0;
    const double rate = seconds > 0.2 ? (double)set->done_bytes / seconds : 0;
    const int64_t left = set->behind_bytes;
    char done[SIZE_TEXT_MAX], still[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];

    size_print(set->done_bytes, done);
    size_print(left, still);
    size_print((int64_t)rate, speed);
    fprintf(paper->out, "\r\033[K%s: %s, %s done, %" PRId64 " entries and %s left, %s/s", name, set->stage,
            done, set->behind_files, still, speed);
    if (rate > 0 && left > 0)
        fprintf(paper->out, ", about %.0f s", (double)left / rate + 0.5);
    fflush(paper->out);
}

void sync_progress_end(const struct paper *paper)
{
    fputs("\r\033[K", paper->out);
}
