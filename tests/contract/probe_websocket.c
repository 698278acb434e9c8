/* tests/contract/probe_websocket.c - weir.v1 inside WebSocket frames. Values are plain text, so
 * looking for members by their spelling is enough. */
#include "contract.h"

#include "adapters/proto/websocket/frame.h"
#include "adapters/websocket/adapter.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 60000, MESSAGE_MAX = 65536 };

/* In one piece: a head alone would wait for its acknowledgement (Nagle). */
static void frame_send(contract_peer *peer, weir_ws_opcode opcode, weir_bytes payload)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    weir_buffer frame = {0};
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    size_t head_len = weir_ws_head_write(head, opcode, true, payload.len, mask);
    assert(weir_buffer_append(&frame, head, head_len) == WEIR_OK);
    assert(weir_buffer_append(&frame, payload.ptr, payload.len) == WEIR_OK);
    weir_ws_mask(frame.ptr + head_len, payload.len, mask, 0);
    contract_socket_send(peer, frame.ptr, frame.len);
    weir_buffer_fini(&frame);
}

static void text_send(contract_peer *peer, weir_buffer *text)
{
    frame_send(peer, WEIR_WS_TEXT, weir_buffer_bytes(text));
    weir_buffer_fini(text);
}

static const char *find(weir_bytes in, const char *text)
{
    return memmem(in.ptr, in.len, text, strlen(text));
}

/* The text of a member that is a string without escapes. */
static weir_bytes member(weir_bytes in, const char *opening)
{
    const char *at = find(in, opening);
    assert(at != NULL);
    at += strlen(opening);
    const char *end = memchr(at, '"', in.len - (size_t)(at - (const char *)in.ptr));
    assert(end != NULL);
    return (weir_bytes){(const uint8_t *)at, (size_t)(end - at)};
}

/* One record off the front of a message of records. What is left of the message is made a frame of
 * its own, so that it is looked at again. Returns how many bytes went with the record; 0: none is
 * left. */
static size_t record_take(contract_peer *peer, weir_bytes message, contract_event *event)
{
    static const char opening[] = "{\"type\":\"records\"";
    const char *begin = find(message, "\"name\":\"");
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    if (begin == NULL) {
        return 0;
    }
    size_t at = (size_t)(begin - (const char *)message.ptr);
    weir_bytes record = {message.ptr + at, message.len - at};
    weir_bytes value = member(record, "\"value\":\"");
    contract_event_record(event, member(record, "\"name\":\""), value);
    size_t rest_at = (size_t)(value.ptr - message.ptr) + value.len + 1;
    size_t kept = sizeof(opening) - 1 + message.len - rest_at;
    size_t head_len = weir_ws_head_write(head, WEIR_WS_TEXT, true, kept, NULL);
    uint8_t *to = peer->in.ptr + (message.ptr + rest_at - peer->in.ptr) - (sizeof(opening) - 1);
    memcpy(to, opening, sizeof(opening) - 1);
    memcpy(to - head_len, head, head_len);
    return (size_t)(to - head_len - peer->in.ptr);
}

static void message_read(weir_bytes message, contract_event *event)
{
    event->type = find(message, "\"type\":\"drain\"") != NULL ? CONTRACT_FAREWELL
                  : find(message, "\"ok\":true") != NULL      ? CONTRACT_ACK
                  : find(message, "\"ok\":false") != NULL     ? CONTRACT_REFUSED
                                                              : CONTRACT_OTHER;
}

static size_t websocket_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    const weir_ws_rules rules = {.role = WEIR_WS_CLIENT, .message_bytes_max = MESSAGE_MAX * 16};
    weir_ws_reader reader;
    weir_ws_event frame;
    size_t used = 0;
    weir_ws_reader_init(&reader, &rules);
    weir_err err = weir_ws_read(&reader, peer->in.ptr, in.len, &used, &frame);
    assert(err == WEIR_OK || err == WEIR_MORE);
    bool whole = err == WEIR_OK && (frame.opcode != WEIR_WS_TEXT || frame.last);
    if (!whole) {
        return 0;
    }
    if (frame.opcode == WEIR_WS_PING) {
        frame_send(peer, WEIR_WS_PONG, frame.bytes);
    }
    if (frame.opcode != WEIR_WS_TEXT) {
        event->type = frame.opcode == WEIR_WS_CLOSE ? CONTRACT_END : CONTRACT_OTHER;
        return used;
    }
    if (find(frame.bytes, "{\"type\":\"records\"") == (const char *)frame.bytes.ptr) {
        event->type = CONTRACT_OTHER;
        size_t taken = record_take(peer, frame.bytes, event);
        return taken > 0 ? taken : used;
    }
    message_read(frame.bytes, event);
    return used;
}

static void websocket_read(contract_peer *peer, int timeout_ms, contract_event *event)
{
    contract_socket_read(peer, timeout_ms, event, websocket_decode);
}

/* The answer to the handshake. */
static size_t answer_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    const char *end = find(in, "\r\n\r\n");
    (void)peer;
    if (end == NULL) {
        return 0;
    }
    event->type =
        find(in, "HTTP/1.1 101 ") == (const char *)in.ptr ? CONTRACT_ACK : CONTRACT_REFUSED;
    return (size_t)(end - (const char *)in.ptr) + 4;
}

static bool websocket_connect(contract_peer *peer, const char *address)
{
    static const char request[] = "GET /v1 HTTP/1.1\r\nHost: contract\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: weir.v1\r\n\r\n";
    static contract_event event;
    weir_buffer text = {0};
    if (!contract_socket_connect(peer, address)) {
        return false;
    }
    contract_socket_send(peer, request, sizeof(request) - 1);
    contract_socket_read(peer, WAIT_MS, &event, answer_decode);
    if (event.type != CONTRACT_ACK) {
        return false;
    }
    assert(weir_buffer_text(&text, "{\"cmd\":\"hello\",\"id\":0,\"version\":1}") == WEIR_OK);
    text_send(peer, &text);
    websocket_read(peer, WAIT_MS, &event);
    return event.type == CONTRACT_ACK;
}

static void websocket_publish(contract_peer *peer, const char *name, const char *value, size_t len)
{
    weir_buffer text = {0};
    assert(weir_buffer_format(&text,
                              "{\"cmd\":\"publish\",\"id\":%u,\"name\":\"%s\",\"value\":\"%.*s\"}",
                              ++peer->count, name, (int)len, value) == WEIR_OK);
    text_send(peer, &text);
}

static void websocket_subscribe(contract_peer *peer, const char *filter)
{
    weir_buffer text = {0};
    assert(weir_buffer_format(
               &text, "{\"cmd\":\"subscribe\",\"id\":%u,\"filter\":\"%s\",\"credit\":1000000}",
               ++peer->count, filter) == WEIR_OK);
    text_send(peer, &text);
}

static void websocket_misbehave(contract_peer *peer)
{
    contract_socket_send(peer, "\xff\xff what is this", 15);
}

const contract_probe contract_probe_used = {
    .name = "http",
    .ops = weir_websocket_adapter,
    .settings = {"port", "0", NULL},
    .bad = {"port", "99999"},
    .port_key = "port",
    .exclusive = true,
    .farewell = true,
    .published = "weir_v1_websocket_records_received_total",
    .connect = websocket_connect,
    .publish = websocket_publish,
    .subscribe = websocket_subscribe,
    .misbehave = websocket_misbehave,
    .read = websocket_read,
    .close = contract_socket_close,
};
