/* tests/contract/probe_mqtt.c - a minimal MQTT 3.1.1 client: publishes at QoS 1, subscribes at QoS
 * 0. */
#include "contract.h"

#include "adapters/mqtt/adapter.h"
#include "adapters/proto/mqtt/codec.h"

#include <assert.h>
#include <string.h>

enum { WAIT_MS = 60000, PACKET_MAX = 32768 };

static void packet_send(contract_peer *peer, const weir_mqtt_packet *packet)
{
    static uint8_t bytes[PACKET_MAX];
    size_t len = weir_mqtt_encode(WEIR_MQTT_3_1_1, packet, NULL, 0, bytes, sizeof(bytes));
    assert(len > 0 && len <= sizeof(bytes));
    contract_socket_send(peer, bytes, len);
}

static size_t mqtt_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    weir_mqtt_packet packet;
    size_t used = 0;
    weir_err err = weir_mqtt_decode(in, WEIR_MQTT_3_1_1, &packet, &used);
    (void)peer;
    if (err != WEIR_OK) {
        assert(err == WEIR_MORE);
        return 0;
    }
    switch (packet.type) {
    case WEIR_MQTT_CONNACK:
        event->type = packet.reason == 0 ? CONTRACT_ACK : CONTRACT_REFUSED;
        break;
    case WEIR_MQTT_PUBACK:
        event->type = CONTRACT_ACK;
        break;
    case WEIR_MQTT_SUBACK:
        event->type = packet.payload.ptr[0] < 0x80 ? CONTRACT_ACK : CONTRACT_REFUSED;
        break;
    case WEIR_MQTT_PUBLISH:
        contract_event_record(event, packet.publish.name, packet.publish.payload);
        break;
    default:
        event->type = CONTRACT_OTHER;
        break;
    }
    return used;
}

static void mqtt_read(contract_peer *peer, int timeout_ms, contract_event *event)
{
    contract_socket_read(peer, timeout_ms, event, mqtt_decode);
}

static bool mqtt_connect(contract_peer *peer, const char *address)
{
    static contract_event event;
    weir_mqtt_packet packet = {
        .type = WEIR_MQTT_CONNECT,
        .connect = {.version = WEIR_MQTT_3_1_1, .clean = true, .client_id = WEIR_TEXT("")}};
    if (!contract_socket_connect(peer, address)) {
        return false;
    }
    packet_send(peer, &packet);
    mqtt_read(peer, WAIT_MS, &event);
    return event.type == CONTRACT_ACK;
}

static void mqtt_publish(contract_peer *peer, const char *name, const char *value, size_t len)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    packet.publish.qos = 1;
    packet.publish.id = (uint16_t)(peer->count++ % 60000 + 1);
    packet.publish.name = weir_bytes_of(name);
    packet.publish.payload = (weir_bytes){(const uint8_t *)value, len};
    packet_send(peer, &packet);
}

static void mqtt_subscribe(contract_peer *peer, const char *filter)
{
    uint8_t payload[CONTRACT_NAME_MAX + 3];
    size_t len = weir_mqtt_filter_encode(weir_bytes_of(filter), true, 0, payload, sizeof(payload));
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .payload = {payload, len}};
    packet.id = (uint16_t)(peer->count++ % 60000 + 1);
    packet_send(peer, &packet);
}

static void mqtt_misbehave(contract_peer *peer)
{
    contract_socket_send(peer, "\x00\x00 no packet has type 0", 22);
}

const contract_probe contract_probe_used = {
    .name = "mqtt",
    .ops = weir_mqtt_adapter,
    .settings = {"port", "0", NULL},
    .bad = {"port", "99999"},
    .port_key = "port",
    .exclusive = true,
    .published = "weir_mqtt_publishes_received_total",
    .connect = mqtt_connect,
    .publish = mqtt_publish,
    .subscribe = mqtt_subscribe,
    .misbehave = mqtt_misbehave,
    .read = mqtt_read,
    .close = contract_socket_close,
};
