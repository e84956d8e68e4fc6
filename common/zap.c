#include "common/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Parts of a request: version, its number, domain, address, routing id, mechanism, credentials. */
enum { VERSION, NUMBER, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIALS, PARTS };

struct zap {
    void *socket;
    struct loop_source *source;
    zap_admit *admit;
    void *userdata;
};

struct request {
    zmq_msg_t parts[PARTS];
    size_t count;
};

static bool part_is(struct request *request, size_t index, const char *text)
{
    zmq_msg_t *part = &request->parts[index];

    return zmq_msg_size(part) == strlen(text) && memcmp(zmq_msg_data(part), text, strlen(text)) == 0;
}

static void copy_part(struct request *request, size_t index, char text[static ZAP_TEXT_MAX])
{
    const size_t size = zmq_msg_size(&request->parts[index]);

    text[0] = '\0';
    if (size >= ZAP_TEXT_MAX)
        return;
    memcpy(text, zmq_msg_data(&request->parts[index]), size);
    text[size] = '\0';
}

static bool is_admitted(const struct zap *zap, struct request *request, char user[static ZAP_TEXT_MAX])
{
    struct zap_request asked = {.key = NULL};

    if (request->count != PARTS || !part_is(request, VERSION, "1.0"))
        return false;
    copy_part(request, DOMAIN, asked.domain);
    copy_part(request, ADDRESS, asked.address);
    if (part_is(request, MECHANISM, "CURVE") && zmq_msg_size(&request->parts[CREDENTIALS]) == CURVE_BYTES)
        asked.key = zmq_msg_data(&request->parts[CREDENTIALS]);
    return zap->admit(zap->userdata, &asked, user);
}

static void take_request(struct zap *zap, struct request *request)
{
    bool more = true;

    for (; request->count < PARTS && more; request->count++) {
        zmq_msg_init(&request->parts[request->count]);
        if (zmq_msg_recv(&request->parts[request->count], zap->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&request->parts[request->count]);
            return;
        }
        more = zmq_msg_more(&request->parts[request->count]);
    }
}

static void answer(struct zap *zap, zmq_msg_t *number, const char *status, const char *user)
{
    const int more = ZMQ_SNDMORE | ZMQ_DONTWAIT;

    zmq_send(zap->socket, "1.0", 3, more);
    zmq_send(zap->socket, zmq_msg_data(number), zmq_msg_size(number), more);
    zmq_send(zap->socket, status, strlen(status), more);
    zmq_send(zap->socket, "", 0, more); /* status in words */
    zmq_send(zap->socket, user, strlen(user), more);
    zmq_send(zap->socket, "", 0, ZMQ_DONTWAIT); /* metadata */
}

/* A socket of ZeroMQ itself asks, so a request is well-formed; it is answered in any case, since a REP socket
 * takes the next one only then. */
static void on_request(void *userdata, void *socket)
{
    struct zap *zap = userdata;
    struct request request = {.count = 0};
    char user[ZAP_TEXT_MAX] = "";

    (void)socket;
    take_request(zap, &request);
    if (request.count > NUMBER) {
        const bool admitted = is_admitted(zap, &request, user);
        answer(zap, &request.parts[NUMBER], admitted ? "200" : "400", admitted ? user : "");
    }
    for (size_t i = 0; i < request.count; i++)
        zmq_msg_close(&request.parts[i]);
}

int zap_open(void *context, struct loop *loop, zap_admit *admit, void *userdata, struct zap **zap)
{
    struct zap *made = calloc(1, sizeof *made);
    const int linger = 0;

    if (!made)
        return -ENOMEM;
    *made = (struct zap){.admit = admit, .userdata = userdata};
    made->socket = zmq_socket(context, ZMQ_REP);
    int r = made->socket ? 0 : -errno;
    if (r == 0) {
        zmq_setsockopt(made->socket, ZMQ_LINGER, &linger, sizeof linger);
        r = zmq_bind(made->socket, "inproc://zeromq.zap.01") < 0 ? -errno : 0;
    }
    if (r == 0)
        r = loop_add_zmq(loop, made->socket, on_request, made, &made->source);
    if (r < 0) {
        zap_close(made);
        return r;
    }
    *zap = made;
    return 0;
}

void zap_close(struct zap *zap)
{
    if (!zap)
        return;
    loop_remove(zap->source);
    if (zap->socket)
        zmq_close(zap->socket);
    free(zap);
}
