/* adapters/nng/out_ws.c - alone responsible for peers of PUB and PUSH on ws: WebSocket streams of
 * the library, each message one binary message of the subprotocol pub.sp.nanomsg.org or push.sp....
 *
 *   listener aio -> stream -> JOINED: queue -> one send at a time;  a receive that should never end
 *                                  \-- its end, an error, or the front end's: closing -> both aios
 *                                      rest -> freed
 *
 * Streams are used, not the library's PUB and PUSH sockets, for the reasons told in out_stream.c.
 *
 * Happy path: give queues a message; the send's callback, on a thread of nng's, posts to the loop,
 * which sends the next. Failures: anything received, and any error, closes the stream; PUSH's
 * message under way is then counted as lost, PUB's are dropped with the connection. A listener that
 * does not close in time is kept, with its accept: the close holds the lock that the accept's end
 * would take.
 *
 * [W1] At most one send and one receive are under way; a peer is freed when neither is.
 * [W2] A call is posted once for each end of its aio. */
#include "adapters/nng/out_private.h"

#include "adapters/shared/descriptors.h"
#include "core/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_TRIES_MAX = 16 };

typedef struct ws_message {
    struct ws_message *next;
    nng_msg *message;
    uint32_t records;
} ws_message;

typedef struct ws_carrier {
    weir_nng_out *out;
    nng_stream_listener *listener;
    nng_aio *accept;
    weir_call call;
    bool accepting; /* loop */
    bool closed;    /* loop */
    bool hangs;     /* main thread */
} ws_carrier;

typedef struct ws_peer {
    out_peer peer; /* first */
    nng_stream *stream;
    nng_aio *send;
    nng_aio *receive;
    weir_call send_call;
    weir_call receive_call;
    ws_message *queue; /* the first is the one under way */
    ws_message **queue_tail;
    size_t queue_bytes;
    bool sending;
    bool receiving;
    bool closing;
} ws_peer;

static void queue_pop(ws_peer *peer, bool lost)
{
    ws_message *message = peer->queue;
    peer->queue = message->next;
    peer->queue_tail = peer->queue == NULL ? &peer->queue : peer->queue_tail;
    if (lost && peer->peer.out->part == WEIR_NNG_PUSH) {
        weir_counter_add(&peer->peer.out->adapter->counters.push_lost, message->records);
    }
    free(message);
}

static void peer_free_when_idle(ws_peer *peer)
{
    weir_nng_out *out = peer->peer.out;
    if (!peer->closing || peer->sending || peer->receiving) {
        return; /* [W1] */
    }
    while (peer->queue != NULL) {
        nng_msg_free(peer->queue->message);
        queue_pop(peer, true);
    }
    nng_aio_free(peer->send);
    nng_aio_free(peer->receive);
    nng_stream_free(peer->stream);
    weir_nng_connection_remove(out->adapter, out->part);
    weir_descriptors_give(1);
    out->leaving_count--;
    free(peer);
    weir_nng_settle(out->adapter);
}

/* Both aios will end soon. */
static void peer_end(ws_peer *peer)
{
    if (!peer->closing) {
        peer->closing = true;
        weir_nng_out_leave(&peer->peer);
        nng_stream_close(peer->stream);
        nng_aio_cancel(peer->send);
        nng_aio_cancel(peer->receive);
    }
}

static void peer_close(out_peer *outer)
{
    peer_end((ws_peer *)outer);
    peer_free_when_idle((ws_peer *)outer);
}

static void send_next(ws_peer *peer)
{
    if (!peer->sending && !peer->closing && peer->queue != NULL) {
        peer->sending = true; /* [W1] */
        nng_aio_set_msg(peer->send, peer->queue->message);
        nng_stream_send(peer->stream, peer->send);
    }
}

static bool give(out_peer *outer, weir_bytes body, uint32_t records)
{
    ws_peer *peer = (ws_peer *)outer;
    weir_nng_out *out = outer->out;
    ws_message *message = NULL;
    bool over =
        peer->queue_bytes > 0 && peer->queue_bytes + body.len > out->adapter->pub_buffer_bytes;
    if (peer->closing || (over && out->part == WEIR_NNG_PUB)) {
        return false;
    }
    message = calloc(1, sizeof(*message));
    if (message == NULL || nng_msg_alloc(&message->message, 0) != 0) {
        free(message);
        return false;
    }
    if (nng_msg_append(message->message, body.ptr, body.len) != 0) {
        nng_msg_free(message->message);
        free(message);
        return false;
    }
    message->records = records;
    *peer->queue_tail = message;
    peer->queue_tail = &message->next;
    peer->queue_bytes += body.len;
    send_next(peer);
    return true;
}

static bool ready(const out_peer *outer)
{
    const ws_peer *peer = (const ws_peer *)outer;
    return !peer->closing && peer->queue == NULL;
}

static size_t waiting(const out_peer *outer)
{
    return ((const ws_peer *)outer)->queue_bytes;
}

static const out_peer_ops peer_ops = {
    .give = give, .ready = ready, .close = peer_close, .waiting = waiting};

static void send_ended(weir_loop *loop, void *arg)
{
    ws_peer *peer = arg;
    bool sent = nng_aio_result(peer->send) == 0;
    (void)loop;
    peer->sending = false;
    if (!sent) {
        peer_end(peer); /* the message is still the queue's */
        peer_free_when_idle(peer);
        return;
    }
    peer->queue_bytes -= nng_aio_count(peer->send);
    queue_pop(peer, false); /* nng has freed the message */
    send_next(peer);
    weir_nng_settle(peer->peer.out->adapter);
    weir_nng_out_room(&peer->peer);
    peer_free_when_idle(peer);
}

/* Whatever was received, or that nothing more will be: there is nothing to say to PUB or PUSH. */
static void receive_ended(weir_loop *loop, void *arg)
{
    ws_peer *peer = arg;
    (void)loop;
    peer->receiving = false;
    if (nng_aio_result(peer->receive) == 0) {
        nng_msg *message = nng_aio_get_msg(peer->receive);
        nng_aio_set_msg(peer->receive, NULL);
        nng_msg_free(message);
        weir_counter_add(&peer->peer.out->adapter->counters.refused_greeting, 1);
    }
    peer_end(peer);
    peer_free_when_idle(peer);
}

/* On a thread of nng's, both: [W2]. */
static void sent(void *arg)
{
    ws_peer *peer = arg;
    weir_nng_hand(peer->peer.out->adapter, &peer->send_call);
}

static void received(void *arg)
{
    ws_peer *peer = arg;
    weir_nng_hand(peer->peer.out->adapter, &peer->receive_call);
}

static void peer_join(weir_nng_out *out, nng_stream *stream)
{
    ws_peer *peer = calloc(1, sizeof(*peer));
    bool room = weir_nng_connection_add(out->adapter, out->part);
    room = weir_descriptors_take(1) && room;
    if (!room || peer == NULL || nng_aio_alloc(&peer->send, sent, peer) != 0 ||
        nng_aio_alloc(&peer->receive, received, peer) != 0) {
        if (peer != NULL && peer->send != NULL) {
            nng_aio_free(peer->send);
        }
        free(peer);
        nng_stream_close(stream);
        nng_stream_free(stream);
        weir_nng_connection_remove(out->adapter, out->part);
        weir_descriptors_give(1);
        return;
    }
    peer->peer.ops = &peer_ops;
    peer->peer.out = out;
    peer->stream = stream;
    peer->queue_tail = &peer->queue;
    peer->send_call = (weir_call){.fn = send_ended, .arg = peer};
    peer->receive_call = (weir_call){.fn = receive_ended, .arg = peer};
    out->leaving_count++;
    weir_nng_out_join(out, &peer->peer);
    peer->receiving = true;
    nng_stream_recv(stream, peer->receive);
}

/* ---- The carrier ------------------------------------------------------------------------------
 */

static void accept_next(ws_carrier *carrier)
{
    carrier->accepting = true;
    nng_stream_listener_accept(carrier->listener, carrier->accept);
}

static void accept_ended(weir_loop *loop, void *arg)
{
    ws_carrier *carrier = arg;
    int status = nng_aio_result(carrier->accept);
    (void)loop;
    carrier->accepting = false;
    if (status == 0) {
        nng_stream *stream = nng_aio_get_output(carrier->accept, 0);
        if (carrier->out->closed) {
            nng_stream_close(stream);
            nng_stream_free(stream);
        } else {
            peer_join(carrier->out, stream);
        }
    }
    if (!carrier->closed && status != NNG_ECLOSED && status != NNG_ECANCELED) {
        accept_next(carrier);
    }
}

/* On a thread of nng's. */
static void accepted(void *arg)
{
    ws_carrier *carrier = arg;
    weir_nng_hand(carrier->out->adapter, &carrier->call);
}

static int listen_once(ws_carrier *carrier, const char *text, const char *protocol)
{
    int status = nng_stream_listener_alloc(&carrier->listener, text);
    status = status ? status : nng_stream_listener_set_bool(carrier->listener, "ws:msgmode", true);
    status = status
                 ? status
                 : nng_stream_listener_set_string(carrier->listener, NNG_OPT_WS_PROTOCOL, protocol);
    status = status ? status : nng_stream_listener_listen(carrier->listener);
    if (status != 0 && carrier->listener != NULL) {
        nng_stream_listener_free(carrier->listener);
        carrier->listener = NULL;
    }
    return status;
}

static weir_err carrier_listen(weir_nng_out *out, void **made, weir_fault *fault)
{
    weir_nng_url *url = &out->adapter->urls[out->part];
    const char *protocol =
        out->part == WEIR_NNG_PUSH ? "push.sp.nanomsg.org" : "pub.sp.nanomsg.org";
    bool any = url->port == 0;
    int status = NNG_EADDRINUSE;
    char text[WEIR_NNG_URL_MAX];
    ws_carrier *carrier = calloc(1, sizeof(*carrier));
    if (carrier == NULL || nng_aio_alloc(&carrier->accept, accepted, carrier) != 0) {
        free(carrier);
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.");
    }
    carrier->out = out;
    carrier->call = (weir_call){.fn = accept_ended, .arg = carrier};
    *made = carrier;
    for (unsigned try = 0; status == NNG_EADDRINUSE && try < (any ? PORT_TRIES_MAX : 1); try++) {
        if (any && weir_nng_port_pick(url, &url->port) != WEIR_OK) {
            break;
        }
        weir_nng_url_write(url, text);
        status = listen_once(carrier, text, protocol);
    }
    if (status != 0) {
        return weir_nng_fault(fault, out->part,
                              status == NNG_EADDRINUSE ? WEIR_EXISTS : WEIR_INVALID, text,
                              nng_strerror(status));
    }
    return WEIR_OK;
}

static void carrier_run(void *arg)
{
    accept_next(arg);
}

static void closed_run(weir_loop *loop, void *arg)
{
    (void)loop;
    ((ws_carrier *)arg)->closed = true;
}

static void nothing(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* Waits for HTTP connections to be taken apart. */
static void *close_run(void *arg)
{
    ws_carrier *carrier = arg;
    if (carrier->listener != NULL) {
        nng_stream_listener_close(carrier->listener);
    }
    nng_aio_stop(carrier->accept);
    return NULL;
}

static void carrier_unlisten(void *arg)
{
    ws_carrier *carrier = arg;
    weir_adapter *adapter = carrier->out->adapter;
    weir_loop_call_wait(adapter->loop, closed_run, carrier);
    carrier->hangs = !weir_nng_bounded(adapter, close_run, carrier);
    weir_loop_call_wait(adapter->loop, nothing, NULL); /* what was accepted has joined */
}

/* Waits for connections that are being answered. */
static void *free_run(void *arg)
{
    nng_stream_listener_free(arg);
    return NULL;
}

static bool carrier_shut(void *arg)
{
    ws_carrier *carrier = arg;
    if (!carrier->hangs && carrier->listener != NULL) {
        carrier->hangs = !weir_nng_bounded(carrier->out->adapter, free_run, carrier->listener);
        carrier->listener = NULL;
    }
    return !carrier->hangs;
}

static void carrier_destroy(void *arg)
{
    ws_carrier *carrier = arg;
    nng_aio_free(carrier->accept);
    free(carrier);
}

const out_carrier_ops weir_nng_ws_carrier = {
    .listen = carrier_listen,
    .run = carrier_run,
    .unlisten = carrier_unlisten,
    .shut = carrier_shut,
    .destroy = carrier_destroy,
};
