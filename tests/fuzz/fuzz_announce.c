/* Any bytes as an Ethernet frame with ARP or neighbour discovery in it; what is made of it is asked and
 * heard. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "takeoverd/announce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mac nobody;
    struct announce_heard heard, again;
    struct announce_frame frame;

    if (announce_parse(data, size, &heard) < 0)
        return 0;
    assert(heard.from.family == heard.to.family && !mac_is_zero(&heard.mac) && !(heard.mac.bytes[0] & 1));
    announce_ask(&heard.from, &heard.mac, &heard.to, &nobody, &frame);
    assert(frame.size <= sizeof frame.bytes);
    if (announce_parse(frame.bytes, frame.size, &again) < 0)
        abort();
    const bool same = net_address_equal(&heard.from, &heard.to);
    assert(again.kind == (same ? ANNOUNCE_CLAIM : ANNOUNCE_QUESTION) &&
           net_address_equal(&again.from, &heard.from) && net_address_equal(&again.to, &heard.to) &&
           mac_equal(&again.mac, &heard.mac));
    return 0;
}
