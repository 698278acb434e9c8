/* adapters/proto/mqtt/property.c - the properties of MQTT 5.0: one table, its reader, its writer.
 *
 *   | length varint | id value | id value | ... |            a block
 *
 *   BYTE 1   U16 2   U32 4   VARINT 1-4   TEXT, DATA length:2 bytes   PAIR TEXT TEXT
 *
 * A block is read once: every value is checked and noted by its name, so that afterwards asking for
 * one is an index. What may come often (user properties, subscription identifiers) is counted and
 * walked later in the raw bytes, which by then are known to be good.
 *
 * Failures: an unknown identifier, or one that this packet may not carry, is MALFORMED (5.0 section
 * 2.2.2.2); one that comes twice, or a value outside its range, is a PROTOCOL error (the section of
 * each property).
 *
 * [P1] A decoded block's raw bytes hold nothing but whole, legal properties. */
#include "adapters/proto/mqtt/wire.h"

#include "core/base/assert.h"
#include "core/base/utf8.h"

typedef enum property_kind {
    KIND_NONE,
    KIND_BYTE,
    KIND_U16,
    KIND_U32,
    KIND_VARINT,
    KIND_TEXT,
    KIND_DATA,
    KIND_PAIR,
} property_kind;

typedef struct property_rule {
    uint8_t name;
    uint8_t kind;
    uint32_t packets;
} property_rule;

enum { PROPERTY_ID_MAX = 0x2a };

static const property_rule rules[PROPERTY_ID_MAX + 1] = {
#define PROPERTY_RULE(name, id, kind, packets) [id] = {WEIR_MQTT_##name, KIND_##kind, packets},
    WEIR_MQTT_PROPERTY_LIST(PROPERTY_RULE)
#undef PROPERTY_RULE
};

static const uint8_t ids[WEIR_MQTT_PROPERTY_COUNT] = {
#define PROPERTY_ID(name, id, kind, packets) [WEIR_MQTT_##name] = id,
    WEIR_MQTT_PROPERTY_LIST(PROPERTY_ID)
#undef PROPERTY_ID
};

uint32_t weir_mqtt_number(const weir_mqtt_properties *properties, weir_mqtt_property_name name,
                          uint32_t absent)
{
    return weir_mqtt_has(properties, name) ? properties->values[name].number : absent;
}

weir_bytes weir_mqtt_text(const weir_mqtt_properties *properties, weir_mqtt_property_name name)
{
    return weir_mqtt_has(properties, name) ? properties->values[name].text : WEIR_BYTES_NULL;
}

static weir_bytes property_text_read(mqtt_reader *reader)
{
#ifdef WEIR_PLANT_MQTT
    /* The bug a test of the fuzzer plants: the claimed length is believed. */
    size_t len = read_u16(reader);
    weir_bytes text = {reader->at, len};
    if (reader->err == WEIR_OK && !weir_utf8_valid(text)) {
        reader_fail(reader, WEIR_MALFORMED);
    }
    reader->at = reader_left(reader) < len ? reader->end : reader->at + len;
    return text;
#else
    return read_text(reader);
#endif
}

static void property_value_read(mqtt_reader *reader, property_kind kind,
                                weir_mqtt_property *property)
{
    switch (kind) {
    case KIND_BYTE:
        property->number = read_u8(reader);
        break;
    case KIND_U16:
        property->number = read_u16(reader);
        break;
    case KIND_U32:
        property->number = read_u32(reader);
        break;
    case KIND_VARINT:
        property->number = read_varint(reader);
        break;
    case KIND_TEXT:
        property->text = property_text_read(reader);
        break;
    case KIND_DATA:
        property->text = read_data(reader);
        break;
    case KIND_PAIR:
        property->text = property_text_read(reader);
        property->value = read_text(reader);
        break;
    case KIND_NONE:
        reader_fail(reader, WEIR_MALFORMED);
        break;
    }
}

/* The rule of the property that begins here; NULL (and failed) when there is none. */
static const property_rule *property_rule_read(mqtt_reader *reader)
{
    uint32_t id = read_varint(reader);
    if (reader->err != WEIR_OK || id > PROPERTY_ID_MAX || rules[id].kind == KIND_NONE) {
        reader_fail(reader, WEIR_MALFORMED);
        return NULL;
    }
    return &rules[id];
}

/* The range of a value, where the standard calls another one a Protocol Error. A topic alias of 0
 * has a reason code of its own and is the session's to refuse. */
static bool property_in_range(const property_rule *rule, const weir_mqtt_property *property)
{
    switch (rule->name) {
    case WEIR_MQTT_SUBSCRIPTION_ID:
    case WEIR_MQTT_RECEIVE_MAXIMUM:
    case WEIR_MQTT_MAXIMUM_PACKET_SIZE:
        return property->number > 0;
    case WEIR_MQTT_RESPONSE_TOPIC: /* [MQTT-3.3.2-14] */
        return property->text.len > 0 &&
               memchr(property->text.ptr, '+', property->text.len) == NULL &&
               memchr(property->text.ptr, '#', property->text.len) == NULL;
    default:
        return rule->kind != KIND_BYTE || property->number <= 1;
    }
}

static void property_note(mqtt_reader *reader, const property_rule *rule,
                          const weir_mqtt_property *property, uint32_t packet,
                          weir_mqtt_properties *properties)
{
    uint32_t bit = 1u << rule->name;
    bool often = rule->kind == KIND_PAIR ||
                 (rule->name == WEIR_MQTT_SUBSCRIPTION_ID && packet == WEIR_MQTT_IN(PUBLISH));
    if (!property_in_range(rule, property) || ((properties->present & bit) != 0 && !often)) {
        reader_fail(reader, WEIR_PROTOCOL);
        return;
    }
    properties->present |= bit;
    properties->pairs += rule->kind == KIND_PAIR;
    if (rule->kind == KIND_TEXT || rule->kind == KIND_DATA) {
        properties->values[rule->name].text = property->text;
    } else if (rule->kind != KIND_PAIR) {
        properties->values[rule->name].number = property->number;
    }
}

void weir_mqtt_properties_read(mqtt_reader *reader, uint32_t packet,
                               weir_mqtt_properties *properties)
{
    properties->present = 0;
    properties->pairs = 0;
    uint32_t len = read_varint(reader);
    properties->raw = read_span(reader, reader->err == WEIR_OK ? len : 0);
    if (reader->err != WEIR_OK || len == 0) {
        return;
    }
    mqtt_reader block = reader_of(properties->raw);
    while (block.err == WEIR_OK && reader_left(&block) > 0) {
        const property_rule *rule = property_rule_read(&block);
        if (rule == NULL || (rule->packets & packet) == 0) {
            reader_fail(&block, WEIR_MALFORMED);
            break;
        }
        weir_mqtt_property property = {.name = rule->name};
        property_value_read(&block, rule->kind, &property);
        if (block.err == WEIR_OK) {
            property_note(&block, rule, &property, packet, properties);
        }
    }
    if (block.err != WEIR_OK) {
        reader_fail(reader, block.err);
    }
}

bool weir_mqtt_property_next(weir_bytes *rest, weir_mqtt_property *property)
{
    if (rest->len == 0) {
        return false;
    }
    const property_rule *rule = &rules[rest->ptr[0]]; /* [P1]: legal, and all fit one byte */
    mqtt_reader reader = {rest->ptr + 1, rest->ptr + rest->len, WEIR_OK};
    *property = (weir_mqtt_property){.name = rule->name};
    switch ((property_kind)rule->kind) {
    case KIND_TEXT:
        property->text = read_data(&reader);
        break;
    case KIND_PAIR:
        property->text = read_data(&reader);
        property->value = read_data(&reader);
        break;
    default:
        property_value_read(&reader, rule->kind, property);
        break;
    }
    WEIR_ASSERT(reader.err == WEIR_OK); /* [P1] */
    *rest = (weir_bytes){reader.at, reader_left(&reader)};
    return true;
}

void weir_mqtt_property_put(mqtt_writer *writer, const weir_mqtt_property *property)
{
    const property_rule *rule = &rules[ids[property->name]];
    put_u8(writer, ids[property->name]);
    switch ((property_kind)rule->kind) {
    case KIND_BYTE:
        put_u8(writer, (uint8_t)property->number);
        break;
    case KIND_U16:
        put_u16(writer, (uint16_t)property->number);
        break;
    case KIND_U32:
        put_u32(writer, property->number);
        break;
    case KIND_VARINT:
        put_varint(writer, property->number);
        break;
    case KIND_TEXT:
    case KIND_DATA:
        put_text(writer, property->text);
        break;
    case KIND_PAIR:
        put_text(writer, property->text);
        put_text(writer, property->value);
        break;
    case KIND_NONE:
        writer->refused = true;
        break;
    }
}

size_t weir_mqtt_property_encode(const weir_mqtt_property *property, uint8_t *out, size_t size)
{
    mqtt_writer measure = {0};
    weir_mqtt_property_put(&measure, property);
    if (measure.refused) {
        return 0;
    }
    if (measure.len <= size) {
        mqtt_writer writer = {.out = out, .size = size};
        weir_mqtt_property_put(&writer, property);
    }
    return measure.len;
}
