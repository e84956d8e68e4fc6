#include "heartbeatd/record.h"

size_t record_path(const struct detector *d)
{
    if (!d->peer.heard || !d->peer.linked || !d->peer.said.takes_records)
        return PATHS_MAX;
    for (size_t i = 0; i < d->path_count; i++) /* the reserved line is the first */
        if (d->paths[i].configured && d->paths[i].state == PATH_STATE_UP)
            return i;
    return PATHS_MAX;
}

void record_compose(struct detector *d, struct heartbeat_header *header)
{
    own_head(&d->own, d->config->cluster, DATAGRAM_RECORD, header);
}

bool record_accept(struct detector *d, size_t path, const struct heartbeat_header *header)
{
    struct peer *peer = &d->peer;

    if (peer->record_sequence == 0 || !heartbeat_session_equal(&header->session, &peer->session) ||
        header->sequence <= peer->record_sequence) {
        d->paths[path].replayed++;
        return false;
    }
    peer->record_sequence = header->sequence;
    return true;
}
