/* adapters/proto/mqtt/mapping.c - the properties of MQTT 5.0 and the headers of a record, both
 * ways.
 *
 *   property                  header            value
 *   Content Type              content-type      its text
 *   Message Expiry Interval   expiry            seconds, in decimal; out: what is left of them
 *   Response Topic            reply             its text
 *   Correlation Data          correlation       its bytes
 *   Payload Format Indicator  payload-format    "1"; 0 says nothing and becomes nothing
 *   User Property             of its name       its text; weir-key is the record's key, weir-id its
 *                                               publishing id, other names that begin with weir- are
 *                                               refused
 *
 * The way out is not always the way in reversed: headers come from every front end. One whose bytes
 * cannot be the property becomes a user property, and one that is no text at all is left out and
 * counted. Subscription Identifier and Topic Alias are hop by hop and never stored. */
#include "adapters/proto/mqtt/state.h"

#include <stdio.h>
#include <string.h>

typedef struct mapping_rule {
    weir_mqtt_property_name property;
    weir_bytes header;
} mapping_rule;

#define MAPPING(property, header)                                                                  \
    {                                                                                              \
        WEIR_MQTT_##property,                                                                      \
        {                                                                                          \
            (const uint8_t *)(header), sizeof(header) - 1                                          \
        }                                                                                          \
    }
static const mapping_rule rules[] = {
    MAPPING(CONTENT_TYPE, "content-type"),     MAPPING(MESSAGE_EXPIRY, "expiry"),
    MAPPING(RESPONSE_TOPIC, "reply"),          MAPPING(CORRELATION_DATA, "correlation"),
    MAPPING(PAYLOAD_FORMAT, "payload-format"),
};
enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };

static void header_add(mqtt_mapped *mapped, weir_bytes name, weir_bytes value)
{
    mapped->headers[mapped->count++] = (weir_header){name, value};
}

/* Digits alone, up to the largest 64-bit number. */
static bool id_parse(weir_bytes text, uint64_t *id)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *id = value;
    return text.len > 0;
}

static const char *pair_map_in(const weir_mqtt_property *pair, mqtt_mapped *mapped)
{
    bool reserved = pair->text.len >= 5 && memcmp(pair->text.ptr, "weir-", 5) == 0;
    if (!reserved) {
        header_add(mapped, pair->text, pair->value);
        return NULL;
    }
    if (weir_bytes_equal(pair->text, WEIR_TEXT("weir-id"))) {
        bool first = !mapped->has_id;
        mapped->has_id = true;
        return first && id_parse(pair->value, &mapped->id)
                   ? NULL
                   : "The user property weir-id is one whole number, in decimal digits.";
    }
    if (!weir_bytes_equal(pair->text, WEIR_TEXT("weir-key"))) {
        return "User property names that begin with weir- are reserved.";
    }
    if (mapped->has_key) {
        return "The user property weir-key came twice.";
    }
    mapped->has_key = true;
    mapped->key = pair->value;
    return NULL;
}

static void property_map_in(const weir_mqtt_property *property, mqtt_mapped *mapped)
{
    weir_bytes value = property->text;
    if (property->name == WEIR_MQTT_MESSAGE_EXPIRY) {
        int len = snprintf(mapped->expiry, sizeof(mapped->expiry), "%u", property->number);
        value = (weir_bytes){(const uint8_t *)mapped->expiry, (size_t)len};
    } else if (property->name == WEIR_MQTT_PAYLOAD_FORMAT) {
        value = property->number == 1 ? WEIR_TEXT("1") : WEIR_BYTES_NULL;
    }
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (rules[i].property == property->name && value.ptr != NULL) {
            header_add(mapped, rules[i].header, value);
        }
    }
}

const char *weir_mqtt_map_in(weir_bytes raw, mqtt_mapped *mapped)
{
    weir_mqtt_property property;
    const char *refused = NULL;
    mapped->count = 0;
    mapped->has_key = false;
    mapped->has_id = false;
    while (refused == NULL && weir_mqtt_property_next(&raw, &property)) {
        if (mapped->count == MAPPED_HEADERS_MAX) {
            refused = "Too many user properties.";
        } else if (property.name == WEIR_MQTT_USER_PROPERTY) {
            refused = pair_map_in(&property, mapped);
        } else {
            property_map_in(&property, mapped);
        }
    }
    return refused;
}

/* A decimal number below 2^32, of digits alone. */
static bool number_parse(weir_bytes text, uint32_t *number)
{
    uint64_t sum = 0;
    if (text.len == 0 || text.len > 10) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *number = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

bool weir_mqtt_map_expired(const weir_record *record, int64_t wall_ms, uint32_t *remaining)
{
    weir_header header;
    uint32_t seconds = 0;
    *remaining = UINT32_MAX;
    if (record->header_count == 0 || !weir_record_header(record, "expiry", &header) ||
        !number_parse(header.value, &seconds)) {
        return false;
    }
    int64_t passed_ms = wall_ms > record->timestamp_ms ? wall_ms - record->timestamp_ms : 0;
    if (passed_ms > (int64_t)seconds * 1000) {
        return true; /* [MQTT-3.3.2-5] */
    }
    *remaining = seconds - (uint32_t)(passed_ms / 1000); /* [MQTT-3.3.2-6] */
    return false;
}

static bool topic_has_wildcard(weir_bytes topic)
{
    return memchr(topic.ptr, '+', topic.len) != NULL || memchr(topic.ptr, '#', topic.len) != NULL;
}

/* Whether the header's value can be that property's; fills it. */
static bool rule_map_out(const mapping_rule *rule, weir_bytes value, uint32_t remaining,
                         weir_mqtt_property *property)
{
    uint32_t number = 0;
    *property = (weir_mqtt_property){.name = rule->property, .text = value};
    switch (rule->property) {
    case WEIR_MQTT_MESSAGE_EXPIRY:
        property->number = remaining;
        return number_parse(value, &number);
    case WEIR_MQTT_PAYLOAD_FORMAT:
        property->number = 1;
        return weir_bytes_equal(value, WEIR_TEXT("1"));
    case WEIR_MQTT_CORRELATION_DATA:
        return true;
    case WEIR_MQTT_RESPONSE_TOPIC:
        return value.len > 0 && weir_mqtt_text_valid(value) && !topic_has_wildcard(value);
    default:
        return weir_mqtt_text_valid(value);
    }
}

bool weir_mqtt_map_out(const weir_header *header, uint32_t remaining, uint32_t *taken,
                       weir_mqtt_property *property)
{
    weir_bytes value = header->value;
    if (header->name.len > WEIR_MQTT_TEXT_BYTES_MAX || value.len > WEIR_MQTT_TEXT_BYTES_MAX) {
        return false;
    }
    if (value.ptr == NULL) {
        value = WEIR_TEXT("");
    }
    for (size_t i = 0; i < RULE_COUNT; i++) {
        uint32_t bit = 1u << rules[i].property;
        if ((*taken & bit) == 0 && weir_bytes_equal(header->name, rules[i].header) &&
            rule_map_out(&rules[i], value, remaining, property)) {
            *taken |= bit;
            return true;
        }
    }
    *property =
        (weir_mqtt_property){.name = WEIR_MQTT_USER_PROPERTY, .text = header->name, .value = value};
    return weir_mqtt_text_valid(header->name) && weir_mqtt_text_valid(value);
}
