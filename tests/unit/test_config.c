/* What the configuration reader accepts, with what in struct config; and who may write and read the files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/config_base.h"

/* ---- what is accepted */

static void assert_address(const struct net_address *address, const char *expected)
{
    char text[ADDRESS_TEXT_MAX];

    net_address_print(address, strchr(expected, '/') != NULL, text);
    assert_string_equal(text, expected);
}

static struct config *good(const char *text, const char *node)
{
    struct result result = read_for(text, node);

    if (result.r != 0)
        fail_msg("refused: %s", result.errors);
    free(result.errors);
    return result.config;
}

static char *text_of(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_true(fread(text, 1, 65535, file) > 1000);
    fclose(file);
    return text;
}

static void test_example_is_accepted(void **state)
{
    char *text = text_of(DUET_EXAMPLE);
    struct config *config = good(text, "beta");
    const struct config_channel *outside = &config->channels[0];

    (void)state;
    assert_string_equal(config->cluster, "gate");
    assert_string_equal(config->key_file, "/etc/duet/cluster.key");
    assert_string_equal(config->old_key_file, "");
    assert_int_equal(config->profile, PROFILE_LAN);
    assert_true(config->lease_gate);
    assert_int_equal(config->self, 1);
    assert_string_equal(config->nodes[0].name, "alpha");
    assert_address(&config->nodes[1].reserved, "10.91.9.2");
    assert_int_equal(config->reboot_command.count, 2);
    assert_string_equal(config->reboot_command.items[1], "reboot");
    assert_null(config->reboot_command.items[2]);
    assert_int_equal(config->channel_count, 2);
    assert_string_equal(outside->device, "ens3");
    assert_int_equal(outside->mode, MODE_EXCHANGE);
    assert_true(outside->search);
    assert_false(outside->heartbeat_udp);
    assert_int_equal(outside->active.count, 2);
    assert_address(&outside->active.items[1], "2001:db8::10/64");
    assert_address(&outside->passive.items[0], "203.0.113.12/24");
    assert_address(&outside->peer_passive.items[0], "203.0.113.11/24");
    assert_address(&outside->routers.items[0], "203.0.113.1");
    assert_int_equal(strlen(config->hash), 16);
    config_free(config);
    free(text);
}

static void test_example_has_all_parts(void **state)
{
    char *text = text_of(DUET_EXAMPLE);
    struct config *config = good(text, NULL);

    (void)state;
    assert_int_equal(config->self, -1);
    assert_string_equal(config->channels[0].device, "eth0");
    assert_address(&config->channels[0].passive.items[0], "203.0.113.11/24");
    assert_int_equal(config->route_count, 1);
    assert_address(&config->routes[0].via, "203.0.113.1");
    assert_address(&config->routes[0].to, "0.0.0.0/0");
    assert_int_equal(config->routes[0].channel, 0);
    assert_int_equal(config->service_count, 1);
    assert_string_equal(config->services[0].command.items[2], "/etc/openvpn/gate.conf");
    assert_int_equal(config->services[0].check_interval, 2 * NS_PER_S);
    assert_int_equal(config->services[0].start_retries, 3);
    assert_int_equal(config->services[0].on_failure, FAULT_REBOOT);
    assert_int_equal(config->sync_count, 3);
    assert_string_equal(config->syncs[0].paths.items[1], "/etc/nftables.conf");
    assert_string_equal(config->syncs[0].exclude.items[0], "*.swp");
    assert_string_equal(config->syncs[1].sqlite, "/var/lib/vpn/users.db");
    assert_int_equal(config->syncs[1].max_delay, NS_PER_S);
    assert_string_equal(config->syncs[2].dump.items[0], "/usr/sbin/slapcat");
    assert_string_equal(config->syncs[2].restore.items[0], "/usr/local/sbin/ldap-restore");
    assert_int_equal(config->syncs[2].max_delay, 60 * NS_PER_S);
    assert_string_equal(config->watchdog.device, "/dev/watchdog");
    assert_int_equal(config->watchdog.timeout, 10 * NS_PER_S);
    assert_string_equal(config->snmp_config, "/etc/duet/snmp.conf");
    assert_string_equal(config->snmp_agentx, "unix:/run/agentx/master");
    assert_int_equal(config->snmp_base.count, 0);
    assert_string_equal(config->monitor.listen, "tcp://127.0.0.1:5572");
    config_free(config);
    free(text);
}

/* The table of defaults, as the man page has it. */
static void test_profiles_set_the_timers(void **state)
{
    static const char *const profiles[] = {"lan", "fast", "wan"};
    static const int64_t ms[3][CONFIG_TIMERS] = {
        {50, 300, 200, 200, 600, 200, 10, 200, 10, 1000, 50, 3000, 5000, 120000, 20000},
        {10, 25, 60, 20, 100, 50, 10, 100, 2, 500, 10, 3000, 5000, 120000, 20000},
        {500, 3000, 2000, 2000, 6000, 1000, 50, 2000, 50, 5000, 500, 15000, 30000, 300000, 20000}};
    char line[64];

    (void)state;
    for (int p = 0; p < 3; p++) {
        snprintf(line, sizeof line, "    profile = %s\n", profiles[p]);
        char *text = edited(CLUSTER, line);
        struct config *config = good(text, "alpha");
        assert_string_equal(config_profile_name(config->profile), profiles[p]);
        for (size_t i = 0; i < CONFIG_TIMERS; i++)
            assert_int_equal(config_timer_ns(&config->timers, &config_timer_table[i]), ms[p][i] * NS_PER_MS);
        assert_int_equal(config->timers.router_retries, 3);
        config_free(config);
        free(text);
    }
}

static void test_manual_has_the_same_defaults(void **state)
{
    char *manual = text_of(DUET_MANUAL), line[160], text[3][DURATION_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < CONFIG_TIMERS; i++) {
        for (int p = 0; p < 3; p++)
            duration_print(config_timer_table[i].defaults[p], text[p]);
        snprintf(line, sizeof line, ".It Ic %s Ta %s Ta %s Ta %s\n", config_timer_table[i].key, text[0],
                 text[1], text[2]);
        if (!strstr(manual, line))
            fail_msg("duet.conf.5 lacks: %s", line);
    }
    free(manual);
}

static void test_each_timer_can_be_set(void **state)
{
    char *text = edited(
        CLUSTER, "heartbeat-interval = 20ms takeover-after = 100ms address-lease = 70ms isolation-after ="
                 " 80ms search-time = 500ms search-interval = 150ms search-interval-quick = 5ms "
                 "router-interval = 90ms router-interval-quick = 7ms claim-time = 2s linger = 1s "
                 "handover-time = 6s settle-time = 9s stale-start-wait = 11s reboot-grace = 13s "
                 "router-retries = 7\n");
    static const int64_t ms[CONFIG_TIMERS] = {20, 100,  70,   80,   500,  150,   5,    90,
                                              7,  2000, 1000, 6000, 9000, 11000, 13000};
    struct config *config = good(text, "alpha");

    (void)state;
    for (size_t i = 0; i < CONFIG_TIMERS; i++)
        assert_int_equal(config_timer_ns(&config->timers, &config_timer_table[i]), ms[i] * NS_PER_MS);
    assert_int_equal(config->timers.router_retries, 7);
    config_free(config);
    free(text);
}

static void test_all_of_a_service(void **state)
{
    char *text = edited(
        IN_SERVICE,
        "    check = /bin/c check-interval = 1s check-timeout = 2s check-failures = 4 start-retries = 0\n"
        "    retry-interval = 5ms stop-timeout = 3s user = nobody group = \"no group\" exclusive = yes\n"
        "    on-failure = ignore }\n"
        "service \"a\" { unit = \"a@b.service\" when = always }\n"
        "service \"b\" { start = {\"/b\", 'its', ''} stop = \"/s\" pidfile = /run/b.pid after = {vpn, a} }\n"
        "service \"c\" { start = \"/c\" process = \"c.bin\"\n");
    struct config *config = good(text, "alpha");
    const struct config_service *s = config->services;

    (void)state;
    assert_int_equal(config->service_count, 4);
    assert_string_equal(s[0].check.items[0], "/bin/c");
    assert_int_equal(s[0].check_timeout, 2 * NS_PER_S);
    assert_int_equal(s[0].check_failures, 4);
    assert_int_equal(s[0].start_retries, 0);
    assert_int_equal(s[0].retry_interval, 5 * NS_PER_MS);
    assert_int_equal(s[0].stop_timeout, 3 * NS_PER_S);
    assert_string_equal(s[0].user, "nobody");
    assert_string_equal(s[0].group, "no group");
    assert_true(s[0].exclusive);
    assert_int_equal(s[0].on_failure, FAULT_IGNORE);
    assert_int_equal(s[0].line, 18);
    assert_string_equal(s[1].unit, "a@b.service");
    assert_int_equal(s[1].when, WHEN_ALWAYS);
    assert_string_equal(s[2].pidfile, "/run/b.pid");
    assert_int_equal(s[2].after.count, 2);
    assert_string_equal(s[3].process, "c.bin");
    config_free(config);
    free(text);
}

static void test_odd_but_good_text(void **state)
{
    char *text =
        edited(CLUSTER, "    # a comment with \"quotes ${and} braces {\n"
                        "    // another\n"
                        "    /* and a\n third */ profile=fast\r\n"
                        "    reboot-command = {'/sbin/${x}', \"\\${y}\\\"\\\\\", \"/*#//\",\n} # end\n"
                        "    reboot-command += {more}");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->profile, PROFILE_FAST);
    assert_int_equal(config->reboot_command.count, 4);
    assert_string_equal(config->reboot_command.items[0], "/sbin/${x}");
    assert_string_equal(config->reboot_command.items[1], "${y}\"\\");
    assert_string_equal(config->reboot_command.items[2], "/*#//");
    assert_string_equal(config->reboot_command.items[3], "more");
    config_free(config);
    free(text);
}

static void test_more_active_addresses_and_families(void **state)
{
    char *text = edited("\"192.0.2.1/24\"}",
                        "\"192.0.2.1/24\", \"192.0.2.2/24\", \"2001:db8:1::1/64\"} router = \"fe80::1\" "
                        "search = off mode = overlay");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->channels[1].active.count, 3);
    assert_false(config->channels[1].search);
    assert_int_equal(config->channels[1].mode, MODE_OVERLAY);
    assert_int_equal(config->warnings, 0);
    config_free(config);
    free(text);
}

static void test_default_routes_of_both_families(void **state)
{
    char *text = edited("route \"default\"", "route \"::/0\" { via = \"fe80::1\" channel = \"inside\" }\n"
                                             "route \"0.0.0.0/0\"");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->route_count, 2);
    assert_int_equal(config->routes[0].to.family, AF_INET6);
    assert_int_equal(config->routes[0].channel, 1);
    config_free(config);
    free(text);
}

static void test_many_addresses(void **state)
{
    char *list = calloc(10000, 20), *at = list;

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        at += sprintf(at, "%s\"10.%u.%u.%u/8\"", i ? "," : "", 100 + i / 62500, i / 250 % 250, i % 250 + 1);
    char *text = edited("\"192.0.2.1/24\"", list);
    struct config *config = good(text, "alpha");
    assert_int_equal(config->channels[1].active.count, 10000);
    config_free(config);
    free(text);
    free(list);
}

static void test_hash_is_of_the_bytes(void **state)
{
    char *text = edited("lan", "lan "), *same = strdup(text);
    struct config *a = good(base, "alpha"), *b = good(text, "alpha"), *c = good(same, "beta");

    (void)state;
    assert_string_not_equal(a->hash, b->hash);
    assert_string_equal(b->hash, c->hash);
    config_free(a);
    config_free(b);
    config_free(c);
    free(text);
    free(same);
}

/* ---- files */

struct files {
    char directory[64], config[96], key[96];
};

static void write_bytes(const char *path, const void *bytes, size_t size, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
    struct files *files = calloc(1, sizeof *files);
    char line[160];

    strcpy(files->directory, "/tmp/duet-test-XXXXXX");
    assert_non_null(mkdtemp(files->directory));
    snprintf(files->config, sizeof files->config, "%s/duet.conf", files->directory);
    snprintf(files->key, sizeof files->key, "%s/cluster.key", files->directory);
    snprintf(line, sizeof line, "    key-file = \"%s\"\n", files->key);
    char *text = edited(CLUSTER, line);
    write_bytes(files->config, text, strlen(text), 0644);
    write_bytes(files->key, "0123456789abcdef0123456789abcdef", 32, 0600);
    free(text);
    *state = files;
    return 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;

    unlink(files->config);
    unlink(files->key);
    rmdir(files->directory);
    free(files);
    return 0;
}

/* Reads the files; 0, or the error with `line` of `errors` having both words. */
static int read_files(const struct files *files, int line, const char *cause, const char *remedy)
{
    char *errors, lead[128];
    size_t size;
    FILE *out = open_memstream(&errors, &size);
    struct config *config;
    const int r = config_read(files->config, "alpha", out, &config);

    fclose(out);
    if (r < 0) {
        snprintf(lead, sizeof lead, "%s:%d: ", files->config, line);
        if (strncmp(errors, lead, strlen(lead)) != 0 || !strstr(errors, cause) || !strstr(errors, remedy))
            fail_msg("expected %s%s … %s, got %s", lead, cause, remedy, errors);
        assert_null(config);
    } else {
        assert_string_equal(errors, "");
    }
    config_free(config);
    free(errors);
    return r;
}

static void test_files_are_read(void **state)
{
    assert_int_equal(read_files(*state, 0, "", ""), 0);
}

static void test_writable_configuration_is_refused(void **state)
{
    const struct files *files = *state;
    static const mode_t modes[] = {0664, 0646, 0622, 0620};

    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        assert_int_equal(chmod(files->config, modes[i]), 0);
        assert_int_equal(read_files(files, 1, "writable by others", "chmod go-w"), -EINVAL);
    }
    assert_int_equal(chmod(files->config, 0640), 0);
    assert_int_equal(read_files(files, 0, "", ""), 0);
}

static void test_foreign_owner_is_refused(void **state)
{
    const struct files *files = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(files->config, 65534, (gid_t)-1), 0);
    assert_int_equal(read_files(files, 1, "belongs to user 65534", "chown root"), -EINVAL);
    assert_int_equal(chown(files->config, 0, (gid_t)-1), 0);
    assert_int_equal(chown(files->key, 65534, (gid_t)-1), 0);
    assert_int_equal(read_files(files, 2, "belongs to user 65534", "chown root"), -EINVAL);
}

static void test_odd_files_are_refused(void **state)
{
    const struct files *files = *state;

    unlink(files->config);
    assert_int_equal(read_files(files, 1, "No such file", "--config"), -ENOENT);
    assert_int_equal(mkfifo(files->config, 0600), 0);
    assert_int_equal(read_files(files, 1, "not a regular file", "itself"), -EINVAL);
    write_bytes(files->config, "cluster \"x\" {\n\0}", 16, 0600);
    assert_int_equal(read_files(files, 2, "byte 0", "text file"), -EINVAL);
}

static void test_key_file_is_guarded(void **state)
{
    const struct files *files = *state;
    unsigned char key[CONFIG_KEY_BYTES];
    static const mode_t modes[] = {0640, 0604, 0620, 0601};

    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        assert_int_equal(chmod(files->key, modes[i]), 0);
        assert_int_equal(read_files(files, 2, "read by others", "chmod 600"), -EINVAL);
        assert_int_equal(config_read_key(files->key, key), -EACCES);
    }
    write_bytes(files->key, "short", 5, 0600);
    assert_int_equal(read_files(files, 2, "exactly 32 bytes", "duet keygen"), -EINVAL);
    write_bytes(files->key, "0123456789abcdef0123456789abcdef\n", 33, 0600);
    assert_int_equal(config_read_key(files->key, key), -EINVAL);
    unlink(files->key);
    assert_int_equal(read_files(files, 2, "does not exist", "duet keygen"), -EINVAL);
    assert_int_equal(config_read_key(files->key, key), -ENOENT);
    assert_int_equal(config_read_key(files->directory, key), -EINVAL);
}

static void test_key_is_read(void **state)
{
    const struct files *files = *state;
    unsigned char key[CONFIG_KEY_BYTES];

    assert_int_equal(config_read_key(files->key, key), 0);
    assert_memory_equal(key, "0123456789abcdef0123456789abcdef", 32);
}

/* As systemd passes them to a daemon that is not root: under the path with _ for /, with a mode of its own.
 */
static void test_key_is_passed_by_systemd(void **state)
{
    const struct files *files = *state;
    unsigned char key[CONFIG_KEY_BYTES];
    char passed[256];

    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", files->directory, 1), 0);
    snprintf(passed, sizeof passed, "%s/nonexistent_cluster.key", files->directory);
    write_bytes(passed, "fedcba9876543210fedcba9876543210", 32, 0440);
    assert_int_equal(config_read_key("/nonexistent/cluster.key", key), 0);
    assert_memory_equal(key, "fedcba9876543210fedcba9876543210", 32);
    assert_int_equal(config_read_key(files->key, key), 0);
    assert_memory_equal(key, "0123456789abcdef0123456789abcdef", 32);

    write_bytes(passed, "none", 4, 0440); /* what the unit has in place of one that is not there */
    assert_int_equal(config_read_key("/nonexistent/cluster.key", key), -ENOENT);
    unlink(passed);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Whatever the order in which each node lists them. */
static void test_both_nodes_choose_the_same_ends_for_udp(void **state)
{
    static const char *const nodes[] = {"alpha", "beta"};
    struct net_address ends[2][2];

    (void)state;
    for (int n = 0; n < 2; n++) {
        char *text =
            edited("    router = {\"203.0.113.1\"}\n    node \"alpha\" { passive-address = "
                   "{\"203.0.113.11/24\"} }\n    node \"beta\" { passive-address = {\"203.0.113.12/24\"} }\n",
                   "    heartbeat = udp mode = overlay search = off\n"
                   "    node \"alpha\" { passive-address = {\"fe80::1/64\", \"2001:db8::11/64\", "
                   "\"203.0.113.11/24\"} }\n"
                   "    node \"beta\" { passive-address = {\"203.0.113.12/24\", \"2001:db8::12/64\"} }\n"
                   "}\nchannel \"third\" {\n device = eth2 active-address = \"198.51.100.1/24\"\n");
        struct result result = read_for(text, nodes[n]);
        assert_non_null(result.config);
        ends[n][0] = result.config->channels[0].udp_own;
        ends[n][1] = result.config->channels[0].udp_peer;
        result_free(&result);
        free(text);
    }
    assert_true(net_address_equal(&ends[0][0], &ends[1][1]) && net_address_equal(&ends[0][1], &ends[1][0]));
    assert_int_equal(ends[0][0].family, AF_INET);
}

/* Held as addresses they may take longer than a claim. */
static void test_thousands_of_addresses_are_warned_of(void **state)
{
    static const char *const holds[] = {"addresses", "local-routes"};

    (void)state;
    for (int n = 0; n < 2; n++) {
        char *to = NULL;
        size_t size;
        FILE *out = open_memstream(&to, &size);
        fprintf(out, "    hold-as = %s\n    active-address = {\"192.0.2.1/24\"", holds[n]);
        for (int i = 0; i < 4000; i++)
            fprintf(out, ", \"10.77.%d.%d/16\"", i / 250, i % 250 + 1);
        fprintf(out, "}\n");
        fclose(out);
        char *text = edited("    active-address = {\"192.0.2.1/24\"}\n", to);
        struct result result = read_for(text, "alpha");
        assert_non_null(result.config);
        assert_int_equal(result.config->warnings, n == 0);
        assert_true((strstr(result.errors, "f.conf:16: ") &&
                     strstr(result.errors, "hold-as = local-routes")) == (n == 0));
        result_free(&result);
        free(text);
        free(to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousands_of_addresses_are_warned_of),
        cmocka_unit_test(test_both_nodes_choose_the_same_ends_for_udp),
        cmocka_unit_test(test_example_is_accepted),
        cmocka_unit_test(test_example_has_all_parts),
        cmocka_unit_test(test_profiles_set_the_timers),
        cmocka_unit_test(test_manual_has_the_same_defaults),
        cmocka_unit_test(test_each_timer_can_be_set),
        cmocka_unit_test(test_all_of_a_service),
        cmocka_unit_test(test_odd_but_good_text),
        cmocka_unit_test(test_more_active_addresses_and_families),
        cmocka_unit_test(test_default_routes_of_both_families),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_hash_is_of_the_bytes),
        WITH_FILES(test_files_are_read),
        WITH_FILES(test_writable_configuration_is_refused),
        WITH_FILES(test_foreign_owner_is_refused),
        WITH_FILES(test_odd_files_are_refused),
        WITH_FILES(test_key_file_is_guarded),
        WITH_FILES(test_key_is_read),
        WITH_FILES(test_key_is_passed_by_systemd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
