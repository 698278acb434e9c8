/* bench/generator/publish.c - what goes out: whole batches of one fixed PUBLISH, by window or by
 * clock.
 *
 *   template, made by the codec:  | head | name | id? | properties? | payload: publisher, run, ...
 * | each message: the template copied, then id, sequence and intended time written into the copy
 *
 * Closed loop: a message may go while fewer than `in_flight` are under way to the subscribers and,
 * with QoS 1 and 2, fewer than `window` of its publisher are unacknowledged; its intended time is
 * now. Open loop: message k is meant to go at schedule + k / rate, and that is what its payload
 * says, however late it is; the histogram `late` has the generator's own share of that.
 *
 * [P1] A publisher whose socket is full gets no more until it has taken what waits.
 * [P2] A packet identifier is not used again before its acknowledgement. */
#include "bench/generator/private.h"

#include "adapters/proto/mqtt/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 65536, NAMES_MAX = 10000, NAME_DIGITS = 4 };

/* The PUBLISH that every message of this publisher is a copy of. */
weir_err publisher_prepare(generator *own, generator_peer *peer)
{
    char name[GENERATOR_NAME_MAX];
    uint8_t *payload = calloc(1, own->work->payload_bytes);
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    snprintf(name, sizeof(name), "bench/%04u", own->work->own_names ? peer->index % NAMES_MAX : 0);
    packet.publish.qos = own->work->qos;
    packet.publish.id = own->work->qos > 0 ? 1 : 0;
    packet.publish.name = weir_bytes_of(name);
    packet.publish.payload = (weir_bytes){payload, own->work->payload_bytes};
    own->packet_bytes = weir_mqtt_encode(own->work->version, &packet, NULL, 0, NULL, 0);
    own->payload_at = own->packet_bytes - own->work->payload_bytes;
    own->id_at =
        own->work->qos > 0 ? own->payload_at - (own->work->version == WEIR_MQTT_5 ? 3 : 2) : 0;
    peer->template = malloc(own->packet_bytes);
    peer->ids = own->work->qos > 0 ? calloc(IDS / 64, sizeof(uint64_t)) : NULL;
    if (payload == NULL || peer->template == NULL || (peer->ids == NULL && own->work->qos > 0)) {
        free(payload);
        return WEIR_NO_MEMORY;
    }
    memset(payload, 'w', own->work->payload_bytes);
    memcpy(payload, &peer->index, 4);
    memcpy(payload + 4, &own->run, 4);
    (void)weir_mqtt_encode(own->work->version, &packet, NULL, 0, peer->template, own->packet_bytes);
    free(payload);
    return WEIR_OK;
}

/* [P2] The next identifier that is free. The window is far below 65,535: there is one. */
static uint16_t id_take(generator_peer *peer)
{
    do {
        peer->last_id++;
    } while (peer->last_id == 0 ||
             (peer->ids[peer->last_id / 64] >> (peer->last_id % 64) & 1) != 0);
    peer->ids[peer->last_id / 64] |= (uint64_t)1 << (peer->last_id % 64);
    return peer->last_id;
}

/* The digits at the end of the name; behind it stand the identifier and what 5.0 adds. */
static void name_write(const generator *own, uint64_t sequence, uint8_t *out)
{
    uint32_t most = own->work->names < NAMES_MAX ? own->work->names : NAMES_MAX;
    uint32_t index = (uint32_t)(sequence % most);
    uint8_t *end = out + (own->id_at > 0 ? own->id_at : own->payload_at);
    for (int digit = 1; digit <= NAME_DIGITS; digit++, index /= 10) {
        end[-digit] = (uint8_t)('0' + index % 10);
    }
}

static void message_write(generator *own, generator_peer *peer, uint8_t *out, uint64_t intended_ns)
{
    memcpy(out, peer->template, own->packet_bytes);
    if (own->id_at > 0) {
        weir_put16(out + own->id_at, id_take(peer));
    }
    if (own->work->names > 1) {
        name_write(own, peer->sequence, out);
    }
    memcpy(out + own->payload_at + 8, &peer->sequence, 8);
    memcpy(out + own->payload_at + 16, &intended_ns, 8);
    peer->sequence++;
}

/* Sends `count` messages (they fit one batch), the first meant for intended_ns, each further one
 * step_ns later. */
static weir_err batch_send(generator *own, generator_peer *peer, size_t count, uint64_t intended_ns,
                           uint64_t step_ns)
{
    uint8_t *out = peer_out_begin(peer, count * own->packet_bytes);
    if (out == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory to send");
    }
    for (size_t i = 0; i < count; i++) {
        message_write(own, peer, out + i * own->packet_bytes, intended_ns + i * step_ns);
    }
    peer_out_end(peer, count * own->packet_bytes);
    own->flow.sent += count;
    if (own->work->qos > 0) {
        peer->unacked += (uint32_t)count;
        own->flow.unacked += count;
    }
    return weir_stream_flush(&peer->stream, own->flow.epoll, peer);
}

static size_t batch_messages_max(const generator *own)
{
    size_t most = GENERATOR_BATCH_BYTES_MAX / own->packet_bytes;
    return most > 0 ? most : 1;
}

uint64_t generator_under_way(const weir_flow *flow)
{
    const generator *own = (const generator *)flow;
    uint64_t due = flow->sent * own->work->subscribers;
    uint64_t done = flow->had + flow->given_up;
    return due > done ? due - done : 0;
}

/* How many more messages the workload lets this publisher send now. */
static uint64_t allowance(const generator *own, const generator_peer *peer)
{
    uint64_t subscribers = own->work->subscribers > 0 ? own->work->subscribers : 1;
    uint64_t under_way = (generator_under_way(&own->flow) + subscribers - 1) / subscribers;
    uint64_t most = under_way < own->work->in_flight ? own->work->in_flight - under_way : 0;
    if (own->work->qos > 0) {
        uint64_t left = peer->unacked < own->work->window ? own->work->window - peer->unacked : 0;
        most = left < most ? left : most;
    }
    return most;
}

static weir_err closed_pump(generator *own, uint64_t now_ns)
{
    size_t batch_max = batch_messages_max(own);
    for (uint32_t i = 0; i < own->work->publishers; i++) {
        generator_peer *peer = generator_publisher(own, i);
        uint64_t left = weir_stream_waits(&peer->stream) ? 0 : allowance(own, peer); /* [P1] */
        while (left > 0 && !weir_stream_waits(&peer->stream)) {
            size_t count = left < batch_max ? (size_t)left : batch_max;
            weir_err err = batch_send(own, peer, count, now_ns, 0);
            if (err != WEIR_OK) {
                return err;
            }
            left -= count;
        }
    }
    return WEIR_OK;
}

/* Message k belongs to publisher k modulo publishers; with one publisher, what is due goes in one
 * write. */
static weir_err open_pump(generator *own, uint64_t now_ns)
{
    uint64_t rate = own->work->rate_per_second;
    for (;;) {
        uint64_t intended_ns = own->flow.schedule_ns + own->flow.scheduled * NS_PER_S / rate;
        generator_peer *peer =
            generator_publisher(own, (uint32_t)(own->flow.scheduled % own->work->publishers));
        size_t count = 1;
        weir_err err;
        if (intended_ns > now_ns) {
            return WEIR_OK;
        }
        if (peer->unacked >= WEIR_BENCH_WINDOW_MAX) {
            return weir_result_fail(own->flow.result, WEIR_LIMIT,
                                    "the subject is behind by %u acknowledgements", peer->unacked);
        }
        if (own->work->publishers == 1) {
            uint64_t due =
                (now_ns - own->flow.schedule_ns) * rate / NS_PER_S - own->flow.scheduled + 1;
            size_t batch_max = batch_messages_max(own);
            count = due < batch_max ? (size_t)due : batch_max;
        }
        if (own->flow.measuring) {
            weir_histogram_add(own->flow.late, now_ns - intended_ns);
        }
        own->flow.scheduled += count;
        err = batch_send(own, peer, count, intended_ns, NS_PER_S / rate);
        if (err != WEIR_OK) {
            return err;
        }
    }
}

weir_err generator_pump(weir_flow *flow, uint64_t now_ns)
{
    generator *own = (generator *)flow;
    return own->work->rate_per_second > 0 ? open_pump(own, now_ns) : closed_pump(own, now_ns);
}
