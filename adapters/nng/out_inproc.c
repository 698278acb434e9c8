/* adapters/nng/out_inproc.c - alone responsible for PUB and PUSH on inproc, which only this very
 * process can reach: an embedding program, or tests.
 *
 * inproc exists inside the library only, so its own PUB and PUSH sockets are used, with their
 * limits: PUB drops what a slow peer's queue has no room for without telling, and a PUSH peer that
 * closes while a message is on its way to it can end the process. Close the peers after the
 * gateway.
 *
 *   PUB:   give -> nng_sendmsg, which never waits
 *   PUSH:  give -> one send under way -> its end: room again; ready only while somebody is
 * connected
 *
 * [I1] One peer stands for the socket and is joined while the front end runs. */
#include "adapters/nng/out_private.h"

#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>

#include <stdlib.h>

enum { PUB_QUEUE_MESSAGES = 8192 };

typedef struct inproc_carrier {
    out_peer peer; /* first: [I1] */
    weir_nng_socket socket;
    nng_aio *send; /* PUSH */
    weir_call call;
    weir_call joined_call;
    atomic_bool joined_posted;
    bool sending;
    uint32_t records; /* of the message under way */
    weir_nng_out *out;
} inproc_carrier;

static weir_counter *connections(const inproc_carrier *carrier)
{
    weir_nng_counters *counters = &carrier->out->adapter->counters;
    return carrier->out->part == WEIR_NNG_PUSH ? &counters->push_connections
                                               : &counters->pub_connections;
}

static bool give(out_peer *outer, weir_bytes body, uint32_t records)
{
    inproc_carrier *carrier = (inproc_carrier *)outer;
    nng_msg *message = NULL;
    if (nng_msg_alloc(&message, 0) != 0) {
        return false;
    }
    if (nng_msg_append(message, body.ptr, body.len) != 0) {
        nng_msg_free(message);
        return false;
    }
    if (outer->out->part == WEIR_NNG_PUB) {
        if (nng_sendmsg(carrier->socket.id, message, NNG_FLAG_NONBLOCK) != 0) {
            nng_msg_free(message);
            return false;
        }
        return true;
    }
    carrier->sending = true;
    carrier->records = records;
    nng_aio_set_msg(carrier->send, message);
    nng_send_aio(carrier->socket.id, carrier->send);
    return true;
}

static bool ready(const out_peer *outer)
{
    const inproc_carrier *carrier = (const inproc_carrier *)outer;
    return !carrier->sending && weir_counter_get(connections(carrier)) > 0;
}

static void peer_close(out_peer *outer)
{
    inproc_carrier *carrier = (inproc_carrier *)outer;
    weir_nng_out_leave(outer);
    if (carrier->send != NULL) {
        nng_aio_cancel(carrier->send);
    }
}

static size_t waiting(const out_peer *outer)
{
    return ((const inproc_carrier *)outer)->sending ? 1 : 0;
}

static const out_peer_ops peer_ops = {
    .give = give, .ready = ready, .close = peer_close, .waiting = waiting};

static void send_ended(weir_loop *loop, void *arg)
{
    inproc_carrier *carrier = arg;
    weir_nng_out *out = carrier->out;
    (void)loop;
    carrier->sending = false;
    if (nng_aio_result(carrier->send) != 0) {
        nng_msg_free(nng_aio_get_msg(carrier->send));
        nng_aio_set_msg(carrier->send, NULL);
        weir_counter_add(&out->adapter->counters.push_lost, carrier->records);
    }
    weir_nng_out_room(&carrier->peer);
    weir_nng_settle(out->adapter);
}

static void joined_run(weir_loop *loop, void *arg)
{
    inproc_carrier *carrier = arg;
    (void)loop;
    atomic_store(&carrier->joined_posted, false);
    weir_nng_out_room(&carrier->peer);
}

/* On threads of nng's, both. */
static void sent(void *arg)
{
    inproc_carrier *carrier = arg;
    weir_nng_hand(carrier->out->adapter, &carrier->call);
}

static void joined(void *arg, uint32_t pipe)
{
    inproc_carrier *carrier = arg;
    (void)pipe;
    if (!atomic_exchange(&carrier->joined_posted, true)) {
        weir_nng_hand(carrier->out->adapter, &carrier->joined_call);
    }
}

static weir_err carrier_listen(weir_nng_out *out, void **made, weir_fault *fault)
{
    inproc_carrier *carrier = calloc(1, sizeof(*carrier));
    int status = NNG_ENOMEM;
    if (carrier != NULL) {
        carrier->out = out;
        carrier->peer.out = out;
        carrier->peer.ops = &peer_ops;
        carrier->peer.endless = true;
        carrier->call = (weir_call){.fn = send_ended, .arg = carrier};
        carrier->joined_call = (weir_call){.fn = joined_run, .arg = carrier};
        carrier->socket = (weir_nng_socket){
            .adapter = out->adapter, .part = out->part, .joined = joined, .arg = carrier};
        *made = carrier;
        status = nng_aio_alloc(&carrier->send, sent, carrier);
    }
    if (status == 0) {
        status = out->part == WEIR_NNG_PUSH ? nng_push0_open(&carrier->socket.id)
                                            : nng_pub0_open(&carrier->socket.id);
    }
    if (status == 0 && out->part == WEIR_NNG_PUB) {
        (void)nng_socket_set_int(carrier->socket.id, NNG_OPT_SENDBUF, PUB_QUEUE_MESSAGES);
    }
    if (status != 0) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.");
    }
    return weir_nng_socket_listen(&carrier->socket, fault);
}

static void carrier_run(void *arg)
{
    inproc_carrier *carrier = arg;
    weir_nng_out_join(carrier->out, &carrier->peer);
}

static void carrier_unlisten(void *arg)
{
    (void)arg; /* a listener closes with its socket, after the peers' messages */
}

static void nothing(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

static bool carrier_shut(void *arg)
{
    return weir_nng_socket_close(&((inproc_carrier *)arg)->socket);
}

static void carrier_destroy(void *arg)
{
    inproc_carrier *carrier = arg;
    if (carrier->send != NULL) {
        nng_aio_stop(carrier->send);
        weir_loop_call_wait(carrier->out->adapter->loop, nothing, NULL);
        nng_aio_free(carrier->send);
    }
    free(carrier);
}

const out_carrier_ops weir_nng_inproc_carrier = {
    .listen = carrier_listen,
    .run = carrier_run,
    .unlisten = carrier_unlisten,
    .shut = carrier_shut,
    .destroy = carrier_destroy,
};
