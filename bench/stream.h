/* bench/stream.h - one non-blocking socket with many messages per read and per write.
 *
 * Reads go into one buffer that all streams of a process share; what is left of a packet that was
 * cut waits in the stream's own `carry`. Writes go straight from the caller's bytes; what the
 * kernel does not take waits in `out`, and EPOLLOUT is asked for until it is gone. An idle stream
 * owns no buffer.
 *
 * Used by the generator and by the null broker; both have one thread. */
#ifndef WEIR_BENCH_STREAM_H
#define WEIR_BENCH_STREAM_H

#include "weir/base.h"

enum {
    WEIR_STREAM_READ_BYTES = 256 * 1024,
    WEIR_STREAM_CARRY_BYTES_MAX = 1024 * 1024, /* the longest packet that may be cut */
};

typedef struct weir_stream {
    int fd;
    bool waits_write; /* EPOLLOUT is asked for */
    uint32_t carry_len;
    uint8_t *carry;
    uint8_t *out;
    uint32_t out_len;
    uint32_t out_sent;
    uint32_t out_capacity;
} weir_stream;

/* The one shared buffer: room for a carry and a read behind it. */
typedef struct weir_stream_buffer {
    uint8_t bytes[WEIR_STREAM_CARRY_BYTES_MAX + WEIR_STREAM_READ_BYTES];
} weir_stream_buffer;

/* Puts the carry and then one read into the buffer; *len is what lies there now. AGAIN: nothing to
 * read. CLOSED: the peer has gone. IO. */
weir_err weir_stream_read(weir_stream *stream, weir_stream_buffer *buffer, size_t *len);
/* Keeps the cut packet for the next read. TOO_LARGE, NO_MEMORY. */
weir_err weir_stream_keep(weir_stream *stream, const uint8_t *rest, size_t len);

/* Room for `len` more bytes behind what waits, to be filled and then told with `out_len +=`. NULL:
 * no memory. */
uint8_t *weir_stream_room(weir_stream *stream, size_t len);
/* Writes what waits. `data` is what epoll gives back for this stream. IO, CLOSED. */
weir_err weir_stream_flush(weir_stream *stream, int epoll, void *data);
/* Writes these bytes now when nothing waits, else behind it. IO, CLOSED, NO_MEMORY. */
weir_err weir_stream_send(weir_stream *stream, int epoll, void *data, weir_bytes bytes);
static inline bool weir_stream_waits(const weir_stream *stream)
{
    return stream->out_len > stream->out_sent;
}
void weir_stream_close(weir_stream *stream);

/* ---- MQTT's packets in a stream ----------------------------------------------------------------
 */

enum { WEIR_PACKET_BAD = 0xffffffff };

/* Length of the packet at the front, head included, and *head_bytes. 0: not whole yet.
 * WEIR_PACKET_BAD: no packet. The full check is the codec's: this is the fast road. */
static inline size_t weir_packet_len(const uint8_t *in, size_t len, size_t *head_bytes)
{
    size_t remaining = 0;
    for (size_t i = 1; i < 5; i++) {
        if (i >= len) {
            return 0;
        }
        remaining |= (size_t)(in[i] & 0x7f) << (7 * (i - 1));
        if (in[i] < 0x80) {
            *head_bytes = i + 1;
            return i + 1 + remaining <= len ? i + 1 + remaining : 0;
        }
    }
    return WEIR_PACKET_BAD;
}

static inline uint16_t weir_get16(const uint8_t *in)
{
    return (uint16_t)(in[0] << 8 | in[1]);
}

static inline void weir_put16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

/* An acknowledgement of any kind in its shortest form, the same in 3.1.1 and 5.0. */
enum { WEIR_ACK_BYTES = 4 };
static inline uint8_t *weir_put_ack(uint8_t *out, uint8_t first, uint16_t id)
{
    out[0] = first;
    out[1] = 2;
    weir_put16(out + 2, id);
    return out + WEIR_ACK_BYTES;
}

#endif
