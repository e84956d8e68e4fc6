/* net: addresses as text and as bytes, without asking the system. */
#pragma once
#include <netinet/in.h>

#include "common/base.h"

enum { MAC_TEXT_MAX = 18, ADDRESS_TEXT_MAX = 64 };

struct mac {
    uint8_t bytes[6];
};

struct net_address {
    int family; /* AF_INET or AF_INET6; 0 = none */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    };
    uint8_t prefix; /* length; the whole address where none was given */
};

/* "192.0.2.1", "192.0.2.1/24", "2001:db8::1/64". 0 or -EINVAL. */
int net_address_parse(const char *text, struct net_address *address);

/* "192.0.2.1:80", "[2001:db8::1]:80". 0 or -EINVAL. */
int net_endpoint_parse(const char *text, struct net_address *address, int *port);

/* With "/PREFIX" if `with_prefix`. */
void net_address_print(const struct net_address *address, bool with_prefix,
                       char text[static ADDRESS_TEXT_MAX]);

/* The same host, whatever the prefix. */
bool net_address_equal(const struct net_address *a, const struct net_address *b);

/* `host` lies in the network of `network`. */
bool net_address_contains(const struct net_address *network, const struct net_address *host);

int mac_parse(const char *text, struct mac *mac); /* "02:00:00:00:00:01"; 0 or -EINVAL */
void mac_print(const struct mac *mac, char text[static MAC_TEXT_MAX]);
bool mac_equal(const struct mac *a, const struct mac *b);
bool mac_is_zero(const struct mac *mac);
