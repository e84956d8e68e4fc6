/* announcer, asker: nothing is said beyond the lease, and all of it when that is renewed late. The network is
 * this test's: it counts what would go out. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "takeoverd/announcer.h"
#include "takeoverd/asker.h"
#include "takeoverd/listen.h"
#include "takeoverd/packets.h"

enum { BURSTS = 5, FRAMES = 2 }; /* of one IPv4 address: a request and a reply, each time */

static const int64_t patience_ns = 20 * NS_PER_S;

static struct loop *loop;
static struct config config;
static struct net_address router;
static struct plan_address address;
static struct plan plan;
static struct announcer *announcer;
static struct asker *asker;
static int announced, asked;

/* ------------------------------------------------------------- the network */

int packets_open(void)
{
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

int packets_send(int fd, int link, const struct announce_frame *frames, size_t count)
{
    (void)fd;
    (void)link;
    for (size_t i = 0; i < count; i++) {
        struct announce_heard heard;
        assert_int_equal(announce_parse(frames[i].bytes, frames[i].size, &heard), 0);
        if (net_address_equal(&heard.to, &router))
            asked++;
        else
            announced++;
    }
    return (int)count;
}

const struct adapter *adapters_get(const struct adapters *adapters, size_t channel)
{
    static const struct adapter up = {.device = "eth0", .link = 4, .up = true, .mac = {{2, 0, 0, 0, 0, 1}}};

    (void)adapters;
    (void)channel;
    return &up;
}

int listen_open(int family, const struct plan *wanted)
{
    (void)family;
    (void)wanted;
    return eventfd(0, EFD_CLOEXEC); /* from which nothing ever comes */
}

int listen_filter(int fd, int family, const struct plan *wanted)
{
    (void)fd;
    (void)family;
    (void)wanted;
    return 0;
}

int listen_next(int fd, int *link, struct announce_heard *heard)
{
    (void)fd;
    (void)link;
    (void)heard;
    return 0;
}

static void ignore_news(void *userdata)
{
    (void)userdata;
}

/* --------------------------------------------------------------- the tests */

static int set_up(void **state)
{
    static const struct asker_handlers handlers = {.on_news = ignore_news};

    (void)state;
    announced = asked = 0;
    address = (struct plan_address){.active = true};
    assert_int_equal(net_address_parse("203.0.113.10/24", &address.address), 0);
    assert_int_equal(net_address_parse("203.0.113.1", &router), 0);
    plan = (struct plan){.channel_count = 1, .links = {4}, .addresses = &address, .address_count = 1};
    assert_true(plan_see_address(&plan, 4, &address.address, false));
    config.channel_count = 1;
    config.channels[0].routers = (struct config_addresses){.count = 1, .items = &router};
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(announcer_open(loop, &plan, NULL, &announcer), 0);
    assert_int_equal(asker_open(loop, &config, &plan, NULL, &handlers, &asker), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    announcer_free(announcer);
    asker_free(asker);
    loop_free(loop);
    return 0;
}

static void set_lease(int64_t end_ns)
{
    announcer_until(announcer, end_ns);
    asker_until(asker, end_ns);
}

/* Turns the loop so long, or until enough was said. */
static void turn(int64_t for_ns, int announcements, int questions)
{
    const int64_t end_ns = clock_now_ns() + for_ns;

    while (clock_now_ns() < end_ns && (announced < announcements || asked < questions))
        loop_turn(loop, NS_PER_MS);
}

static void test_nothing_is_said_before_there_is_a_lease(void **state)
{
    (void)state;
    assert_false(announcer_start(announcer, 1));
    asker_begin(asker, 1);
    turn(50 * NS_PER_MS, 1, 1);
    assert_int_equal(announced + asked, 0);
    set_lease(clock_now_ns() + patience_ns);
    turn(patience_ns, BURSTS * FRAMES, 2);
    assert_int_equal(announced, BURSTS * FRAMES);
    assert_true(asked >= 2);
}

/* The lease is over after the first words; a renewal that waited to be read comes after the next were due. */
static void test_a_late_renewal_lets_it_go_on(void **state)
{
    (void)state;
    set_lease(clock_now_ns() + patience_ns);
    assert_true(announcer_start(announcer, 1));
    asker_begin(asker, 1);
    assert_int_equal(announced, FRAMES);
    assert_int_equal(asked, 1);
    set_lease(clock_now_ns());
    turn(150 * NS_PER_MS, FRAMES + 1, 2);
    assert_int_equal(announced, FRAMES);
    assert_int_equal(asked, 1);
    set_lease(clock_now_ns() + patience_ns);
    turn(patience_ns, BURSTS * FRAMES, 2);
    assert_int_equal(announced, BURSTS * FRAMES);
    assert_true(asked >= 2);
}

static void test_who_was_stopped_says_nothing_more(void **state)
{
    (void)state;
    set_lease(clock_now_ns() + patience_ns);
    announcer_start(announcer, 1);
    asker_begin(asker, 1);
    set_lease(0);
    announcer_stop(announcer);
    asker_end(asker);
    set_lease(clock_now_ns() + patience_ns);
    turn(150 * NS_PER_MS, FRAMES + 1, 2);
    assert_int_equal(announced, FRAMES);
    assert_int_equal(asked, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_said_before_there_is_a_lease),
        TEST(test_a_late_renewal_lets_it_go_on),
        TEST(test_who_was_stopped_says_nothing_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
