/* core/batch/wire.h - where each field of a batch's head lies, and varints as the hot roads want
 * them. Only for the files of core/batch. */
#ifndef WEIR_CORE_BATCH_WIRE_H
#define WEIR_CORE_BATCH_WIRE_H

#include "core/base/varint.h"
#include "core/batch/batch.h"

enum {
    HEAD_BASE_OFFSET = 0,
    HEAD_LENGTH = 8,
    HEAD_LENGTH_END = 12, /* the length counts from here on */
    HEAD_LEADER_EPOCH = 12,
    HEAD_MAGIC = 16,
    HEAD_CRC = 17,
    HEAD_ATTRIBUTES = 21, /* the CRC covers from here on */
    HEAD_LAST_OFFSET_DELTA = 23,
    HEAD_BASE_TIMESTAMP = 27,
    HEAD_MAX_TIMESTAMP = 35,
    HEAD_PRODUCER_ID = 43,
    HEAD_PRODUCER_EPOCH = 51,
    HEAD_BASE_SEQUENCE = 53,
    HEAD_RECORD_COUNT = 57,
    RECORD_BODY_BYTES_MIN = 6, /* attributes, two deltas, two lengths, a count: a byte each */
    RECORD_BYTES_MIN = 7,      /* and its own length */
    HEADER_BYTES_MIN = 2,
    BYTES_NULL = -1, /* the length of a null key or value */
};

static inline size_t wire_varint_size(int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    return zigzag < 0x80 ? 1 : weir_varint_size(value);
}

/* Returns the byte behind what it wrote. */
static inline uint8_t *wire_varint_put(uint8_t *out, int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    if (zigzag < 0x80) {
        *out = (uint8_t)zigzag;
        return out + 1;
    }
    return out + weir_varint_encode(value, out);
}

static inline int64_t wire_bytes_len(weir_bytes in)
{
    return in.ptr == NULL ? BYTES_NULL : (int64_t)in.len;
}

static inline uint8_t *wire_raw_put(uint8_t *out, const void *in, size_t len)
{
    if (len > 0) { /* memcpy of NULL is undefined even for no bytes */
        memcpy(out, in, len);
    }
    return out + len;
}

static inline uint8_t *wire_bytes_put(uint8_t *out, weir_bytes in)
{
    out = wire_varint_put(out, wire_bytes_len(in));
    return wire_raw_put(out, in.ptr, in.ptr == NULL ? 0 : in.len);
}

static inline size_t wire_bytes_size(weir_bytes in)
{
    return wire_varint_size(wire_bytes_len(in)) + (in.ptr == NULL ? 0 : in.len);
}

/* Takes a varint off the front of [*at, end). False: cut or malformed. */
static inline bool wire_varint_take(const uint8_t **at, const uint8_t *end, int64_t *value)
{
    size_t used;
    weir_bytes in = {*at, (size_t)(end - *at)};
    if (weir_varint_decode(in, value, &used) != WEIR_OK) {
        return false;
    }
    *at += used;
    return true;
}

/* Takes a length and so many bytes; a length of -1 is null. False: cut or malformed. */
static inline bool wire_bytes_take(const uint8_t **at, const uint8_t *end, weir_bytes *out)
{
    int64_t len;
    if (!wire_varint_take(at, end, &len) || len < BYTES_NULL || len > end - *at) {
        return false;
    }
    if (len == BYTES_NULL) {
        *out = WEIR_BYTES_NULL;
        return true;
    }
    *out = (weir_bytes){*at, (size_t)len};
    *at += len;
    return true;
}

/* Both halves of one header; its name may be empty, but not null. */
static inline bool wire_header_take(const uint8_t **at, const uint8_t *end, weir_header *header)
{
    return wire_bytes_take(at, end, &header->name) && header->name.ptr != NULL &&
           wire_bytes_take(at, end, &header->value);
}

#endif
