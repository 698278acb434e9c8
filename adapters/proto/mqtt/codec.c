/* adapters/proto/mqtt/codec.c - reads MQTT packets of every type and version from bytes.
 *
 *   | type:4 flags:4 | remaining length varint | body: `remaining` bytes |
 *
 *   CONNECT    name text | level | flags | keep alive:2 | props* | client id | will* | user* |
 * password* PUBLISH    name text | id:2 (QoS > 0) | props* | payload acks       id:2 | reason* |
 * props*               PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE  id:2 | props* | (filter text |
 * options)... UNSUBSCRIBE, SUBACK, UNSUBACK alike; DISCONNECT and AUTH  reason* | props* * 5.0, or
 * optional
 *
 * The fixed header comes first and tells whether the packet is there at all (MORE when it is not);
 * from then on the bytes are all there, and running out of them is MALFORMED. A packet that is good
 * is used up exactly: what is left over is MALFORMED too.
 *
 * PUBLISH has a road of its own, since it is nearly all there is: no struct is cleared, the name is
 * looked at eight bytes at a time, and an empty property block costs one comparison.
 *
 * [M1] No byte outside the input is read, whatever the lengths claim.
 * [M2] Outputs of a decoder that answers anything but OK mean nothing (but see UNSUPPORTED). */
#include "adapters/proto/mqtt/wire.h"

#include "core/base/utf8.h"

/* ---- Integers, texts and names --------------------------------------------------------------- */

weir_err weir_mqtt_varint_decode(weir_bytes in, uint32_t *value, size_t *used)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < WEIR_MQTT_VARINT_BYTES_MAX; i++) {
        if (i == in.len) {
            return WEIR_MORE;
        }
        sum |= (uint32_t)(in.ptr[i] & 0x7f) << (7 * i);
        if (in.ptr[i] < 0x80) {
            if (i > 0 && in.ptr[i] == 0) {
                return WEIR_MALFORMED;
            }
            *value = sum;
            *used = i + 1;
            return WEIR_OK;
        }
    }
    return WEIR_MALFORMED;
}

size_t weir_mqtt_varint_size(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

size_t weir_mqtt_varint_encode(uint32_t value, uint8_t *out)
{
    size_t len = 0;
    while (value >= 0x80) {
        out[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (uint8_t)value;
    return len;
}

bool weir_mqtt_text_valid(weir_bytes text)
{
    return text.len == 0 || (memchr(text.ptr, 0, text.len) == NULL && weir_utf8_valid(text));
}

#define EVERY_BYTE(value) ((value)*0x0101010101010101u)

/* Tells whether any of the eight bytes of a word is zero. */
static uint64_t word_has_zero(uint64_t word)
{
    return (word - EVERY_BYTE(0x01)) & ~word & EVERY_BYTE(0x80);
}

/* How many of eight bytes below 0x80 are zero. */
static uint32_t word_count_zero(uint64_t word)
{
    uint64_t not_zero = (word + EVERY_BYTE(0x7f)) & EVERY_BYTE(0x80);
    return 8 - (uint32_t)((not_zero >> 7) * EVERY_BYTE(0x01) >> 56);
}

/* A name with bytes from 0x80 up: rarer, so slower. */
static weir_err name_scan_wide(weir_bytes name, uint32_t *levels)
{
    if (!weir_mqtt_text_valid(name)) {
        return WEIR_MALFORMED;
    }
    uint32_t count = 1;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '+' || name.ptr[i] == '#') {
            return WEIR_NAME_INVALID;
        }
        count += name.ptr[i] == '/';
    }
    *levels = count;
    return WEIR_OK;
}

weir_err weir_mqtt_name_scan(weir_bytes name, uint32_t *levels)
{
    if (name.len == 0) {
        *levels = 0;
        return WEIR_OK;
    }
    uint64_t wide = 0, nul = 0, wildcard = 0;
    uint32_t count = 1;
    for (size_t at = 0; at < name.len; at += 8) {
        uint64_t word =
            EVERY_BYTE((uint64_t)'a'); /* fills the last word up with a harmless letter */
        size_t len = name.len - at;
        if (len >= 8) {
            memcpy(&word, name.ptr + at, 8);
        } else {
            memcpy(&word, name.ptr + at, len);
        }
        wide |= word & EVERY_BYTE(0x80);
        nul |= word_has_zero(word);
        wildcard |= word_has_zero(word ^ EVERY_BYTE((uint64_t)'+')) |
                    word_has_zero(word ^ EVERY_BYTE((uint64_t)'#'));
        count += word_count_zero(word ^ EVERY_BYTE((uint64_t)'/'));
    }
    if (wide != 0) {
        return name_scan_wide(name, levels);
    }
    if (nul != 0) {
        return WEIR_MALFORMED; /* [MQTT-1.5.4-2] */
    }
    if (wildcard != 0) {
        return WEIR_NAME_INVALID;
    }
    *levels = count;
    return WEIR_OK;
}

/* ---- The fixed header ------------------------------------------------------------------------ */

static bool flags_are_legal(uint8_t type, uint8_t flags, uint8_t version)
{
    switch (type) {
    case 0:
        return false;
    case WEIR_MQTT_PUBLISH: /* QoS 3 [MQTT-3.3.1-4]; DUP with QoS 0 [MQTT-3.3.1-2] */
        return (flags & 0x06) != 0x06 && (flags & 0x0e) != 0x08;
    case WEIR_MQTT_PUBREL: /* [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1] */
    case WEIR_MQTT_SUBSCRIBE:
    case WEIR_MQTT_UNSUBSCRIBE:
        return flags == 0x02 || (version == WEIR_MQTT_3_1 && flags == 0x0a);
    default:
        return flags == 0; /* [MQTT-2.1.3-1] */
    }
}

weir_err weir_mqtt_head_decode(weir_bytes in, uint8_t version, weir_mqtt_head *head)
{
    if (in.len == 0) {
        return WEIR_MORE;
    }
    uint8_t type = in.ptr[0] >> 4, flags = in.ptr[0] & 0x0f;
    if (!flags_are_legal(type, flags, version)) {
        return WEIR_MALFORMED;
    }
    uint32_t remaining = 0;
    size_t used = 0;
    weir_err err = weir_mqtt_varint_decode((weir_bytes){in.ptr + 1, in.len - 1}, &remaining, &used);
    if (err == WEIR_OK) {
        *head = (weir_mqtt_head){type, flags, (uint8_t)(1 + used), remaining};
    }
    return err;
}

/* ---- PUBLISH --------------------------------------------------------------------------------- */

/* An empty name stands for an alias, and only in 5.0: [MQTT-4.7.3-1], 5.0 section 3.3.2.1. */
static weir_err empty_name_check(uint8_t version, const weir_mqtt_properties *properties)
{
    if (version < WEIR_MQTT_5) {
        return WEIR_MALFORMED;
    }
    return weir_mqtt_has(properties, WEIR_MQTT_TOPIC_ALIAS) ? WEIR_OK : WEIR_PROTOCOL;
}

weir_err weir_mqtt_publish_decode(uint8_t flags, weir_bytes body, uint8_t version,
                                  weir_mqtt_publish *publish, weir_mqtt_properties *properties)
{
    mqtt_reader reader = reader_of(body);
    publish->dup = (flags & 0x08) != 0;
    publish->qos = flags >> 1 & 3;
    publish->retain = (flags & 0x01) != 0;
    publish->id = 0;
    publish->name = read_data(&reader);
    properties->raw = WEIR_BYTES_NULL;
    properties->present = 0;
    properties->pairs = 0;
    if (publish->qos > 0) {
        publish->id = read_u16(&reader);
        if (publish->id == 0) {
            return WEIR_MALFORMED; /* [MQTT-2.2.1-3] */
        }
    }
    if (reader.err == WEIR_OK && version == WEIR_MQTT_5) {
        if (reader_left(&reader) > 0 && *reader.at == 0) {
            reader.at++;
        } else {
            weir_mqtt_properties_read(&reader, WEIR_MQTT_IN(PUBLISH), properties);
        }
    }
    if (reader.err != WEIR_OK) {
        return reader.err;
    }
    publish->payload = (weir_bytes){reader.at, reader_left(&reader)};
    if (publish->name.len == 0) {
        publish->levels = 0;
        return empty_name_check(version, properties);
    }
    return weir_mqtt_name_scan(publish->name, &publish->levels);
}

/* ---- CONNECT --------------------------------------------------------------------------------- */

enum {
    CONNECT_RESERVED = 0x01,
    CONNECT_CLEAN = 0x02,
    CONNECT_WILL = 0x04,
    CONNECT_WILL_QOS = 0x18,
    CONNECT_WILL_RETAIN = 0x20,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USER = 0x80,
};

static weir_err connect_version_read(mqtt_reader *reader, weir_mqtt_connect *connect)
{
    weir_bytes name = read_data(reader);
    connect->version = read_u8(reader);
    if (reader->err != WEIR_OK) {
        return reader->err;
    }
    if (weir_bytes_equal(name, WEIR_TEXT("MQIsdp"))) {
        return connect->version == WEIR_MQTT_3_1 ? WEIR_OK : WEIR_UNSUPPORTED;
    }
    if (!weir_bytes_equal(name, WEIR_TEXT("MQTT"))) {
        return WEIR_MALFORMED; /* [MQTT-3.1.2-1] */
    }
    bool known = connect->version == WEIR_MQTT_3_1_1 || connect->version == WEIR_MQTT_5;
    return known ? WEIR_OK : WEIR_UNSUPPORTED; /* [MQTT-3.1.2-2] */
}

static bool connect_flags_are_legal(uint8_t flags, uint8_t version)
{
    if ((flags & CONNECT_RESERVED) != 0 || (flags & CONNECT_WILL_QOS) == CONNECT_WILL_QOS) {
        return false; /* [MQTT-3.1.2-3], [MQTT-3.1.2-12] */
    }
    if ((flags & CONNECT_WILL) == 0 && (flags & (CONNECT_WILL_QOS | CONNECT_WILL_RETAIN)) != 0) {
        return false; /* [MQTT-3.1.2-11], [MQTT-3.1.2-13] */
    }
    /* A password without a user came with 5.0: 3.1.1 [MQTT-3.1.2-22]. */
    return version == WEIR_MQTT_5 ||
           (flags & (CONNECT_USER | CONNECT_PASSWORD)) != CONNECT_PASSWORD;
}

static void connect_will_read(mqtt_reader *reader, weir_mqtt_connect *connect)
{
    if (connect->version == WEIR_MQTT_5) {
        weir_mqtt_properties_read(reader, WEIR_MQTT_IN_WILL, &connect->will_properties);
    }
    connect->will_name = read_data(reader);
    connect->will_payload = read_data(reader);
    uint32_t levels = 0;
    if (reader->err == WEIR_OK) {
        weir_err err = weir_mqtt_name_scan(connect->will_name, &levels);
        if (err != WEIR_OK || levels == 0) {
            reader_fail(reader, err != WEIR_OK ? err : WEIR_NAME_INVALID);
        }
    }
}

/* 3.1 lets user and password be missing although their flags are set (its section 3.1). */
static bool credential_is_there(const mqtt_reader *reader, uint8_t version)
{
    return version != WEIR_MQTT_3_1 || reader_left(reader) > 0;
}

static void connect_payload_read(mqtt_reader *reader, uint8_t flags, weir_mqtt_connect *connect)
{
    connect->client_id = read_text(reader);
    if (connect->has_will) {
        connect_will_read(reader, connect);
    }
    if ((flags & CONNECT_USER) != 0 && credential_is_there(reader, connect->version)) {
        connect->user = read_text(reader);
    }
    if ((flags & CONNECT_PASSWORD) != 0 && credential_is_there(reader, connect->version)) {
        connect->password = read_data(reader);
    }
}

static weir_err connect_decode(mqtt_reader *reader, weir_mqtt_packet *packet)
{
    weir_mqtt_connect *connect = &packet->connect;
    weir_err err = connect_version_read(reader, connect);
    if (err != WEIR_OK) {
        return err;
    }
    uint8_t flags = read_u8(reader);
    connect->keep_alive_seconds = read_u16(reader);
    if (reader->err != WEIR_OK || !connect_flags_are_legal(flags, connect->version)) {
        return WEIR_MALFORMED;
    }
    connect->clean = (flags & CONNECT_CLEAN) != 0;
    connect->has_will = (flags & CONNECT_WILL) != 0;
    connect->will_qos = (flags & CONNECT_WILL_QOS) >> 3;
    connect->will_retain = (flags & CONNECT_WILL_RETAIN) != 0;
    connect->will_name = connect->will_payload = WEIR_BYTES_NULL;
    connect->user = connect->password = WEIR_BYTES_NULL;
    connect->will_properties.present = connect->will_properties.pairs = 0;
    connect->will_list = NULL;
    connect->will_list_count = 0;
    if (connect->version == WEIR_MQTT_5) {
        weir_mqtt_properties_read(reader, WEIR_MQTT_IN(CONNECT), &packet->properties);
    }
    connect_payload_read(reader, flags, connect);
    bool data_alone = weir_mqtt_has(&packet->properties, WEIR_MQTT_AUTH_DATA) &&
                      !weir_mqtt_has(&packet->properties, WEIR_MQTT_AUTH_METHOD);
    return reader->err == WEIR_OK && data_alone ? WEIR_PROTOCOL : reader->err; /* 3.1.2.11.10 */
}

static weir_err connack_decode(mqtt_reader *reader, uint8_t version, weir_mqtt_packet *packet)
{
    uint8_t flags = read_u8(reader);
    packet->session_present = flags == 1;
    packet->reason = read_u8(reader);
    if (version == WEIR_MQTT_5) {
        weir_mqtt_properties_read(reader, WEIR_MQTT_IN(CONNACK), &packet->properties);
    }
    return reader->err == WEIR_OK && flags > 1 ? WEIR_MALFORMED : reader->err; /* [MQTT-3.2.2-1] */
}

/* ---- Reasons: what each packet may say ------------------------------------------------------- */

static const uint8_t publish_reasons[] = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
static const uint8_t release_reasons[] = {0x00, 0x92};
static const uint8_t auth_reasons[] = {0x00, 0x18, 0x19};
static const uint8_t disconnect_reasons[] = {
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
};

static bool reason_is_legal(uint8_t type, uint8_t reason)
{
    switch (type) {
    case WEIR_MQTT_PUBACK: /* [MQTT-3.4.2-1] */
    case WEIR_MQTT_PUBREC: /* [MQTT-3.5.2-1] */
        return memchr(publish_reasons, reason, sizeof(publish_reasons)) != NULL;
    case WEIR_MQTT_PUBREL:  /* [MQTT-3.6.2-1] */
    case WEIR_MQTT_PUBCOMP: /* [MQTT-3.7.2-1] */
        return memchr(release_reasons, reason, sizeof(release_reasons)) != NULL;
    case WEIR_MQTT_AUTH: /* [MQTT-3.15.2-1] */
        return memchr(auth_reasons, reason, sizeof(auth_reasons)) != NULL;
    default: /* [MQTT-3.14.2-1] */
        return memchr(disconnect_reasons, reason, sizeof(disconnect_reasons)) != NULL;
    }
}

/* A reason and properties, each of which may be left out from the end (5.0). */
static weir_err reason_decode(mqtt_reader *reader, uint8_t version, weir_mqtt_packet *packet)
{
    if (version != WEIR_MQTT_5 || reader_left(reader) == 0) {
        return reader->err;
    }
    packet->reason = read_u8(reader);
    if (!reason_is_legal(packet->type, packet->reason)) {
        return WEIR_MALFORMED;
    }
    if (reader_left(reader) > 0) {
        weir_mqtt_properties_read(reader, 1u << packet->type, &packet->properties);
    }
    return reader->err;
}

/* ---- Packets with an identifier -------------------------------------------------------------- */

static void id_read(mqtt_reader *reader, weir_mqtt_packet *packet)
{
    packet->id = read_u16(reader);
    if (packet->id == 0) {
        reader_fail(reader, WEIR_MALFORMED); /* [MQTT-2.2.1-3] */
    }
}

/* 5.0: bits 6 and 7 are reserved [MQTT-3.8.3-5]; QoS 3 and Retain Handling 3 are protocol errors.
 */
static weir_err options_check(uint8_t options, uint8_t version)
{
    if (version < WEIR_MQTT_5) {
        return options > 2 ? WEIR_MALFORMED : WEIR_OK; /* 3.1.1 [MQTT-3-8.3-4] */
    }
    if ((options & 0xc0) != 0) {
        return WEIR_MALFORMED;
    }
    bool legal = (options & WEIR_MQTT_OPTION_QOS) != 3 &&
                 (options & WEIR_MQTT_OPTION_HANDLING) != WEIR_MQTT_OPTION_HANDLING;
    return legal ? WEIR_OK : WEIR_PROTOCOL;
}

static weir_err filters_decode(mqtt_reader *reader, uint8_t version, weir_mqtt_packet *packet)
{
    bool with_options = packet->type == WEIR_MQTT_SUBSCRIBE;
    id_read(reader, packet);
    if (reader->err == WEIR_OK && version == WEIR_MQTT_5) {
        weir_mqtt_properties_read(reader, 1u << packet->type, &packet->properties);
    }
    packet->payload = (weir_bytes){reader->at, reader_left(reader)};
    if (reader->err == WEIR_OK && packet->payload.len == 0) {
        return WEIR_PROTOCOL; /* [MQTT-3.8.3-2], [MQTT-3.10.3-2] */
    }
    while (reader->err == WEIR_OK && reader_left(reader) > 0) {
        weir_bytes filter = read_text(reader);
        weir_err err = with_options ? options_check(read_u8(reader), version) : WEIR_OK;
        if (filter.len == 0) {
            err = WEIR_MALFORMED; /* [MQTT-4.7.3-1] */
        }
        if (err != WEIR_OK) {
            reader_fail(reader, err);
        }
        packet->filters++;
    }
    return reader->err;
}

static weir_err codes_decode(mqtt_reader *reader, uint8_t version, weir_mqtt_packet *packet)
{
    id_read(reader, packet);
    if (reader->err == WEIR_OK && version == WEIR_MQTT_5) {
        weir_mqtt_properties_read(reader, 1u << packet->type, &packet->properties);
    }
    packet->payload = read_span(reader, reader_left(reader));
    bool with_codes = packet->type == WEIR_MQTT_SUBACK || version == WEIR_MQTT_5;
    if (reader->err == WEIR_OK && with_codes != (packet->payload.len > 0)) {
        return WEIR_MALFORMED;
    }
    return reader->err;
}

bool weir_mqtt_filter_next(weir_bytes *rest, bool with_options, weir_bytes *filter,
                           uint8_t *options)
{
    mqtt_reader reader = reader_of(*rest);
    if (rest->len == 0) {
        return false;
    }
    *filter = read_data(&reader);
    *options = with_options ? read_u8(&reader) : 0;
    *rest = (weir_bytes){reader.at, reader_left(&reader)};
    return reader.err == WEIR_OK;
}

/* ---- Any packet ------------------------------------------------------------------------------ */

static weir_err body_decode(mqtt_reader *reader, uint8_t version, weir_mqtt_packet *packet)
{
    switch (packet->type) {
    case WEIR_MQTT_CONNECT:
        return connect_decode(reader, packet);
    case WEIR_MQTT_CONNACK:
        return connack_decode(reader, version, packet);
    case WEIR_MQTT_PUBACK:
    case WEIR_MQTT_PUBREC:
    case WEIR_MQTT_PUBREL:
    case WEIR_MQTT_PUBCOMP:
        id_read(reader, packet);
        return reader->err == WEIR_OK ? reason_decode(reader, version, packet) : reader->err;
    case WEIR_MQTT_SUBSCRIBE:
    case WEIR_MQTT_UNSUBSCRIBE:
        return filters_decode(reader, version, packet);
    case WEIR_MQTT_SUBACK:
    case WEIR_MQTT_UNSUBACK:
        return codes_decode(reader, version, packet);
    case WEIR_MQTT_PINGREQ:
    case WEIR_MQTT_PINGRESP:
        return WEIR_OK;
    case WEIR_MQTT_DISCONNECT:
        return reason_decode(reader, version, packet);
    default: /* AUTH: 5.0 brought it */
        return version == WEIR_MQTT_5 ? reason_decode(reader, version, packet) : WEIR_MALFORMED;
    }
}

weir_err weir_mqtt_decode(weir_bytes in, uint8_t version, weir_mqtt_packet *packet, size_t *used)
{
    weir_mqtt_head head;
    weir_err err = weir_mqtt_head_decode(in, version, &head);
    if (err != WEIR_OK) {
        return err;
    }
    if (in.len - head.head_bytes < head.remaining) {
        return WEIR_MORE;
    }
    weir_bytes body = {in.ptr + head.head_bytes, head.remaining};
    packet->type = head.type;
    if (head.type == WEIR_MQTT_PUBLISH) {
        err = weir_mqtt_publish_decode(head.flags, body, version, &packet->publish,
                                       &packet->properties);
    } else {
        mqtt_reader reader = reader_of(body);
        packet->reason = 0;
        packet->id = 0;
        packet->filters = 0;
        packet->session_present = false;
        packet->payload = WEIR_BYTES_NULL;
        packet->properties.present = packet->properties.pairs = 0;
        packet->properties.raw = WEIR_BYTES_NULL;
        err = body_decode(&reader, version, packet);
        if (err == WEIR_OK && reader_left(&reader) > 0) {
            err = WEIR_MALFORMED;
        }
    }
    if (err == WEIR_OK) {
        *used = head.head_bytes + (size_t)head.remaining;
    }
    return err;
}

const char *weir_mqtt_type_name(uint8_t type)
{
    static const char *const names[16] = {
        "?",       "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
        "PUBREL",  "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
        "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
    };
    return names[type & 15];
}
