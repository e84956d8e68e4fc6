#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/blackbox.h"
#include "cli/news.h"

enum { TEXT_MAX = BLACKBOX_BODY_MAX + 1, UTC_MAX = 40 };

static const char *const kind_names[] = {"", "begin", "end", "note", "change", "renewal"};
static const char *const end_names[] = {"goes-on", "ended", "cut"};

/* Of a boot that is over: by its own wall clock. */
static const char *utc(int64_t wall_ns, char text[static UTC_MAX])
{
    const time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    char whole[24];

    if (wall_ns < 0 || !gmtime_r(&seconds, &tm) ||
        strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        text_copy(text, UTC_MAX, "?");
    else
        snprintf(text, UTC_MAX, "%s.%06dZ", whole, (int)(wall_ns % NS_PER_S / NS_PER_US));
    return text;
}

/* In a damaged file, times can be anything. */
static int64_t nanoseconds_between(int64_t from_ns, int64_t to_ns)
{
    int64_t span_ns;

    return __builtin_sub_overflow(to_ns, from_ns, &span_ns) ? 0 : span_ns;
}

/* The end by the wall clock, as that was when something was last written. */
static int64_t end_of(const struct blackbox_reading *reading)
{
    const struct blackbox_record *last = reading->count > 0 ? &reading->records[reading->count - 1] : NULL;
    const int64_t wall_ns = last ? last->wall_ns : reading->about.begun_wall_ns;
    const int64_t since_ns =
        nanoseconds_between(last ? last->at_ns : reading->about.begun_ns, blackbox_end_ns(reading));
    int64_t end_ns;

    return __builtin_add_overflow(wall_ns, since_ns, &end_ns) ? -1 : end_ns;
}

static double seconds_between(int64_t from_ns, int64_t to_ns)
{
    return ((double)to_ns - (double)from_ns) / 1e9;
}

static void copy_text(const char *bytes, size_t size, char *text, size_t text_size)
{
    snprintf(text, text_size, "%.*s", (int)MIN(size, text_size - 1), bytes);
}

/* A terminal must obey nothing of it. */
static void print_plain(FILE *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        fputc((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f ? '?' : bytes[i], out);
}

/* -------------------------------------------------------------------- people */

struct lines {
    const struct paper *paper;
    struct news *news;
    int64_t end_ns;
    const struct blackbox_record *record;
};

static void put_time(const struct lines *lines)
{
    paper_print(lines->paper, TINT_FAINT, "%12.3f s  ", seconds_between(lines->end_ns, lines->record->at_ns));
}

static void put_lead(void *userdata, const struct paper *paper, const struct envelope *envelope)
{
    put_time(userdata);
    fprintf(paper->out, "%-11s ", envelope->from);
}

static void put_message(struct lines *lines)
{
    const struct blackbox_record *record = lines->record;
    char topic[BLACKBOX_TOPIC_MAX + 1], error[CODEC_ERROR_MAX];

    copy_text(record->topic, record->topic_size, topic, sizeof topic);
    if (record->kind == BLACKBOX_RENEWAL) {
        news_take(lines->news, topic, record->body, record->body_size);
        return;
    }
    if (news_show(lines->news, lines->paper, topic, record->body, record->body_size, put_lead, lines,
                  error) == 0)
        return;
    put_time(lines); /* of another version, perhaps */
    fputs("?           ", lines->paper->out);
    print_plain(lines->paper->out, topic, strlen(topic));
    fputc(' ', lines->paper->out);
    print_plain(lines->paper->out, record->body, record->body_size);
    fputc('\n', lines->paper->out);
}

static void put_note(const struct lines *lines)
{
    put_time(lines);
    fputs("superviserd ", lines->paper->out);
    paper_print(lines->paper, TINT_BOLD, "%-22s ", "(note)");
    print_plain(lines->paper->out, lines->record->body, lines->record->body_size);
    fputc('\n', lines->paper->out);
}

static void put_heading(const struct paper *paper, const struct blackbox_reading *reading)
{
    const int64_t end_wall_ns = end_of(reading);
    char begun[UTC_MAX], ended[UTC_MAX];

    if (reading->has_about)
        paper_print(paper, TINT_BOLD, "%s, boot %s, recorded from %s to %s\n\n", reading->about.node,
                    reading->about.boot_id, utc(reading->about.begun_wall_ns, begun),
                    utc(end_wall_ns, ended));
    else
        paper_print(paper, TINT_BOLD, "the head is damaged; recorded until %s\n\n", utc(end_wall_ns, ended));
}

static void put_heard(const struct paper *paper, const struct blackbox_mark *mark, int64_t end_ns)
{
    const char *separator = "last heard: ";

    for (size_t i = 0; i < mark->count; i++) {
        fprintf(paper->out, "%s%s %.3f s", separator, mark->daemons[i].daemon,
                seconds_between(end_ns, mark->daemons[i].heard_ns));
        separator = ", ";
    }
    if (mark->count > 0)
        fputc('\n', paper->out);
}

void blackbox_print(const struct paper *paper, const struct blackbox_reading *reading, enum blackbox_end end)
{
    static const char *const words[] = {
        "superviserd records on", "superviserd was told to end, and did",
        "the record ends here: power cut, crash or watchdog (or superviserd was killed)"};
    struct lines lines = {.paper = paper, .news = news_new(), .end_ns = blackbox_end_ns(reading)};

    if (!lines.news)
        return;
    put_heading(paper, reading);
    for (size_t i = 0; i < reading->count; i++) {
        lines.record = &reading->records[i];
        if (lines.record->kind == BLACKBOX_CHANGE || lines.record->kind == BLACKBOX_RENEWAL)
            put_message(&lines);
        else
            put_note(&lines);
    }
    news_free(lines.news);
    fputc('\n', paper->out);
    if (reading->missing > 0)
        paper_print(paper, TINT_BAD, "records between these that are lost: %" PRIu64 "\n", reading->missing);
    put_heard(paper, &reading->mark, lines.end_ns);
    paper_print(paper, end == BLACKBOX_CUT ? TINT_BAD : TINT_GOOD, "%s\n", words[end]);
}

void blackbox_print_crash(const struct paper *paper, const char *name, const unsigned char *bytes,
                          size_t size)
{
    paper_print(paper, TINT_BOLD, "\nkept by the kernel: %s\n\n", name);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '\n' || bytes[i] == '\t' || (bytes[i] >= ' ' && bytes[i] < 0x7f))
            fputc(bytes[i], paper->out);
        else
            fprintf(paper->out, "\\x%02x", bytes[i]);
    if (size > 0 && bytes[size - 1] != '\n')
        fputc('\n', paper->out);
}

/* ---------------------------------------------------------------------- JSON */

static void dump(FILE *out, json_t *object)
{
    if (object) {
        json_dumpf(object, out, JSON_COMPACT);
        fputc('\n', out);
    }
    json_decref(object);
}

/* Text of any bytes: those that JSON cannot have are escaped. */
static json_t *text_of(const unsigned char *bytes, size_t size)
{
    AUTO_FREE char *text = malloc(4 * size + 1);
    size_t length = 0;

    for (size_t i = 0; text && i < size; i++)
        if (bytes[i] == '\n' || bytes[i] == '\t' || (bytes[i] >= ' ' && bytes[i] < 0x7f))
            text[length++] = (char)bytes[i];
        else
            length += (size_t)snprintf(text + length, 5, "\\x%02x", bytes[i]);
    return text ? json_stringn(text, length) : NULL;
}

static void dump_record(FILE *out, const struct blackbox_record *record, int64_t end_ns)
{
    char at[UTC_MAX];
    json_t *object = json_pack("{s:s s:I s:I s:s s:I}", "kind", kind_names[record->kind], "number",
                               (json_int_t)record->number, "at_ns", (json_int_t)record->at_ns, "at",
                               utc(record->wall_ns, at), "to_end_ns",
                               (json_int_t)nanoseconds_between(end_ns, record->at_ns));
    json_t *message = json_loadb(record->body, record->body_size, 0, NULL);

    if (record->topic_size > 0)
        json_object_set_new(object, "topic",
                            text_of((const unsigned char *)record->topic, record->topic_size));
    if (record->topic_size > 0 && message)
        json_object_set(object, "message", message);
    else
        json_object_set_new(object, "text", text_of((const unsigned char *)record->body, record->body_size));
    json_decref(message);
    dump(out, object);
}

static json_t *heard_json(const struct blackbox_mark *mark, int64_t end_ns)
{
    json_t *object = json_object();

    for (size_t i = 0; i < mark->count; i++)
        json_object_set_new(object, mark->daemons[i].daemon,
                            json_integer(nanoseconds_between(end_ns, mark->daemons[i].heard_ns)));
    return object;
}

void blackbox_print_json(FILE *out, const struct blackbox_reading *reading, enum blackbox_end end)
{
    const int64_t end_ns = blackbox_end_ns(reading);
    char at[UTC_MAX];

    if (reading->has_about)
        dump(out, json_pack("{s:s s:s s:s s:I s:s}", "kind", "box", "node", reading->about.node, "boot_id",
                            reading->about.boot_id, "number", (json_int_t)reading->about.number, "begun",
                            utc(reading->about.begun_wall_ns, at)));
    for (size_t i = 0; i < reading->count; i++)
        dump_record(out, &reading->records[i], end_ns);
    dump(out, json_pack("{s:s s:s s:I s:s s:I s:o}", "kind", "finish", "how", end_names[end], "at_ns",
                        (json_int_t)end_ns, "at", utc(end_of(reading), at), "missing",
                        (json_int_t)reading->missing, "last_heard_ns", heard_json(&reading->mark, end_ns)));
}

void blackbox_print_crash_json(FILE *out, const char *name, const unsigned char *bytes, size_t size)
{
    dump(out, json_pack("{s:s s:s s:o}", "kind", "pstore", "file", name, "text", text_of(bytes, size)));
}
