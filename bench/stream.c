/* bench/stream.c - batched reads and writes of one socket.
 *
 *   read:   [ carry | fresh bytes ......... ]  ->  whole packets, and a rest for the next carry
 *   write:  out [ sent | waits | room ]            nothing waits: the caller's bytes go directly
 *
 * A peer that does not read makes `out` grow; the window of the workload bounds it.
 *
 * [T1] out_sent <= out_len <= out_capacity; both are 0 when nothing waits.
 * [T2] EPOLLOUT is asked for exactly while something waits after a flush. */
#include "bench/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CARRY_BYTES_STEP = 1024 };

weir_err weir_stream_read(weir_stream *stream, weir_stream_buffer *buffer, size_t *len)
{
    size_t kept = stream->carry_len;
    ssize_t got;
    if (kept > 0) {
        memcpy(buffer->bytes, stream->carry, kept);
    }
    got = recv(stream->fd, buffer->bytes + kept, WEIR_STREAM_READ_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        stream->carry_len = 0;
        *len = kept + (size_t)got;
        return WEIR_OK;
    }
    if (got == 0 || errno == ECONNRESET) {
        return WEIR_CLOSED;
    }
    return errno == EAGAIN || errno == EINTR ? WEIR_AGAIN : WEIR_IO;
}

weir_err weir_stream_keep(weir_stream *stream, const uint8_t *rest, size_t len)
{
    if (len > WEIR_STREAM_CARRY_BYTES_MAX) {
        return WEIR_TOO_LARGE;
    }
    if (len == 0) {
        return WEIR_OK;
    }
    /* One size fits the usual cut packet, so that the carry is allocated once. */
    if (stream->carry == NULL || len > CARRY_BYTES_STEP) {
        uint8_t *carry =
            realloc(stream->carry, len > CARRY_BYTES_STEP ? len : (size_t)CARRY_BYTES_STEP);
        if (carry == NULL) {
            return WEIR_NO_MEMORY;
        }
        stream->carry = carry;
    }
    memcpy(stream->carry, rest, len);
    stream->carry_len = (uint32_t)len;
    return WEIR_OK;
}

uint8_t *weir_stream_room(weir_stream *stream, size_t len)
{
    size_t need = stream->out_len + len;
    if (need > stream->out_capacity) {
        size_t capacity = need * 2 < 512 ? 512 : need * 2;
        uint8_t *out = capacity > UINT32_MAX ? NULL : realloc(stream->out, capacity);
        if (out == NULL) {
            return NULL;
        }
        stream->out = out;
        stream->out_capacity = (uint32_t)capacity;
    }
    return stream->out + stream->out_len;
}

static weir_err write_watch(weir_stream *stream, int epoll, void *data)
{
    bool waits = weir_stream_waits(stream);
    struct epoll_event event = {.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = data};
    if (waits == stream->waits_write) {
        return WEIR_OK;
    }
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, stream->fd, &event) != 0) {
        return WEIR_IO;
    }
    stream->waits_write = waits;
    return WEIR_OK;
}

/* *taken: what the kernel took, possibly nothing. */
static weir_err write_some(const weir_stream *stream, const uint8_t *bytes, size_t len,
                           size_t *taken)
{
    ssize_t put = send(stream->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0) {
        *taken = (size_t)put;
        return WEIR_OK;
    }
    *taken = 0;
    if (errno == EAGAIN || errno == EINTR) {
        return WEIR_OK;
    }
    return errno == EPIPE || errno == ECONNRESET ? WEIR_CLOSED : WEIR_IO;
}

weir_err weir_stream_flush(weir_stream *stream, int epoll, void *data)
{
    if (weir_stream_waits(stream)) {
        size_t taken;
        weir_err err = write_some(stream, stream->out + stream->out_sent,
                                  stream->out_len - stream->out_sent, &taken);
        if (err != WEIR_OK) {
            return err;
        }
        stream->out_sent += (uint32_t)taken;
        if (!weir_stream_waits(stream)) {
            stream->out_sent = 0; /* [T1] */
            stream->out_len = 0;
        }
    }
    return write_watch(stream, epoll, data);
}

weir_err weir_stream_send(weir_stream *stream, int epoll, void *data, weir_bytes bytes)
{
    size_t taken = 0;
    uint8_t *room;
    if (!weir_stream_waits(stream)) {
        weir_err err = write_some(stream, bytes.ptr, bytes.len, &taken);
        if (err != WEIR_OK || taken == bytes.len) {
            return err;
        }
    }
    room = weir_stream_room(stream, bytes.len - taken);
    if (room == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(room, bytes.ptr + taken, bytes.len - taken);
    stream->out_len += (uint32_t)(bytes.len - taken);
    return write_watch(stream, epoll, data);
}

void weir_stream_close(weir_stream *stream)
{
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    free(stream->carry);
    free(stream->out);
    *stream = (weir_stream){.fd = -1};
}
