/* What monitord is made of: who asks for too much, what is retained, what Prometheus is told, whose key is
 * admitted; and the certificates and endpoints that others use as well. */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/curve.h"
#include "monitord/clients.h"
#include "monitord/metrics.h"
#include "monitord/readers.h"
#include "monitord/store.h"

/* ---- readers */

static void test_a_tool_that_asks_too_often_is_barred_for_a_while(void **state)
{
    struct readers *readers = calloc(1, sizeof *readers);
    const int64_t begin = 100 * NS_PER_S;

    (void)state;
    for (int i = 0; i < READER_FRAMES_MAX; i++)
        assert_false(readers_count(readers, "loud", begin));
    assert_false(readers_count(readers, "calm", begin));
    assert_true(readers_count(readers, "loud", begin));
    assert_true(readers_barred(readers, "loud", begin + READER_BAR_NS - 1));
    assert_false(readers_barred(readers, "calm", begin));
    assert_false(readers_barred(readers, "loud", begin + READER_BAR_NS));
    free(readers);
}

static void test_frames_count_within_a_window_only(void **state)
{
    struct readers *readers = calloc(1, sizeof *readers);
    int64_t now = 100 * NS_PER_S;

    (void)state;
    for (int window = 0; window < 3; window++, now += READER_WINDOW_NS)
        for (int i = 0; i < READER_FRAMES_MAX; i++)
            assert_false(readers_count(readers, "steady", now));
    free(readers);
}

static void test_the_worst_is_barred_when_there_are_too_many_subscriptions(void **state)
{
    struct readers *readers = calloc(1, sizeof *readers);
    const int64_t now = 100 * NS_PER_S;

    (void)state;
    assert_null(readers_bar_worst(readers, now));
    readers_count(readers, "one", now);
    readers_count(readers, "two", now);
    readers_count(readers, "two", now);
    assert_string_equal(readers_bar_worst(readers, now), "two");
    assert_true(readers_barred(readers, "two", now));
    assert_false(readers_barred(readers, "one", now));
    free(readers);
}

static void test_more_names_than_places(void **state)
{
    struct readers *readers = calloc(1, sizeof *readers);
    const int64_t now = 100 * NS_PER_S;
    char name[READER_NAME_MAX];

    (void)state;
    for (int i = 0; i < 3 * READERS_MAX; i++) {
        snprintf(name, sizeof name, "tool-%d", i);
        assert_false(readers_count(readers, name, now));
        assert_true(readers->count <= READERS_MAX);
    }
    /* Those that have been quiet make room, one that is barred does not. */
    for (int i = 0; i <= READER_FRAMES_MAX; i++)
        readers_count(readers, "tool-0", now);
    snprintf(name, sizeof name, "late");
    readers_count(readers, name, now + READER_WINDOW_NS);
    assert_true(readers_barred(readers, "tool-0", now + READER_WINDOW_NS));
    free(readers);
}

/* ---- the store */

static void keep(struct store *store, const struct message_type *type, const char *topic, const char *from,
                 const void *body, int64_t now_ns)
{
    struct envelope envelope = {
        .node = "alpha", .seq = 1, .mono_ns = now_ns, .at = "2026-11-25T00:00:00.000000Z"};

    text_copy(envelope.from, sizeof envelope.from, from);
    char *json = message_pack(type, &envelope, body);
    assert_non_null(json);
    assert_int_equal(store_put(store, topic, json, strlen(json), now_ns), 0);
    free(json);
}

static void test_the_latest_of_each_topic_is_kept_until_it_is_old(void **state)
{
    struct store *store = calloc(1, sizeof *store);

    (void)state;
    store_put(store, "role", "one", 3, NS_PER_S);
    store_put(store, "path/a", "longer", 6, NS_PER_S);
    store_put(store, "role", "second", 6, 3 * NS_PER_S);
    assert_int_equal(store->count, 2);
    store_expire(store, NS_PER_S + MODEL_STALE_NS);
    assert_int_equal(store->count, 1);
    assert_string_equal(store->entries[0].topic, "role");
    assert_int_equal(store->entries[0].size, 6);
    assert_memory_equal(store->entries[0].json, "second", 6);
    store_free(store);
    free(store);
}

static void test_the_store_has_a_bound(void **state)
{
    struct store *store = calloc(1, sizeof *store);
    char topic[32];

    (void)state;
    for (int i = 0; i < STORE_TOPICS_MAX; i++) {
        snprintf(topic, sizeof topic, "path/%d", i);
        assert_int_equal(store_put(store, topic, "{}", 2, 1), 0);
    }
    assert_true(store_put(store, "path/more", "{}", 2, 1) < 0);
    assert_int_equal(store_put(store, "path/7", "{}", 2, 2), 0);
    store_free(store);
    free(store);
}

/* ---- metrics */

static char *metrics_of(const struct store *store, int64_t now_ns)
{
    struct model *model = calloc(1, sizeof *model);
    char *text = malloc(METRICS_TEXT_MAX);

    store_model(store, model);
    const int n = metrics_print(model, "ga\"te", now_ns, text, METRICS_TEXT_MAX);
    assert_true(n > 0 && (size_t)n == strlen(text));
    model_clear(model);
    free(model);
    return text;
}

static void test_metrics_tell_what_is_known_and_nothing_else(void **state)
{
    struct store *store = calloc(1, sizeof *store);
    const int64_t now = 100 * NS_PER_S;
    const struct role_message role = {.role = ROLE_ACTIVE,
                                      .phase = PHASE_ACTIVE,
                                      .epoch = 17,
                                      .since_ns = 90 * NS_PER_S,
                                      .lease_ns = now + 150 * NS_PER_MS};
    const struct path_message path = {
        .state = PATH_STATE_ONE_WAY, .rtt_us = 210, .loss_permille = 15, .sent = 4};
    const struct data_message data = {.state = SYNC_STATE_CURRENT};
    const struct link_message link = {.device = "eth0", .usable = true};

    (void)state;
    keep(store, &role_type, "role", "arbiterd", &role, now);
    keep(store, &path_type, "path/reserved", "heartbeatd", &path, now);
    keep(store, &data_type, "sync", "syncd", &data, now);
    keep(store, &link_type, "link/outside", "heartbeatd", &link, now);
    keep(store, &link_type, "link/forged", "arbiterd", &link, now); /* not from its owner */
    char *text = metrics_of(store, now);
    const char *const there[] = {
        "\nduet_role{cluster=\"ga\\\"te\",node=\"alpha\",state=\"active\"} 1\n",
        "\nduet_role{cluster=\"ga\\\"te\",node=\"alpha\",state=\"passive\"} 0\n",
        "} 17\n",
        "\nduet_phase_age_seconds{cluster=\"ga\\\"te\",node=\"alpha\"} 10.000000\n",
        "\nduet_lease_remaining_seconds{cluster=\"ga\\\"te\",node=\"alpha\"} 0.150000\n",
        ",path=\"reserved\",state=\"one-way\"} 1\n",
        "duet_path_round_trip_seconds{cluster=\"ga\\\"te\",node=\"alpha\",path=\"reserved\"} 0.000210\n",
        "duet_path_loss_ratio{cluster=\"ga\\\"te\",node=\"alpha\",path=\"reserved\"} 0.015000\n",
        "# TYPE duet_path_heartbeats_sent_total counter\n",
        ",channel=\"outside\",device=\"eth0\"} 1\n",
        "duet_health{cluster=\"ga\\\"te\",node=\"alpha\",state=\"degraded\"} 1\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(there); i++)
        if (!strstr(text, there[i]))
            fail_msg("there is no %s in\n%s", there[i], text);
    assert_null(strstr(text, "forged"));
    assert_null(strstr(text, "duet_sync_lag_seconds{")); /* nothing waits */
    assert_null(strstr(text, "duet_peer_alive{"));       /* not told */
    free(text);
    text = metrics_of(store, now + MODEL_STALE_NS);
    assert_null(strstr(text, "duet_role{")); /* not told any more */
    free(text);
    store_free(store);
    free(store);
}

static void test_metrics_that_do_not_fit_are_none(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    char text[200];

    (void)state;
    assert_true(metrics_print(model, "gate", 1, text, sizeof text) < 0);
    free(model);
}

/* ---- keys */

/* Of CurveZMQ's own example. */
static const char open_text[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char secret_text[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

static int parse(const char *text, bool secret, struct curve_pair *pair)
{
    return curve_parse(text, strlen(text), secret, pair);
}

static void test_certificates_are_read_as_others_write_them(void **state)
{
    struct curve_pair pair;
    char text[512], again[CURVE_TEXT_MAX];

    (void)state;
    snprintf(text, sizeof text, "# remark\nmetadata\n    name = \"x\"\ncurve\n    public-key = \"%s\"\n",
             open_text);
    assert_int_equal(parse(text, false, &pair), 0);
    curve_print(pair.open, again);
    assert_string_equal(again, open_text);
    assert_true(parse(text, true, &pair) < 0);
    snprintf(text, sizeof text, "curve\r\n\tpublic-key='%s'\r\n\tsecret-key = \"%s\"\r\n", open_text,
             secret_text);
    const int r = parse(text, true, &pair);
    if (r == 0) {
        curve_print(pair.secret, again);
        assert_string_equal(again, secret_text);
    } else {
        fail_msg("the pair is not believed: %d", r);
    }
}

static void test_any_key_that_is_made_can_be_read(void **state)
{
    struct curve_pair made, read;
    char text[256], open[CURVE_TEXT_MAX], secret[CURVE_TEXT_MAX];
    bool equals_first = false;

    (void)state;
    assert_true(sodium_init() >= 0);
    for (int i = 0; i < 5000 || !equals_first; i++) { /* also one that begins with '=' */
        crypto_box_keypair(made.open, made.secret);
        curve_print(made.open, open);
        curve_print(made.secret, secret);
        equals_first |= open[0] == '=';
        snprintf(text, sizeof text, "public-key = \"%s\"\n secret-key=%s\n", open, secret);
        if (parse(text, true, &read) != 0)
            fail_msg("cannot be read: %s", text);
        assert_memory_equal(&made, &read, sizeof made);
    }
}

static void test_certificates_that_are_none(void **state)
{
    struct curve_pair pair;
    char text[512];

    (void)state;
    assert_true(parse("", false, &pair) < 0);
    assert_true(parse("public-key = \"short\"", false, &pair) < 0);
    assert_true(parse("public-key = \"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\"", false, &pair) < 0);
    /* A secret key that belongs to another public one. */
    snprintf(text, sizeof text, "public-key = \"%s\"\nsecret-key = \"%s\"\n", open_text, open_text);
    assert_true(parse(text, true, &pair) < 0);
    for (size_t i = 0; i < CURVE_BYTES; i++)
        assert_int_equal(pair.secret[i], 0);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    chmod(path, mode);
}

static void test_the_clients_are_the_keys_of_a_directory(void **state)
{
    char directory[] = "/tmp/duet-clients-XXXXXX", path[128], text[128], error[CLIENTS_ERROR_MAX];
    struct clients *clients = calloc(1, sizeof *clients), *before = calloc(1, sizeof *before);
    struct curve_pair pair;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(text, sizeof text, "public-key = \"%s\"\n", open_text);
    parse(text, false, &pair);
    snprintf(path, sizeof path, "%s/grafana.key", directory);
    write_file(path, text, 0644);
    assert_int_equal(clients_read(directory, clients, error), 0);
    assert_string_equal(error, "");
    assert_string_equal(clients_find(clients, pair.open)->name, "grafana");
    pair.open[0] ^= 1;
    assert_null(clients_find(clients, pair.open));
    *before = *clients;
    unlink(path);
    snprintf(path, sizeof path, "%s/broken.key", directory);
    write_file(path, "nothing\n", 0644);
    snprintf(text, sizeof text, "%s/.hidden.key", directory);
    write_file(text, "nothing\n", 0644);
    assert_int_equal(clients_read(directory, clients, error), 0);
    assert_non_null(strstr(error, "broken.key admits nobody"));
    assert_int_equal(clients->count, 0);
    assert_true(clients_any_gone(before, clients));
    assert_false(clients_any_gone(clients, before));
    unlink(path);
    unlink(text);
    rmdir(directory);
    assert_true(clients_read(directory, clients, error) < 0);
    free(clients);
    free(before);
}

static void test_a_secret_that_others_can_read_is_none(void **state)
{
    char path[] = "/tmp/duet-secret-XXXXXX", text[256];
    struct curve_pair pair;

    (void)state;
    close(mkstemp(path));
    snprintf(text, sizeof text, "public-key = \"%s\"\nsecret-key = \"%s\"\n", open_text, secret_text);
    write_file(path, text, 0600);
    assert_int_equal(curve_read(path, true, &pair), 0);
    chmod(path, 0640);
    assert_int_equal(curve_read(path, true, &pair), -EACCES);
    assert_int_equal(curve_read(path, false, &pair), 0);
    unlink(path);
}

/* ---- endpoints */

static void test_endpoints(void **state)
{
    struct net_address address;
    int port;

    (void)state;
    assert_int_equal(net_endpoint_parse("127.0.0.1:9572", &address, &port), 0);
    assert_int_equal(port, 9572);
    assert_int_equal(net_endpoint_parse("[2001:db8::1]:1", &address, &port), 0);
    assert_int_equal(address.family, AF_INET6);
    const char *const wrong[] = {
        "",        ":1",          "127.0.0.1",      "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "[::1]",   "::1:80",      "[127.0.0.1]:80", "1.2.3.4:8x", "[]:1",        "1.2.3.4/8:80",
        "[::1:80", "localhost:80"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        if (net_endpoint_parse(wrong[i], &address, &port) == 0)
            fail_msg("\"%s\" is taken for an endpoint", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tool_that_asks_too_often_is_barred_for_a_while),
        cmocka_unit_test(test_frames_count_within_a_window_only),
        cmocka_unit_test(test_the_worst_is_barred_when_there_are_too_many_subscriptions),
        cmocka_unit_test(test_more_names_than_places),
        cmocka_unit_test(test_the_latest_of_each_topic_is_kept_until_it_is_old),
        cmocka_unit_test(test_the_store_has_a_bound),
        cmocka_unit_test(test_metrics_tell_what_is_known_and_nothing_else),
        cmocka_unit_test(test_metrics_that_do_not_fit_are_none),
        cmocka_unit_test(test_certificates_are_read_as_others_write_them),
        cmocka_unit_test(test_any_key_that_is_made_can_be_read),
        cmocka_unit_test(test_certificates_that_are_none),
        cmocka_unit_test(test_the_clients_are_the_keys_of_a_directory),
        cmocka_unit_test(test_a_secret_that_others_can_read_is_none),
        cmocka_unit_test(test_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
