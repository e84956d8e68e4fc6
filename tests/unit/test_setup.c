/* What `duet setup` understands, and the configuration that it makes: it must pass the check that every
 * daemon does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/setup_plan.h"
#include "common/config.h"

enum { WORDS_MAX = 48 };

static char line_copy[1024], error[SETUP_ERROR_MAX];

static int parse(const char *line, struct setup_plan *plan)
{
    char *words[WORDS_MAX];
    size_t count = 0;

    *plan = (struct setup_plan){.cluster = "gate", .profile = "lan", .key_file = "/etc/duet/cluster.key"};
    snprintf(line_copy, sizeof line_copy, "%s", line);
    for (char *word = strtok(line_copy, " "); word && count < WORDS_MAX; word = strtok(NULL, " "))
        words[count++] = word;
    error[0] = '\0';
    return setup_plan_parse(plan, words, count, error);
}

#define NODES "nodes alpha=10.91.9.1 beta=10.91.9.2 "
#define OUTSIDE                                                                                              \
    "channel outside device=eth0,ens3 active=203.0.113.10/24+2001:db8::10/64 "                               \
    "passive=203.0.113.11/24,203.0.113.12/24 router=203.0.113.1 gateway=203.0.113.1 "
#define INSIDE "channel inside device=eth1 active=192.0.2.1/24 passive=192.0.2.2/24,192.0.2.3/24"

static struct config *configuration(const char *line, const char *node)
{
    static char text[SETUP_TEXT_MAX];
    struct setup_plan plan;
    struct config *config;

    assert_int_equal(parse(line, &plan), 0);
    assert_int_equal(setup_plan_print(&plan, text), 0);
    if (config_read_text("duet.conf", text, node, stderr, &config) < 0)
        fail_msg("refused:\n%s", text);
    return config;
}

static void test_whole_pair(void **state)
{
    (void)state;
    struct config *config = configuration(NODES OUTSIDE INSIDE, "beta");

    assert_int_equal(config->channel_count, 2);
    assert_string_equal(config->channels[0].device, "ens3");
    assert_string_equal(config->channels[1].device, "eth1");
    assert_int_equal(config->channels[0].active.count, 2);
    assert_int_equal(config->channels[0].routers.count, 1);
    assert_int_equal(config->route_count, 1);
    assert_string_equal(config->key_file, "/etc/duet/cluster.key");
    config_free(config);
    config = configuration(NODES OUTSIDE INSIDE, "alpha");
    assert_string_equal(config->channels[0].device, "eth0");
    config_free(config);
}

static void test_smallest_pair(void **state)
{
    (void)state;
    config_free(configuration(NODES INSIDE, "alpha"));
    config_free(configuration(INSIDE " " NODES, "alpha"));
}

static void test_refused(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "nodes are missing"},
        {NODES, "no channel"},
        {"nodes alpha=10.91.9.1 " INSIDE, "a pair has two"},
        {"nodes a=10.91.9.1 b=10.91.9.2 c=10.91.9.3 " INSIDE, "not more"},
        {"nodes alpha beta " INSIDE, "NAME=VALUE"},
        {NODES "channel device=eth0", "a name is missing"},
        {NODES "channel outside active=192.0.2.1/24", "adapter is missing"},
        {NODES "channel outside device=eth0 passive=192.0.2.2/24,192.0.2.3/24", "others use is missing"},
        {NODES "channel outside device=eth0 active=192.0.2.1/24 passive=192.0.2.2/24", "of its own"},
        {NODES "channel outside device=eth0 adress=192.0.2.1/24", "there is no \"adress\""},
        {NODES "channel outside device=\"};x active=192.0.2.1/24", "part of no name"},
        {NODES INSIDE " device=", "NAME=VALUE"},
        {"chanel outside", "\"chanel\" is not understood"},
    };
    struct setup_plan plan;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_true(parse(cases[i].line, &plan) < 0);
        if (!strstr(error, cases[i].says))
            fail_msg("%s: says \"%s\", not \"%s\"", cases[i].line, error, cases[i].says);
    }
}

static void test_too_many_channels(void **state)
{
    char *words[4 * (SETUP_CHANNELS_MAX + 2)];
    size_t count = 0;
    static char copies[4 * (SETUP_CHANNELS_MAX + 2)][64];
    struct setup_plan plan = {.cluster = "gate", .profile = "lan", .key_file = "/k"};

    (void)state;
    for (int i = 0; i <= SETUP_CHANNELS_MAX; i++) {
        const char *const parts[] = {"channel", "x", "device=eth0", "active=192.0.2.1/24"};
        for (size_t k = 0; k < ARRAY_LENGTH(parts); k++) {
            snprintf(copies[count], sizeof copies[count], "%s", parts[k]);
            words[count] = copies[count];
            count++;
        }
    }
    assert_true(setup_plan_parse(&plan, words, count, error) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_pair),
        cmocka_unit_test(test_smallest_pair),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
