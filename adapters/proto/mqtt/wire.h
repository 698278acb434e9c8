/* adapters/proto/mqtt/wire.h - the one bounds-checked reader and the one writer of the codec's
 * files.
 *
 * A reader walks one whole packet: running out of bytes there is WEIR_MALFORMED, never MORE. It
 * remembers the first failure, so a decoder reads on and asks once at the end; what it reads after
 * a failure is zero or null.
 *
 * A writer counts what it would take and writes only what fits: run with size 0 it measures. */
#ifndef WEIR_ADAPTERS_PROTO_MQTT_WIRE_H
#define WEIR_ADAPTERS_PROTO_MQTT_WIRE_H

#include "adapters/proto/mqtt/codec.h"
#include "core/base/varint.h"

#include <string.h>

typedef struct mqtt_reader {
    const uint8_t *at;
    const uint8_t *end;
    weir_err err;
} mqtt_reader;

static inline mqtt_reader reader_of(weir_bytes in)
{
    return (mqtt_reader){in.ptr, in.ptr + in.len, WEIR_OK};
}

static inline size_t reader_left(const mqtt_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static inline void reader_fail(mqtt_reader *reader, weir_err err)
{
    if (reader->err == WEIR_OK) {
        reader->err = err;
    }
    reader->at = reader->end; /* nothing more is read: loops end */
}

static inline uint8_t read_u8(mqtt_reader *reader)
{
    if (reader_left(reader) < 1) {
        reader_fail(reader, WEIR_MALFORMED);
        return 0;
    }
    return *reader->at++;
}

static inline uint16_t read_u16(mqtt_reader *reader)
{
    if (reader_left(reader) < 2) {
        reader_fail(reader, WEIR_MALFORMED);
        return 0;
    }
    reader->at += 2;
    return weir_get_u16(reader->at - 2);
}

static inline uint32_t read_u32(mqtt_reader *reader)
{
    if (reader_left(reader) < 4) {
        reader_fail(reader, WEIR_MALFORMED);
        return 0;
    }
    reader->at += 4;
    return weir_get_u32(reader->at - 4);
}

/* `len` bytes, or null. */
static inline weir_bytes read_span(mqtt_reader *reader, size_t len)
{
    if (reader_left(reader) < len) {
        reader_fail(reader, WEIR_MALFORMED);
        return WEIR_BYTES_NULL;
    }
    reader->at += len;
    return (weir_bytes){reader->at - len, len};
}

static inline uint32_t read_varint(mqtt_reader *reader)
{
    uint32_t value = 0;
    size_t used = 0;
    weir_bytes rest = {reader->at, reader_left(reader)};
    if (weir_mqtt_varint_decode(rest, &value, &used) != WEIR_OK) {
        reader_fail(reader, WEIR_MALFORMED);
        return 0;
    }
    reader->at += used;
    return value;
}

/* Binary data: a length of two bytes, then the bytes. */
static inline weir_bytes read_data(mqtt_reader *reader)
{
    size_t len = read_u16(reader);
    return reader->err == WEIR_OK ? read_span(reader, len) : WEIR_BYTES_NULL;
}

/* A UTF-8 string. */
static inline weir_bytes read_text(mqtt_reader *reader)
{
    weir_bytes text = read_data(reader);
    if (reader->err == WEIR_OK && !weir_mqtt_text_valid(text)) {
        reader_fail(reader, WEIR_MALFORMED);
    }
    return text;
}

/* The property block, length included, of a packet or (1u << type, or WEIR_MQTT_IN_WILL) of a will.
 */
void weir_mqtt_properties_read(mqtt_reader *reader, uint32_t packet,
                               weir_mqtt_properties *properties);

typedef struct mqtt_writer {
    uint8_t *out;
    size_t size;
    size_t len;   /* what it takes, whether written or not */
    bool refused; /* something cannot be said in MQTT */
} mqtt_writer;

static inline void put_bytes(mqtt_writer *writer, const void *bytes, size_t len)
{
    if (len > 0 && writer->len <= writer->size && len <= writer->size - writer->len) {
        memcpy(writer->out + writer->len, bytes, len);
    }
    writer->len += len;
}

static inline void put_u8(mqtt_writer *writer, uint8_t value)
{
    put_bytes(writer, &value, 1);
}

static inline void put_u16(mqtt_writer *writer, uint16_t value)
{
    uint8_t wire[2];
    weir_put_u16(wire, value);
    put_bytes(writer, wire, sizeof(wire));
}

static inline void put_u32(mqtt_writer *writer, uint32_t value)
{
    uint8_t wire[4];
    weir_put_u32(wire, value);
    put_bytes(writer, wire, sizeof(wire));
}

static inline void put_varint(mqtt_writer *writer, uint32_t value)
{
    uint8_t wire[WEIR_MQTT_VARINT_BYTES_MAX];
    if (value > WEIR_MQTT_REMAINING_MAX) {
        writer->refused = true;
        return;
    }
    put_bytes(writer, wire, weir_mqtt_varint_encode(value, wire));
}

/* A UTF-8 string or binary data: a length of two bytes, then the bytes. */
static inline void put_text(mqtt_writer *writer, weir_bytes text)
{
    if (text.len > WEIR_MQTT_TEXT_BYTES_MAX) {
        writer->refused = true;
        return;
    }
    put_u16(writer, (uint16_t)text.len);
    put_bytes(writer, text.ptr, text.len);
}

void weir_mqtt_property_put(mqtt_writer *writer, const weir_mqtt_property *property);

#endif
