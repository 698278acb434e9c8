/* Feeds one stream to WebSocket readers cut in different places, and to the handshake. What they
 * tell must be the same, and within the limits.
 *
 *   input   [ rules | cut | bytes ... ]
 *
 * The harness calls abort() when a promise of frame.h is broken; sanitizers find the rest. Its
 * planted bug must be found. */
#include "adapters/proto/websocket/frame.h"
#include "adapters/proto/websocket/handshake.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES_MAX = 4096, FRAGMENTS_MAX = 8, INPUT_BYTES_MAX = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader told, in a form that does not depend on how its input was cut. */
typedef struct told {
    uint64_t hash;
    uint64_t events; /* messages that ended, and control frames */
    uint64_t message_bytes;
    weir_err err;
    uint16_t code;
} told;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void hash_add(told *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out->hash = (out->hash ^ bytes[i]) * 1099511628211u;
    }
}

static void tell(told *out, const weir_ws_event *event)
{
    bool control = event->opcode >= WEIR_WS_CLOSE;
    require(!control || event->bytes.len <= WEIR_WS_CONTROL_BYTES_MAX);
    require(event->opcode != WEIR_WS_CLOSE || event->code == WEIR_WS_CODE_NONE ||
            weir_ws_code_valid(event->code));
    hash_add(out, event->bytes.ptr, event->bytes.len);
    if (control) {
        out->events++;
        return;
    }
    out->message_bytes = event->first ? 0 : out->message_bytes;
    out->message_bytes += event->bytes.len;
    require(out->message_bytes <= MESSAGE_BYTES_MAX);
    out->events += event->last ? 1 : 0;
}

/* Each piece is in memory of its own, so that a read past its end is seen. */
static void feed(weir_ws_reader *reader, const uint8_t *bytes, size_t len, told *out)
{
    uint8_t *piece = malloc(len);
    size_t done = 0;
    require(piece != NULL);
    memcpy(piece, bytes, len);
    for (;;) {
        weir_ws_event event;
        size_t used = 0;
        out->err = weir_ws_read(reader, piece + done, len - done, &used, &event);
        if (out->err == WEIR_OK) {
            require(used <= len - done);
            done += used;
            tell(out, &event);
        } else {
            require(out->err != WEIR_MORE || used == len - done);
            break;
        }
    }
    out->code = weir_ws_fail_code(reader);
    free(piece);
}

static told read_cut(const uint8_t *bytes, size_t len, uint8_t rules_bits, size_t cut)
{
    const weir_ws_rules rules = {
        .role = (rules_bits & 1) != 0 ? WEIR_WS_CLIENT : WEIR_WS_SERVER,
        .text_refused = (rules_bits & 2) != 0,
        .fragments_max = FRAGMENTS_MAX,
        .message_bytes_max = MESSAGE_BYTES_MAX,
    };
    told out = {.hash = 14695981039346656037u, .err = WEIR_MORE};
    weir_ws_reader *reader = malloc(sizeof(*reader));
    require(reader != NULL);
    weir_ws_reader_init(reader, &rules);
    for (size_t at = 0; at < len && out.err == WEIR_MORE;) {
        size_t take = len - at < cut ? len - at : cut;
        feed(reader, bytes + at, take, &out);
        at += take;
    }
    free(reader);
    return out;
}

static void handshake_read(const uint8_t *bytes, size_t len, uint8_t rules_bits)
{
    static weir_http_head head;
    uint8_t *copy = malloc(len + 1);
    require(copy != NULL);
    memcpy(copy, bytes, len);
    if (weir_http_head_read((weir_bytes){copy, len}, &head) == WEIR_OK) {
        const weir_ws_policy policy = {.echo = (rules_bits & 4) != 0,
                                       .loopback_only = (rules_bits & 8) != 0,
                                       .origins = (rules_bits & 16) != 0 ? "http://a, b" : NULL};
        weir_ws_handshake handshake;
        char answer[WEIR_HTTP_ANSWER_BYTES_MAX];
        require(head.bytes <= len);
        weir_ws_handshake_check(&head, &policy, &handshake);
        require(weir_ws_answer_write(answer, &handshake) < sizeof(answer));
        require((handshake.status == 101) == (handshake.accept[0] != '\0'));
        (void)weir_http_kind_of(&head);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    uint8_t rules_bits = data[0];
    size_t cut = data[1] % 64 + (size_t)1;
    told whole = read_cut(data + 2, size - 2, rules_bits, size);
    told pieces = read_cut(data + 2, size - 2, rules_bits, cut);
    require(whole.err == pieces.err && whole.code == pieces.code);
    require(whole.events == pieces.events);
    /* Bytes of a text message told before the one that proved it wrong depend on the cut. */
    require(whole.hash == pieces.hash || whole.code == WEIR_WS_CODE_NOT_UTF8);
    handshake_read(data + 2, size - 2, rules_bits);
    return 0;
}
