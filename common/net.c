#include "common/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_prefix(const char *text, uint8_t most, uint8_t *prefix)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || value > most)
        return -EINVAL;
    *prefix = (uint8_t)value;
    return 0;
}

int net_address_parse(const char *text, struct net_address *address)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    const size_t length = slash ? (size_t)(slash - text) : strlen(text);

    *address = (struct net_address){0};
    if (length >= sizeof host)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, &address->v4) == 1) {
        address->family = AF_INET;
        address->prefix = 32;
    } else if (inet_pton(AF_INET6, host, &address->v6) == 1) {
        address->family = AF_INET6;
        address->prefix = 128;
    } else {
        return -EINVAL;
    }
    return slash ? parse_prefix(slash + 1, address->prefix, &address->prefix) : 0;
}

void net_address_print(const struct net_address *address, bool with_prefix,
                       char text[static ADDRESS_TEXT_MAX])
{
    text[0] = '\0';
    if (address->family == 0)
        return;
    inet_ntop(address->family, &address->v4, text, INET6_ADDRSTRLEN);
    if (with_prefix)
        snprintf(text + strlen(text), ADDRESS_TEXT_MAX - strlen(text), "/%u", address->prefix);
}

static size_t address_size(const struct net_address *address)
{
    return address->family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && (a->family == 0 || memcmp(&a->v4, &b->v4, address_size(a)) == 0);
}

bool net_address_contains(const struct net_address *network, const struct net_address *host)
{
    const uint8_t *n = (const uint8_t *)&network->v4, *h = (const uint8_t *)&host->v4;
    const size_t whole = network->prefix / 8, rest = network->prefix % 8;

    if (network->family != host->family || memcmp(n, h, whole) != 0)
        return false;
    return rest == 0 || ((n[whole] ^ h[whole]) >> (8 - rest)) == 0;
}

int mac_parse(const char *text, struct mac *mac)
{
    unsigned b[6];
    int used = 0;

    if (strlen(text) != 17 ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
        used != 17)
        return -EINVAL;
    for (int i = 0; i < 6; i++)
        mac->bytes[i] = (uint8_t)b[i];
    return 0;
}

void mac_print(const struct mac *mac, char text[static MAC_TEXT_MAX])
{
    const uint8_t *b = mac->bytes;

    snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

bool mac_equal(const struct mac *a, const struct mac *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool mac_is_zero(const struct mac *mac)
{
    return mac_equal(mac, &(struct mac){0});
}

int net_endpoint_parse(const char *text, struct net_address *address, int *port)
{
    char host[ADDRESS_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    const bool bracketed = text[0] == '[';

    if (!colon || colon == text || (bracketed && colon[-1] != ']'))
        return -EINVAL;
    const size_t length = (size_t)(colon - text) - (bracketed ? 2 : 0);
    if (length >= sizeof host || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5)
        return -EINVAL;
    memcpy(host, text + bracketed, length);
    host[length] = '\0';
    *port = atoi(colon + 1);
    if (strchr(host, '/') || *port < 1 || *port > 65535 || net_address_parse(host, address) < 0)
        return -EINVAL;
    return (address->family == AF_INET6) == bracketed ? 0 : -EINVAL;
}
