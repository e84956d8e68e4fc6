/* duet-client: what people do with the roaming client. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/config.h"
#include "client/show.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/daemon.h"

enum { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_ANSWER };

static const int64_t patience_ns = 2 * NS_PER_S, rest_ns = 50 * NS_PER_MS;

struct client {
    struct options options;
    struct loop *loop;
    struct bus *bus;
    struct picture picture;
    size_t news;
    bool json;
    int argc;
    char **argv; /* what stands after the command's name */
};

/* ---- listening */

static void on_profile(void *userdata, const struct bus_message *message)
{
    struct client *client = userdata;

    client->picture.profile = *(const struct profile_message *)message->body;
    client->picture.known = true;
    client->news++;
}

static void on_gateway(void *userdata, const struct bus_message *message)
{
    struct client *client = userdata;

    picture_take_gateway(&client->picture, message->name, message->body);
    client->news++;
}

static int listen_to_roamd(struct client *client)
{
    int r = loop_new(&client->loop);

    if (r == 0)
        r = bus_open_listener(client->loop, client->options.run_dir, client->options.node, &client->bus);
    if (r == 0)
        r = bus_subscribe(client->bus, &profile_type, "roamd", on_profile, client);
    if (r == 0)
        r = bus_subscribe(client->bus, &gateway_type, "roamd", on_gateway, client);
    if (r < 0)
        fprintf(stderr, "duet-client: cannot open the bus below %s: %s\n", client->options.run_dir,
                strerror(-r));
    return r;
}

static void turn_until(struct client *client, int64_t until_ns, size_t news)
{
    for (int64_t left; client->news == news && (left = until_ns - clock_now_ns()) > 0;)
        if (loop_turn(client->loop, left) < 0)
            return;
}

static int no_answer(const struct client *client)
{
    fprintf(stderr,
            "duet-client: roamd does not answer below %s; is it running, and is this its --run-dir?\n",
            client->options.run_dir);
    return EXIT_NO_ANSWER;
}

/* The whole picture. An enum of exits. */
static int collect(struct client *client)
{
    const int64_t until_ns = clock_now_ns() + patience_ns;

    if (listen_to_roamd(client) < 0)
        return EXIT_REFUSED;
    while (!client->picture.known && clock_now_ns() < until_ns)
        turn_until(client, until_ns, client->news);
    if (!client->picture.known)
        return no_answer(client);
    turn_until(client, clock_now_ns() + rest_ns, SIZE_MAX); /* gateways come after it, in one go */
    return EXIT_DONE;
}

/* ---- status, list */

static void draw(const struct client *client, bool pretty)
{
    if (client->json)
        show_json(stdout, &client->picture, pretty, clock_now_ns());
    else
        show_text(stdout, &client->picture, clock_now_ns());
    fflush(stdout);
}

static bool take_flag(struct client *client, const char *flag)
{
    for (int i = 0; i < client->argc; i++)
        if (strcmp(client->argv[i], flag) == 0) {
            memmove(client->argv + i, client->argv + i + 1,
                    (size_t)(client->argc - i) * sizeof *client->argv);
            client->argc--;
            return true;
        }
    return false;
}

static int refuse_rest(const struct client *client)
{
    fprintf(stderr, "duet-client: does not understand \"%s\"; see `duet-client help` or duet-client(1)\n",
            client->argv[0]);
    return EXIT_USAGE;
}

static int status_command(struct client *client)
{
    const bool watch = take_flag(client, "--watch");

    if (client->argc > 0)
        return refuse_rest(client);
    const int r = collect(client);
    if (r != EXIT_DONE)
        return r;
    draw(client, true);
    while (watch && !ferror(stdout)) {
        turn_until(client, clock_now_ns() + NS_PER_S, client->news);
        if (!client->json && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        draw(client, false);
    }
    return client->picture.profile.connected ? EXIT_DONE : EXIT_REFUSED;
}

static int list_command(struct client *client)
{
    if (client->argc > 0)
        return refuse_rest(client);
    const int r = collect(client);
    if (r == EXIT_DONE)
        show_list(stdout, &client->picture);
    return r;
}

/* ---- use */

static int ask(const struct client *client, const char *name, struct use_answer_message *answer)
{
    struct command_message command = {.command = "use"};

    text_copy(command.name, sizeof command.name, name);
    const int r =
        bus_request(client->options.run_dir, "roamd", &command, patience_ns, &use_answer_type, answer);
    if (r == -ETIMEDOUT || r == -ENOENT || r == -ECONNREFUSED)
        return no_answer(client);
    if (r < 0) {
        fprintf(stderr, "duet-client use: %s\n", strerror(-r));
        return EXIT_REFUSED;
    }
    if (!answer->ok)
        fprintf(stderr, "duet-client use: %s: %s\n", name, answer->error);
    return answer->ok ? EXIT_DONE : EXIT_REFUSED;
}

static int tell_outcome(const struct profile_message *profile, const char *name, int64_t number)
{
    if (profile->number == number && profile->outcome == SWITCH_STATE_DONE) {
        printf("%s is connected after %.1f ms, and is the default from now on\n", name,
               (double)(profile->carries_ns - profile->asked_ns) / NS_PER_MS);
        return EXIT_DONE;
    }
    fprintf(stderr, "duet-client use: %s; %s stays\n",
            profile->number == number ? profile->error : "another switch was asked for meanwhile",
            profile->current);
    return EXIT_REFUSED;
}

/* Waits for as long as roamd is there: how long a switch may take is its configuration's business. */
static int wait_for_outcome(struct client *client, const char *name, int64_t number)
{
    const struct profile_message *profile = &client->picture.profile;
    int64_t heard_ns = clock_now_ns();

    while (clock_now_ns() - heard_ns < 2 * patience_ns) {
        const size_t before = client->news;
        turn_until(client, clock_now_ns() + patience_ns, before);
        if (client->news != before)
            heard_ns = clock_now_ns();
        if (client->picture.known &&
            (profile->number > number ||
             (profile->number == number && profile->outcome != SWITCH_STATE_SWITCHING)))
            return tell_outcome(profile, name, number);
    }
    return no_answer(client);
}

/* No switch was needed. */
static int tell_current(struct client *client, const char *name)
{
    const int r = collect(client);

    if (r != EXIT_DONE)
        return r;
    if (client->picture.profile.connected) {
        printf("%s is the current one already, and the default from now on\n", name);
        return EXIT_DONE;
    }
    fprintf(stderr, "duet-client use: %s is the current one already, but is not connected%s%s\n", name,
            client->picture.profile.advice[0] ? ": " : "; see `duet-client status`",
            client->picture.profile.advice);
    return EXIT_REFUSED;
}

static int use_command(struct client *client)
{
    struct use_answer_message answer;

    if (client->argc == 0) {
        fputs("duet-client use: name a profile; `duet-client list` shows all\n", stderr);
        return EXIT_USAGE;
    }
    const char *name = client->argv[0];
    client->argv++;
    if (--client->argc > 0)
        return refuse_rest(client);
    const int r = ask(client, name, &answer);
    if (r != EXIT_DONE)
        return r;
    if (answer.number == 0)
        return tell_current(client, name);
    return listen_to_roamd(client) < 0 ? EXIT_REFUSED : wait_for_outcome(client, name, answer.number);
}

/* ---- events */

static void on_event(void *userdata, const char *topic, const char *json, size_t size)
{
    struct client *client = userdata;

    for (int i = 0; client->argc > 0; i++) {
        if (i == client->argc)
            return;
        if (strncmp(topic, client->argv[i], strlen(client->argv[i])) == 0)
            break;
    }
    show_event_json(stdout, topic, json, size);
    if (fflush(stdout) != 0)
        loop_exit(client->loop, 0); /* nobody reads any more */
}

static int events_command(struct client *client)
{
    int r = loop_new(&client->loop);

    if (client->argc > 0 && client->argv[0][0] == '-')
        return refuse_rest(client);
    if (r == 0)
        r = bus_open_listener(client->loop, client->options.run_dir, client->options.node, &client->bus);
    if (r == 0)
        r = bus_subscribe_raw(client->bus, "roamd", true, on_event, client);
    if (r == 0)
        r = loop_run(client->loop);
    return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* ---- check-config */

static int check_config_command(struct client *client)
{
    const char *file = client->argc > 0 ? client->argv[0] : client->options.config;
    struct client_config *config;

    if (client->argc > 1)
        return refuse_rest(client);
    if (client_config_read(file, stderr, &config) < 0)
        return EXIT_REFUSED;
    char unreachable[DURATION_TEXT_MAX], settle[DURATION_TEXT_MAX];
    duration_print(config->rules.unreachable_for, unreachable);
    duration_print(config->rules.settle_time, settle);
    printf("%s: good: %zu profiles, %zu gateways; begins with %s\n", file, config->rules.profile_count,
           config->rules.gateway_count, config->profiles[config->first].name);
    if (config->rules.policy != ROAM_OFF)
        printf("unreachable for %s: %s\n", unreachable,
               config->rules.policy == ROAM_ASK ? "it is told" : "the next that answers is switched to");
    if (config->rules.policy == ROAM_ON)
        printf("then no other switch by itself for %s, twice as long after each one in a row\n", settle);
    client_config_free(config);
    return EXIT_DONE;
}

/* ---- main */

static int help_command(struct client *client);

static const struct {
    const char *name, *arguments, *help;
    int (*function)(struct client *client);
} commands[] = {
    {"use", "NAME", "connect by this profile, from now on", use_command},
    {"status", "[--json] [--watch]", "what is connected, since when, what answers", status_command},
    {"list", "", "the profiles", list_command},
    {"events", "[TOPIC...] [--json]", "follow the bus", events_command},
    {"check-config", "[FILE]", "what is wrong in a configuration", check_config_command},
    {"help", "", "this text", help_command},
};

static int help_command(struct client *client)
{
    (void)client;
    puts("usage: duet-client COMMAND [--config FILE] [--run-dir DIR] [--state-dir DIR] ...\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printf("  %-13s%-21s%s\n", commands[i].name, commands[i].arguments, commands[i].help);
    puts("\nEvery command is described in duet-client(1).");
    return EXIT_DONE;
}

static int run(struct client *client, const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].function(client);
    fprintf(stderr, "duet-client: there is no command \"%s\"; `duet-client help` lists all\n", name);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static struct client client;
    const int left = options_parse_for(&client.options, "/etc/duet/client.conf", argc, argv);

    if (left < 0)
        return EXIT_USAGE;
    const char *name = left > 1 ? argv[1] : "help";
    client.argc = left > 1 ? left - 2 : 0;
    client.argv = argv + MIN(left, 2);
    client.json = take_flag(&client, "--json");
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return puts("duet-client " DUET_VERSION) < 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    const int code = run(&client, name);
    bus_free(client.bus);
    loop_free(client.loop);
    return left > 1 ? code : EXIT_USAGE;
}
