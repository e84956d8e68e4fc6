/* wire: datagrams in and out, sealed and opened. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "heartbeatd/line.h"
#include "heartbeatd/packet.h"
#include "heartbeatd/receive.h"
#include "heartbeatd/record.h"
#include "heartbeatd/shell.h"

static_assert(sizeof((struct record_message *)0)->text == HEARTBEAT_RECORD_MAX + 1, "record");
static_assert(sizeof((struct peer_record_message *)0)->text == HEARTBEAT_RECORD_MAX + 1, "peer_record");

enum { FRAME_MAX = PACKET_HEADER_BYTES + HEARTBEAT_DATAGRAM_MAX };

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

static int send_on_line(struct shell *shell, size_t path, const uint8_t *bytes, size_t size)
{
    bool refused;

    const int r = line_send(shell->paths[path].fd, bytes, size, &refused);
    if (refused)
        detector_sent(&shell->detector, path, false);
    return r;
}

static void put_ethernet(const struct shell *shell, size_t path, uint8_t frame[static PACKET_HEADER_BYTES])
{
    memcpy(frame, heartbeat_group, 6);
    memcpy(frame + 6, shell->detector.channels[path - PATH_CHANNEL].mac.bytes, 6);
    frame[12] = HEARTBEAT_ETHERTYPE >> 8;
    frame[13] = HEARTBEAT_ETHERTYPE & 0xff;
}

/* Seals `length` bytes of `body` behind the header, and sends both. 0 or a negative errno. */
static int send_sealed(struct shell *shell, size_t path, struct heartbeat_header *header, const uint8_t *body,
                       size_t length)
{
    uint8_t frame[FRAME_MAX], *const bytes = frame + PACKET_HEADER_BYTES;
    const struct seal_place place = place_of(shell, path, true);

    header->key_id = shell->ring.keys[0].id;
    header->sealed_bytes = (uint16_t)(length + SEAL_TAG_BYTES);
    heartbeat_pack_header(header, bytes);
    const size_t size = HEARTBEAT_HEADER_BYTES +
                        seal_message(&shell->ring, &place, bytes + HEARTBEAT_NONCE_AT, bytes,
                                     HEARTBEAT_HEADER_BYTES, body, length, bytes + HEARTBEAT_HEADER_BYTES);
    if (shell_is_udp(shell, path))
        return send_on_line(shell, path, bytes, size);
    put_ethernet(shell, path, frame);
    return packet_send(shell->paths[path].fd, frame, PACKET_HEADER_BYTES + size);
}

static void note_unsent(struct shell *shell, size_t path, const char *what, int r)
{
    if (r < 0 && log_allowed(&shell->send_log, 3))
        log_debug("%s on %s was refused: %s", what, detector_path_name(&shell->detector, path), strerror(-r));
}

static void send_heartbeat(struct shell *shell, size_t path)
{
    struct heartbeat_header header;
    struct heartbeat heartbeat;
    uint8_t body[HEARTBEAT_BODY_MAX];

    if (shell->paths[path].fd < 0)
        return;
    detector_compose(&shell->detector, path, clock_now_ns(), &header, &heartbeat);
    const int r = send_sealed(shell, path, &header, body, heartbeat_pack_body(&heartbeat, body));
    detector_sent(&shell->detector, path, r == 0);
    note_unsent(shell, path, "a heartbeat", r);
}

void shell_send_record(struct shell *shell, const char *text)
{
    const size_t path = record_path(&shell->detector);
    struct heartbeat_header header;
    uint8_t body[HEARTBEAT_RECORD_MAX];

    if (path == PATHS_MAX || shell->paths[path].fd < 0)
        return;
    const size_t length = heartbeat_pack_record(text, body);
    if (length == 0) {
        if (log_allowed(&shell->record_log, 1))
            log_warning(
                "arbiterd gave a record that cannot go to the peer: it is empty, or has control characters");
        return;
    }
    record_compose(&shell->detector, &header);
    const int r = send_sealed(shell, path, &header, body, length);
    if (r < 0)
        detector_sent(&shell->detector, path, false);
    note_unsent(shell, path, "a record", r);
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

/* What opened, but is of no version that this node speaks, or against the format. */
static void refuse_body(struct shell *shell, size_t path, const struct heartbeat_header *header)
{
    detector_refused(&shell->detector, path, REFUSED_FOREIGN);
    if (log_allowed(&shell->parse_log, 1))
        log_warning(
            "the peer speaks heartbeat versions %u to %u, this node only %d: use programs of the same "
            "version, or of the one before",
            header->version_min, header->version_max, HEARTBEAT_VERSION);
}

static void take_heartbeat(struct shell *shell, size_t path, const struct heartbeat_header *header,
                           const uint8_t *body, int64_t received_ns)
{
    struct heartbeat heartbeat;

    if (heartbeat_parse_body(header->version, body, header->sealed_bytes - SEAL_TAG_BYTES, &heartbeat) < 0)
        refuse_body(shell, path, header);
    else
        detector_heartbeat(&shell->detector, path, header, &heartbeat, received_ns, clock_now_ns(),
                           &shell->outbox);
}

/* It waits until the heartbeats that are due have been sent. More than four in a heartbeat interval come from
 * no honest arbiter (it sends one), and would be work for those who renew the lease. */
static void take_record(struct shell *shell, size_t path, const struct heartbeat_header *header,
                        const uint8_t *body, int64_t received_ns)
{
    struct peer_record_message record = {.received_ns = received_ns};

    if (heartbeat_parse_record(header->version, body, header->sealed_bytes - SEAL_TAG_BYTES, record.text) < 0)
        refuse_body(shell, path, header);
    else if (record_accept(&shell->detector, path, header) && received_ns >= shell->record_due_ns &&
             shell->record_count < SHELL_RECORDS_MAX) {
        shell->records[shell->record_count++] = record;
        shell->record_due_ns = received_ns + shell->daemon->config->timers.heartbeat_interval / 4;
    }
}

static void take_datagram(struct shell *shell, size_t path, const uint8_t *bytes, size_t size,
                          int64_t received_ns)
{
    struct heartbeat_header header;
    uint8_t body[HEARTBEAT_RECORD_MAX];
    const struct seal_place place = place_of(shell, path, false);

    if (heartbeat_parse_header(bytes, size, &header) < 0 ||
        header.cluster != heartbeat_hash(shell->daemon->config->cluster) ||
        header.sealed_bytes > heartbeat_body_max(header.kind) + SEAL_TAG_BYTES) {
        detector_refused(&shell->detector, path, REFUSED_FOREIGN);
        return;
    }
    if (seal_open(&shell->ring, header.key_id, &place, bytes + HEARTBEAT_NONCE_AT, bytes,
                  HEARTBEAT_HEADER_BYTES, bytes + HEARTBEAT_HEADER_BYTES, header.sealed_bytes, body) < 0) {
        detector_refused(&shell->detector, path, REFUSED_UNOPENED);
        return;
    }
    if (header.kind == DATAGRAM_RECORD)
        take_record(shell, path, &header, body, received_ns);
    else
        take_heartbeat(shell, path, &header, body, received_ns);
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
