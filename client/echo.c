#include "client/echo.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 8, REQUEST_V4 = 8, ANSWER_V4 = 0, REQUEST_V6 = 128, ANSWER_V6 = 129, IP_HEADER_MIN = 20 };

/* RFC 1071, over an even number of bytes. */
static uint16_t checksum(const unsigned char *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void echo_request(bool v6, uint64_t nonce, unsigned char bytes[static ECHO_SIZE])
{
    memset(bytes, 0, ECHO_SIZE);
    bytes[0] = v6 ? REQUEST_V6 : REQUEST_V4;
    memcpy(bytes + 4, &nonce, 4); /* identifier and sequence number */
    memcpy(bytes + HEADER, &nonce, sizeof nonce);
    if (v6)
        return;
    const uint16_t sum = checksum(bytes, ECHO_SIZE);
    bytes[2] = (unsigned char)(sum >> 8);
    bytes[3] = (unsigned char)sum;
}

bool echo_is_answer(bool v6, const unsigned char *bytes, size_t size, uint64_t nonce)
{
    const size_t skip = v6 ? 0 : size < IP_HEADER_MIN ? size : (size_t)(bytes[0] & 0x0f) * 4;

    if (size < skip || size - skip < ECHO_SIZE)
        return false;
    bytes += skip;
    return bytes[0] == (v6 ? ANSWER_V6 : ANSWER_V4) && memcmp(bytes + 4, &nonce, 4) == 0 &&
           memcmp(bytes + HEADER, &nonce, sizeof nonce) == 0;
}

int64_t handshake_of_line(const char *line, const char *peer)
{
    const char *tab = strchr(line, '\t');
    char *end;

    if (!tab ||
        (peer[0] != '\0' && (strlen(peer) != (size_t)(tab - line) || strncmp(line, peer, strlen(peer)) != 0)))
        return 0;
    if (tab[1] < '0' || tab[1] > '9')
        return 0;
    const unsigned long long seconds = strtoull(tab + 1, &end, 10);
    return *end == '\0' && seconds < INT64_MAX / NS_PER_S ? (int64_t)seconds : 0;
}
