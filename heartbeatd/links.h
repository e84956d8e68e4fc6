/* links: what the system tells of its network devices, as it happens. */
#pragma once
#include "common/base.h"
#include "common/net.h"

struct links;

struct links_event {
    const char *device; /* its name; lives for the call */
    unsigned index;
    bool present; /* false: it was removed */
    bool carrier; /* it is up, and has carrier */
    struct mac mac;
    uint64_t frames; /* received since the device was made */
};

typedef void links_handler(void *userdata, const struct links_event *event);

/* Listens, and asks for the present state of all devices; the handler is called from links_read(). 0 or a
 * negative errno; the caller frees with links_free(). */
int links_open(links_handler *handler, void *userdata, struct links **links);
void links_free(struct links *links);

int links_fd(const struct links *links); /* readable: call links_read() */
void links_read(struct links *links);    /* if messages were lost, it asks for everything again */

/* Asks for one device; the answer comes as an event. */
void links_ask(struct links *links, unsigned index);

/* The name of the device that has `address` now. 0 or -ENODEV. */
enum { LINK_NAME_MAX = 16 };
int links_device_of(const struct net_address *address, char device[static LINK_NAME_MAX]);
