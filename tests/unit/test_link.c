/* The link between the two nodes' syncd, over loopback: two of them in one process, or one in another process
 * that is stopped and killed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/loop.h"
#include "proto/sync.h"
#include "syncd/keys.h"
#include "syncd/link.h"

static char directory[64];
static pid_t address_of; /* the process whose addresses a child uses */

/* Two addresses of this process's own below 127/8, so that tests can run beside each other. */
static void address(int node, char text[static 32])
{
    const unsigned pid = (unsigned)(address_of ? address_of : getpid());

    snprintf(text, 32, "127.%u.%u.%d", 100 + pid / 256 % 100, pid % 256, 2 + node);
}

struct side {
    struct loop *loop;
    struct config *config;
    struct link *link;
    int ups, downs, rooms;
    uint32_t next;    /* the number that the next message must have */
    uint64_t dropped; /* numbers that were left out */
    size_t messages;
    bool fill; /* send whenever there is room */
    uint32_t sent;
    char why[LINK_TROUBLE_MAX];
};

static void write_key(const char *name, uint8_t byte)
{
    char path[128];
    uint8_t key[CONFIG_KEY_BYTES];

    memset(key, byte, sizeof key);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, key, sizeof key), sizeof key);
    close(fd);
}

static int make_keys(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-link-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    write_key("one", 1);
    write_key("two", 2);
    return 0;
}

static int remove_keys(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, i ? "one" : "two");
        unlink(path);
    }
    return rmdir(directory);
}

/* ---- a side */

static struct config *config_of(int node, const char *key, const char *old_key)
{
    char own[32], text[1024], old[160] = "";
    struct config *config;

    if (old_key)
        snprintf(old, sizeof old, "old-key-file = \"%s/%s\"", directory, old_key);
    snprintf(
        text, sizeof text,
        "cluster \"c\" { key-file = \"%s/%s\" %s }\n"
        "node \"a\" { reserved-address = \"10.9.9.1\" }\nnode \"b\" { reserved-address = \"10.9.9.2\" }\n"
        "channel \"x\" { device = \"eth0\" active-address = {\"192.0.2.1/24\"} }\n",
        directory, key, old);
    assert_int_equal(config_read_text("f", text, node == 0 ? "a" : "b", stderr, &config), 0);
    for (int i = 0; i < 2; i++) { /* which the configuration does not take */
        address(i, own);
        assert_int_equal(net_address_parse(own, &config->nodes[i].reserved), 0);
    }
    return config;
}

static void on_up(void *userdata)
{
    struct side *side = userdata;

    side->ups++;
    side->next = 0;
}

static void on_down(void *userdata, const char *why)
{
    struct side *side = userdata;

    side->downs++;
    side->next = 0;
    text_copy(side->why, sizeof side->why, why);
}

static void on_message(void *userdata, const uint8_t *bytes, size_t size)
{
    struct side *side = userdata;
    uint32_t number;

    assert_true(size >= sizeof number);
    memcpy(&number, bytes, sizeof number);
    assert_int_equal(number, side->next);
    side->next = number + 1;
    side->messages++;
}

static int send_number(struct side *side, uint32_t number, size_t size)
{
    static uint8_t bytes[SYNC_MESSAGE_MAX];

    memcpy(bytes, &number, sizeof number);
    return link_send(side->link, bytes, size);
}

static void fill(struct side *side)
{
    int r;

    while ((r = send_number(side, side->sent, 65536)) == 0)
        side->sent++;
    assert_true(r == -EAGAIN || r == -ENOTCONN);
}

static void on_room(void *userdata)
{
    struct side *side = userdata;

    side->rooms++;
    if (side->fill)
        fill(side);
}

static const struct link_events events = {
    .up = on_up, .down = on_down, .message = on_message, .room = on_room};

static void open_side(struct side *side, struct loop *loop, int node, const char *key, const char *old_key)
{
    *side = (struct side){.loop = loop, .config = config_of(node, key, old_key)};
    assert_int_equal(link_open(loop, side->config, &events, side, &side->link), 0);
}

static void close_side(struct side *side)
{
    link_close(side->link);
    config_free(side->config);
    side->link = NULL;
}

/* Turns until the condition holds; fails after `limit_ms`. */
#define TURN_UNTIL(loop, condition, limit_ms)                                                                \
    do {                                                                                                     \
        const int64_t limit = clock_now_ns() + (limit_ms)*NS_PER_MS;                                         \
        while (!(condition) && clock_now_ns() < limit)                                                       \
            assert_int_equal(loop_turn(loop, NS_PER_MS), 0);                                                 \
        assert_true(condition);                                                                              \
    } while (0)

static void turn_for(struct loop *loop, int ms)
{
    const int64_t end = clock_now_ns() + ms * NS_PER_MS;

    while (clock_now_ns() < end)
        loop_turn(loop, NS_PER_MS);
}

struct pair {
    struct loop *loop;
    struct side first, second;
};

static void open_pair(struct pair *pair)
{
    assert_int_equal(loop_new(&pair->loop), 0);
    open_side(&pair->first, pair->loop, 0, "one", NULL);
    open_side(&pair->second, pair->loop, 1, "one", NULL);
    TURN_UNTIL(pair->loop, pair->first.ups == 1 && pair->second.ups == 1, 3000);
}

static void close_pair(struct pair *pair)
{
    close_side(&pair->first);
    close_side(&pair->second);
    loop_free(pair->loop);
}

/* ---- tests */

static void test_messages_come_in_order(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(send_number(&pair.first, i, 4 + i * 100), 0);
        assert_int_equal(send_number(&pair.second, i, SYNC_MESSAGE_MAX), 0);
    }
    TURN_UNTIL(pair.loop, pair.first.messages == 100 && pair.second.messages == 100, 10000);
    assert_int_equal(send_number(&pair.first, 0, SYNC_MESSAGE_MAX + 1), -EMSGSIZE);
    assert_int_equal(link_counts(pair.first.link).received_bytes, 100ULL * SYNC_MESSAGE_MAX);
    assert_int_equal(link_counts(pair.second.link).sent_bytes, 100ULL * SYNC_MESSAGE_MAX);
    assert_int_equal(link_counts(pair.first.link).refused, 0);
    assert_string_equal(link_trouble(pair.first.link), "");
    assert_string_equal(link_trouble(pair.second.link), "");
    close_pair(&pair);
}

static void test_a_peer_that_is_opened_anew(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair);
    for (int node = 0; node < 2; node++) {
        struct side *stays = node == 0 ? &pair.second : &pair.first;
        struct side *anew = node == 0 ? &pair.first : &pair.second;
        const int ups = stays->ups;
        send_number(stays, 0, 4); /* on its way, or not, when the other one closes */
        close_side(anew);
        const int64_t since = clock_now_ns();
        TURN_UNTIL(pair.loop, stays->downs == ups, 500);
        assert_true(stays->why[0] != '\0');
        assert_string_equal(link_trouble(stays->link), stays->why);
        assert_int_equal(send_number(stays, 0, 4), -ENOTCONN);
        open_side(anew, pair.loop, node, "one", NULL);
        TURN_UNTIL(pair.loop, stays->ups == ups + 1 && anew->ups == 1, 2000);
        print_message("end %d opened anew: up again after %d ms\n", node,
                      (int)((clock_now_ns() - since) / NS_PER_MS));
        assert_int_equal(send_number(stays, 0, 4), 0);
        assert_int_equal(send_number(anew, 0, 4), 0);
        TURN_UNTIL(pair.loop, anew->messages == 1 && stays->next == 1, 1000);
    }
    close_pair(&pair);
}

static void test_another_cluster_key_is_refused(void **state)
{
    struct loop *loop;
    struct side first, second;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    open_side(&first, loop, 0, "one", NULL);
    open_side(&second, loop, 1, "two", NULL);
    TURN_UNTIL(loop, link_counts(first.link).refused >= 3 && link_counts(second.link).refused >= 3, 3000);
    assert_int_equal(first.ups + second.ups, 0);
    assert_non_null(strstr(link_trouble(first.link), "the same key"));
    turn_for(loop, 50);
    close_side(&second);
    open_side(&second, loop, 1, "one", NULL);
    TURN_UNTIL(loop, first.ups == 1 && second.ups == 1, 2000);
    close_side(&first);
    close_side(&second);
    loop_free(loop);
}

/* While keys are changed: any two nodes that have one in common meet, in whatever order they name them. */
static void test_two_keys_in_force(void **state)
{
    static const char *const keys[][4] = {{"one", "two", "one", NULL},   {"one", "two", "two", NULL},
                                          {"one", NULL, "two", "one"},   {"two", NULL, "two", "one"},
                                          {"one", "two", "two", "one"},  {"one", "two", "one", "two"},
                                          {"three", "two", "one", "two"}};

    (void)state;
    write_key("three", 3);
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct pair pair;
        assert_int_equal(loop_new(&pair.loop), 0);
        open_side(&pair.first, pair.loop, 0, keys[i][0], keys[i][1]);
        open_side(&pair.second, pair.loop, 1, keys[i][2], keys[i][3]);
        TURN_UNTIL(pair.loop, pair.first.ups == 1 && pair.second.ups == 1, 3000);
        assert_int_equal(send_number(&pair.first, 0, 100), 0);
        assert_int_equal(send_number(&pair.second, 0, 100), 0);
        TURN_UNTIL(pair.loop, pair.first.messages == 1 && pair.second.messages == 1, 1000);
        close_pair(&pair);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/three", directory);
    unlink(path);
}

/* ---- strangers */

/* A ZeroMQ client that knows the server's key; it greets as a peer does. */
static void *stranger(void *context, const struct config *config, const struct curve_pair *own, int host)
{
    char to[32], endpoint[128];
    struct keys keys;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    const int linger = 0;

    address(0, to);
    snprintf(endpoint, sizeof endpoint, "tcp://%.*s.%d:0;%s:%d", (int)(strrchr(to, '.') - to), to, host, to,
             SYNC_PORT);
    assert_int_equal(keys_open(&keys, config), 0);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys.node[0][0].open, CURVE_BYTES);
    if (!own)
        own = &keys.node[0][1];
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own->open, CURVE_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret, CURVE_BYTES);
    keys_close(&keys);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    assert_int_equal(zmq_send(socket, "duetlnk1", 8, ZMQ_DONTWAIT), 8);
    return socket;
}

static void stranger_is_refused(struct pair *pair, void *context, const struct curve_pair *own, int host)
{
    const uint64_t refused = link_counts(pair->first.link).refused;
    void *socket = stranger(context, pair->first.config, own, host);
    char bytes[64];

    TURN_UNTIL(pair->loop, link_counts(pair->first.link).refused > refused, 3000);
    turn_for(pair->loop, 50);
    assert_int_equal(zmq_recv(socket, bytes, sizeof bytes, ZMQ_DONTWAIT), -1);
    zmq_close(socket);
    turn_for(pair->loop, 20);
}

static void test_strangers_are_refused(void **state)
{
    void *context = zmq_ctx_new();
    struct curve_pair own;
    struct pair pair;
    char bytes[64], open[41], secret[41];

    (void)state;
    open_pair(&pair);
    assert_int_equal(zmq_curve_keypair(open, secret), 0);
    assert_non_null(zmq_z85_decode(own.open, open));
    assert_non_null(zmq_z85_decode(own.secret, secret));
    stranger_is_refused(&pair, context, &own, 3); /* the peer's address, another key */
    stranger_is_refused(&pair, context, NULL, 9); /* the peer's key, another address */
    assert_int_equal(pair.first.ups + pair.second.ups, 2);
    assert_int_equal(pair.first.downs + pair.second.downs, 0);
    /* The same one with both is the peer: the test has tested what it says. */
    void *socket = stranger(context, pair.first.config, NULL, 3);
    int got = -1;
    for (int i = 0; i < 100 && got < 0; i++) {
        turn_for(pair.loop, 10);
        got = zmq_recv(socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
    }
    assert_int_equal(got, 24);
    assert_int_equal(pair.first.ups, 1); /* it has not confirmed */
    zmq_close(socket);
    zmq_ctx_term(context);
    turn_for(pair.loop, 20);
    assert_int_equal(send_number(&pair.second, 0, 4), 0);
    TURN_UNTIL(pair.loop, pair.first.messages == 1, 1000);
    close_pair(&pair);
}

/* ---- a full queue */

static void test_a_full_queue_tells_when_there_is_room(void **state)
{
    (void)state;
    for (int node = 0; node < 2; node++) {
        struct side sides[2];
        struct loop *loops[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(loop_new(&loops[i]), 0);
            open_side(&sides[i], loops[i], i, "one", NULL);
        }
        for (int i = 0; i < 4000 && sides[0].ups + sides[1].ups < 2; i++)
            loop_turn(loops[i % 2], NS_PER_MS);
        assert_int_equal(sides[0].ups + sides[1].ups, 2);
        struct side *full = &sides[node], *other = &sides[!node];
        fill(full);
        turn_for(full->loop, 100); /* what the other end's queue and the kernel take */
        assert_true(full->sent > 0 && full->sent < 4 * LINK_QUEUE);
        full->fill = true;
        fill(full);
        turn_for(full->loop, 100);
        TURN_UNTIL(other->loop, other->messages >= LINK_QUEUE, 3000);
        const uint32_t before = full->sent;
        TURN_UNTIL(full->loop, full->rooms > 0 && full->sent > before, 2000);
        for (int i = 0; i < 20 || other->messages < full->sent; i++) {
            full->fill = i < 20;
            loop_turn(full->loop, NS_PER_MS);
            loop_turn(other->loop, NS_PER_MS);
        }
        assert_int_equal(other->messages, full->sent);
        assert_int_equal(sides[0].downs + sides[1].downs, 0);
        for (int i = 0; i < 2; i++) {
            close_side(&sides[i]);
            loop_free(loops[i]);
        }
    }
}

/* ---- a peer in another process */

/* This program again, as a peer at the addresses of the process `of`; it aborts where a test would fail. */
static _Noreturn void run_peer(char **argv)
{
    struct side side;
    struct loop *loop;
    const bool sends = strcmp(argv[5], "sends") == 0;

    setenv("CMOCKA_TEST_ABORT", "1", 1);
    text_copy(directory, sizeof directory, argv[2]);
    address_of = atoi(argv[3]);
    loop_new(&loop);
    open_side(&side, loop, atoi(argv[4]), "one", NULL);
    for (;;) {
        loop_turn(loop, 10 * NS_PER_MS);
        if (side.ups == side.downs)
            side.sent = 0;
        else if (sends && send_number(&side, side.sent, 64) == 0)
            side.sent++;
    }
}

static pid_t start_peer(int node, bool sends)
{
    char of[16];

    snprintf(of, sizeof of, "%d", (int)getpid());
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test fails */
        execl("/proc/self/exe", "test_link", "--peer", directory, of, node == 0 ? "0" : "1",
              sends ? "sends" : "listens", (char *)NULL);
        _exit(1);
    }
    assert_true(pid > 0);
    return pid;
}

static void end_peer(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_a_stopped_peer_is_down(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const int node = i % 2;
        const bool busy = i >= 2;
        struct loop *loop;
        struct side side;
        const pid_t pid = start_peer(!node, busy);
        assert_int_equal(loop_new(&loop), 0);
        open_side(&side, loop, node, "one", NULL);
        TURN_UNTIL(loop, side.ups == 1, 3000);
        turn_for(loop, 700);
        kill(pid, SIGSTOP);
        const int64_t since = clock_now_ns();
        side.fill = busy;
        if (busy)
            fill(&side);
        TURN_UNTIL(loop, side.downs == 1, LINK_HEARTBEAT_MS + LINK_TIMEOUT_MS + 500);
        print_message("end %d, %s: down %d ms after the other one stopped\n", node, busy ? "full" : "idle",
                      (int)((clock_now_ns() - since) / NS_PER_MS));
        kill(pid, SIGCONT);
        side.fill = false;
        TURN_UNTIL(loop, side.ups == 2, 3000);
        end_peer(pid);
        TURN_UNTIL(loop, side.downs == 2, 500);
        close_side(&side);
        loop_free(loop);
    }
}

static void test_a_killed_peer_comes_back(void **state)
{
    (void)state;
    for (int node = 0; node < 2; node++) {
        struct loop *loop;
        struct side side;
        pid_t pid = start_peer(!node, true);
        assert_int_equal(loop_new(&loop), 0);
        open_side(&side, loop, node, "one", NULL);
        TURN_UNTIL(loop, side.ups == 1, 3000);
        for (int i = 0; i < 10; i++) {
            TURN_UNTIL(loop, side.messages > 10, 3000);
            end_peer(pid);
            const int64_t since = clock_now_ns();
            pid = start_peer(!node, true);
            TURN_UNTIL(loop, side.ups == i + 2, 3000);
            print_message("end %d: up %d ms after its peer was killed\n", node,
                          (int)((clock_now_ns() - since) / NS_PER_MS));
            assert_int_equal(side.downs, i + 1);
            side.messages = 0;
        }
        end_peer(pid);
        close_side(&side);
        loop_free(loop);
    }
}

/* A peer that hangs, and another one in its place: no message goes to the old one, nor is one of it taken. */
static void test_a_stale_connection_takes_nothing(void **state)
{
    struct loop *loop;
    struct side side;

    (void)state;
    const pid_t old = start_peer(1, true);
    assert_int_equal(loop_new(&loop), 0);
    open_side(&side, loop, 0, "one", NULL);
    TURN_UNTIL(loop, side.messages > 50, 5000);
    kill(old, SIGSTOP);
    const pid_t anew = start_peer(1, true);
    TURN_UNTIL(loop, side.ups == 2, 1500); /* before a heartbeat tells of the old one */
    assert_int_equal(side.downs, 1);
    assert_string_equal(side.why, "the peer has connected anew");
    kill(old, SIGCONT); /* which sends on, with numbers of its own */
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(send_number(&side, i, 1000), 0); /* the new one would die of a wrong number */
        turn_for(loop, 10);
    }
    assert_int_equal(side.downs, 1);
    assert_true(side.messages > 0 && side.next > 20);
    end_peer(old);
    turn_for(loop, 100);
    assert_int_equal(side.downs, 1); /* the old one's end is not the new one's */
    assert_int_equal(waitpid(anew, NULL, WNOHANG), 0);
    end_peer(anew);
    TURN_UNTIL(loop, side.downs == 2, 500);
    close_side(&side);
    loop_free(loop);
}

/* ---- addresses that come and go, in a network of its own */

/* Gives or takes 10.9.9.N, on the loopback device. */
static void set_address(int n, bool there)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    char text[32];

    assert_true(fd >= 0);
    snprintf(text, sizeof text, "10.9.9.%d", n);
    inet_pton(AF_INET, there ? text : "0.0.0.0", &in.sin_addr);
    snprintf(request.ifr_name, sizeof request.ifr_name, n == 0 ? "lo" : "lo:%d", n);
    memcpy(&request.ifr_addr, &in, sizeof in);
    if (n != 0)
        assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    inet_pton(AF_INET, "255.255.255.255", &in.sin_addr); /* or its whole network is local on this device */
    memcpy(&request.ifr_netmask, &in, sizeof in);
    if (n != 0 && there)
        assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &request), 0);
    request.ifr_flags = IFF_UP;
    if (n == 0)
        assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void open_reserved(struct side *side, struct loop *loop, int node, const char *const addresses[2])
{
    *side = (struct side){.loop = loop, .config = config_of(node, "one", NULL)};
    for (int i = 0; i < 2; i++)
        assert_int_equal(net_address_parse(addresses[i], &side->config->nodes[i].reserved), 0);
    assert_int_equal(link_open(loop, side->config, &events, side, &side->link), 0);
}

static void addresses_come_and_go(void)
{
    static const char *const addresses[] = {"10.9.9.1", "10.9.9.2"};
    struct loop *loop;
    struct side first, second;

    set_address(0, true);
    assert_int_equal(loop_new(&loop), 0);
    open_reserved(&first, loop, 0, addresses);
    open_reserved(&second, loop, 1, addresses);
    turn_for(loop, 300);
    assert_non_null(strstr(link_trouble(first.link), "cannot listen on 10.9.9.1"));
    assert_non_null(strstr(link_trouble(second.link), "cannot be reached"));
    for (int i = 1; i <= 2; i++) {
        set_address(1, true);
        set_address(2, true);
        TURN_UNTIL(loop, first.ups == i && second.ups == i, 2500);
        set_address(i, false);
        TURN_UNTIL(loop, first.downs == i && second.downs == i, 4000);
    }
    set_address(2, true);
    TURN_UNTIL(loop, first.ups == 3 && second.ups == 3, 2500);
    close_side(&first);
    close_side(&second);
    loop_free(loop);
}

static void ipv6_works_too(void)
{
    static const char *const addresses[] = {"::1", "::1"};
    struct loop *loop;
    struct side first, second;

    assert_int_equal(loop_new(&loop), 0);
    open_reserved(&first, loop, 0, addresses);
    open_reserved(&second, loop, 1, addresses);
    TURN_UNTIL(loop, first.ups == 1 && second.ups == 1, 2500);
    assert_int_equal(send_number(&second, 0, 4), 0);
    TURN_UNTIL(loop, first.messages == 1, 1000);
    close_side(&first);
    close_side(&second);
    loop_free(loop);
}

static void test_addresses_come_and_go(void **state)
{
    int status;

    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
            _exit(77);
        addresses_come_and_go();
        ipv6_works_too();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* namespaces are not allowed here */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "--peer") == 0)
        run_peer(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_in_order),
        cmocka_unit_test(test_a_peer_that_is_opened_anew),
        cmocka_unit_test(test_another_cluster_key_is_refused),
        cmocka_unit_test(test_two_keys_in_force),
        cmocka_unit_test(test_strangers_are_refused),
        cmocka_unit_test(test_a_full_queue_tells_when_there_is_room),
        cmocka_unit_test(test_a_stopped_peer_is_down),
        cmocka_unit_test(test_a_killed_peer_comes_back),
        cmocka_unit_test(test_a_stale_connection_takes_nothing),
        cmocka_unit_test(test_addresses_come_and_go),
    };

    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
