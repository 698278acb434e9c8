/* core/base/varint.h - zigzag varints as Kafka's record format has them, and big-endian integers.
 * Pure. Encoders write to a span that is large enough (WEIR_VARINT_BYTES_MAX) and return the
 * length. */
#ifndef WEIR_CORE_BASE_VARINT_H
#define WEIR_CORE_BASE_VARINT_H

#include "weir/base.h"

#include <string.h>

enum { WEIR_VARINT_BYTES_MAX = 10 };

size_t weir_varint_encode(int64_t value, uint8_t *out); /* zigzag */
size_t weir_varint_size(int64_t value);
static inline int64_t weir_varint_unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}
weir_err weir_varint_decode_long(weir_bytes in, int64_t *value, size_t *used); /* any length */
/* Reads one from the front of `in`. MORE: ends inside. MALFORMED: over 10 bytes (or 64 bits).
 * Inline for one and two bytes, which is what nearly every delta and length takes. */
static inline weir_err weir_varint_decode(weir_bytes in, int64_t *value, size_t *used)
{
    if (in.len >= 1 && in.ptr[0] < 0x80) {
        *value = weir_varint_unzigzag(in.ptr[0]);
        *used = 1;
        return WEIR_OK;
    }
    if (in.len >= 2 && in.ptr[1] < 0x80) {
        *value = weir_varint_unzigzag((uint64_t)(in.ptr[0] & 0x7f) | (uint64_t)in.ptr[1] << 7);
        *used = 2;
        return WEIR_OK;
    }
    return weir_varint_decode_long(in, value, used);
}

static inline void weir_put_u16(uint8_t *out, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(out, &v, sizeof(v));
}
static inline void weir_put_u32(uint8_t *out, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(out, &v, sizeof(v));
}
static inline void weir_put_u64(uint8_t *out, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(out, &v, sizeof(v));
}
static inline uint16_t weir_get_u16(const uint8_t *in)
{
    uint16_t v;
    memcpy(&v, in, sizeof(v));
    return __builtin_bswap16(v);
}
static inline uint32_t weir_get_u32(const uint8_t *in)
{
    uint32_t v;
    memcpy(&v, in, sizeof(v));
    return __builtin_bswap32(v);
}
static inline uint64_t weir_get_u64(const uint8_t *in)
{
    uint64_t v;
    memcpy(&v, in, sizeof(v));
    return __builtin_bswap64(v);
}

#endif
