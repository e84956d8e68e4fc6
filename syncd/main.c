/* syncd: sends what changes on the active node to the passive one. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "common/log.h"
#include "common/sys.h"
#include "syncd/hashkey.h"
#include "syncd/syncd.h"

static struct syncd self;

void syncd_work_soon(struct syncd *s)
{
    loop_set_timer(s->work, 1);
}

static bool set_work(struct set *set, int64_t now_ns)
{
    const struct syncd *s = set->syncd;
    bool more = receiver_work(set, now_ns);

    if (exchange_is_sender(s) && !set->receiving.restore)
        more = sender_work(set, now_ns) || more;
    more = restore_work(set) || more;
    return verify_work(set) || more;
}

/* A step of each set in turn, then back to the loop: nothing else waits long. */
static void on_work(void *userdata, int64_t now_ns)
{
    struct syncd *s = userdata;
    bool more = false;
    int64_t next = 0;

    for (size_t i = 0; i < s->set_count; i++)
        more = set_work(&s->sets[(s->turn + i) % s->set_count], now_ns) || more;
    s->turn++;
    for (size_t i = 0; i < s->set_count && !more && exchange_is_sender(s); i++) {
        const int64_t due = sender_due_ns(&s->sets[i]);
        if (due > now_ns && (next == 0 || due < next))
            next = due;
    }
    if (more)
        loop_set_timer(s->work, 1);
    else if (next > 0)
        loop_set_timer(s->work, next);
}

static void on_second(void *userdata, int64_t now_ns)
{
    struct syncd *s = userdata;

    for (size_t i = 0; i < s->set_count; i++) {
        if (exchange_is_sender(s)) {
            exchange_tell_lag(&s->sets[i]);
            sender_check(&s->sets[i], now_ns);
        }
        set_save_tree(&s->sets[i], false);
        receiver_check(&s->sets[i], now_ns);
        receiver_rest(&s->sets[i], now_ns);
        publish_soon(&s->sets[i]);
    }
    loop_set_timer(s->second, now_ns + NS_PER_S);
    syncd_work_soon(s);
}

/* A handover waits until the peer has what was changed here. */
static void drain(struct syncd *s)
{
    const int64_t now = clock_now_ns();

    for (size_t i = 0; i < s->set_count; i++) {
        s->sets[i].sending.urgent = true;
        source_look(s->sets[i].source);
        if (s->sets[i].snapshot && !s->draining)
            snapshot_now(s->sets[i].snapshot);
    }
    s->looked_ns = now;
    s->draining = true;
    publish_soon(&s->sets[0]);
    syncd_work_soon(s);
}

static void on_role(void *userdata, const struct bus_message *message)
{
    struct syncd *s = userdata;
    const struct role_message *role = message->body;
    const bool active = role->role == ROLE_ACTIVE;
    const uint64_t epoch = (uint64_t)role->epoch;

    if (role->draining)
        drain(s);
    else
        s->draining = false;
    s->forced = active && strcmp(role->rule, "claim-ordered") == 0;
    if (s->role_known && s->active == active && (!active || s->epoch == epoch)) {
        s->epoch = epoch;
        return;
    }
    if (active)
        log_notice("this node is active, epoch %llu: it sends", (unsigned long long)epoch);
    else
        log_notice("this node is passive: it receives");
    s->role_known = true;
    s->active = active;
    s->epoch = epoch;
    exchange_restart(s);
    for (size_t i = 0; i < s->set_count; i++)
        set_role(&s->sets[i]);
    publish_all(s);
}

/* heartbeatd knows within a heartbeat that the line is back; TCP would wait for its next attempt. */
static void on_path(void *userdata, const struct bus_message *message)
{
    struct syncd *s = userdata;
    const struct path_message *path = message->body;
    const bool works = path->state == PATH_STATE_UP;

    if (!message->name || strcmp(message->name, "reserved") != 0)
        return;
    if (works && !s->line_works && !s->up)
        link_hurry(s->link);
    s->line_works = works;
}

static void on_room(void *userdata)
{
    syncd_work_soon(userdata);
}

static int open_own(struct syncd *s)
{
    static const struct link_events events = {exchange_up, exchange_down, exchange_message, on_room};
    struct loop *loop = s->daemon.loop;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/hash-key", s->daemon.state_dir);
    s->packed = malloc(SYNC_MESSAGE_MAX);
    s->squeezed = malloc(SYNC_RAW_MAX);
    s->unpacked = malloc(SYNC_RAW_MAX);
    int r = s->packed && s->squeezed && s->unpacked ? packer_new(&s->packer) : -ENOMEM;
    if (r == 0)
        r = hashkey_load(s->daemon.config, path, s->hash_key);
    if (r == 0)
        r = hasher_new(s->hash_key, &s->hasher);
    if (r == 0)
        r = loop_add_timer(loop, on_work, s, &s->work);
    if (r == 0)
        r = loop_add_timer(loop, on_second, s, &s->second);
    if (r == 0)
        r = publish_open(s);
    if (r == 0)
        r = sets_open(s);
    if (r == 0)
        r = bus_subscribe(s->daemon.bus, &role_type, "arbiterd", on_role, s);
    if (r == 0)
        r = link_open(loop, s->daemon.config, &events, s, &s->link);
    if (r == 0)
        r = bus_subscribe(s->daemon.bus, &path_type, "heartbeatd", on_path, s);
    if (r < 0)
        return r;
    bus_on_command(s->daemon.bus, orders_command, s);
    loop_set_timer(s->second, clock_now_ns() + NS_PER_S);
    publish_all(s);
    return 0;
}

/* Without sets it only says so. */
static int open_nothing(struct syncd *s)
{
    bus_on_command(s->daemon.bus, orders_command, s);
    publish_all(s);
    return 0;
}

/* It loses nothing by a start: both sides compare what they have, which they do after each cut of the line,
 * too. */
static int reload(void *userdata, const struct config *before, char *text, size_t size)
{
    (void)userdata;
    return daemon_reload_again(&self.daemon, config_syncs_equal(before, self.daemon.config), text, size);
}

int main(int argc, char **argv)
{
    int r = daemon_start(&self.daemon, "syncd", SYS_EVERYTHING | SYS_PATIENT, argc, argv);

    if (r == 0 && sodium_init() < 0)
        r = -ENOSYS;
    if (r == 0) {
        r = self.daemon.config->sync_count > 0 ? open_own(&self) : open_nothing(&self);
        if (r < 0)
            log_error("cannot set up the sync sets: %s", strerror(-r));
    }
    self.daemon.reload.apply = reload;
    self.daemon.on_end = syncd_close;
    self.daemon.stop_userdata = &self;
    return daemon_run(&self.daemon, r);
}

void syncd_close(void *userdata)
{
    struct syncd *s = userdata;

    link_close(s->link);
    sets_close(s);
    hasher_free(s->hasher);
    sodium_memzero(s->hash_key, sizeof s->hash_key);
    packer_free(s->packer);
    free(s->packed);
    free(s->squeezed);
    free(s->unpacked);
}
