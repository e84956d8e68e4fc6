#include "cli/sync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/follow.h"
#include "cli/orders.h"
#include "cli/sync_json.h"
#include "cli/sync_text.h"
#include "cli/text.h"
#include "common/clock.h"

static const int64_t answer_timeout_ns = 5 * NS_PER_S;
static const int64_t patience_ns = 24 * 3600 * NS_PER_S;

static int open_follow(const struct invocation *invocation, struct follow *follow)
{
    const int r = follow_open(follow, &invocation->options);

    if (r == 0 && follow_collect(follow))
        return COMMAND_DONE;
    command_error(invocation, "no daemon answers below %s; is duet running, and is this its --run-dir?",
                  invocation->options.run_dir);
    return COMMAND_NO_ANSWER;
}

/* ------------------------------------------------------------------- status */

static int status(struct invocation *invocation)
{
    const bool json = command_take_flag(invocation, "--json");
    const struct paper paper = paper_stdout();
    struct follow follow;

    if (!command_all_taken(invocation))
        return COMMAND_USAGE;
    const int code = open_follow(invocation, &follow);
    if (code == COMMAND_DONE && json) {
        json_t *sync = sync_json(&follow.model, clock_now_ns());
        char *text = json_dumps(sync, JSON_INDENT(2));
        puts(text ? text : "");
        free(text);
        json_decref(sync);
    } else if (code == COMMAND_DONE) {
        sync_text(&paper, &follow.model, clock_now_ns(), true);
    }
    follow_close(&follow);
    return code;
}

/* -------------------------------------------------------------- now, verify */

struct wait {
    const char *name; /* of the set; NULL: all */
    bool verify;
    int64_t since_ns;
    bool progress; /* on a terminal */
    int64_t shown_ns;
    const struct paper *paper;
    bool good;
};

static bool is_meant(const struct wait *wait, const struct model_topic *topic)
{
    return !wait->name || strcmp(topic->name, wait->name) == 0;
}

static bool is_over(const struct wait *wait, const struct data_set_message *set)
{
    if (wait->verify)
        return set->verified_ns > wait->since_ns;
    return set->state == SYNC_STATE_CURRENT || set->refused;
}

static void show_progress(const struct follow *follow, struct wait *wait, int64_t now_ns)
{
    const struct model_topic *topic;

    if (!wait->progress || now_ns - wait->shown_ns < NS_PER_S / 5)
        return;
    wait->shown_ns = now_ns;
    for (size_t at = 0; (topic = model_next(&follow->model, &data_set_type, false, now_ns, &at));)
        if (is_meant(wait, topic) && !is_over(wait, topic->body))
            sync_progress(wait->paper, topic->name, topic->body, now_ns);
}

static bool is_all_over(const struct follow *follow, void *userdata)
{
    struct wait *wait = userdata;
    const int64_t now = clock_now_ns();
    const struct model_topic *topic;
    bool over = true;

    wait->good = true;
    for (size_t at = 0; (topic = model_next(&follow->model, &data_set_type, false, now, &at));) {
        const struct data_set_message *set = topic->body;
        if (!is_meant(wait, topic))
            continue;
        over = over && is_over(wait, set);
        wait->good = wait->good && (wait->verify ? set->verified_equal : !set->refused);
    }
    show_progress(follow, wait, now);
    return over;
}

static void say_sets(const struct follow *follow, const struct wait *wait)
{
    const int64_t now = clock_now_ns();
    const struct model_topic *topic;

    for (size_t at = 0; (topic = model_next(&follow->model, &data_set_type, false, now, &at));) {
        const struct data_set_message *set = topic->body;
        if (is_meant(wait, topic))
            printf("%s: %s\n", topic->name,
                   wait->verify   ? set->verify_text
                   : set->refused ? set->text
                                  : "current");
    }
}

static int order_and_wait(struct invocation *invocation, const char *command, bool verify)
{
    const struct paper paper = paper_stdout();
    struct wait wait = {.verify = verify, .paper = &paper, .progress = isatty(STDOUT_FILENO) == 1};
    struct command_message order = {0};
    struct reply_message reply;
    struct follow follow;

    if (invocation->argc > 1)
        return command_all_taken(invocation) ? COMMAND_USAGE : COMMAND_USAGE;
    wait.name = invocation->argc == 1 ? invocation->argv[0] : NULL;
    text_copy(order.command, sizeof order.command, command);
    text_copy(order.name, sizeof order.name, wait.name ? wait.name : "");
    int code = open_follow(invocation, &follow);
    wait.since_ns = clock_now_ns();
    if (code == COMMAND_DONE)
        code = orders_send(invocation, "syncd", &order, &reply);
    /* What was current before the order may not be any more. */
    if (code == COMMAND_DONE)
        follow_until(&follow, NULL, NULL, 150 * NS_PER_MS);
    if (code == COMMAND_DONE && !follow_until(&follow, is_all_over, &wait, patience_ns))
        code = COMMAND_NO_ANSWER;
    if (code == COMMAND_DONE) {
        if (wait.progress)
            sync_progress_end(&paper);
        say_sets(&follow, &wait);
        code = wait.good ? COMMAND_DONE : COMMAND_REFUSED;
    }
    follow_close(&follow);
    return code;
}

/* ---------------------------------------------------------- log and rollback */

static int show_log(struct invocation *invocation)
{
    struct command_message order = {.command = "sync-log"};
    struct generations_message all;

    if (invocation->argc != 1) {
        command_error(invocation, "log needs the name of a set");
        return COMMAND_USAGE;
    }
    text_copy(order.name, sizeof order.name, invocation->argv[0]);
    const int r =
        bus_request(invocation->options.run_dir, "syncd", &order, answer_timeout_ns, &generations_type, &all);
    if (r < 0) {
        command_error(invocation, "syncd does not answer below %s", invocation->options.run_dir);
        return COMMAND_NO_ANSWER;
    }
    if (!all.ok) {
        command_error(invocation, "refused: %s", all.error);
        return COMMAND_REFUSED;
    }
    for (size_t i = 0; i < all.generations_count; i++)
        printf("%" PRId64 ".%" PRId64 "  %.16s%s\n", all.generations[i].epoch, all.generations[i].generation,
               all.generations[i].tree, i == 0 ? "  present" : "");
    if (all.generations_count == 0)
        puts("this node keeps no generation of that set: the passive node does");
    return COMMAND_DONE;
}

static int roll_back(struct invocation *invocation)
{
    struct command_message order = {.command = "sync-rollback"};
    struct reply_message reply;

    if (invocation->argc != 2) {
        command_error(invocation, "rollback needs the name of a set and a generation of `duet sync log`");
        return COMMAND_USAGE;
    }
    text_copy(order.name, sizeof order.name, invocation->argv[0]);
    text_copy(order.generation, sizeof order.generation, invocation->argv[1]);
    const int code = orders_send(invocation, "syncd", &order, &reply);
    if (code == COMMAND_DONE)
        puts(reply.text);
    return code;
}

int sync_command(struct invocation *invocation)
{
    const char *what = invocation->argc > 0 ? invocation->argv[0] : "status";

    if (invocation->argc > 0) {
        invocation->argc--;
        invocation->argv++;
    }
    if (strcmp(what, "status") == 0)
        return status(invocation);
    if (strcmp(what, "now") == 0)
        return order_and_wait(invocation, "sync-now", false);
    if (strcmp(what, "verify") == 0)
        return order_and_wait(invocation, "sync-verify", true);
    if (strcmp(what, "log") == 0)
        return show_log(invocation);
    if (strcmp(what, "rollback") == 0)
        return roll_back(invocation);
    command_error(invocation, "there is no \"%s\"; there are status, now, verify, log, rollback", what);
    return COMMAND_USAGE;
}
