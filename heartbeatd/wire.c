/* wire: datagrams in and out, sealed and opened. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "heartbeatd/line.h"
#include "heartbeatd/packet.h"
#include "heartbeatd/receive.h"
#include "heartbeatd/shell.h"

enum { FRAME_MAX = PACKET_HEADER_BYTES + HEARTBEAT_MAX };

static enum seal_direction direction_from(const struct shell *shell, bool self)
{
    return (shell->daemon->config->self == 0) == self ? SEAL_FIRST_TO_SECOND : SEAL_SECOND_TO_FIRST;
}

static struct seal_place place_of(const struct shell *shell, size_t path, bool from_self)
{
    return (struct seal_place){.cluster = shell->daemon->config->cluster,
                               .path = detector_path_name(&shell->detector, path),
                               .direction = direction_from(shell, from_self)};
}

/* ---------------------------------------------------------------------- out */

static size_t make_heartbeat(struct shell *shell, size_t path, uint8_t bytes[static HEARTBEAT_MAX])
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;
    uint8_t body[HEARTBEAT_BODY_MAX];
    const struct seal_place place = place_of(shell, path, true);

    detector_compose(&shell->detector, path, clock_now_ns(), &header, &heartbeat);
    const size_t length = heartbeat_pack_body(&heartbeat, body);
    header.key_id = shell->ring.keys[0].id;
    header.sealed_bytes = (uint16_t)(length + SEAL_TAG_BYTES);
    heartbeat_pack_header(&header, bytes);
    return HEARTBEAT_HEADER_BYTES + seal_message(&shell->ring, &place, bytes + HEARTBEAT_NONCE_AT, bytes,
                                                 HEARTBEAT_HEADER_BYTES, body, length,
                                                 bytes + HEARTBEAT_HEADER_BYTES);
}

static int send_on_line(struct shell *shell, size_t path)
{
    uint8_t bytes[HEARTBEAT_MAX];
    bool refused;

    const size_t length = make_heartbeat(shell, path, bytes);
    const int r = line_send(shell->paths[path].fd, bytes, length, &refused);
    if (refused)
        detector_sent(&shell->detector, path, false);
    return r;
}

static int send_on_channel(struct shell *shell, size_t path)
{
    uint8_t frame[FRAME_MAX];

    memcpy(frame, heartbeat_group, 6);
    memcpy(frame + 6, shell->detector.channels[path - PATH_CHANNEL].mac.bytes, 6);
    frame[12] = HEARTBEAT_ETHERTYPE >> 8;
    frame[13] = HEARTBEAT_ETHERTYPE & 0xff;
    const size_t length = make_heartbeat(shell, path, frame + PACKET_HEADER_BYTES);
    return packet_send(shell->paths[path].fd, frame, PACKET_HEADER_BYTES + length);
}

static void send_heartbeat(struct shell *shell, size_t path)
{
    if (shell->paths[path].fd < 0)
        return;
    const int r = shell_is_udp(shell, path) ? send_on_line(shell, path) : send_on_channel(shell, path);
    detector_sent(&shell->detector, path, r == 0);
    if (r < 0 && log_allowed(&shell->send_log, 3))
        log_debug("a heartbeat on %s was refused: %s", detector_path_name(&shell->detector, path),
                  strerror(-r));
}

void shell_send(struct shell *shell)
{
    const struct outbox *out = &shell->outbox;
    uint8_t frame[NEIGHBOUR_FRAME_MAX];

    for (size_t i = 0; i < shell->detector.path_count; i++)
        if (out->send_paths >> i & 1)
            send_heartbeat(shell, i);
    for (size_t i = 0; i < out->ask_count; i++) {
        const int fd = shell->arps[out->asks[i].channel].fd;
        if (fd >= 0)
            packet_send(fd, frame,
                        neighbour_pack(&out->asks[i].request,
                                       frame)); /* a request that is lost here is one without an answer */
    }
}

/* ----------------------------------------------------------------------- in */

static void take_datagram(struct shell *shell, size_t path, const uint8_t *bytes, size_t size,
                          int64_t received_ns)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;
    uint8_t body[HEARTBEAT_BODY_MAX];
    const struct seal_place place = place_of(shell, path, false);

    if (heartbeat_parse_header(bytes, size, &header) < 0 ||
        header.cluster != heartbeat_hash(shell->daemon->config->cluster) ||
        header.sealed_bytes > sizeof body + SEAL_TAG_BYTES) {
        detector_refused(&shell->detector, path, REFUSED_FOREIGN);
        return;
    }
    if (seal_open(&shell->ring, header.key_id, &place, bytes + HEARTBEAT_NONCE_AT, bytes,
                  HEARTBEAT_HEADER_BYTES, bytes + HEARTBEAT_HEADER_BYTES, header.sealed_bytes, body) < 0) {
        detector_refused(&shell->detector, path, REFUSED_UNOPENED);
        return;
    }
    if (heartbeat_parse_body(header.version, body, header.sealed_bytes - SEAL_TAG_BYTES, &heartbeat) < 0) {
        detector_refused(&shell->detector, path, REFUSED_FOREIGN);
        if (log_allowed(&shell->parse_log, 1))
            log_warning(
                "the peer speaks heartbeat versions %u to %u, this node only %d: use programs of the same "
                "version, or of the one before",
                header.version_min, header.version_max, HEARTBEAT_VERSION);
        return;
    }
    detector_heartbeat(&shell->detector, path, &header, &heartbeat, received_ns, clock_now_ns(),
                       &shell->outbox);
}

void shell_read_path(struct ear *ear, int budget)
{
    uint8_t bytes[FRAME_MAX];
    const size_t skip = shell_is_udp(ear->shell, ear->index) ? 0 : PACKET_HEADER_BYTES;
    int64_t received_ns;

    for (int i = 0; i < budget && ear->fd >= 0; i++) {
        const int64_t before_ns = clock_now_ns();
        const ssize_t n = receive_stamped(ear->fd, bytes, sizeof bytes, ear->empty_ns, &received_ns);
        if (n < 0) {
            ear->empty_ns = before_ns;
            return;
        }
        if ((size_t)n >= skip)
            take_datagram(ear->shell, ear->index, bytes + skip, (size_t)n - skip, received_ns);
    }
}

void shell_read_neighbours(struct ear *ear, int budget)
{
    uint8_t frame[128];
    struct neighbour neighbour;
    int64_t received_ns;

    for (int i = 0; i < budget && ear->fd >= 0; i++) {
        const int64_t before_ns = clock_now_ns();
        const ssize_t n = receive_stamped(ear->fd, frame, sizeof frame, ear->empty_ns, &received_ns);
        if (n < 0) {
            ear->empty_ns = before_ns;
            return;
        }
        if (neighbour_parse(frame, (size_t)n, &neighbour) == 0)
            detector_neighbour(&ear->shell->detector, ear->index, &neighbour, received_ns, clock_now_ns(),
                               &ear->shell->outbox);
    }
}

/* check-only-idle: lets through what comes from the routers, by the MAC addresses from which they answered
 * last. */
static void follow_routers(struct shell *shell, size_t i)
{
    const struct channel *channel = &shell->detector.channels[i];
    struct mac macs[CONFIG_ROUTERS_MAX] = {0};

    for (size_t k = 0; k < channel->router_count; k++)
        macs[k] = channel->routers[k].mac;
    if (memcmp(macs, shell->idle_macs[i], sizeof macs) == 0)
        return;
    if (packet_filter_sources(shell->idles[i], macs, channel->router_count) == 0)
        memcpy(shell->idle_macs[i], macs, sizeof macs);
}

void shell_read_idle(struct shell *shell, size_t i)
{
    enum { FRAMES = 16 }; /* more than its buffer holds */
    uint8_t frame[PACKET_HEADER_BYTES];
    struct mac from;
    int64_t received_ns;

    if (shell->idles[i] < 0)
        return;
    follow_routers(shell, i);
    for (int k = 0; k < FRAMES; k++) {
        const ssize_t n = receive_stamped(shell->idles[i], frame, sizeof frame, 0, &received_ns);
        if (n < (ssize_t)sizeof frame)
            return;
        memcpy(from.bytes, frame + 6, sizeof from.bytes);
        detector_router_frame(&shell->detector, i, &from, received_ns, clock_now_ns(), &shell->outbox);
    }
}
