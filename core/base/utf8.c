/* core/base/utf8.c - tells UTF-8 from what merely looks like it (RFC 3629 section 4).
 *
 *   first byte   next byte   then         what the range of the next byte keeps out
 *   00-7f
 *   c2-df        80-bf                    (c0, c1: overlong)
 *   e0           a0-bf       80-bf        overlong
 *   e1-ec,ee,ef  80-bf       80-bf
 *   ed           80-9f       80-bf        surrogates
 *   f0           90-bf       80-bf x 2    overlong
 *   f1-f3        80-bf       80-bf x 2
 *   f4           80-8f       80-bf x 2    above U+10FFFF
 *
 * The state between two bytes is what the table still asks for, packed in 32 bits:
 *
 *   [ failed:8 | most next:8 | least next:8 | bytes to come:8 ]     0 is "between code points"
 *
 * Whole spans skip eight ASCII bytes at a time. */
#include "core/base/utf8.h"

#include <string.h>

#define UTF8_FAILED 0xff000000u

static uint32_t state_of(uint32_t to_come, uint32_t least, uint32_t most)
{
    return most << 16 | least << 8 | to_come;
}

static uint32_t state_after_first(uint8_t byte)
{
    if (byte < 0x80) {
        return 0;
    }
    if (byte < 0xc2 || byte > 0xf4) {
        return UTF8_FAILED;
    }
    if (byte < 0xe0) {
        return state_of(1, 0x80, 0xbf);
    }
    if (byte < 0xf0) {
        return state_of(2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf);
    }
    return state_of(3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf);
}

static uint32_t state_step(uint32_t state, uint8_t byte)
{
    uint32_t to_come = state & 0xff, least = state >> 8 & 0xff, most = state >> 16 & 0xff;
    if (to_come == 0) {
        return state_after_first(byte);
    }
    if (byte < least || byte > most) {
        return UTF8_FAILED;
    }
    return to_come == 1 ? 0 : state_of(to_come - 1, 0x80, 0xbf);
}

static size_t ascii_run(const uint8_t *in, size_t len)
{
    size_t at = 0;
    for (uint64_t word; at + sizeof(word) <= len; at += sizeof(word)) {
        memcpy(&word, in + at, sizeof(word));
        if ((word & 0x8080808080808080u) != 0) {
            break;
        }
    }
    return at;
}

bool weir_utf8_feed(weir_utf8_check *check, weir_bytes in)
{
    uint32_t state = check->state;
    for (size_t i = 0; i < in.len && state != UTF8_FAILED; i++) {
        if (state == 0) {
            i += ascii_run(in.ptr + i, in.len - i);
            if (i == in.len) {
                break;
            }
        }
        state = state_step(state, in.ptr[i]);
    }
    check->state = state;
    return state != UTF8_FAILED;
}

bool weir_utf8_done(const weir_utf8_check *check)
{
    return check->state == 0;
}

bool weir_utf8_valid(weir_bytes in)
{
    weir_utf8_check check = {0};
    return weir_utf8_feed(&check, in) && weir_utf8_done(&check);
}

bool weir_utf8_valid_name(weir_bytes in)
{
    if (!weir_utf8_valid(in)) {
        return false;
    }
    for (size_t i = 0; i < in.len; i++) {
        bool control = in.ptr[i] < 0x20 || in.ptr[i] == 0x7f ||
                       (in.ptr[i] == 0xc2 && in.ptr[i + 1] < 0xa0); /* well formed: it has a next */
        if (control) {
            return false;
        }
    }
    return true;
}

size_t weir_utf8_next(weir_bytes in, uint32_t *code_point)
{
    static const uint8_t first_bits[] = {0x7f, 0x1f, 0x0f, 0x07};
    if (in.len == 0) {
        return 0;
    }
    uint32_t state = state_after_first(in.ptr[0]);
    if (state == UTF8_FAILED) {
        return 0;
    }
    size_t len = 1 + (state & 0xff);
    uint32_t sum = in.ptr[0] & first_bits[len - 1];
    for (size_t i = 1; i < len; i++) {
        state = i < in.len ? state_step(state, in.ptr[i]) : UTF8_FAILED;
        if (state == UTF8_FAILED) {
            return 0;
        }
        sum = sum << 6 | (in.ptr[i] & 0x3f);
    }
    *code_point = sum;
    return len;
}

size_t weir_utf8_tame(weir_bytes in, uint8_t *out, size_t room)
{
    static const char digits[] = "0123456789abcdef";
    size_t written = 0;
    while (in.len > 0) {
        uint32_t code_point = 0;
        size_t len = weir_utf8_next(in, &code_point);
        bool plain = len > 0 && weir_utf8_valid_name((weir_bytes){in.ptr, len});
        len = len > 0 ? len : 1;
        if (written + (plain ? len : 4 * len) > room) {
            break;
        }
        for (size_t i = 0; i < len; i++) {
            if (plain) {
                out[written++] = in.ptr[i];
                continue;
            }
            out[written++] = '\\';
            out[written++] = 'x';
            out[written++] = (uint8_t)digits[in.ptr[i] >> 4];
            out[written++] = (uint8_t)digits[in.ptr[i] & 15];
        }
        in.ptr += len;
        in.len -= len;
    }
    return written;
}
