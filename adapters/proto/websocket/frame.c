/* adapters/proto/websocket/frame.c - what is and what is not a WebSocket frame (RFC 6455 section
 * 5).
 *
 *    0               1               2 .. 3 or 2 .. 9          4
 *   +-+-+-+-+-------+-+-------------+------------------------+----------+-------------------+
 *   |F|R|R|R| opcode|M|   length    | length, when 126 / 127 |   mask   | payload, masked   |
 *   |I|S|S|S|       |S|   0 .. 125  | 16 bit / 63 bit,       | when MSK |                   |
 *   |N|V|V|V|       |K|  126   127  | shortest form only     |          |                   |
 *   +-+-+-+-+-------+-+-------------+------------------------+----------+-------------------+
 *
 *   stages:   HEAD -> CONTROL -> HEAD ...      a ping, pong or close, whole
 *                  -> DATA ----> HEAD ...      pieces of a message, as they come
 *             CLOSED after a close frame, FAILED after an error: both for ever
 *
 * Happy path: the head is collected (its 2 to 14 bytes may come one by one), judged, and then the
 * payload is unmasked where it lies and told piece by piece. Nothing is allocated.
 * Failures: the first wrong bit ends the connection; which bit decides the close code. Limits are
 * judged from the head, so a claim of 2^62 bytes costs 10 bytes of reading.
 *
 * [W1] Where the input is cut changes how pieces are cut, and nothing else. [W2] An error is told
 * as soon as the bytes that prove it are there. [W3] message_bytes <= message_bytes_max and
 * fragment_count <= fragments_max at every event. [W4] No byte of a text message is told before it
 * is known to be a possible part of UTF-8, and its end only between code points. */
#include "adapters/proto/websocket/frame.h"

#include "core/base/assert.h"

#include <string.h>

enum { STAGE_HEAD = 0, STAGE_CONTROL, STAGE_DATA, STAGE_CLOSED, STAGE_FAILED };
enum { BIT_FIN = 0x80, BITS_RESERVED = 0x70, BITS_OPCODE = 0x0f, BIT_MASK = 0x80 };
enum { LENGTH_16 = 126, LENGTH_64 = 127 };

bool weir_ws_code_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void weir_ws_reader_init(weir_ws_reader *reader, const weir_ws_rules *rules)
{
    memset(reader, 0, sizeof(*reader));
    reader->rules = *rules;
    if (reader->rules.fragments_max == 0) {
        reader->rules.fragments_max = WEIR_WS_FRAGMENTS_MAX;
    }
}

uint16_t weir_ws_fail_code(const weir_ws_reader *reader)
{
    return reader->fail_code;
}

const char *weir_ws_fail_text(const weir_ws_reader *reader)
{
    return reader->fail_text == NULL ? "" : reader->fail_text;
}

bool weir_ws_between_messages(const weir_ws_reader *reader)
{
    return reader->stage == STAGE_HEAD && reader->head_len == 0 && reader->message_kind == 0;
}

void weir_ws_mask(uint8_t *bytes, size_t len, const uint8_t mask[4], uint64_t at)
{
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof(turned); i++) {
        turned[i] = mask[(at + i) & 3];
    }
    uint64_t key, word;
    memcpy(&key, turned, sizeof(key));
    size_t done = 0;
    for (; done + sizeof(word) <= len; done += sizeof(word)) {
        memcpy(&word, bytes + done, sizeof(word));
        word ^= key;
        memcpy(bytes + done, &word, sizeof(word));
    }
    for (; done < len; done++) {
        bytes[done] ^= turned[done & 3];
    }
}

/* The error that goes with a close code. */
static weir_err err_of(uint16_t code)
{
    switch (code) {
    case WEIR_WS_CODE_NOT_UTF8:
        return WEIR_MALFORMED;
    case WEIR_WS_CODE_TOO_BIG:
        return WEIR_TOO_LARGE;
    case WEIR_WS_CODE_UNACCEPTABLE:
        return WEIR_UNSUPPORTED;
    default:
        return WEIR_PROTOCOL;
    }
}

static weir_err fail(weir_ws_reader *reader, uint16_t code, const char *text)
{
    reader->stage = STAGE_FAILED;
    reader->fail_code = code;
    reader->fail_text = text;
    return err_of(code);
}

static weir_err fail_protocol(weir_ws_reader *reader, const char *text)
{
    return fail(reader, WEIR_WS_CODE_PROTOCOL, text);
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

static bool opcode_known(uint8_t opcode)
{
    return opcode <= WEIR_WS_BINARY || (opcode >= WEIR_WS_CLOSE && opcode <= WEIR_WS_PONG);
}

/* ---- The head ------------------------------------------------------------------------------ */

static size_t length_bytes(uint8_t second)
{
    uint8_t length = second & 0x7f;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

static weir_err judge_control(weir_ws_reader *reader)
{
    if (!reader->fin) {
        return fail_protocol(reader, "A control frame is never fragmented.");
    }
    uint8_t length = reader->head[1] & 0x7f;
#ifdef WEIR_PLANT_WEBSOCKET
    if (reader->opcode == WEIR_WS_PONG && length == LENGTH_16) {
        return WEIR_OK; /* planted: the fuzz harness must find it */
    }
#endif
    if (length > WEIR_WS_CONTROL_BYTES_MAX) {
        return fail_protocol(reader, "A control frame has at most 125 bytes.");
    }
    return WEIR_OK;
}

static weir_err judge_data(weir_ws_reader *reader)
{
    bool continues = reader->opcode == WEIR_WS_CONTINUATION;
    if (continues && reader->message_kind == 0) {
        return fail_protocol(reader, "A continuation without a message to continue.");
    }
    if (!continues && reader->message_kind != 0) {
        return fail_protocol(reader, "A new message before the end of the last.");
    }
    if (reader->opcode == WEIR_WS_TEXT && reader->rules.text_refused) {
        return fail(reader, WEIR_WS_CODE_UNACCEPTABLE, "Only binary messages are taken here.");
    }
    if (reader->fragment_count >= reader->rules.fragments_max) {
        return fail(reader, WEIR_WS_CODE_TOO_BIG, "The message has too many fragments.");
    }
    return WEIR_OK;
}

/* The first two bytes: all that needs no length. */
static weir_err judge_start(weir_ws_reader *reader)
{
    uint8_t first = reader->head[0];
    reader->fin = (first & BIT_FIN) != 0;
    reader->opcode = first & BITS_OPCODE;
    if ((first & BITS_RESERVED) != 0) {
        return fail_protocol(reader, "A reserved bit is set; no extension was agreed.");
    }
    if (!opcode_known(reader->opcode)) {
        return fail_protocol(reader, "A reserved opcode.");
    }
    bool masked = (reader->head[1] & BIT_MASK) != 0;
    if (masked != (reader->rules.role == WEIR_WS_SERVER)) {
        return fail_protocol(reader, masked ? "A server's frames are never masked."
                                            : "A client's frames must be masked.");
    }
    return is_control(reader->opcode) ? judge_control(reader) : judge_data(reader);
}

static uint64_t big_endian(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* The length, once its bytes are there. */
static weir_err judge_length(weir_ws_reader *reader)
{
    size_t more = length_bytes(reader->head[1]);
    uint64_t length =
        more == 0 ? (uint64_t)(reader->head[1] & 0x7f) : big_endian(reader->head + 2, more);
    if (more == 8 && length >> 63 != 0) {
        return fail_protocol(reader, "The highest bit of a length is 0.");
    }
    if ((more == 2 && length < LENGTH_16) || (more == 8 && length <= UINT16_MAX)) {
        return fail_protocol(reader, "A length in more bytes than it needs.");
    }
    if (!is_control(reader->opcode) &&
        length > reader->rules.message_bytes_max - reader->message_bytes) { /* [W3] */
        return fail(reader, WEIR_WS_CODE_TOO_BIG, "The message is larger than the limit.");
    }
    reader->payload_bytes = length;
    reader->payload_at = 0;
    return WEIR_OK;
}

/* Collects the head up to `want` bytes; false when the input ends first. */
static bool head_collect(weir_ws_reader *reader, size_t want, const uint8_t *in, size_t len,
                         size_t *at)
{
    while (reader->head_len < want) {
        if (*at == len) {
            return false;
        }
        reader->head[reader->head_len++] = in[(*at)++];
    }
    return true;
}

static void frame_begin(weir_ws_reader *reader)
{
    reader->head_len = 0;
    if (is_control(reader->opcode)) {
        reader->stage = STAGE_CONTROL;
        return;
    }
    if (reader->opcode != WEIR_WS_CONTINUATION) {
        reader->message_kind = reader->opcode;
        reader->message_begun = false;
        reader->utf8 = (weir_utf8_check){0};
    }
    reader->fragment_count++;
    reader->message_bytes += reader->payload_bytes;
    reader->stage = STAGE_DATA;
}

/* [W2]: each part is judged once, as soon as it is whole. */
static weir_err head_read(weir_ws_reader *reader, const uint8_t *in, size_t len, size_t *at)
{
    if (reader->head_len < 2) {
        if (!head_collect(reader, 2, in, len, at)) {
            return WEIR_MORE;
        }
        weir_err err = judge_start(reader);
        if (err != WEIR_OK) {
            return err;
        }
    }
    size_t with_length = 2 + length_bytes(reader->head[1]);
    if (reader->head_len <= with_length) {
        if (!head_collect(reader, with_length, in, len, at)) {
            return WEIR_MORE;
        }
        weir_err err = judge_length(reader);
        if (err != WEIR_OK) {
            return err;
        }
    }
    size_t whole = with_length + (reader->rules.role == WEIR_WS_SERVER ? 4 : 0);
    if (!head_collect(reader, whole, in, len, at)) {
        return WEIR_MORE;
    }
    memmove(reader->head, reader->head + with_length, whole - with_length); /* the mask */
    frame_begin(reader);
    return WEIR_OK;
}

/* ---- The payload --------------------------------------------------------------------------- */

static void unmask(const weir_ws_reader *reader, uint8_t *bytes, size_t len)
{
    if (reader->rules.role == WEIR_WS_SERVER) {
        weir_ws_mask(bytes, len, reader->head, reader->payload_at);
    }
}

static weir_err close_read(weir_ws_reader *reader, weir_ws_event *event)
{
    size_t len = (size_t)reader->payload_bytes;
    uint16_t code = WEIR_WS_CODE_NONE;
    weir_bytes reason = {reader->control, 0};
    if (len == 1) {
        return fail_protocol(reader, "A close code has two bytes.");
    }
    if (len >= 2) {
        code = (uint16_t)big_endian(reader->control, 2);
        reason = (weir_bytes){reader->control + 2, len - 2};
        if (!weir_ws_code_valid(code)) {
            return fail_protocol(reader, "A close code that must not be sent.");
        }
    }
    if (!weir_utf8_valid(reason)) {
        return fail(reader, WEIR_WS_CODE_NOT_UTF8, "A close reason is UTF-8.");
    }
    reader->stage = STAGE_CLOSED;
    *event = (weir_ws_event){.opcode = WEIR_WS_CLOSE, .code = code, .bytes = reason};
    return WEIR_OK;
}

static weir_err control_read(weir_ws_reader *reader, const uint8_t *in, size_t len, size_t *at,
                             weir_ws_event *event)
{
    size_t wanted = (size_t)(reader->payload_bytes - reader->payload_at);
    size_t take = wanted < len - *at ? wanted : len - *at;
    if (take > 0) {
        uint8_t *to = reader->control + reader->payload_at;
        memcpy(to, in + *at, take);
        unmask(reader, to, take);
        reader->payload_at += take;
        *at += take;
    }
    if (take < wanted) {
        return WEIR_MORE;
    }
    if (reader->opcode == WEIR_WS_CLOSE) {
        return close_read(reader, event);
    }
    reader->stage = STAGE_HEAD;
    *event = (weir_ws_event){.opcode = (weir_ws_opcode)reader->opcode,
                             .bytes = {reader->control, (size_t)reader->payload_bytes}};
    return WEIR_OK;
}

static void message_end(weir_ws_reader *reader)
{
    reader->message_kind = 0;
    reader->message_bytes = 0;
    reader->fragment_count = 0;
}

static weir_err data_read(weir_ws_reader *reader, uint8_t *in, size_t len, size_t *at,
                          weir_ws_event *event)
{
    uint64_t left = reader->payload_bytes - reader->payload_at;
    size_t take = left < len - *at ? (size_t)left : len - *at;
    if (take == 0 && left > 0) {
        return WEIR_MORE;
    }
    weir_bytes piece = {in + *at, take};
    unmask(reader, in + *at, take);
    reader->payload_at += take;
    *at += take;
    bool last = reader->fin && take == left;
    bool text = reader->message_kind == WEIR_WS_TEXT;
    if (text && (!weir_utf8_feed(&reader->utf8, piece) ||
                 (last && !weir_utf8_done(&reader->utf8)))) { /* [W4] */
        return fail(reader, WEIR_WS_CODE_NOT_UTF8, "A text message is UTF-8.");
    }
    *event = (weir_ws_event){.opcode = text ? WEIR_WS_TEXT : WEIR_WS_BINARY,
                             .first = !reader->message_begun,
                             .last = last,
                             .bytes = piece};
    reader->message_begun = true;
    if (take == left) {
        reader->stage = STAGE_HEAD;
    }
    if (last) {
        message_end(reader);
    }
    return WEIR_OK;
}

weir_err weir_ws_read(weir_ws_reader *reader, uint8_t *in, size_t len, size_t *used,
                      weir_ws_event *event)
{
    size_t at = 0;
    weir_err err = WEIR_OK;
    if (reader->stage == STAGE_FAILED) {
        return err_of(reader->fail_code);
    }
    if (reader->stage == STAGE_CLOSED) {
        *used = len;
        return WEIR_MORE;
    }
    if (reader->stage == STAGE_HEAD) {
        err = head_read(reader, in, len, &at);
    }
    if (err == WEIR_OK) {
        err = reader->stage == STAGE_CONTROL ? control_read(reader, in, len, &at, event)
                                             : data_read(reader, in, len, &at, event);
    }
    if (err == WEIR_OK || err == WEIR_MORE) {
        *used = at;
    }
    return err;
}

/* ---- Writing ------------------------------------------------------------------------------- */

size_t weir_ws_head_write(uint8_t out[WEIR_WS_HEAD_BYTES_MAX], weir_ws_opcode opcode, bool fin,
                          uint64_t payload_bytes, const uint8_t *mask)
{
    WEIR_ASSERT(payload_bytes >> 63 == 0);
    size_t more = payload_bytes < LENGTH_16 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;
    uint8_t length = more == 0   ? (uint8_t)payload_bytes
                     : more == 2 ? (uint8_t)LENGTH_16
                                 : (uint8_t)LENGTH_64;
    out[0] = (uint8_t)((fin ? BIT_FIN : 0) | (int)opcode);
    out[1] = (uint8_t)((mask == NULL ? 0 : BIT_MASK) | length);
    for (size_t i = 0; i < more; i++) {
        out[2 + i] = (uint8_t)(payload_bytes >> (8 * (more - 1 - i)));
    }
    if (mask == NULL) {
        return 2 + more;
    }
    memcpy(out + 2 + more, mask, 4);
    return 2 + more + 4;
}

size_t weir_ws_close_payload(uint8_t out[WEIR_WS_CONTROL_BYTES_MAX], uint16_t code,
                             const char *reason)
{
    if (code == WEIR_WS_CODE_NONE) {
        return 0;
    }
    WEIR_ASSERT(weir_ws_code_valid(code));
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    size_t len = 2;
    weir_bytes left = weir_bytes_of(reason == NULL ? "" : reason);
    for (;;) {
        uint32_t code_point = 0;
        size_t next = weir_utf8_next(left, &code_point);
        if (next == 0 || len + next > WEIR_WS_CONTROL_BYTES_MAX) {
            return len;
        }
        memcpy(out + len, left.ptr, next);
        len += next;
        left = (weir_bytes){left.ptr + next, left.len - next};
    }
}
