/* bench/generator/frame.c - WebSocket in the client's role, around whole batches of MQTT packets.
 *
 *   out:  ... | head 8: 0x82 0xfe len16 mask32 | packets, masked |        below 126 bytes: head 6
 *   in:   | head | piece | head | piece |   ->   | piece | piece |        moved together, in place
 *
 * A batch is one message of several packets, which MQTT allows [MQTT-6.0.0-2]. The mask is a fixed
 * number: it protects proxies, of which there are none here, and costs the subject the same. */
#include "bench/generator/private.h"

#include <string.h>

enum { HEAD_BYTES = 8, SHORT_HEAD_BYTES = 6, SHORT_PAYLOAD_MAX = 125 };

static const uint8_t mask[4] = {0x5a, 0xc3, 0x96, 0x2d};

weir_err peer_unframe(generator_peer *peer, uint8_t *bytes, size_t *len)
{
    size_t from = 0;
    size_t to = 0;
    while (from < *len) {
        weir_ws_event event;
        size_t used = 0;
        weir_err err = weir_ws_read(peer->ws, bytes + from, *len - from, &used, &event);
        if (err == WEIR_MORE) {
            break;
        }
        if (err != WEIR_OK) {
            return err;
        }
        if (event.opcode == WEIR_WS_CLOSE) {
            return WEIR_CLOSED;
        }
        if (event.opcode == WEIR_WS_BINARY) {
            memmove(bytes + to, event.bytes.ptr, event.bytes.len);
            to += event.bytes.len;
        }
        from += used;
    }
    *len = to;
    return WEIR_OK;
}

uint8_t *peer_out_begin(generator_peer *peer, size_t len)
{
    uint8_t *room = weir_stream_room(&peer->stream, len + HEAD_BYTES);
    return room == NULL || peer->ws == NULL ? room : room + HEAD_BYTES;
}

void peer_out_end(generator_peer *peer, size_t len)
{
    uint8_t *head = peer->stream.out + peer->stream.out_len;
    size_t head_bytes = 0;
    if (len == 0) {
        return;
    }
    if (peer->ws != NULL) {
        head_bytes = len <= SHORT_PAYLOAD_MAX ? SHORT_HEAD_BYTES : HEAD_BYTES;
        weir_ws_mask(head + HEAD_BYTES, len, mask, 0);
        if (head_bytes < HEAD_BYTES) {
            memmove(head + head_bytes, head + HEAD_BYTES, len);
        }
        (void)weir_ws_head_write(head, WEIR_WS_BINARY, true, len, mask);
    }
    peer->stream.out_len += (uint32_t)(head_bytes + len);
}

weir_err peer_send(generator *own, generator_peer *peer, weir_bytes bytes)
{
    if (peer->ws == NULL) {
        return weir_stream_send(&peer->stream, own->flow.epoll, peer, bytes);
    }
    for (size_t at = 0; at < bytes.len;) {
        size_t left = bytes.len - at;
        size_t len = left < GENERATOR_BATCH_BYTES_MAX ? left : (size_t)GENERATOR_BATCH_BYTES_MAX;
        uint8_t *room = peer_out_begin(peer, len);
        if (room == NULL) {
            return WEIR_NO_MEMORY;
        }
        memcpy(room, bytes.ptr + at, len);
        peer_out_end(peer, len);
        at += len;
    }
    return weir_stream_flush(&peer->stream, own->flow.epoll, peer);
}
