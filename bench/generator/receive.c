/* bench/generator/receive.c - what comes: deliveries, acknowledgements; counted, timed, answered.
 *
 *   one read -> whole packets -> account, histogram -> acknowledgements of all of them in one write
 *
 * Payload:  | publisher u32 | run u32 | sequence u64 | intended time u64 | filler |    little
 * endian
 *
 * [R1] A delivery of another run or of no known publisher is counted as alien and nothing else.
 * [R2] The clock is read once per read: a message's latency ends when the generator could have it.
 */
#include "bench/generator/private.h"

#include "adapters/proto/mqtt/codec.h"

#include <string.h>

enum { PUBREC = 0x50, PUBREL = 0x62, PUBCOMP = 0x70, PUBACK = 0x40, REASON_FAILED = 0x80 };

/* The identifier and payload of a PUBLISH; false when it is cut inside. */
static bool publish_split(const generator *own, const uint8_t *packet, size_t len, size_t head,
                          uint16_t *id, const uint8_t **payload)
{
    const uint8_t *at = packet + head;
    const uint8_t *end = packet + len;
    if (end - at < 2 || end - at < 2 + weir_get16(at)) {
        return false;
    }
    at += 2 + weir_get16(at);
    *id = 0;
    if ((packet[0] & 6) != 0) {
        if (end - at < 2) {
            return false;
        }
        *id = weir_get16(at);
        at += 2;
    }
    if (own->work->version == WEIR_MQTT_5) {
        uint32_t properties;
        size_t used;
        if (weir_mqtt_varint_decode((weir_bytes){at, (size_t)(end - at)}, &properties, &used) !=
                WEIR_OK ||
            (size_t)(end - at) < used + properties) {
            return false;
        }
        at += used + properties;
    }
    *payload = at;
    return end - at >= WEIR_BENCH_PAYLOAD_BYTES_MIN;
}

static void delivery_take(generator *own, const generator_peer *peer, const uint8_t *payload,
                          uint64_t now_ns)
{
    uint32_t publisher;
    uint32_t run;
    uint64_t sequence;
    uint64_t intended_ns;
    weir_account *account;
    memcpy(&publisher, payload, 4);
    memcpy(&run, payload + 4, 4);
    memcpy(&sequence, payload + 8, 8);
    memcpy(&intended_ns, payload + 16, 8);
    if (run != own->run || publisher >= own->work->publishers) {
        own->flow.result->alien++; /* [R1] */
        return;
    }
    account = &own->accounts[(size_t)peer->index * own->work->publishers + publisher];
    own->flow.result->delivered++;
    own->flow.had += weir_account_take(account, sequence) ? 1 : 0;
    if (own->flow.measuring) {
        own->flow.result->measured++;
        weir_histogram_add(own->flow.latency, now_ns > intended_ns ? now_ns - intended_ns : 0);
    }
}

/* An acknowledgement that ends a publish. */
static void acked(generator *own, generator_peer *peer, uint16_t id, bool failed)
{
    uint64_t bit = (uint64_t)1 << (id % 64);
    if (peer->ids == NULL || (peer->ids[id / 64] & bit) == 0 || failed) {
        own->flow.result->refused++;
    }
    if (peer->ids != NULL && (peer->ids[id / 64] & bit) != 0) {
        peer->ids[id / 64] &= ~bit;
        peer->unacked--;
        own->flow.unacked--;
        own->flow.result->acked++;
    }
}

/* Any packet but PUBLISH. `out` gets what is to be answered; returns its new end. */
static uint8_t *control_take(generator *own, generator_peer *peer, const uint8_t *packet,
                             size_t len, size_t head, uint8_t *out)
{
    uint16_t id = len >= head + 2 ? weir_get16(packet + head) : 0;
    bool failed = len > head + 2 && packet[head + 2] >= REASON_FAILED;
    switch (packet[0] >> 4) {
    case WEIR_MQTT_PUBACK:
    case WEIR_MQTT_PUBCOMP:
        if (!peer->subscriber) {
            acked(own, peer, id, failed);
        }
        return out;
    case WEIR_MQTT_PUBREC:
        if (failed) {
            acked(own, peer, id, true);
            return out;
        }
        return weir_put_ack(out, PUBREL, id);
    case WEIR_MQTT_PUBREL:
        return weir_put_ack(out, PUBCOMP, id);
    case WEIR_MQTT_DISCONNECT:
        own->flow.result->refused++;
        (void)weir_result_fail(own->flow.result, WEIR_CLOSED, "the subject sent DISCONNECT 0x%02x",
                               len > head ? packet[head] : 0);
        return out;
    default:
        return out;
    }
}

static uint8_t *publish_take(generator *own, const generator_peer *peer, const uint8_t *packet,
                             size_t len, size_t head, uint64_t now_ns, uint8_t *out)
{
    static const uint8_t answers[4] = {0, PUBACK, PUBREC, 0};
    uint16_t id = 0;
    const uint8_t *payload = NULL;
    if (!publish_split(own, packet, len, head, &id, &payload)) {
        own->flow.result->alien++;
        return out;
    }
    delivery_take(own, peer, payload, now_ns);
    return id != 0 ? weir_put_ack(out, answers[packet[0] >> 1 & 3], id) : out;
}

/* Whole packets of a READY peer; *used says how far. An answer is never longer than its packet. */
static weir_err packets_take(generator *own, generator_peer *peer, const uint8_t *bytes, size_t len,
                             size_t *used)
{
    uint64_t now_ns = weir_now_ns(); /* [R2] */
    size_t at = *used;
    uint8_t *out = own->answers->bytes;
    weir_bytes answers = {out, 0};
    while (at < len) {
        size_t head = 0;
        size_t packet_len = weir_packet_len(bytes + at, len - at, &head);
        if (packet_len == 0) {
            break;
        }
        if (packet_len == WEIR_PACKET_BAD) {
            return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                    "the subject sent what is not MQTT");
        }
        out = bytes[at] >> 4 == WEIR_MQTT_PUBLISH
                  ? publish_take(own, peer, bytes + at, packet_len, head, now_ns, out)
                  : control_take(own, peer, bytes + at, packet_len, head, out);
        at += packet_len;
    }
    own->flow.progress_ns = now_ns;
    *used = at;
    answers.len = (size_t)(out - answers.ptr);
    return answers.len > 0 ? peer_send(own, peer, answers) : WEIR_OK;
}

/* One packet of a peer that is on its way to READY. */
static weir_err greeting_take(generator *own, generator_peer *peer, uint8_t *bytes, size_t len,
                              size_t *used)
{
    size_t head = 0;
    size_t packet_len = weir_packet_len(bytes + *used, len - *used, &head);
    weir_err err;
    if (packet_len == 0) {
        return WEIR_MORE;
    }
    if (packet_len == WEIR_PACKET_BAD) {
        return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                "the subject sent what is not MQTT");
    }
    err = peer_greet(own, peer, bytes + *used, packet_len);
    *used += packet_len;
    return err;
}

static weir_err bytes_take(generator *own, generator_peer *peer, uint8_t *bytes, size_t len)
{
    size_t used = 0;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && used < len) {
        size_t before = used;
        if (peer->stage == PEER_READY) {
            err = packets_take(own, peer, bytes, len, &used);
        } else {
            err = greeting_take(own, peer, bytes, len, &used);
        }
        if (used == before) {
            break;
        }
    }
    if (err != WEIR_OK && err != WEIR_MORE) {
        return err;
    }
    return weir_stream_keep(&peer->stream, bytes + used, len - used);
}

static weir_err gone(generator *own, generator_peer *peer, weir_err err)
{
    peer->stage = PEER_GONE;
    weir_stream_close(&peer->stream);
    return own->ending
               ? WEIR_OK
               : weir_result_fail(own->flow.result, err,
                                  "the subject closed the connection of %s %u",
                                  peer->subscriber ? "subscriber" : "publisher", peer->index);
}

weir_err peer_readable(generator *own, generator_peer *peer)
{
    size_t kept = peer->stream.carry_len;
    size_t len = 0;
    uint8_t *bytes = own->buffer->bytes;
    weir_err err = weir_stream_read(&peer->stream, own->buffer, &len);
    if (err == WEIR_AGAIN) {
        return WEIR_OK;
    }
    if (err != WEIR_OK) {
        return gone(own, peer, err);
    }
    own->flow.result->reads += own->flow.measuring && peer->subscriber ? 1 : 0;
    if (peer->stage == PEER_UPGRADING) {
        size_t used = 0;
        err = peer_upgrade_read(own, peer, bytes, len, &used);
        if (err == WEIR_MORE) {
            return weir_stream_keep(&peer->stream, bytes, len);
        }
        if (err != WEIR_OK || used == len) {
            return err;
        }
        bytes += used;
        len -= used;
        kept = 0;
    }
    if (peer->ws != NULL) {
        size_t fresh = len - kept; /* what was kept has its frames off already */
        err = peer_unframe(peer, bytes + kept, &fresh);
        if (err != WEIR_OK) {
            return gone(own, peer, err);
        }
        len = kept + fresh;
    }
    return bytes_take(own, peer, bytes, len);
}
