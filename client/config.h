/* config: /etc/duet/client.conf, read and checked once, before anything is touched.
 *
 * A profile's way to connect is turned into lists of commands here, so that all kinds of connections are the
 * same to those who run them: NetworkManager is `nmcli connection up`, a unit `systemctl start`, WireGuard
 * `wg-quick up`, routes `ip route replace`. */
#pragma once
#include <limits.h>
#include <stdio.h>

#include "client/roam.h"
#include "common/config.h"

enum { CLIENT_ROUTES_MAX = 16 };

enum client_test { CLIENT_TEST_ICMP, CLIENT_TEST_TCP, CLIENT_TEST_HANDSHAKE, CLIENT_TEST_COMMAND };

struct client_gateway {
    char name[CONFIG_NAME_MAX];
    enum client_test test;
    struct net_address address;    /* icmp, tcp */
    int port;                      /* tcp */
    char device[16];               /* the test leaves by it only; handshake: the WireGuard device */
    char peer[64];                 /* handshake: public key of the peer; empty: any */
    int64_t max_age;               /* handshake: older ones are no answer */
    struct config_strings command; /* handshake: what shows them */
    int64_t interval, timeout;     /* of tests */
    int line;
};

/* Who knows whether a connection is still there. */
enum client_keeper { CLIENT_KEEPER_NONE, CLIENT_KEEPER_NETWORKMANAGER, CLIENT_KEEPER_SYSTEMD };

struct client_profile {
    char name[CONFIG_NAME_MAX];
    enum client_keeper keeper;
    struct config_strings up, down; /* run one after the other to their end; may be empty */
    struct config_strings state;    /* asks the keeper; it prints a word, or nothing */
    struct config_strings run;      /* stays in the foreground; its end is the end of the connection */
    struct config_strings routes[CLIENT_ROUTES_MAX], unroutes[CLIENT_ROUTES_MAX];
    size_t route_count;
    int64_t connect_timeout, down_timeout;
    int line;
};

struct client_config {
    char file[PATH_MAX];
    struct client_gateway gateways[ROAM_GATEWAYS_MAX];
    struct client_profile profiles[ROAM_PROFILES_MAX];
    struct roam_rules rules;
    int first;               /* profile to begin with, as long as none is remembered */
    struct net_address page; /* family 0: no page */
    int page_port;
    struct config_strings notify; /* told by its last two words: what, and the text */
    int warnings;
};

/* Reads and checks the file; says what is wrong with it on `errors`, as FILE:LINE: cause; remedy. 0 and the
 * configuration, which the caller frees with client_config_free(); or a negative errno. */
int client_config_read(const char *file, FILE *errors, struct client_config **config);

/* The same of a text, for tests. */
int client_config_read_text(const char *file, const char *text, FILE *errors, struct client_config **config);

void client_config_free(struct client_config *config);

/* Index by name; -1: there is none. */
int client_profile_find(const struct client_config *config, const char *name);

const char *client_test_name(enum client_test test);
