#include <stdio.h>
#include <string.h>

#include "arbiterd/judge.h"
#include "arbiterd/server.h"
#include "common/clock.h"
#include "common/log.h"

static const struct {
    const char *name, *text;
} alarm_words[ALARM_COUNT] = {
    {"state-lost",
     "the arbiter's state file is lost: epochs are learnt from the peer; end this by `duet clear`"},
    {"peer-lost", "the peer is not heard on any path: this node stands alone"},
    {"peer-mute", "the active addresses answer from the peer, but no heartbeat comes: look at its daemons"},
    {"dual-active", "both nodes serve: the one with the lower epoch gives way; look for a partition"},
    {"address-conflict", "a third host answers for an active address: find the MAC address in `duet status`"},
    {"network-fault", "a channel does not work here: look at its cable, switch and routers"},
    {"service-failed", "a guarded service stays down: mend it, then `duet clear`"},
    {"unfit", "this node gave up for a fault: no offer of the role until the fault has been gone for "
              "settle-time, or `duet clear`"},
    {"lease-unconfirmed", "takeoverd does not confirm the active addresses: look at its log"},
    {"offer-not-taken", "the peer did not take the role that was offered"},
    {"not-released", "takeoverd has not confirmed that no active address is left here: look at its log"},
    {"nobody-active", "no node serves: see `duet status` on both"},
    {"config-differs",
     "the configurations of the two nodes differ: copy the right one, and run `duet reload` on that node"},
    {"reboot-failed", "the reboot command failed: restart this node by hand"},
    {"reboot-delayed",
     "this node restarted for the same fault before, and waits: mend it, then `duet clear`"},
    {"watchdog-absent", "no watchdog guards this machine"},
    {"watchdog-starving", "the watchdog is not fed, and restarts this machine soon"},
    {"hook-failed",
     "a hook of the last change of role failed: see `duet status`; mend it, then `duet clear`"},
    {"data-not-whole",
     "the first sync to this node has not ended: it does not claim by itself; wait for it, or "
     "`duet claim --force`"},
    {"data-stale",
     "this node may miss what the other one changed last: it waits stale-start-wait for the other, "
     "then serves with what it has"},
    {"sync-behind", "the passive node's data is behind: see `duet sync status`"},
    {"sync-trouble", "a sync set needs a look"},
    {"sync-conflict",
     "this node had changes that the other one never saw; they are kept aside: see `duet sync "
     "status`, then `duet clear`"},
    {"gate-lost",
     "the active addresses were or are here without the gate that ends them with their lease: look at "
     "takeoverd's log"},
    {"witness-lost",
     "the witness is not reached: no takeover, and no renewal, while the nodes do not hear each other"},
    {"fence-failed",
     "the fencing command failed, so this node does not take over: look at superviserd's log, "
     "or `duet claim --force`"},
};

/* How long a removal that was put right is shown: long enough for a person, or a check once a minute. */
static const int64_t gate_shown_ns = 120 * NS_PER_S;

/* A conflict is looked for each ten seconds at most (RFC 5227). */
static const int64_t conflict_shown_ns = 30 * NS_PER_S;

static bool gate_lost(const struct address_message *address)
{
    return address->gate == GATE_CONDITION_FAILED ||
           (address->gate_lost_ns > 0 && clock_now_ns() - address->gate_lost_ns < gate_shown_ns);
}

/* After a partition the other owner is the peer, whom dual-active names; a third host's MAC is none of the
 * peer's. */
static bool third_host_seen(const struct arbiter *a)
{
    if (a->address.conflict_ns == 0 || clock_now_ns() - a->address.conflict_ns >= conflict_shown_ns)
        return false;
    for (size_t i = 0; i < a->peer.channels_count; i++) {
        const char *mac = a->peer.channels[i].mac;
        if (mac[0] && strncmp(a->address.conflict, mac, strlen(mac)) == 0)
            return false;
    }
    return true;
}

static unsigned shell_alarms(const struct server *s)
{
    const char *theirs = s->arbiter.peer.config_hash;
    unsigned set = s->reboot_failed ? ALARM_REBOOT_FAILED : 0;

    if (s->watchdog.state == WATCHDOG_STATE_ABSENT ||
        (watchdog_missing(&s->arbiter) && !s->arbiter.watchdog_heard && !watchdog_awaited(&s->arbiter)))
        set |= ALARM_WATCHDOG_ABSENT;
    if (s->watchdog.starving_since_ns > 0)
        set |= ALARM_WATCHDOG_STARVING;
    if (s->reboot_delayed)
        set |= ALARM_REBOOT_DELAYED;
    if (s->hook_failed)
        set |= ALARM_HOOK_FAILED;
    if (s->data_lagging)
        set |= ALARM_SYNC_BEHIND;
    if (s->data.text[0] != '\0')
        set |= ALARM_SYNC_TROUBLE;
    if (s->data.conflicts > s->conflicts_cleared)
        set |= ALARM_SYNC_CONFLICT;
    if (third_host_seen(&s->arbiter))
        set |= ALARM_ADDRESS_CONFLICT;
    if (gate_lost(&s->arbiter.address))
        set |= ALARM_GATE_LOST;
    if (theirs[0] && strcmp(theirs, s->daemon->config->hash) != 0)
        set |= ALARM_CONFIG_DIFFERS;
    return set;
}

/* What superviserd says of its watchdog, and syncd of a set, goes into the alarm. */
static void fill_text(const struct server *s, int i, char *text, size_t size)
{
    const bool more = (1u << i) & (ALARM_WATCHDOG_ABSENT | ALARM_WATCHDOG_STARVING);

    if ((1u << i) == ALARM_SYNC_TROUBLE)
        snprintf(text, size, "%s: %.128s", alarm_words[i].text, s->data.text);
    else if ((1u << i) == ALARM_ADDRESS_CONFLICT && s->arbiter.address.conflict_ns > 0)
        snprintf(text, size, "%s: %.96s", alarm_words[i].text, s->arbiter.address.conflict);
    else
        snprintf(text, size, "%s%s%.100s", alarm_words[i].text, more && s->watchdog.text[0] ? ": " : "",
                 more ? s->watchdog.text : "");
}

static void log_alarm(const char *name, bool active, const char *text)
{
    char id[LOG_MESSAGE_ID_MAX], event[64], field[64];
    const char *const fields[] = {id, field, active ? "DUET_ALARM_ACTIVE=1" : "DUET_ALARM_ACTIVE=0", NULL};

    snprintf(event, sizeof event, active ? "alarm/%s" : "alarm-end/%s", name);
    snprintf(field, sizeof field, "DUET_ALARM=%s", name);
    log_message_id(event, id);
    log_fields(active ? LOG_WARNING : LOG_NOTICE, fields, "alarm %s %s: %s", name, active ? "begins" : "ends",
               text);
}

static void publish_alarm(struct server *s, int i, bool active)
{
    struct alarm_message alarm = {.active = active, .since_ns = s->alarm_since[i]};

    clock_utc(s->alarm_since[i], alarm.since);
    fill_text(s, i, alarm.text, sizeof alarm.text);
    bus_publish(s->daemon->bus, &alarm_type, alarm_words[i].name, &alarm, NULL);
    log_alarm(alarm_words[i].name, active, alarm.text);
    history_note(&s->history, clock_now_ns(), NULL, "alarm %s %s%s%.128s", alarm_words[i].name,
                 active ? "begins" : "ends", active ? ": " : "", active ? alarm.text : "");
}

void server_alarms(struct server *s)
{
    const unsigned set = arbiter_alarms(&s->arbiter) | shell_alarms(s), news = set ^ s->alarms;

    s->alarms = set;
    for (int i = 0; i < ALARM_COUNT; i++)
        if (news & (1u << i)) {
            s->alarm_since[i] = clock_now_ns();
            publish_alarm(s, i, set & (1u << i));
        }
}
