/* adapters/proto/websocket/accept.c - the answer to Sec-WebSocket-Key (RFC 6455 4.2.2).
 *
 *   accept = base64(SHA-1(key as written ++ "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
 *
 * SHA-1 (FIPS 180-4 6.1) over 64-byte blocks; the last one or two hold 0x80, zeros and the length
 * in bits, big-endian. It proves that the server read the request as WebSocket, and nothing more:
 * no secret rests on it. */
#include "adapters/proto/websocket/handshake.h"

#include "core/base/assert.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, DIGEST_BYTES = 20, KEY_BYTES_MAX = 64 };

static uint32_t rotate(uint32_t value, unsigned by)
{
    return value << by | value >> (32 - by);
}

static void sha1_schedule(const uint8_t block[BLOCK_BYTES], uint32_t words[80])
{
    for (size_t i = 0; i < 16; i++) {
        const uint8_t *at = block + 4 * i;
        words[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (size_t i = 16; i < 80; i++) {
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
}

static void sha1_block(uint32_t hash[5], const uint8_t block[BLOCK_BYTES])
{
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t words[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    sha1_schedule(block, words);
    for (size_t i = 0; i < 80; i++) {
        size_t round = i / 20;
        uint32_t mixed = round == 0   ? (b & c) | (~b & d)
                         : round == 2 ? (b & c) | (b & d) | (c & d)
                                      : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + mixed + e + constants[round] + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
}

void weir_ws_sha1(weir_bytes in, uint8_t digest[20])
{
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t at = 0;
    for (; in.len - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
        sha1_block(hash, in.ptr + at);
    }
    uint8_t tail[2 * BLOCK_BYTES] = {0};
    size_t left = in.len - at;
    if (left > 0) {
        memcpy(tail, in.ptr + at, left);
    }
    tail[left] = 0x80;
    size_t tail_bytes = left + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    uint64_t bits = (uint64_t)in.len * 8;
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t done = 0; done < tail_bytes; done += BLOCK_BYTES) {
        sha1_block(hash, tail + done);
    }
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        digest[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
    }
}

/* RFC 4648 4 for 20 bytes: six groups of three, then two bytes and one '='. */
static void base64_digest(const uint8_t digest[DIGEST_BYTES], char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[DIGEST_BYTES + 1] = {0};
    memcpy(padded, digest, DIGEST_BYTES);
    for (size_t i = 0; i < sizeof(padded) / 3; i++) {
        uint32_t group =
            (uint32_t)padded[3 * i] << 16 | (uint32_t)padded[3 * i + 1] << 8 | padded[3 * i + 2];
        for (size_t j = 0; j < 4; j++) {
            out[4 * i + j] = letters[group >> (18 - 6 * j) & 0x3f];
        }
    }
    out[WEIR_WS_ACCEPT_BYTES - 1] = '=';
    out[WEIR_WS_ACCEPT_BYTES] = '\0';
}

void weir_ws_accept_of(weir_bytes key, char accept[WEIR_WS_ACCEPT_BYTES + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_BYTES_MAX + sizeof(guid)], digest[DIGEST_BYTES];
    WEIR_ASSERT(key.len <= KEY_BYTES_MAX); /* the handshake has judged its length */
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, guid, sizeof(guid) - 1);
    weir_ws_sha1((weir_bytes){text, key.len + sizeof(guid) - 1}, digest);
    base64_digest(digest, accept);
}
