#include "cli/status_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DATA_MAX = 700, WORDS_MAX = STATUS_CHECK_MAX - DATA_MAX - 8 };

struct look {
    const struct model *model;
    int64_t now_ns;
};

PRINTF_LIKE(3, 4) static void add(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

/* ------------------------------------------------------------------- words */

static void add_role(const struct look *look, char words[static WORDS_MAX])
{
    const struct role_message *role = model_get(look->model, &role_type, NULL, look->now_ns);
    const struct peer_message *peer = model_get(look->model, &peer_type, NULL, look->now_ns);

    if (!role) {
        add(words, WORDS_MAX, "arbiterd of %s does not answer", look->model->node);
        return;
    }
    add(words, WORDS_MAX, "%s is %s (epoch %" PRId64 ")", look->model->node, role_names[role->role],
        role->epoch);
    if (role->held)
        add(words, WORDS_MAX, ", the pair is on hold");
    if (peer && peer->alive)
        add(words, WORDS_MAX, ", %s is %s", peer->name, role_names[peer->role]);
    else
        add(words, WORDS_MAX, ", the peer is not heard");
    if (!role->ready && role->not_ready[0] != '\0')
        add(words, WORDS_MAX, "; not ready: %s", role->not_ready);
}

static void add_missing(const struct look *look, char words[static WORDS_MAX])
{
    for (size_t i = 0; i < MODEL_DAEMONS; i++)
        if (model_wants(look->model, i) && !model_runs(look->model, i, look->now_ns))
            add(words, WORDS_MAX, "; %s does not run", model_daemons[i]);
}

static void add_alarms(const struct look *look, char words[static WORDS_MAX])
{
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(look->model, &alarm_type, false, look->now_ns, &at));) {
        const struct alarm_message *alarm = topic->body;
        if (alarm->active)
            add(words, WORDS_MAX, "; alarm %s: %s", topic->name, alarm->text);
    }
}

/* The performance data begins at the first '|', and the line ends at the first newline. */
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text == '|' || (unsigned char)*text < ' ')
            *text = '/';
}

/* -------------------------------------------------------- performance data */

/* How many of `type` there are, and for how many of them the bool, or the enum, `field` has `value`. */
struct tally {
    int all, so;
};

static struct tally tally(const struct look *look, const struct message_type *type, size_t offset,
                          unsigned value, bool is_bool)
{
    const struct model_topic *topic;
    struct tally found = {0};

    for (size_t at = 0; (topic = model_next(look->model, type, false, look->now_ns, &at));) {
        const char *at_field = (const char *)topic->body + offset;
        bool flag = false;
        unsigned number = 0;
        if (is_bool)
            memcpy(&flag, at_field, sizeof flag);
        else
            memcpy(&number, at_field, sizeof number);
        found.all++;
        found.so += (is_bool ? flag : number) == value;
    }
    return found;
}

static void add_tallies(const struct look *look, char data[static DATA_MAX])
{
    const struct tally channels = tally(look, &link_type, offsetof(struct link_message, usable), true, true),
                       paths = tally(look, &path_type, offsetof(struct path_message, state), PATH_STATE_UP,
                                     false),
                       failed = tally(look, &service_type, offsetof(struct service_message, state),
                                      SERVICE_STATE_FAILED, false),
                       alarms = tally(look, &alarm_type, offsetof(struct alarm_message, active), true, true);

    add(data, DATA_MAX,
        " channels_usable=%d;;;0;%d paths_up=%d;;;0;%d services_failed=%d;;;0;%d alarms=%d;;;0", channels.so,
        channels.all, paths.so, paths.all, failed.so, failed.all, alarms.so);
}

static void add_sync(const struct look *look, char data[static DATA_MAX])
{
    const struct data_message *sync = model_get(look->model, &data_type, NULL, look->now_ns);

    if (!sync || sync->state == SYNC_STATE_OFF)
        return;
    const int64_t lag_ns = sync->behind_since_ns ? MAX(look->now_ns - sync->behind_since_ns, 0) : 0;
    add(data, DATA_MAX, " sync_behind=%" PRId64 "B;;;0 sync_lag=%.3fs;;;0", sync->behind_bytes,
        (double)lag_ns / 1e9);
}

static void add_lateness(const struct look *look, char data[static DATA_MAX])
{
    const struct model_topic *topic;
    int64_t late_us = 0;

    for (size_t at = 0; (topic = model_next(look->model, &daemon_type, false, look->now_ns, &at));)
        late_us = MAX(late_us, ((const struct daemon_message *)topic->body)->late_us_max);
    add(data, DATA_MAX, " late=%.6fs;;;0", (double)late_us / 1e6);
}

static void add_data(const struct look *look, char data[static DATA_MAX])
{
    const struct role_message *role = model_get(look->model, &role_type, NULL, look->now_ns);
    const struct peer_message *peer = model_get(look->model, &peer_type, NULL, look->now_ns);

    if (role)
        add(data, DATA_MAX, " active=%d;;;0;1 epoch=%" PRId64, role->role == ROLE_ACTIVE, role->epoch);
    if (peer && peer->heard_ns != 0)
        add(data, DATA_MAX, " peer_heard=%.3fs;;;0", (double)MAX(look->now_ns - peer->heard_ns, 0) / 1e9);
    add_tallies(look, data);
    add_sync(look, data);
    add_lateness(look, data);
}

void status_check(const struct model *model, int64_t now_ns, char line[static STATUS_CHECK_MAX])
{
    static const char *const verdicts[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    const struct look look = {.model = model, .now_ns = now_ns};
    const enum health health = model_health(model, now_ns);
    char words[WORDS_MAX] = "", data[DATA_MAX] = "";

    add(words, sizeof words, "DUET %s - ", verdicts[health]);
    if (health == HEALTH_UNKNOWN) {
        add(words, sizeof words, "no daemon answers");
        snprintf(line, STATUS_CHECK_MAX, "%s", words);
        return;
    }
    if (health == HEALTH_DOWN)
        add(words, sizeof words, "no node is active: ");
    add_role(&look, words);
    add_missing(&look, words);
    add_alarms(&look, words);
    make_plain(words);
    add_data(&look, data);
    snprintf(line, STATUS_CHECK_MAX, "%s |%s", words, data);
}
