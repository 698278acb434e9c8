/* bench/weir1/send.c - what goes out: whole messages, by window or by clock; fetches.
 *
 * Closed loop: a message of `batch_records` goes while the window has room for all of them. Open
 * loop: record k is meant for schedule + k / rate; a message goes when its last record's time has
 * come, and each record says its own.
 *
 * What may go in one turn is gathered into one write of about LOAD_WRITE_BYTES.
 *
 * WebSocket: each message is one frame, masked with a fixed number (of proxies, which the mask is
 * for, there are none here; the subject's work is the same).
 *
 * [P1] A publisher whose socket is full gets no more until it has taken what waits.
 * [P2] A request's number is not used again while it is under way: LOAD_REQUESTS is above every
 * window. */
#include "bench/weir1/private.h"

#include "adapters/proto/weir1/frame.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t mask[4] = {0x5a, 0xc3, 0x96, 0x2d};

weir_err load_publisher_prepare(load *own, load_peer *peer)
{
    const weir_load_head head = {.publisher = peer->index, .run = own->run};
    weir_err err = weir_load_template_init(
        &peer->template, own->work->json, load_is_queue(own) ? "jobs" : "bench",
        own->work->payload_bytes, own->work->batch_records, head);
    if (err != WEIR_OK) {
        return err;
    }
    if (own->work->websocket && own->work->json) {
        peer->template.len--; /* the newline ends a message on a stream only */
    }
    peer->times = calloc(LOAD_REQUESTS, sizeof(uint64_t));
    return peer->times != NULL ? WEIR_OK : WEIR_NO_MEMORY;
}

/* Room for a message of len bytes behind what waits; NULL: no memory. Then message_end. */
static uint8_t *message_begin(load_peer *peer, size_t len)
{
    uint8_t *room = weir_stream_room(&peer->stream, len + WEIR_WS_HEAD_BYTES_MAX);
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    if (room == NULL || peer->ws == NULL) {
        return room;
    }
    return room + weir_ws_head_write(head, WEIR_WS_BINARY, true, len, mask);
}

static void message_end(load_peer *peer, uint8_t *message, size_t len)
{
    uint8_t *from = peer->stream.out + peer->stream.out_len;
    if (peer->ws != NULL) {
        weir_ws_opcode opcode = message[0] == '{' ? WEIR_WS_TEXT : WEIR_WS_BINARY;
        (void)weir_ws_head_write(from, opcode, true, len, mask);
        weir_ws_mask(message, len, mask, 0);
    }
    peer->stream.out_len += (uint32_t)((size_t)(message - from) + len);
}

weir_err load_put(load *own, load_peer *peer, weir_bytes message)
{
    uint8_t *room = message_begin(peer, message.len);
    if (room == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory to send");
    }
    memcpy(room, message.ptr, message.len);
    message_end(peer, room, message.len);
    return WEIR_OK;
}

weir_err load_send(load *own, load_peer *peer, weir_bytes message)
{
    weir_err err = load_put(own, peer, message);
    return err == WEIR_OK ? weir_stream_flush(&peer->stream, own->flow.epoll, peer) : err;
}

weir_err load_fetch(load *own, load_peer *peer, int64_t offset)
{
    uint8_t bytes[64];
    weir_buffer out = {.ptr = bytes, .capacity = sizeof(bytes)};
    weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_FETCH,
        .topic = weir_bytes_of("bench"),
        .request = ++peer->request,
        .offset = offset,
        .bytes_max = own->work->fetch_bytes > 0 ? own->work->fetch_bytes : LOAD_FETCH_BYTES,
        .wait_ms = peer->role == LOAD_SUBSCRIBER ? LOAD_FETCH_WAIT_MS : 0,
    };
    weir_err err = weir_v1_frame_encode(&frame, &out); /* it fits: no memory is asked for */
    return err == WEIR_OK ? load_send(own, peer, weir_buffer_bytes(&out)) : err;
}

/* Writes one message behind what waits. */
static weir_err batch_put(load *own, load_peer *peer, uint64_t intended_ns, uint64_t step_ns)
{
    const weir_load_template *template = &peer->template;
    uint8_t *out = message_begin(peer, template->len);
    if (out == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory to send");
    }
    weir_load_write(template, peer->request, peer->sequence, intended_ns, step_ns, out);
    message_end(peer, out, template->len);
    peer->times[peer->request & LOAD_TIMES_MASK] = intended_ns; /* [P2] */
    peer->request++;
    peer->sequence += template->count;
    peer->unacked += template->count;
    own->flow.sent += template->count;
    own->flow.unacked += template->count;
    return WEIR_OK;
}

uint64_t load_under_way(const weir_flow *flow)
{
    const load *own = (const load *)flow;
    uint64_t due = own->work->task == WEIR_WEIR1_FLOW ? own->flow.sent * own->work->subscribers
                   : own->leasing                     ? own->flow.sent
                                                      : 0;
    uint64_t done = own->flow.had + own->flow.given_up;
    return due > done ? due - done : 0;
}

/* How many more records the workload lets this publisher send now. */
static uint64_t allowance(const load *own, const load_peer *peer)
{
    uint64_t most = peer->unacked < own->work->window ? own->work->window - peer->unacked : 0;
    uint64_t unsent = own->sent_most > peer->sequence ? own->sent_most - peer->sequence : 0;
    most = unsent < most ? unsent : most;
    if (own->work->task == WEIR_WEIR1_FLOW) {
        uint64_t subscribers = own->work->subscribers;
        uint64_t under_way = (load_under_way(&own->flow) + subscribers - 1) / subscribers;
        uint64_t left = under_way < own->work->in_flight ? own->work->in_flight - under_way : 0;
        most = left < most ? left : most;
    }
    return most;
}

static bool has_gathered(const load_peer *peer)
{
    return peer->stream.out_len - peer->stream.out_sent >= LOAD_WRITE_BYTES;
}

static weir_err closed_pump(load *own, load_peer *peer, uint64_t now_ns)
{
    while (!weir_stream_waits(&peer->stream)) { /* [P1] */
        uint64_t left = allowance(own, peer);
        weir_err err = WEIR_OK;
        if (left < own->work->batch_records) {
            return WEIR_OK;
        }
        while (err == WEIR_OK && left >= own->work->batch_records && !has_gathered(peer)) {
            err = batch_put(own, peer, now_ns, 0);
            left -= own->work->batch_records;
        }
        err = err == WEIR_OK ? weir_stream_flush(&peer->stream, own->flow.epoll, peer) : err;
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* Message k belongs to publisher k modulo publishers. */
static weir_err open_pump(load *own, uint64_t now_ns)
{
    uint64_t rate = own->work->rate_per_second;
    uint32_t batch = own->work->batch_records;
    for (;;) {
        uint64_t intended_ns = own->flow.schedule_ns + own->flow.scheduled * NS_PER_S / rate;
        uint64_t last_ns = intended_ns + (batch - 1) * (NS_PER_S / rate);
        load_peer *peer = &own->peers[own->flow.scheduled / batch % own->work->publishers];
        weir_err err;
        if (last_ns > now_ns) {
            return WEIR_OK;
        }
        if (peer->unacked / batch >= LOAD_REQUESTS - 1) {
            return weir_result_fail(own->flow.result, WEIR_LIMIT,
                                    "the subject is behind by %u acknowledgements", peer->unacked);
        }
        if (own->flow.measuring) {
            weir_histogram_add(own->flow.late, now_ns - last_ns);
        }
        own->flow.scheduled += batch;
        err = batch_put(own, peer, intended_ns, NS_PER_S / rate);
        err = err == WEIR_OK ? weir_stream_flush(&peer->stream, own->flow.epoll, peer) : err;
        if (err != WEIR_OK) {
            return err;
        }
    }
}

weir_err load_pump(weir_flow *flow, uint64_t now_ns)
{
    load *own = (load *)flow;
    weir_err err = WEIR_OK;
    if (flow->rate_per_second > 0) {
        return open_pump(own, now_ns);
    }
    for (uint32_t i = 0; err == WEIR_OK && i < own->work->publishers; i++) {
        err = closed_pump(own, &own->peers[i], now_ns);
    }
    return err;
}
