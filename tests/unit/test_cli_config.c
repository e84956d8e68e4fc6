/* `duet check-config` and `duet keygen`, called as the command calls them, with what they print. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/check_config.h"
#include "cli/keygen.h"
#include "common/config.h"

struct place {
    char directory[64], config[96], key[96], output[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    strcpy(place->directory, "/tmp/duet-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->config, sizeof place->config, "%s/duet.conf", place->directory);
    snprintf(place->key, sizeof place->key, "%s/cluster.key", place->directory);
    snprintf(place->output, sizeof place->output, "%s/output", place->directory);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    unlink(place->config);
    unlink(place->key);
    unlink(place->output);
    rmdir(place->directory);
    free(place);
    return 0;
}

/* Sends stdout and stderr of this process to the place's output, or back to `saved`. */
static void divert(const struct place *place, int saved[2])
{
    fflush(stdout);
    saved[0] = dup(1);
    saved[1] = dup(2);
    int fd = open(place->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
}

static char *restore(const struct place *place, const int saved[2])
{
    static char text[8192];

    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    FILE *file = fopen(place->output, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static char *run_keygen(const struct place *place, const char *file, int *code)
{
    int saved[2];

    divert(place, saved);
    *code = keygen(file);
    return restore(place, saved);
}

static char *run_check_with(const struct place *place, const char *more, const char *section, int *code)
{
    FILE *file = fopen(place->config, "we");
    int saved[2];

    assert_non_null(file);
    fprintf(file,
            "cluster \"c\" { key-file = \"%s\" %s }\nnode \"a\" { }\nnode \"b\" { }\n"
            "channel \"x\" { device = e active-address = \"192.0.2.1/24\" router = \"192.0.2.9\" }\n"
            "service \"s\" { command = \"/s\" check = \"/c\" }\n%s",
            place->key, more, section);
    fclose(file);
    chmod(place->config, 0600);
    divert(place, saved);
    *code = check_config(place->config, "a");
    return restore(place, saved);
}

static char *run_check(const struct place *place, const char *more, int *code)
{
    return run_check_with(place, more, "", code);
}

static void test_keygen_makes_a_key_that_is_accepted(void **state)
{
    const struct place *place = *state;
    unsigned char key[CONFIG_KEY_BYTES], other[CONFIG_KEY_BYTES];
    int code;
    const mode_t mask = umask(0277);
    const char *text = run_keygen(place, place->key, &code);

    umask(mask);
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "scp"));
    assert_int_equal(config_read_key(place->key, key), 0);
    unlink(place->key);
    run_keygen(place, place->key, &code);
    assert_int_equal(config_read_key(place->key, other), 0);
    assert_memory_not_equal(key, other, sizeof key);
}

static void test_keygen_overwrites_nothing(void **state)
{
    const struct place *place = *state;
    unsigned char before[CONFIG_KEY_BYTES], after[CONFIG_KEY_BYTES];
    int code;

    run_keygen(place, place->key, &code);
    assert_int_equal(config_read_key(place->key, before), 0);
    const char *text = run_keygen(place, place->key, &code);
    assert_int_equal(code, 1);
    assert_non_null(strstr(text, "not overwritten"));
    assert_int_equal(config_read_key(place->key, after), 0);
    assert_memory_equal(before, after, sizeof before);
    text = run_keygen(place, "/nonexistent/directory/key", &code);
    assert_int_equal(code, 1);
    assert_non_null(strstr(text, "make the directory first"));
}

static void test_budget_is_the_sum_of_its_terms(void **state)
{
    const struct place *place = *state;
    int code;

    run_keygen(place, place->key, &code);
    const char *text = run_check(place, "takeover-after = 420ms", &code);
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "duet.conf: OK\n"));
    assert_non_null(strstr(text, "420ms   (300ms by default)"));
    assert_non_null(
        strstr(text, "480ms = takeover-after 420ms + heartbeat-interval 50ms + search-interval-quick 10ms"));
    assert_non_null(strstr(text, "490ms = detection 480ms + network and kernel 10ms"));
    assert_non_null(strstr(text, "1050ms = 4 x router-interval 200ms + 20 x router-interval-quick 10ms + "
                                 "heartbeat-interval 50ms"));
    assert_non_null(strstr(text, "3050ms = growing retry-intervals 3s + heartbeat-interval 50ms"));
    assert_non_null(
        strstr(text, "127050ms = 12 x check-interval 2s + 12 x check-timeout 5s + 4 x stop-timeout 10s + "
                     "growing retry-intervals 3s"));
    assert_non_null(strstr(text, "680ms = address-lease 200ms + takeover-after 420ms"));
}

static void test_budget_tells_when_the_watchdog_restarts_the_node(void **state)
{
    const struct place *place = *state;
    int code;

    run_keygen(place, place->key, &code);
    const char *text =
        run_check_with(place, "", "watchdog { device = /dev/watchdog timeout = 12s }\n", &code);
    assert_int_equal(code, 0);
    assert_non_null(
        strstr(text, "kernel or superviserd hangs      restarts       12s = watchdog timeout 12s\n"));
    assert_non_null(strstr(text, "another daemon hangs for good    restarts       18s = silence 6s + "
                                 "watchdog timeout 12s\n"));
    text = run_check(place, "", &code);
    assert_non_null(strstr(text, "no watchdog is configured"));
}

/* Nobody has to act for it: the kernel ends the lease. */
static void test_budget_tells_when_what_hangs_falls_silent(void **state)
{
    const struct place *place = *state;
    int code;

    run_keygen(place, place->key, &code);
    const char *text = run_check(place, "", &code);
    assert_non_null(strstr(text,
                           "all of duet killed or stopped    detected     560ms = address-lease 200ms + "
                           "takeover-after 300ms"));
    assert_non_null(strstr(text,
                           "takeoverd hangs                  detected     760ms = address-lease 200ms + "
                           "address-lease 200ms + takeover-after 300ms"));
    text = run_check(place, "lease-gate = off address-lease = 2500ms", &code);
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "lifetime of the addresses 2s + the kernel's own pace 1s"));
}

static void test_refused_file_prints_no_budget(void **state)
{
    const struct place *place = *state;
    int code;
    const char *text = run_check(place, "", &code); /* there is no key yet */

    assert_int_equal(code, 1);
    assert_non_null(strstr(text, "duet.conf:1: key-file"));
    assert_null(strstr(text, "OK"));
    assert_null(strstr(text, "outage"));
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_keygen_makes_a_key_that_is_accepted),
        IN_PLACE(test_keygen_overwrites_nothing),
        IN_PLACE(test_budget_is_the_sum_of_its_terms),
        IN_PLACE(test_budget_tells_when_the_watchdog_restarts_the_node),
        IN_PLACE(test_budget_tells_when_what_hangs_falls_silent),
        IN_PLACE(test_refused_file_prints_no_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
