/* adapters/proto/websocket/frame.h - RFC 6455 frames: bytes to events and back. Pure.
 *
 * A reader is fed what a socket gave, cut anywhere, and answers one event at a time: a piece of a
 * message, a ping, a pong, the close. Pieces are unmasked in place, in the caller's buffer; nothing
 * is collected but a control frame's payload (125 bytes at most) and the head of a frame (14). All
 * limits are checked at the frame's head, before a byte of its payload is waited for.
 *
 * Both sides can use it: a server reads masked frames and writes plain ones, a client the other way
 * about. No extension is spoken, so the reserved bits are 0. */
#ifndef WEIR_ADAPTERS_PROTO_WEBSOCKET_FRAME_H
#define WEIR_ADAPTERS_PROTO_WEBSOCKET_FRAME_H

#include "weir/base.h"
#include "core/base/utf8.h"

enum {
    WEIR_WS_HEAD_BYTES_MAX = 14,     /* 2, an 8-byte length, a 4-byte mask */
    WEIR_WS_CONTROL_BYTES_MAX = 125, /* payload of a control frame: RFC 6455 5.5 */
    WEIR_WS_FRAGMENTS_MAX = 1024, /* frames of one message, unless the reader was told otherwise */
};

typedef enum weir_ws_opcode {
    WEIR_WS_CONTINUATION = 0x0,
    WEIR_WS_TEXT = 0x1,
    WEIR_WS_BINARY = 0x2,
    WEIR_WS_CLOSE = 0x8,
    WEIR_WS_PING = 0x9,
    WEIR_WS_PONG = 0xa,
} weir_ws_opcode;

/* RFC 6455 7.4.1 */
typedef enum weir_ws_code {
    WEIR_WS_CODE_NORMAL = 1000,
    WEIR_WS_CODE_GOING_AWAY = 1001,
    WEIR_WS_CODE_PROTOCOL = 1002,
    WEIR_WS_CODE_UNACCEPTABLE = 1003,
    WEIR_WS_CODE_NONE = 1005, /* never sent: a close frame without a code */
    WEIR_WS_CODE_NOT_UTF8 = 1007,
    WEIR_WS_CODE_POLICY = 1008,
    WEIR_WS_CODE_TOO_BIG = 1009,
    WEIR_WS_CODE_INTERNAL = 1011,
    WEIR_WS_CODE_TRY_LATER = 1013,
} weir_ws_code;

/* True for a code that an endpoint may send: 1000-1003, 1007-1014, 3000-4999 (RFC 6455 7.4 and the
 * IANA registry). */
bool weir_ws_code_valid(uint16_t code);

typedef enum weir_ws_role {
    WEIR_WS_SERVER = 0, /* reads masked frames only */
    WEIR_WS_CLIENT,     /* reads unmasked frames only */
} weir_ws_role;

typedef struct weir_ws_rules {
    weir_ws_role role;
    bool text_refused;          /* a text message ends the connection with 1003 */
    uint32_t fragments_max;     /* 0: WEIR_WS_FRAGMENTS_MAX */
    uint64_t message_bytes_max; /* of all its fragments together */
} weir_ws_rules;

typedef struct weir_ws_event {
    weir_ws_opcode
        opcode;       /* TEXT or BINARY: a piece of a message; PING, PONG, CLOSE: a whole one */
    bool first;       /* the piece begins its message */
    bool last;        /* the piece ends its message */
    uint16_t code;    /* CLOSE: the peer's, or WEIR_WS_CODE_NONE */
    weir_bytes bytes; /* payload, unmasked; CLOSE: the reason. Borrowed: see weir_ws_read */
} weir_ws_event;

/* In place; weir_ws_reader_init makes it. What it holds is its own business. */
typedef struct weir_ws_reader {
    weir_ws_rules rules;
    uint8_t stage;
    uint8_t opcode; /* of the frame */
    bool fin;
    bool message_begun;   /* a piece of it was told */
    uint8_t message_kind; /* TEXT or BINARY while a message is unfinished; 0 between messages */
    uint8_t head_len;
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    uint16_t fail_code;
    uint32_t fragment_count;
    weir_utf8_check utf8;
    uint64_t message_bytes;
    uint64_t payload_bytes; /* of the frame */
    uint64_t payload_at;
    const char *fail_text;
    uint8_t control[WEIR_WS_CONTROL_BYTES_MAX];
} weir_ws_reader;

void weir_ws_reader_init(weir_ws_reader *reader, const weir_ws_rules *rules);

/* Reads from the front of in[0..len), which it may change (it unmasks). OK: *event is the next one
 * and *used says how far the input was read; event->bytes lies in `in` (a piece) or in the reader
 * (a control frame) and is good until the next call. MORE: everything was taken, no event yet;
 * *used is len. PROTOCOL, MALFORMED, TOO_LARGE, UNSUPPORTED: the connection must end;
 * weir_ws_fail_code says with which close code. Every later call repeats the error. After a CLOSE
 * event the rest is taken and ignored (RFC 6455 5.5.1). */
weir_err weir_ws_read(weir_ws_reader *reader, uint8_t *in, size_t len, size_t *used,
                      weir_ws_event *event);

/* After a failed read: the close code and one sentence, static. */
uint16_t weir_ws_fail_code(const weir_ws_reader *reader);
const char *weir_ws_fail_text(const weir_ws_reader *reader);
/* False while a message or a frame has begun whose end has not come. */
bool weir_ws_between_messages(const weir_ws_reader *reader);

/* XORs bytes[0..len) with the mask, whose first byte stands for payload position `at`. */
void weir_ws_mask(uint8_t *bytes, size_t len, const uint8_t mask[4], uint64_t at);

/* Writes the head of a frame in its shortest form; mask NULL: unmasked. Returns its bytes. */
size_t weir_ws_head_write(uint8_t out[WEIR_WS_HEAD_BYTES_MAX], weir_ws_opcode opcode, bool fin,
                          uint64_t payload_bytes, const uint8_t *mask);

/* Writes a close frame's payload: the code, then as much of `reason` as fits in whole code points.
 * WEIR_WS_CODE_NONE: an empty payload. Returns its bytes. */
size_t weir_ws_close_payload(uint8_t out[WEIR_WS_CONTROL_BYTES_MAX], uint16_t code,
                             const char *reason);

#endif
