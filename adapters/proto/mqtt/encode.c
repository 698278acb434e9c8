/* adapters/proto/mqtt/encode.c - writes MQTT packets of every type and version.
 *
 * The length of a packet stands in front of it, so each body is run twice through the same
 * function: once with a writer that only counts, once into the caller's memory. The road of records
 * to subscribers does not come here: it has its own encoder (deliver.c). */
#include "adapters/proto/mqtt/wire.h"

typedef struct property_list {
    const weir_mqtt_property *items;
    size_t count;
} property_list;

static void properties_put(mqtt_writer *writer, property_list list)
{
    mqtt_writer measure = {0};
    for (size_t i = 0; i < list.count; i++) {
        weir_mqtt_property_put(&measure, &list.items[i]);
    }
    if (measure.refused || measure.len > WEIR_MQTT_REMAINING_MAX) {
        writer->refused = true;
        return;
    }
    put_varint(writer, (uint32_t)measure.len);
    for (size_t i = 0; i < list.count; i++) {
        weir_mqtt_property_put(writer, &list.items[i]);
    }
}

static void connect_put(mqtt_writer *writer, const weir_mqtt_connect *connect, property_list list)
{
    bool old = connect->version == WEIR_MQTT_3_1;
    uint8_t flags = (uint8_t)((connect->clean ? 0x02 : 0) | (connect->user.ptr != NULL ? 0x80 : 0) |
                              (connect->password.ptr != NULL ? 0x40 : 0));
    if (connect->has_will) {
        flags |= (uint8_t)(0x04 | connect->will_qos << 3 | (connect->will_retain ? 0x20 : 0));
    }
    put_text(writer, old ? WEIR_TEXT("MQIsdp") : WEIR_TEXT("MQTT"));
    put_u8(writer, connect->version);
    put_u8(writer, flags);
    put_u16(writer, connect->keep_alive_seconds);
    if (connect->version == WEIR_MQTT_5) {
        properties_put(writer, list);
    }
    put_text(writer, connect->client_id);
    if (connect->has_will) {
        if (connect->version == WEIR_MQTT_5) {
            properties_put(writer, (property_list){connect->will_list, connect->will_list_count});
        }
        put_text(writer, connect->will_name);
        put_text(writer, connect->will_payload);
    }
    if (connect->user.ptr != NULL) {
        put_text(writer, connect->user);
    }
    if (connect->password.ptr != NULL) {
        put_text(writer, connect->password);
    }
}

static void publish_put(mqtt_writer *writer, uint8_t version, const weir_mqtt_publish *publish,
                        property_list list)
{
    put_text(writer, publish->name);
    if (publish->qos > 0) {
        put_u16(writer, publish->id);
    }
    if (version == WEIR_MQTT_5) {
        properties_put(writer, list);
    }
    put_bytes(writer, publish->payload.ptr, publish->payload.len);
}

/* 5.0: success without properties is left out altogether. */
static void reason_put(mqtt_writer *writer, uint8_t version, uint8_t reason, property_list list)
{
    if (version != WEIR_MQTT_5 || (reason == 0 && list.count == 0)) {
        return;
    }
    put_u8(writer, reason);
    if (list.count > 0) {
        properties_put(writer, list);
    }
}

static void body_put(mqtt_writer *writer, uint8_t version, const weir_mqtt_packet *packet,
                     property_list list)
{
    switch (packet->type) {
    case WEIR_MQTT_CONNECT:
        connect_put(writer, &packet->connect, list);
        break;
    case WEIR_MQTT_CONNACK:
        put_u8(writer, packet->session_present);
        put_u8(writer, packet->reason);
        if (version == WEIR_MQTT_5) {
            properties_put(writer, list);
        }
        break;
    case WEIR_MQTT_PUBLISH:
        publish_put(writer, version, &packet->publish, list);
        break;
    case WEIR_MQTT_PUBACK:
    case WEIR_MQTT_PUBREC:
    case WEIR_MQTT_PUBREL:
    case WEIR_MQTT_PUBCOMP:
        put_u16(writer, packet->id);
        reason_put(writer, version, packet->reason, list);
        break;
    case WEIR_MQTT_SUBSCRIBE:
    case WEIR_MQTT_SUBACK:
    case WEIR_MQTT_UNSUBSCRIBE:
    case WEIR_MQTT_UNSUBACK:
        put_u16(writer, packet->id);
        if (version == WEIR_MQTT_5) {
            properties_put(writer, list);
        }
        put_bytes(writer, packet->payload.ptr, packet->payload.len);
        break;
    case WEIR_MQTT_DISCONNECT:
    case WEIR_MQTT_AUTH:
        reason_put(writer, version, packet->reason, list);
        break;
    default:
        break;
    }
}

static uint8_t flags_of(const weir_mqtt_packet *packet)
{
    switch (packet->type) {
    case WEIR_MQTT_PUBLISH:
        return (uint8_t)((packet->publish.dup ? 0x08 : 0) | packet->publish.qos << 1 |
                         (packet->publish.retain ? 0x01 : 0));
    case WEIR_MQTT_PUBREL:
    case WEIR_MQTT_SUBSCRIBE:
    case WEIR_MQTT_UNSUBSCRIBE:
        return 0x02;
    default:
        return 0;
    }
}

size_t weir_mqtt_encode(uint8_t version, const weir_mqtt_packet *packet,
                        const weir_mqtt_property *properties, size_t property_count, uint8_t *out,
                        size_t size)
{
    property_list list = {properties, property_count};
    mqtt_writer measure = {0};
    body_put(&measure, version, packet, list);
    if (measure.refused || measure.len > WEIR_MQTT_REMAINING_MAX) {
        return 0;
    }
    size_t total = 1 + weir_mqtt_varint_size((uint32_t)measure.len) + measure.len;
    if (total <= size) {
        mqtt_writer writer = {.out = out, .size = size};
        put_u8(&writer, (uint8_t)(packet->type << 4 | flags_of(packet)));
        put_varint(&writer, (uint32_t)measure.len);
        body_put(&writer, version, packet, list);
    }
    return total;
}

size_t weir_mqtt_filter_encode(weir_bytes filter, bool with_options, uint8_t options, uint8_t *out,
                               size_t size)
{
    size_t total = 2 + filter.len + (with_options ? 1 : 0);
    if (filter.len > WEIR_MQTT_TEXT_BYTES_MAX) {
        return 0;
    }
    if (total <= size) {
        mqtt_writer writer = {.out = out, .size = size};
        put_text(&writer, filter);
        if (with_options) {
            put_u8(&writer, options);
        }
    }
    return total;
}
