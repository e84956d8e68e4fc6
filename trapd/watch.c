#include "trapd/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A standby that is not ready for a moment, as after each start, is no news. */
static const int64_t not_ready_for_ns = 3 * NS_PER_S;
/* Pulses come each second. */
static const int64_t silent_for_ns = 3500 * NS_PER_MS;

/* ------------------------------------------------------------------------ making events */

PRINTF_LIKE(4, 5)
static struct event *happened(struct watch *watch, enum mib_notification kind, int64_t at_ns,
                              const char *format, ...)
{
    static struct event nowhere;
    va_list arguments;
    struct event *event =
        watch->event_count < WATCH_EVENTS_MAX ? &watch->events[watch->event_count++] : &nowhere;

    watch->lost += event == &nowhere;
    *event = (struct event){.kind = kind, .at_ns = at_ns};
    va_start(arguments, format);
    vsnprintf(event->text, sizeof event->text, format, arguments);
    va_end(arguments);
    return event;
}

static struct event_value *add(struct event *event, enum mib_object object)
{
    struct event_value *value = &event->values[event->value_count++];

    *value = (struct event_value){.object = object};
    return value;
}

static void add_number(struct event *event, enum mib_object object, int64_t number)
{
    add(event, object)->number = number;
}

static void add_text(struct event *event, enum mib_object object, const char *text)
{
    struct event_value *value = add(event, object);

    text_copy(value->text, sizeof value->text, text);
}

static int64_t role_number(enum role role)
{
    return role == ROLE_ACTIVE ? MIB_VALUE_ROLE_ACTIVE : MIB_VALUE_ROLE_PASSIVE;
}

size_t watch_take(struct watch *watch, const struct event **events)
{
    const size_t count = watch->event_count;

    *events = watch->events;
    watch->event_count = 0;
    return count;
}

/* --------------------------------------------------------------------------------- role */

static void tell_role(struct watch *watch, const struct role_message *role, int64_t at_ns)
{
    const char *const names[] = {[ROLE_PASSIVE] = "passive", [ROLE_ACTIVE] = "active"};
    struct event *event =
        happened(watch, MIB_TRAP_ROLE_CHANGED, at_ns, "%s instead of %s, epoch %" PRId64 ": %.100s",
                 names[role->role], names[watch->role], role->epoch, role->reason);

    add_number(event, MIB_NOTIFY_OLD_ROLE, role_number(watch->role));
    add_number(event, MIB_NOTIFY_NEW_ROLE, role_number(role->role));
    add_number(event, MIB_NOTIFY_EPOCH, role->epoch);
    add_text(event, MIB_NOTIFY_REASON, role->reason);
    if (role->role != ROLE_ACTIVE || strncmp(role->rule, "R3", 2) != 0)
        return;
    event = happened(watch, MIB_TRAP_TAKEOVER, at_ns,
                     "the role was taken from a peer that is gone, epoch %" PRId64, role->epoch);
    add_number(event, MIB_NOTIFY_EPOCH, role->epoch);
    add_text(event, MIB_NOTIFY_REASON, role->reason);
    add_text(event, MIB_NOTIFY_PEER, watch->peer);
}

static void tell_ready(struct watch *watch, bool ready, int64_t at_ns)
{
    watch->not_ready_told = !ready;
    if (ready)
        happened(watch, MIB_TRAP_READY, at_ns, "ready");
    else
        happened(watch, MIB_TRAP_NOT_READY, at_ns, "not ready: %.150s", watch->not_ready);
}

void watch_role(struct watch *watch, const struct role_message *role, int64_t at_ns)
{
    if (watch->role_known && watch->role != role->role)
        tell_role(watch, role, at_ns);
    watch->role_known = true;
    watch->role = role->role;
    watch->epoch = role->epoch;
    text_copy(watch->reason, sizeof watch->reason, role->reason);
    text_copy(watch->not_ready, sizeof watch->not_ready, role->not_ready);
    if (role->ready)
        watch->not_ready_since_ns = 0;
    else if (watch->not_ready_since_ns == 0)
        watch->not_ready_since_ns = at_ns;
    if (role->ready && watch->not_ready_told)
        tell_ready(watch, true, at_ns);
}

/* ---------------------------------------------------------------------------- services */

static struct watched_service *service_of(struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->service_count; i++)
        if (strcmp(watch->services[i].name, name) == 0)
            return &watch->services[i];
    if (watch->service_count == WATCH_SERVICES_MAX)
        return NULL;
    struct watched_service *made = &watch->services[watch->service_count++];
    *made = (struct watched_service){0};
    text_copy(made->name, sizeof made->name, name);
    return made;
}

void watch_service(struct watch *watch, const char *name, const struct service_message *service,
                   int64_t at_ns)
{
    struct watched_service *known = service_of(watch, name);
    struct event *event;

    if (!known)
        return;
    if (service->pid != 0 && service->pid != known->pid) {
        event =
            happened(watch, MIB_TRAP_SERVICE_STARTED, at_ns, "%s was started: process %" PRId64 "%s%.120s",
                     name, service->pid, service->text[0] ? "; before: " : "", service->text);
        add_text(event, MIB_NOTIFY_SERVICE, name);
        add_number(event, MIB_NOTIFY_PID, service->pid);
        known->pid = service->pid;
    }
    if (service->state == SERVICE_STATE_FAILED && known->state != SERVICE_STATE_FAILED) {
        event = happened(watch, MIB_TRAP_SERVICE_FAILED, at_ns, "%s stays down: %.140s", name, service->text);
        add_text(event, MIB_NOTIFY_SERVICE, name);
        add_text(event, MIB_NOTIFY_ON_FAILURE, service->on_failure);
    }
    known->state = service->state;
    known->restarts = service->restarts;
}

/* ----------------------------------------------------------------------------- network */

static struct watched_channel *channel_of(struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->channel_count; i++)
        if (strcmp(watch->channels[i].name, name) == 0)
            return &watch->channels[i];
    if (watch->channel_count == WATCH_CHANNELS_MAX)
        return NULL;
    struct watched_channel *made = &watch->channels[watch->channel_count++];
    *made = (struct watched_channel){0};
    text_copy(made->name, sizeof made->name, name);
    return made;
}

/* A channel that has not shown yet that it works has no fault. */
void watch_link(struct watch *watch, const char *name, const struct link_message *link, int64_t at_ns)
{
    struct watched_channel *known = channel_of(watch, name);
    const bool faulty = !link->usable && (known && known->faulty ? true : link->fault_ns > 0);

    if (!known || faulty == known->faulty)
        return;
    known->faulty = faulty;
    struct event *event =
        faulty ? happened(watch, MIB_TRAP_NETWORK_FAULT, at_ns, "%s (%s) does not work: %s", name,
                          link->device, link->carrier ? "a router is silent" : "no carrier")
               : happened(watch, MIB_TRAP_NETWORK_BACK, at_ns, "%s (%s) works again", name, link->device);
    add_text(event, MIB_NOTIFY_DEVICE, link->device);
    add_text(event, MIB_NOTIFY_CHANNEL, name);
}

/* -------------------------------------------------------------------------------- data */

static struct watched_set *set_of(struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->set_count; i++)
        if (strcmp(watch->sets[i].name, name) == 0)
            return &watch->sets[i];
    if (watch->set_count == WATCH_SETS_MAX)
        return NULL;
    struct watched_set *made = &watch->sets[watch->set_count++];
    *made = (struct watched_set){0};
    text_copy(made->name, sizeof made->name, name);
    return made;
}

static void tell_behind(struct watch *watch, struct watched_set *set, int64_t at_ns)
{
    static const char *const words[] = {[SYNC_STATE_OFF] = "off",
                                        [SYNC_STATE_DISCONNECTED] = "disconnected",
                                        [SYNC_STATE_INITIAL] = "in its first sync",
                                        [SYNC_STATE_BEHIND] = "behind",
                                        [SYNC_STATE_CURRENT] = "current"};
    struct event *event =
        happened(watch, MIB_TRAP_SYNC_BEHIND, at_ns, "the passive node is %s with %s: %" PRId64 " entries",
                 words[set->state], set->name, set->behind_files);

    add_text(event, MIB_NOTIFY_SET, set->name);
    add_number(event, MIB_NOTIFY_BEHIND_FILES, set->behind_files);
    add_number(event, MIB_NOTIFY_BEHIND_KBYTES, (set->behind_bytes + 1023) / 1024);
    set->told = true;
}

/* The alarm says that it lasts too long; which sets it is, they say themselves. */
static void check_sets(struct watch *watch, int64_t at_ns)
{
    for (size_t i = 0; i < watch->set_count; i++) {
        struct watched_set *set = &watch->sets[i];
        const bool behind = set->state != SYNC_STATE_CURRENT && set->state != SYNC_STATE_OFF;
        if (!set->known)
            continue;
        if (watch->sync_behind && behind && !set->told)
            tell_behind(watch, set, at_ns);
        if (set->told && !behind) {
            struct event *event = happened(watch, MIB_TRAP_SYNC_CURRENT, at_ns,
                                           "the passive node has all of %s again", set->name);
            add_text(event, MIB_NOTIFY_SET, set->name);
            set->told = false;
        }
    }
}

void watch_set(struct watch *watch, const char *name, const struct data_set_message *message, int64_t at_ns)
{
    struct watched_set *set = set_of(watch, name);

    if (!set)
        return;
    set->known = true;
    set->state = message->state;
    set->behind_files = message->behind_files;
    set->behind_bytes = message->behind_bytes;
    check_sets(watch, at_ns);
}

/* ------------------------------------------------------------------------------ alarms */

static void tell_peer(struct watch *watch, bool lost, int64_t at_ns)
{
    struct event *event =
        lost ? happened(watch, MIB_TRAP_PEER_LOST, at_ns, "%s is not heard on any path", watch->peer)
             : happened(watch, MIB_TRAP_PEER_BACK, at_ns, "%s is heard again", watch->peer);

    add_text(event, MIB_NOTIFY_PEER, watch->peer);
}

void watch_alarm(struct watch *watch, const char *name, const struct alarm_message *alarm, int64_t at_ns)
{
    if (strcmp(name, "peer-lost") == 0 && alarm->active != watch->peer_lost) {
        watch->peer_lost = alarm->active;
        tell_peer(watch, alarm->active, at_ns);
    } else if (strcmp(name, "dual-active") == 0 && alarm->active != watch->dual_active) {
        watch->dual_active = alarm->active;
        if (alarm->active) {
            struct event *event = happened(watch, MIB_TRAP_DUAL_ACTIVE, at_ns,
                                           "both nodes serve, this one with epoch %" PRId64, watch->epoch);
            add_number(event, MIB_NOTIFY_EPOCH, watch->epoch);
            add_text(event, MIB_NOTIFY_PEER, watch->peer);
        }
    } else if (strcmp(name, "sync-behind") == 0) {
        watch->sync_behind = alarm->active;
        check_sets(watch, at_ns);
    }
}

/* ----------------------------------------------------------------------------- daemons */

static void tell_daemon(struct event *event, const char *name, int64_t pid)
{
    add_text(event, MIB_NOTIFY_DAEMON, name);
    add_number(event, MIB_NOTIFY_PID, pid);
}

static struct watched_daemon *daemon_of(struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->daemon_count; i++)
        if (strcmp(watch->daemons[i].name, name) == 0)
            return &watch->daemons[i];
    if (watch->daemon_count == WATCH_DAEMONS_MAX)
        return NULL;
    struct watched_daemon *made = &watch->daemons[watch->daemon_count++];
    *made = (struct watched_daemon){0};
    text_copy(made->name, sizeof made->name, name);
    return made;
}

void watch_daemon(struct watch *watch, const char *name, const struct daemon_message *message, int64_t at_ns)
{
    struct watched_daemon *daemon = daemon_of(watch, name);

    if (!daemon)
        return;
    const bool replaced = daemon->pid != 0 && daemon->pid != message->pid;
    if (replaced && !daemon->failed && !daemon->stopping) {
        tell_daemon(happened(watch, MIB_TRAP_DAEMON_FAILED, at_ns, "%s: process %" PRId64 " has ended", name,
                             daemon->pid),
                    name, daemon->pid);
        daemon->failed = true;
    }
    if (daemon->failed)
        tell_daemon(
            happened(watch, MIB_TRAP_DAEMON_BACK, at_ns, "%s lives: process %" PRId64, name, message->pid),
            name, message->pid);
    *daemon = (struct watched_daemon){.pid = message->pid, .heard_ns = at_ns, .stopping = message->stopping};
    text_copy(daemon->name, sizeof daemon->name, name);
}

void watch_reboot(struct watch *watch, const struct reboot_message *reboot)
{
    const bool under_way = reboot->state == REBOOT_STATE_PREPARING || reboot->state == REBOOT_STATE_RUNNING;

    text_copy(watch->reboot_reason, sizeof watch->reboot_reason, under_way ? reboot->reason : "");
}

void watch_restarted(struct watch *watch, const char *text, int64_t at_ns)
{
    happened(watch, MIB_TRAP_WATCHDOG_REBOOT, at_ns, "%s", text);
}

void watch_tick(struct watch *watch, int64_t now_ns)
{
    for (size_t i = 0; i < watch->daemon_count; i++) {
        struct watched_daemon *daemon = &watch->daemons[i];
        if (daemon->failed || daemon->stopping || now_ns - daemon->heard_ns < silent_for_ns)
            continue;
        daemon->failed = true;
        tell_daemon(
            happened(watch, MIB_TRAP_DAEMON_FAILED, now_ns, "%s does not show that it lives", daemon->name),
            daemon->name, daemon->pid);
    }
    if (watch->not_ready_since_ns > 0 && !watch->not_ready_told &&
        now_ns - watch->not_ready_since_ns >= not_ready_for_ns)
        tell_ready(watch, false, now_ns);
}

/* -------------------------------------------------------------------------- remembering */

void watch_print(const struct watch *watch, char text[static WATCH_TEXT_MAX])
{
    int used =
        snprintf(text, WATCH_TEXT_MAX, "role %d\nnot-ready %d\npeer-lost %d\ndual-active %d\nreboot %s\n",
                 watch->role_known ? (int)watch->role : -1, watch->not_ready_told, watch->peer_lost,
                 watch->dual_active, watch->reboot_reason);

    for (size_t i = 0; i < watch->channel_count && used < WATCH_TEXT_MAX - 64; i++)
        if (watch->channels[i].faulty)
            used += snprintf(text + used, (size_t)(WATCH_TEXT_MAX - used), "channel %s\n",
                             watch->channels[i].name);
    for (size_t i = 0; i < watch->set_count && used < WATCH_TEXT_MAX - 64; i++)
        if (watch->sets[i].told)
            used += snprintf(text + used, (size_t)(WATCH_TEXT_MAX - used), "set %s\n", watch->sets[i].name);
    for (size_t i = 0; i < watch->service_count && used < WATCH_TEXT_MAX - 96; i++)
        used += snprintf(text + used, (size_t)(WATCH_TEXT_MAX - used), "service %s %" PRId64 " %d\n",
                         watch->services[i].name, watch->services[i].pid, watch->services[i].state);
}

static bool parse_line(struct watch *watch, const char *line)
{
    char name[32];
    int64_t pid;
    int number;

    if (sscanf(line, "role %d", &number) == 1 && number >= -1 && number <= ROLE_ACTIVE) {
        watch->role_known = number >= 0;
        watch->role = number >= 0 ? (enum role)number : ROLE_PASSIVE;
    } else if (sscanf(line, "not-ready %d", &number) == 1) {
        watch->not_ready_told = number == 1;
    } else if (sscanf(line, "peer-lost %d", &number) == 1) {
        watch->peer_lost = number == 1;
    } else if (sscanf(line, "dual-active %d", &number) == 1) {
        watch->dual_active = number == 1;
    } else if (strncmp(line, "reboot ", 7) == 0) {
        text_copy(watch->reboot_reason, sizeof watch->reboot_reason, line + 7);
    } else if (sscanf(line, "channel %31s", name) == 1) {
        struct watched_channel *channel = channel_of(watch, name);
        if (channel)
            channel->faulty = true;
    } else if (sscanf(line, "set %31s", name) == 1) {
        struct watched_set *set = set_of(watch, name);
        if (set)
            set->told = true;
    } else if (sscanf(line, "service %31s %" SCNd64 " %d", name, &pid, &number) == 3 && number >= 0 &&
               number <= SERVICE_STATE_FAILED) {
        struct watched_service *service = service_of(watch, name);
        if (service) {
            service->pid = pid;
            service->state = (enum service_state)number;
        }
    } else {
        return false;
    }
    return true;
}

int watch_parse(struct watch *watch, const char *text)
{
    char line[256];

    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        if (length >= sizeof line || text[length] != '\n') {
            *watch = (struct watch){0};
            return -EBADMSG;
        }
        memcpy(line, text, length);
        line[length] = '\0';
        if (!parse_line(watch, line)) {
            *watch = (struct watch){0};
            return -EBADMSG;
        }
        text += length + 1;
    }
    return 0;
}
