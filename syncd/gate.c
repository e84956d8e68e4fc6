#include "syncd/gate.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Parts of a request: version, its number, domain, address, routing id, mechanism, credentials. */
enum { VERSION, NUMBER, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIALS, PARTS };

struct gate {
    void *socket;
    struct loop_source *source;
    const struct keys *keys;
    int node;
    const struct net_address *peer;
};

struct request {
    zmq_msg_t parts[PARTS];
    size_t count;
};

void gate_domain(size_t key, char domain[static GATE_DOMAIN_MAX])
{
    snprintf(domain, GATE_DOMAIN_MAX, "sync-%zu", key);
}

static bool part_is(const struct request *request, size_t index, const char *text)
{
    const zmq_msg_t *part = &request->parts[index];

    return zmq_msg_size(part) == strlen(text) &&
           memcmp(zmq_msg_data((zmq_msg_t *)part), text, strlen(text)) == 0;
}

static bool from_peer(const struct gate *gate, struct request *request)
{
    char text[ADDRESS_TEXT_MAX] = "";
    struct net_address address;
    const size_t size = zmq_msg_size(&request->parts[ADDRESS]);

    if (size >= sizeof text)
        return false;
    memcpy(text, zmq_msg_data(&request->parts[ADDRESS]), size);
    return net_address_parse(text, &address) == 0 && net_address_equal(&address, gate->peer);
}

static bool has_key(const struct gate *gate, struct request *request)
{
    char domain[GATE_DOMAIN_MAX];

    if (!part_is(request, MECHANISM, "CURVE") || zmq_msg_size(&request->parts[CREDENTIALS]) != CURVE_BYTES)
        return false;
    for (size_t i = 0; i < gate->keys->count; i++) {
        gate_domain(i, domain);
        if (part_is(request, DOMAIN, domain))
            return sodium_memcmp(zmq_msg_data(&request->parts[CREDENTIALS]),
                                 gate->keys->node[i][gate->node].open, CURVE_BYTES) == 0;
    }
    return false;
}

static bool admitted(const struct gate *gate, struct request *request)
{
    return request->count == PARTS && part_is(request, VERSION, "1.0") && from_peer(gate, request) &&
           has_key(gate, request);
}

static void take_request(struct gate *gate, struct request *request)
{
    bool more = true;

    for (; request->count < PARTS && more; request->count++) {
        zmq_msg_init(&request->parts[request->count]);
        if (zmq_msg_recv(&request->parts[request->count], gate->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&request->parts[request->count]);
            return;
        }
        more = zmq_msg_more(&request->parts[request->count]);
    }
}

/* A socket of ZeroMQ itself asks, so a request is well-formed; it is answered in any case, since a REP socket
 * takes the next one only then. */
static void on_request(void *userdata, void *socket)
{
    struct gate *gate = userdata;
    struct request request = {.count = 0};

    take_request(gate, &request);
    if (request.count > NUMBER) {
        const char *status = admitted(gate, &request) ? "200" : "400";
        zmq_send(socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
        zmq_send(socket, zmq_msg_data(&request.parts[NUMBER]), zmq_msg_size(&request.parts[NUMBER]),
                 ZMQ_SNDMORE | ZMQ_DONTWAIT);
        zmq_send(socket, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
        zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT); /* status in words */
        zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT); /* user */
        zmq_send(socket, "", 0, ZMQ_DONTWAIT);               /* metadata */
    }
    for (size_t i = 0; i < request.count; i++)
        zmq_msg_close(&request.parts[i]);
}

int gate_open(void *context, struct loop *loop, const struct keys *keys, int node,
              const struct net_address *peer, struct gate **gate)
{
    struct gate *made = calloc(1, sizeof *made);
    const int linger = 0;

    if (!made)
        return -ENOMEM;
    *made = (struct gate){.keys = keys, .node = node, .peer = peer};
    made->socket = zmq_socket(context, ZMQ_REP);
    int r = made->socket ? 0 : -errno;
    if (r == 0) {
        zmq_setsockopt(made->socket, ZMQ_LINGER, &linger, sizeof linger);
        r = zmq_bind(made->socket, "inproc://zeromq.zap.01") < 0 ? -errno : 0;
    }
    if (r == 0)
        r = loop_add_zmq(loop, made->socket, on_request, made, &made->source);
    if (r < 0) {
        gate_close(made);
        return r;
    }
    *gate = made;
    return 0;
}

void gate_close(struct gate *gate)
{
    if (!gate)
        return;
    loop_remove(gate->source);
    if (gate->socket)
        zmq_close(gate->socket);
    free(gate);
}
