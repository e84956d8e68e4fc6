/* mib: what of DUET-MIB (deploy/mibs) notifications use. system/test_trapd.py compares the numbers with the
 * MIB. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base.h"

/* Numbers below duetNotifications. */
enum mib_notification {
    MIB_SERVICE_STARTED = 1,
    MIB_SERVICE_FAILED,
    MIB_ROLE_CHANGED,
    MIB_TAKEOVER,
    MIB_PEER_LOST,
    MIB_PEER_BACK,
    MIB_NETWORK_FAULT,
    MIB_NETWORK_BACK,
    MIB_SYNC_BEHIND,
    MIB_SYNC_CURRENT,
    MIB_NODE_NOT_READY,
    MIB_NODE_READY,
    MIB_DUAL_ACTIVE,
    MIB_DAEMON_FAILED,
    MIB_DAEMON_BACK,
    MIB_WATCHDOG_REBOOT,
    MIB_NOTIFICATIONS, /* one more than there are */
};

enum mib_object {
    MIB_NODE_NAME,
    MIB_ROLE,
    MIB_EPOCH,
    MIB_REASON,
    MIB_NOT_READY,
    MIB_PEER_NAME,
    MIB_CHANNEL_DEVICE,
    MIB_CHANNEL_CARRIER,
    MIB_SERVICE_PID,
    MIB_SERVICE_RESTARTS,
    MIB_SYNC_STATE,
    MIB_SYNC_BEHIND_FILES,
    MIB_SYNC_BEHIND_FOR,
    MIB_EVENT_NUMBER,
    MIB_EVENT_TIME,
    MIB_EVENT_AGE,
    MIB_EVENT_HELD_BACK,
    MIB_EVENT_OLD_ROLE,
    MIB_EVENT_TEXT,
    MIB_EVENT_SUBJECT,
    MIB_OBJECTS,
};

enum mib_syntax { MIB_TEXT, MIB_INTEGER, MIB_UNSIGNED };

struct mib_object_entry {
    const char *name;
    uint8_t path[4]; /* below duetMIB */
    uint8_t length;
    enum mib_syntax syntax;
};

extern const struct mib_object_entry mib_objects[MIB_OBJECTS];
extern const char *const mib_notifications[MIB_NOTIFICATIONS]; /* names; [0] is NULL */

/* duetMIB where the configuration says nothing else. */
#define MIB_BASE "1.3.6.1.4.1.8072.9999.9999.3833"

/* SMIv2's TruthValue (RFC 2579). */
static inline int64_t mib_truth(bool value)
{
    return value ? 1 : 2;
}
