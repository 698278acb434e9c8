/* bench/generator/greet.c - a connection's way to READY: upgrade, CONNECT, SUBSCRIBE.
 *
 *   CONNECTING --writable--> [GET, UPGRADING --101-->] CONNECT, GREETING --CONNACK--> READY
 *                                                     (a subscriber: SUBSCRIBE, SUBSCRIBING
 * --SUBACK-->)
 *
 * A refusal ends the run with a sentence: a benchmark of fewer connections than asked for is none.
 */
#include "bench/generator/private.h"

#include "adapters/proto/mqtt/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PACKET_BYTES_MAX = 512, SESSION_SECONDS = 3600 };

static weir_err connect_send(generator *own, generator_peer *peer)
{
    uint8_t bytes[PACKET_BYTES_MAX];
    char id[32];
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNECT};
    weir_mqtt_property expiry = {.name = WEIR_MQTT_SESSION_EXPIRY, .number = SESSION_SECONDS};
    bool kept = own->work->kept_sessions && peer->subscriber;
    size_t len;
    snprintf(id, sizeof(id), "bench-%c%u", peer->subscriber ? 's' : 'p', peer->index);
    packet.connect.version = own->work->version;
    packet.connect.clean = !kept;
    packet.connect.keep_alive_seconds = 600;
    packet.connect.client_id = weir_bytes_of(id);
    len = weir_mqtt_encode(own->work->version, &packet, &expiry,
                           kept && own->work->version == WEIR_MQTT_5 ? 1 : 0, bytes, sizeof(bytes));
    peer->stage = PEER_GREETING;
    return peer_send(own, peer, (weir_bytes){bytes, len});
}

static weir_err subscribe_send(generator *own, generator_peer *peer)
{
    uint8_t bytes[PACKET_BYTES_MAX];
    uint8_t filter[64];
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .id = 1};
    size_t len = weir_mqtt_filter_encode(
        weir_bytes_of(own->work->own_names || own->work->names > 1 ? "bench/#" : "bench/0000"),
        true, own->work->qos, filter, sizeof(filter));
    packet.payload = (weir_bytes){filter, len};
    len = weir_mqtt_encode(own->work->version, &packet, NULL, 0, bytes, sizeof(bytes));
    peer->stage = PEER_SUBSCRIBING;
    return peer_send(own, peer, (weir_bytes){bytes, len});
}

static weir_err upgrade_send(generator *own, generator_peer *peer)
{
    char head[512];
    int len = snprintf(head, sizeof(head),
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
                       own->target->path, own->target->port);
    peer->stage = PEER_UPGRADING;
    return weir_stream_send(&peer->stream, own->flow.epoll, peer,
                            (weir_bytes){(const uint8_t *)head, (size_t)len});
}

weir_err peer_connected(generator *own, generator_peer *peer)
{
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(peer->stream.fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0 || number != 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "connect: %s", strerror(number));
    }
    return own->work->websocket ? upgrade_send(own, peer) : connect_send(own, peer);
}

weir_err peer_upgrade_read(generator *own, generator_peer *peer, uint8_t *bytes, size_t len,
                           size_t *used)
{
    const weir_ws_rules rules = {.role = WEIR_WS_CLIENT,
                                 .text_refused = true,
                                 .message_bytes_max = UINT64_MAX,
                                 .fragments_max = UINT32_MAX};
    uint8_t *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return WEIR_MORE;
    }
    if (len < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        return weir_result_fail(own->flow.result, WEIR_PROTOCOL,
                                "the upgrade to WebSocket was answered \"%.*s\"",
                                (int)(len < 40 ? len : strcspn((const char *)bytes, "\r")), bytes);
    }
    peer->ws = malloc(sizeof(*peer->ws));
    if (peer->ws == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory for a connection");
    }
    weir_ws_reader_init(peer->ws, &rules);
    *used = (size_t)(end - bytes) + 4;
    return connect_send(own, peer);
}

static weir_err ready(generator *own, generator_peer *peer)
{
    peer->stage = PEER_READY;
    own->ready_count++;
    return WEIR_OK;
}

weir_err peer_greet(generator *own, generator_peer *peer, const uint8_t *bytes, size_t len)
{
    weir_mqtt_packet packet;
    size_t used;
    weir_err err = weir_mqtt_decode((weir_bytes){bytes, len}, own->work->version, &packet, &used);
    if (err != WEIR_OK) {
        return weir_result_fail(own->flow.result, err,
                                "an answer to CONNECT or SUBSCRIBE is not MQTT");
    }
    if (peer->stage == PEER_GREETING && packet.type == WEIR_MQTT_CONNACK) {
        if (packet.reason != 0) {
            return weir_result_fail(own->flow.result, WEIR_NOT_AUTHORIZED,
                                    "CONNECT was refused with 0x%02x", packet.reason);
        }
        return peer->subscriber ? subscribe_send(own, peer) : ready(own, peer);
    }
    if (peer->stage == PEER_SUBSCRIBING && packet.type == WEIR_MQTT_SUBACK) {
        if (packet.payload.len != 1 || packet.payload.ptr[0] != own->work->qos) {
            return weir_result_fail(own->flow.result, WEIR_NOT_OFFERED,
                                    "QoS %u was asked for, 0x%02x granted", own->work->qos,
                                    packet.payload.len > 0 ? packet.payload.ptr[0] : 0xff);
        }
        return ready(own, peer);
    }
    return weir_result_fail(own->flow.result, WEIR_PROTOCOL, "%s came before its time",
                            weir_mqtt_type_name(packet.type));
}
