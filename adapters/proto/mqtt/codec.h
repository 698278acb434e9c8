/* adapters/proto/mqtt/codec.h - MQTT packets, bytes to structs and back, for 3.1, 3.1.1 and 5.0.
 *
 *   | type:4 flags:4 | remaining length, 1 to 4 bytes | variable head | properties (5.0) | payload
 * |
 *
 * Pure: no allocation, no globals, nothing is kept. Spans of a decoded packet point into the input.
 * A decoder takes any cut of its input and answers WEIR_MORE; outputs are written only on WEIR_OK.
 * Errors are told apart as a server must answer them (MQTT 5.0 section 4.13): MALFORMED (0x81),
 * PROTOCOL (0x82), NAME_INVALID (0x90), UNSUPPORTED (a protocol version: 0x84).
 *
 * Both roles are here: a server reads CONNECT and a client writes it, with the same struct. Any
 * thread. Specification: OASIS MQTT 5.0 and 3.1.1; MQTT 3.1 (IBM, 2010) where it differs. */
#ifndef WEIR_ADAPTERS_PROTO_MQTT_CODEC_H
#define WEIR_ADAPTERS_PROTO_MQTT_CODEC_H

#include "weir/base.h"

enum {
    WEIR_MQTT_VARINT_BYTES_MAX = 4,
    WEIR_MQTT_REMAINING_MAX = 268435455,
    WEIR_MQTT_TEXT_BYTES_MAX = 65535,
    WEIR_MQTT_HEAD_BYTES_MAX = 5,
};

typedef enum weir_mqtt_version {
    WEIR_MQTT_3_1 = 3,   /* protocol name MQIsdp */
    WEIR_MQTT_3_1_1 = 4, /* protocol name MQTT, as 5.0 */
    WEIR_MQTT_5 = 5,
} weir_mqtt_version;

typedef enum weir_mqtt_type {
    WEIR_MQTT_CONNECT = 1,
    WEIR_MQTT_CONNACK,
    WEIR_MQTT_PUBLISH,
    WEIR_MQTT_PUBACK,
    WEIR_MQTT_PUBREC,
    WEIR_MQTT_PUBREL,
    WEIR_MQTT_PUBCOMP,
    WEIR_MQTT_SUBSCRIBE,
    WEIR_MQTT_SUBACK,
    WEIR_MQTT_UNSUBSCRIBE,
    WEIR_MQTT_UNSUBACK,
    WEIR_MQTT_PINGREQ,
    WEIR_MQTT_PINGRESP,
    WEIR_MQTT_DISCONNECT,
    WEIR_MQTT_AUTH, /* 5.0 only */
} weir_mqtt_type;

/* Reason codes of 5.0 that Weir sends or looks at. */
typedef enum weir_mqtt_reason {
    WEIR_MQTT_SUCCESS = 0x00,
    WEIR_MQTT_DISCONNECT_WITH_WILL = 0x04,
    WEIR_MQTT_NO_MATCHING_SUBSCRIBERS = 0x10,
    WEIR_MQTT_NO_SUBSCRIPTION_EXISTED = 0x11,
    WEIR_MQTT_UNSPECIFIED = 0x80,
    WEIR_MQTT_MALFORMED_PACKET = 0x81,
    WEIR_MQTT_PROTOCOL_ERROR = 0x82,
    WEIR_MQTT_IMPLEMENTATION_SPECIFIC = 0x83,
    WEIR_MQTT_UNSUPPORTED_VERSION = 0x84,
    WEIR_MQTT_CLIENT_ID_INVALID = 0x85,
    WEIR_MQTT_BAD_USER = 0x86,
    WEIR_MQTT_NOT_AUTHORIZED = 0x87,
    WEIR_MQTT_SERVER_UNAVAILABLE = 0x88,
    WEIR_MQTT_SERVER_BUSY = 0x89,
    WEIR_MQTT_SHUTTING_DOWN = 0x8b,
    WEIR_MQTT_BAD_AUTH_METHOD = 0x8c,
    WEIR_MQTT_KEEP_ALIVE_TIMEOUT = 0x8d,
    WEIR_MQTT_TAKEN_OVER = 0x8e,
    WEIR_MQTT_FILTER_INVALID = 0x8f,
    WEIR_MQTT_NAME_INVALID = 0x90,
    WEIR_MQTT_ID_NOT_FOUND = 0x92,
    WEIR_MQTT_TOPIC_ALIAS_INVALID = 0x94,
    WEIR_MQTT_PACKET_TOO_LARGE = 0x95,
    WEIR_MQTT_QUOTA_EXCEEDED = 0x97,
    WEIR_MQTT_ADMINISTRATIVE = 0x98,
    WEIR_MQTT_QOS_NOT_SUPPORTED = 0x9b,
} weir_mqtt_reason;

/* ---- Properties (MQTT 5.0 section 2.2.2.2) ------------------------------------------------------
 */

/* X(NAME, identifier, kind, the packets that may carry it). The packets are bits 1 << type; bit 0
 * is the will's part of CONNECT. */
#define WEIR_MQTT_IN(type) (1u << WEIR_MQTT_##type)
#define WEIR_MQTT_IN_WILL  1u
#define WEIR_MQTT_IN_ACKS                                                                          \
    (WEIR_MQTT_IN(CONNACK) | WEIR_MQTT_IN(PUBACK) | WEIR_MQTT_IN(PUBREC) | WEIR_MQTT_IN(PUBREL) |  \
     WEIR_MQTT_IN(PUBCOMP) | WEIR_MQTT_IN(SUBACK) | WEIR_MQTT_IN(UNSUBACK) |                       \
     WEIR_MQTT_IN(DISCONNECT) | WEIR_MQTT_IN(AUTH))
#define WEIR_MQTT_PROPERTY_LIST(X)                                                                 \
    X(PAYLOAD_FORMAT, 0x01, BYTE, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN_WILL)                       \
    X(MESSAGE_EXPIRY, 0x02, U32, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN_WILL)                        \
    X(CONTENT_TYPE, 0x03, TEXT, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN_WILL)                         \
    X(RESPONSE_TOPIC, 0x08, TEXT, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN_WILL)                       \
    X(CORRELATION_DATA, 0x09, DATA, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN_WILL)                     \
    X(SUBSCRIPTION_ID, 0x0b, VARINT, WEIR_MQTT_IN(PUBLISH) | WEIR_MQTT_IN(SUBSCRIBE))              \
    X(SESSION_EXPIRY, 0x11, U32,                                                                   \
      WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK) | WEIR_MQTT_IN(DISCONNECT))                    \
    X(ASSIGNED_CLIENT_ID, 0x12, TEXT, WEIR_MQTT_IN(CONNACK))                                       \
    X(SERVER_KEEP_ALIVE, 0x13, U16, WEIR_MQTT_IN(CONNACK))                                         \
    X(AUTH_METHOD, 0x15, TEXT, WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK) | WEIR_MQTT_IN(AUTH)) \
    X(AUTH_DATA, 0x16, DATA, WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK) | WEIR_MQTT_IN(AUTH))   \
    X(REQUEST_PROBLEM, 0x17, BYTE, WEIR_MQTT_IN(CONNECT))                                          \
    X(WILL_DELAY, 0x18, U32, WEIR_MQTT_IN_WILL)                                                    \
    X(REQUEST_RESPONSE, 0x19, BYTE, WEIR_MQTT_IN(CONNECT))                                         \
    X(RESPONSE_INFORMATION, 0x1a, TEXT, WEIR_MQTT_IN(CONNACK))                                     \
    X(SERVER_REFERENCE, 0x1c, TEXT, WEIR_MQTT_IN(CONNACK) | WEIR_MQTT_IN(DISCONNECT))              \
    X(REASON_STRING, 0x1f, TEXT, WEIR_MQTT_IN_ACKS)                                                \
    X(RECEIVE_MAXIMUM, 0x21, U16, WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK))                   \
    X(TOPIC_ALIAS_MAXIMUM, 0x22, U16, WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK))               \
    X(TOPIC_ALIAS, 0x23, U16, WEIR_MQTT_IN(PUBLISH))                                               \
    X(MAXIMUM_QOS, 0x24, BYTE, WEIR_MQTT_IN(CONNACK))                                              \
    X(RETAIN_AVAILABLE, 0x25, BYTE, WEIR_MQTT_IN(CONNACK))                                         \
    X(USER_PROPERTY, 0x26, PAIR, ~0u)                                                              \
    X(MAXIMUM_PACKET_SIZE, 0x27, U32, WEIR_MQTT_IN(CONNECT) | WEIR_MQTT_IN(CONNACK))               \
    X(WILDCARD_AVAILABLE, 0x28, BYTE, WEIR_MQTT_IN(CONNACK))                                       \
    X(SUBSCRIPTION_ID_AVAILABLE, 0x29, BYTE, WEIR_MQTT_IN(CONNACK))                                \
    X(SHARED_AVAILABLE, 0x2a, BYTE, WEIR_MQTT_IN(CONNACK))

/* Indexes into weir_mqtt_properties.values; the wire's identifiers are in the list above. */
typedef enum weir_mqtt_property_name {
#define WEIR_MQTT_PROPERTY_ENUM(name, id, kind, packets) WEIR_MQTT_##name,
    WEIR_MQTT_PROPERTY_LIST(WEIR_MQTT_PROPERTY_ENUM)
#undef WEIR_MQTT_PROPERTY_ENUM
        WEIR_MQTT_PROPERTY_COUNT
} weir_mqtt_property_name;

/* The properties of one packet as decoded. `values` are set where `present` has the bit: ask
 * through the functions below. SUBSCRIPTION_ID and USER_PROPERTY may come often: walk them. */
typedef struct weir_mqtt_properties {
    weir_bytes raw;   /* without the length in front; checked */
    uint32_t present; /* 1u << weir_mqtt_property_name */
    uint32_t pairs;   /* user properties */
    union {
        uint32_t number;
        weir_bytes text;
    } values[WEIR_MQTT_PROPERTY_COUNT];
} weir_mqtt_properties;

static inline bool weir_mqtt_has(const weir_mqtt_properties *properties,
                                 weir_mqtt_property_name name)
{
    return (properties->present >> name & 1) != 0;
}
uint32_t weir_mqtt_number(const weir_mqtt_properties *properties, weir_mqtt_property_name name,
                          uint32_t absent);
weir_bytes weir_mqtt_text(const weir_mqtt_properties *properties, weir_mqtt_property_name name);

/* One property as it is walked or given to an encoder. */
typedef struct weir_mqtt_property {
    weir_mqtt_property_name name;
    uint32_t number;  /* BYTE, U16, U32, VARINT */
    weir_bytes text;  /* TEXT, DATA; a PAIR's name */
    weir_bytes value; /* a PAIR's value */
} weir_mqtt_property;

/* Takes the next property off the front of *rest (begin with properties.raw). False at the end. */
bool weir_mqtt_property_next(weir_bytes *rest, weir_mqtt_property *property);

/* ---- Packets --------------------------------------------------------------------------------- */

typedef struct weir_mqtt_connect {
    uint8_t version; /* weir_mqtt_version */
    bool clean;      /* Clean Session, Clean Start */
    bool has_will;
    bool will_retain;
    uint8_t will_qos;
    uint16_t keep_alive_seconds;
    weir_bytes client_id;
    weir_bytes will_name;
    weir_bytes will_payload;
    weir_bytes user;                      /* null: not there */
    weir_bytes password;                  /* null: not there */
    weir_mqtt_properties will_properties; /* decoded */
    const weir_mqtt_property *will_list;  /* to be encoded */
    size_t will_list_count;
} weir_mqtt_connect;

typedef struct weir_mqtt_publish {
    bool dup;
    bool retain;
    uint8_t qos;
    uint16_t id;     /* 0 with QoS 0 */
    uint32_t levels; /* of the name, 0 when it is empty; decoded */
    weir_bytes name; /* empty with a topic alias */
    weir_bytes payload;
} weir_mqtt_publish;

/* One packet of any type. `id` is of the acknowledgements, SUBSCRIBE and UNSUBSCRIBE; `reason` of
 * the acknowledgements, CONNACK (3.1.1: its return code), DISCONNECT and AUTH. */
typedef struct weir_mqtt_packet {
    uint8_t type;
    uint8_t reason;
    bool session_present; /* CONNACK */
    uint16_t id;
    weir_bytes
        payload;      /* SUBSCRIBE, UNSUBSCRIBE: filters, walk them; SUBACK, UNSUBACK: the codes */
    uint32_t filters; /* how many, decoded */
    weir_mqtt_connect connect;
    weir_mqtt_publish publish;
    weir_mqtt_properties properties;
} weir_mqtt_packet;

/* Subscription options, as on the wire (3.8.3.1); before 5.0 only the QoS bits. */
enum {
    WEIR_MQTT_OPTION_QOS = 0x03,
    WEIR_MQTT_OPTION_NO_LOCAL = 0x04,
    WEIR_MQTT_OPTION_RAP = 0x08, /* Retain As Published */
    WEIR_MQTT_OPTION_HANDLING = 0x30,
};

/* ---- Decoding -------------------------------------------------------------------------------- */

typedef struct weir_mqtt_head {
    uint8_t type;
    uint8_t flags;
    uint8_t head_bytes; /* 2 to 5 */
    uint32_t remaining;
} weir_mqtt_head;

/* [MQTT-1.5.5-1]: overlong forms are malformed. */
weir_err weir_mqtt_varint_decode(weir_bytes in, uint32_t *value, size_t *used);
size_t weir_mqtt_varint_size(uint32_t value);
size_t weir_mqtt_varint_encode(uint32_t value,
                               uint8_t *out); /* at most 4 bytes; returns how many */

/* The fixed header alone: enough to know how long the packet is. MALFORMED: type 0, reserved flags
 * [MQTT-2.1.3-1], QoS 3 [MQTT-3.3.1-4], a length of five bytes. MQTT 3.1 lets DUP stand in PUBREL,
 * SUBSCRIBE and UNSUBSCRIBE. */
weir_err weir_mqtt_head_decode(weir_bytes in, uint8_t version, weir_mqtt_head *head);

/* A whole packet from the front of `in`. `version` is what the connection's CONNECT said; for
 * CONNECT itself it is not looked at. *used: its bytes, written on WEIR_OK only. `packet` is
 * scratch on errors; but UNSUPPORTED leaves the level that was asked for in
 * packet->connect.version. */
weir_err weir_mqtt_decode(weir_bytes in, uint8_t version, weir_mqtt_packet *packet, size_t *used);

/* PUBLISH alone, from its body (`remaining` bytes behind the fixed header): the record's road.
 * Without properties only ->raw, ->present and ->pairs are set. NAME_INVALID: a wildcard in the
 * name [MQTT-3.3.2-2]. Outputs are scratch on errors. */
weir_err weir_mqtt_publish_decode(uint8_t flags, weir_bytes body, uint8_t version,
                                  weir_mqtt_publish *publish, weir_mqtt_properties *properties);

/* The next filter of a decoded SUBSCRIBE (with_options) or UNSUBSCRIBE. False at the end. */
bool weir_mqtt_filter_next(weir_bytes *rest, bool with_options, weir_bytes *filter,
                           uint8_t *options);

/* A topic name to publish to: UTF-8, no NUL (else MALFORMED), no wildcard (else NAME_INVALID).
 * *levels: how many; 0 for an empty one. One pass, eight bytes at a time. */
weir_err weir_mqtt_name_scan(weir_bytes name, uint32_t *levels);

/* A UTF-8 string of MQTT: well formed, without U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2]. */
bool weir_mqtt_text_valid(weir_bytes text);

/* ---- Encoding ---------------------------------------------------------------------------------
 */

/* Each writes at most `size` bytes and returns how many it takes, like snprintf; nothing is written
 * when that is more than `size`. 0: it cannot be said in MQTT (a text over 65,535 bytes, a packet
 * over 268,435,455). */
size_t weir_mqtt_encode(uint8_t version, const weir_mqtt_packet *packet,
                        const weir_mqtt_property *properties, size_t property_count, uint8_t *out,
                        size_t size);
/* One filter of a SUBSCRIBE's or UNSUBSCRIBE's payload. */
size_t weir_mqtt_filter_encode(weir_bytes filter, bool with_options, uint8_t options, uint8_t *out,
                               size_t size);
/* One property, identifier and value. */
size_t weir_mqtt_property_encode(const weir_mqtt_property *property, uint8_t *out, size_t size);

const char *weir_mqtt_type_name(uint8_t type); /* "PUBLISH"; "?" for none */

#endif
