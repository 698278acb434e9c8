/* core/base/varint.c - zigzag varints: small magnitudes take few bytes, whatever their sign.
 *
 *   value      0  -1   1  -2   2 ...          zigzag(v) = (v << 1) ^ (v >> 63)
 *   zigzag     0   1   2   3   4 ...
 *   bytes      [1ddddddd] [1ddddddd] ... [0ddddddd]   seven bits each, lowest first
 *
 * One and two bytes are decoded inline in the header; this file has the rest. Overlong forms of up
 * to ten bytes are read, as Kafka's readers read them; encoders here never write one.
 *
 * [V1] The tenth byte holds only the 64th bit: it is 0 or 1, or the varint is malformed. */
#include "core/base/varint.h"

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

size_t weir_varint_encode(int64_t value, uint8_t *out)
{
    uint64_t rest = zigzag(value);
    size_t len = 0;
    while (rest >= 0x80) {
        out[len++] = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    out[len++] = (uint8_t)rest;
    return len;
}

size_t weir_varint_size(int64_t value)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(zigzag(value) | 1);
    return (bits + 6) / 7;
}

weir_err weir_varint_decode_long(weir_bytes in, int64_t *value, size_t *used)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < WEIR_VARINT_BYTES_MAX; i++) {
        if (i == in.len) {
            return WEIR_MORE;
        }
        uint64_t byte = in.ptr[i];
        if (i == WEIR_VARINT_BYTES_MAX - 1 && byte > 1) {
            return WEIR_MALFORMED; /* [V1] */
        }
        sum |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = weir_varint_unzigzag(sum);
            *used = i + 1;
            return WEIR_OK;
        }
    }
    return WEIR_MALFORMED;
}
