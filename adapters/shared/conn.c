/* adapters/shared/conn.c - alone responsible for moving one connection's bytes between socket and
 * owner.
 *
 *     input    [ kept | read now ............ ]   given in one piece; the unused rest is kept again
 *     output   [ sent | waits ............... ]   one send at the turn's end
 *                     ^ out_sent
 *
 * Happy path: the descriptor turns readable, one read puts bytes behind what was kept (in the
 * loop's shared buffer while that is small), the owner uses all of it, writes answers; the turn
 * ends, one send takes them, and both buffers are given back.
 *
 * Failures: a read or write error (a peer that is gone may have said something before, an MQTT
 * DISCONNECT say: that is read first), a peer that takes nothing within WEIR_CONN_CLOSE_MS_MAX of a
 * close, unused input beyond input_max, no memory: each ends this connection only, through
 * finish(), with its reason.
 *
 * Invariants
 * [C1] `closed` is called once, from the loop, and nothing is called after it.
 * [C2] input is called only while OPEN and not paused.
 * [C3] Unused input never exceeds input_max plus one read: beyond input_max nothing is read.
 * [C4] Memory for input grows by what has arrived, never by what a length field claims.
 * [C5] A connection without waiting bytes owns no buffer. */
#include "adapters/shared/conn.h"

#include "core/base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEPT_COPY_BYTES_MAX = 65536, /* kept input up to this is copied before the next read */
    KEPT_READ_BYTES = 65536,     /* beyond it, one read adds at most this */
    SENT_KEEP_BYTES = 65536,     /* sent bytes at the front of the output before it is moved */
};

enum { STATE_NEW = 0, STATE_OPEN, STATE_FLUSHING, STATE_LINGERING, STATE_CLOSED };

enum {
    FLAG_PAUSED = 1,      /* by the owner */
    FLAG_ENDED = 2,       /* the peer's end was seen */
    FLAG_FULL = 4,        /* pressure(true) was the last told */
    FLAG_WANT_WRITE = 8,  /* output waits for the socket */
    FLAG_READ_WRITE = 16, /* the filter reads only once the socket is writable */
    FLAG_AGAIN = 32,      /* give kept input, or read what the filter holds, at the turn's end */
    FLAG_POLL_READ = 64,  /* what the poll handle watches now */
    FLAG_POLL_WRITE = 128,
    FLAG_WRITE_READ = 256, /* the filter writes only once something was read */
    FLAG_DEAF = 512,       /* the peer takes nothing any more: what is written to it is dropped */
};

static void finish(weir_conn *conn, weir_err why);
static void on_poll(uv_poll_t *poll, int status, int events);

static size_t waiting(const weir_conn *conn)
{
    return conn->out.len - conn->out_sent;
}

static void queue_turn_end(weir_conn *conn)
{
    weir_loop_at_turn_end(conn->loop, &conn->turn_end);
}

/* ---- What is watched ----------------------------------------------------------------------- */

static void watch(weir_conn *conn)
{
    bool held = (conn->flags & (FLAG_ENDED | FLAG_READ_WRITE)) != 0 ||
                (conn->state == STATE_OPEN &&
                 ((conn->flags & FLAG_PAUSED) != 0 || conn->in.len > conn->input_max));
    uint16_t want =
        (uint16_t)((held ? 0 : FLAG_POLL_READ) |
                   ((conn->flags & (FLAG_WANT_WRITE | FLAG_READ_WRITE)) != 0 ? FLAG_POLL_WRITE
                                                                             : 0));
    int events = ((want & FLAG_POLL_READ) != 0 ? UV_READABLE : 0) |
                 ((want & FLAG_POLL_WRITE) != 0 ? UV_WRITABLE : 0);
    if (conn->state == STATE_CLOSED || (conn->flags & (FLAG_POLL_READ | FLAG_POLL_WRITE)) == want) {
        return;
    }
    conn->flags = (uint16_t)((conn->flags & ~(FLAG_POLL_READ | FLAG_POLL_WRITE)) | want);
    if (events == 0) {
        (void)uv_poll_stop(&conn->poll);
    } else {
        (void)uv_poll_start(&conn->poll, events, on_poll);
    }
}

/* ---- Input --------------------------------------------------------------------------------- */

static weir_err socket_read(weir_conn *conn, uint8_t *out, size_t size, size_t *len)
{
    ssize_t got = 0;
    if (conn->filter.ops != NULL) {
        bool wants_write = false;
        weir_err err = conn->filter.ops->read(conn->filter.filter, out, size, len, &wants_write);
        conn->flags = (uint16_t)(wants_write ? conn->flags | FLAG_READ_WRITE
                                             : conn->flags & ~FLAG_READ_WRITE);
        return err;
    }
    do {
        got = recv(conn->fd, out, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        *len = (size_t)got;
        return WEIR_OK;
    }
    if (got == 0) {
        return WEIR_CLOSED;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? WEIR_AGAIN : WEIR_IO;
}

static size_t input_give(weir_conn *conn, weir_bytes in)
{
    size_t used = conn->ops->input(conn, in);
    WEIR_ASSERT(used <= in.len);
    weir_loop_kick(conn->loop);
    return used;
}

/* After an input call: is what remains allowed to remain? */
static void rest_check(weir_conn *conn)
{
    if (conn->state != STATE_OPEN || conn->in.len == 0) {
        weir_loop_buffer_give(conn->loop, &conn->in); /* [C5] */
    } else if ((conn->flags & FLAG_PAUSED) == 0 && conn->in.len > conn->input_max) {
        finish(conn, WEIR_TOO_LARGE); /* [C3] */
    }
}

/* Gives bytes that lie in the loop's buffer: what was kept, then what was read. */
static void give_shared(weir_conn *conn, weir_bytes in)
{
    size_t used = input_give(conn, in);
    conn->in.len = 0;
    if (conn->state == STATE_OPEN && used < in.len) {
        if (conn->in.ptr == NULL) {
            conn->in = weir_loop_buffer_take(conn->loop);
        }
        if (weir_buffer_append(&conn->in, in.ptr + used, in.len - used) != WEIR_OK) {
            finish(conn, WEIR_NO_MEMORY);
            return;
        }
    }
    rest_check(conn);
}

/* Gives what is kept in the connection's own buffer. */
static void give_kept(weir_conn *conn)
{
    size_t used = input_give(conn, weir_buffer_bytes(&conn->in));
    if (conn->state == STATE_OPEN) {
        weir_buffer_consume(&conn->in, used);
    }
    rest_check(conn);
}

static void read_failed(weir_conn *conn, weir_err err)
{
    if (err == WEIR_AGAIN) {
        return;
    }
    if (err != WEIR_CLOSED) {
        finish(conn, WEIR_IO);
        return;
    }
    conn->flags |= FLAG_ENDED;
    conn->ops->ended(conn);
    weir_loop_kick(conn->loop);
}

static void read_shared(weir_conn *conn)
{
    size_t size = 0;
    size_t len = 0;
    size_t kept = conn->in.len;
    uint8_t *buffer = weir_loop_read_buffer(conn->loop, &size);
    weir_err err = socket_read(conn, buffer + kept, size - kept, &len);
    if (err != WEIR_OK) {
        read_failed(conn, err);
        return;
    }
    if (kept > 0) {
        memcpy(buffer, conn->in.ptr, kept);
    }
    give_shared(conn, (weir_bytes){buffer, kept + len});
}

static void read_kept(weir_conn *conn)
{
    size_t len = 0;
    weir_err err = weir_buffer_reserve(&conn->in, KEPT_READ_BYTES); /* [C4] */
    if (err != WEIR_OK) {
        finish(conn, WEIR_NO_MEMORY);
        return;
    }
    err = socket_read(conn, conn->in.ptr + conn->in.len, conn->in.capacity - conn->in.len, &len);
    if (err != WEIR_OK) {
        read_failed(conn, err);
        return;
    }
    conn->in.len += len;
    give_kept(conn);
}

/* A closed connection still takes what its peer sends, so that the last output is not lost to a
 * reset: TCP drops unsent bytes when a socket with unread ones is closed. */
static void read_discard(weir_conn *conn)
{
    size_t size = 0;
    size_t len = 0;
    uint8_t *buffer = weir_loop_read_buffer(conn->loop, &size);
    weir_err err = socket_read(conn, buffer, size, &len);
    if (err == WEIR_OK) {
        conn->discarded += (uint32_t)len;
        if (conn->discarded > WEIR_CONN_DISCARD_BYTES_MAX) {
            finish(conn, WEIR_CLOSED);
        }
    } else if (err == WEIR_CLOSED) {
        conn->flags |= FLAG_ENDED;
        if (conn->state == STATE_LINGERING) {
            finish(conn, WEIR_CLOSED);
        }
    } else if (err != WEIR_AGAIN) {
        finish(conn, conn->state == STATE_LINGERING ? WEIR_CLOSED : WEIR_IO);
    }
}

/* What a filter holds is not seen by poll: come back for it. */
static void filter_recheck(weir_conn *conn)
{
    if (conn->state != STATE_CLOSED && conn->filter.ops != NULL &&
        (conn->flags & (FLAG_PAUSED | FLAG_ENDED)) == 0 &&
        conn->filter.ops->pending(conn->filter.filter)) {
        conn->flags |= FLAG_AGAIN;
        queue_turn_end(conn);
    }
}

static void read_once(weir_conn *conn)
{
    if ((conn->flags & FLAG_ENDED) != 0) {
        return;
    }
    if (conn->state != STATE_OPEN) {
        read_discard(conn);
    } else if ((conn->flags & FLAG_PAUSED) != 0 || conn->in.len > conn->input_max) {
        return; /* [C2], [C3] */
    } else if (conn->in.len <= KEPT_COPY_BYTES_MAX) {
        read_shared(conn);
    } else {
        read_kept(conn);
    }
    filter_recheck(conn);
}

/* ---- Output -------------------------------------------------------------------------------- */

static weir_err socket_write(weir_conn *conn, const uint8_t *bytes, size_t size, size_t *len)
{
    ssize_t sent = 0;
    if (conn->filter.ops != NULL) {
        return conn->filter.ops->write(conn->filter.filter, bytes, size, len);
    }
    do {
        sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        *len = (size_t)sent;
        return WEIR_OK;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? WEIR_AGAIN : WEIR_IO;
}

static void output_sent(weir_conn *conn, size_t len)
{
    conn->out_sent += len;
    if (waiting(conn) == 0) {
        weir_loop_buffer_give(conn->loop, &conn->out); /* [C5] */
        conn->out_sent = 0;
        conn->flags &= (uint16_t)~FLAG_WANT_WRITE;
        return;
    }
    conn->flags |= FLAG_WANT_WRITE;
    if (conn->out_sent > SENT_KEEP_BYTES && conn->out_sent > conn->out.len / 2) {
        weir_buffer_consume(&conn->out, conn->out_sent);
        conn->out_sent = 0;
    }
}

static void full_tell(weir_conn *conn)
{
    if ((conn->flags & FLAG_FULL) == 0 && waiting(conn) > conn->output_high) {
        conn->flags |= FLAG_FULL;
        conn->ops->pressure(conn, true);
    }
}

/* Before the owner is told what was sent: what it writes then is new pressure, not the old. */
static void low_tell(weir_conn *conn)
{
    if ((conn->flags & FLAG_FULL) != 0 && waiting(conn) <= conn->output_high / 2) {
        conn->flags &= (uint16_t)~FLAG_FULL;
        conn->ops->pressure(conn, false);
        weir_loop_kick(conn->loop);
    }
}

/* Everything was sent and nothing more will be. */
static void flushed(weir_conn *conn)
{
    if (conn->filter.ops != NULL) {
        conn->filter.ops->shutdown(conn->filter.filter);
    }
    (void)shutdown(conn->fd, SHUT_WR);
    conn->state = STATE_LINGERING;
    if ((conn->flags & FLAG_ENDED) != 0) {
        finish(conn, WEIR_CLOSED);
    }
}

/* The peer is gone. What it said before lies in the socket, and its end behind that: reading finds
 * both. Who does not read, or reads through a filter, has nothing to wait for. */
static void write_failed(weir_conn *conn)
{
    bool reads = conn->state == STATE_OPEN && conn->filter.ops == NULL &&
                 (conn->flags & (FLAG_PAUSED | FLAG_ENDED)) == 0;
    if (!reads) {
        finish(conn, WEIR_IO);
        return;
    }
    conn->flags |= FLAG_DEAF;
    output_sent(conn, waiting(conn));
}

static void flush(weir_conn *conn)
{
    if (waiting(conn) > 0 && (conn->flags & FLAG_DEAF) != 0) {
        write_failed(conn);
        return;
    }
    if (waiting(conn) > 0) {
        size_t len = 0;
        weir_err err = socket_write(conn, conn->out.ptr + conn->out_sent, waiting(conn), &len);
        if (err == WEIR_MORE) {
            conn->flags |= FLAG_WRITE_READ;
            return;
        }
        if (err != WEIR_OK && err != WEIR_AGAIN) {
            write_failed(conn);
            return;
        }
        output_sent(conn, len);
        if (conn->state == STATE_OPEN) {
            low_tell(conn);
        }
        if (conn->ops->sent != NULL && conn->state == STATE_OPEN) {
            conn->ops->sent(conn, waiting(conn));
        }
    }
    if (conn->state == STATE_FLUSHING && waiting(conn) == 0) {
        flushed(conn);
    } else if (conn->state == STATE_OPEN) {
        full_tell(conn);
    }
}

static void turn_end_run(weir_turn_end *end)
{
    weir_conn *conn = (weir_conn *)((char *)end - offsetof(weir_conn, turn_end));
    if (conn->state == STATE_CLOSED) {
        return;
    }
    if ((conn->flags & FLAG_AGAIN) != 0) {
        conn->flags &= (uint16_t)~FLAG_AGAIN;
        if (conn->state == STATE_OPEN && (conn->flags & FLAG_PAUSED) == 0 && conn->in.len > 0) {
            give_kept(conn);
        }
        if (conn->state != STATE_CLOSED && conn->filter.ops != NULL) {
            read_once(conn);
        }
    }
    if (conn->state != STATE_CLOSED) {
        flush(conn);
    }
    watch(conn);
}

weir_err weir_conn_write(weir_conn *conn, weir_bytes bytes)
{
    weir_buffer *out = weir_conn_output(conn);
    if (weir_buffer_append(out, bytes.ptr, bytes.len) != WEIR_OK) {
        finish(conn, WEIR_NO_MEMORY);
        return WEIR_NO_MEMORY;
    }
    weir_conn_written(conn);
    return WEIR_OK;
}

weir_buffer *weir_conn_output(weir_conn *conn)
{
    if (conn->state != STATE_OPEN) {
        return weir_loop_buffer_scrap(conn->loop); /* too late: nobody looks at it */
    }
    if (conn->out.ptr == NULL) {
        conn->out = weir_loop_buffer_take(conn->loop);
    }
    return &conn->out;
}

void weir_conn_written(weir_conn *conn)
{
    if (conn->state == STATE_OPEN && waiting(conn) == 0) {
        weir_loop_buffer_give(conn->loop, &conn->out); /* [C5]: nothing came of it */
        conn->out_sent = 0;
    } else if (conn->state == STATE_OPEN &&
               ((conn->flags & FLAG_WANT_WRITE) == 0 ||
                ((conn->flags & FLAG_FULL) == 0 && waiting(conn) > conn->output_high))) {
        queue_turn_end(conn); /* to send, or to tell the owner that a choked socket is full */
    }
}

size_t weir_conn_output_bytes(const weir_conn *conn)
{
    return waiting(conn);
}

bool weir_conn_output_full(const weir_conn *conn)
{
    return waiting(conn) > conn->output_high;
}

/* ---- The descriptor speaks ----------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    weir_conn *conn = (weir_conn *)((char *)poll - offsetof(weir_conn, poll));
    if (status < 0) {
        /* libuv stopped watching (the socket has an error): the read below finds out which, after
         * whatever data still lies before it. */
        conn->flags &= (uint16_t) ~(FLAG_POLL_READ | FLAG_POLL_WRITE);
        events = UV_READABLE | UV_WRITABLE;
    }
    if ((events & UV_WRITABLE) != 0 && (conn->flags & FLAG_WANT_WRITE) != 0) {
        queue_turn_end(conn);
    }
    if ((events & UV_READABLE) != 0 || (conn->flags & FLAG_READ_WRITE) != 0) {
        read_once(conn);
    }
    if ((conn->flags & FLAG_WRITE_READ) != 0 && conn->state != STATE_CLOSED) {
        conn->flags &= (uint16_t)~FLAG_WRITE_READ;
        queue_turn_end(conn);
    }
    watch(conn);
}

static void timer_run(weir_deadline *timer)
{
    weir_conn *conn = (weir_conn *)((char *)timer - offsetof(weir_conn, timer));
    if (conn->state == STATE_OPEN) {
        conn->ops->deadline(conn);
        weir_loop_kick(conn->loop);
    } else {
        finish(conn, conn->state == STATE_FLUSHING ? WEIR_TIMEOUT : WEIR_CLOSED);
    }
}

/* ---- Back-pressure, deadline --------------------------------------------------------------- */

void weir_conn_pause(weir_conn *conn)
{
    conn->flags |= FLAG_PAUSED;
    if (conn->state == STATE_OPEN) {
        watch(conn);
    }
}

void weir_conn_resume(weir_conn *conn)
{
    if ((conn->flags & FLAG_PAUSED) == 0) {
        return;
    }
    conn->flags &= (uint16_t)~FLAG_PAUSED;
    if (conn->state == STATE_OPEN) {
        conn->flags |= FLAG_AGAIN; /* kept input does not wait for new input */
        queue_turn_end(conn);
        watch(conn);
    }
}

bool weir_conn_paused(const weir_conn *conn)
{
    return (conn->flags & FLAG_PAUSED) != 0;
}

void weir_conn_input_max(weir_conn *conn, uint32_t input_max)
{
    conn->input_max = input_max;
}

void weir_conn_deadline(weir_conn *conn, uint64_t at_ms)
{
    if (conn->state != STATE_OPEN) {
        return;
    }
    if (at_ms == 0) {
        weir_loop_deadline_cancel(conn->loop, &conn->timer);
    } else {
        weir_loop_deadline_set(conn->loop, &conn->timer, at_ms);
    }
}

uint64_t weir_conn_deadline_at(const weir_conn *conn)
{
    return conn->timer.at_ms;
}

/* ---- Life ---------------------------------------------------------------------------------- */

weir_err weir_conn_open(weir_conn *conn, weir_loop *loop, int fd, const weir_conn_config *config)
{
    int status = uv_poll_init(weir_loop_uv(loop), &conn->poll, fd);
    if (status != 0) {
        return status == UV_ENOMEM ? WEIR_NO_MEMORY : WEIR_IO;
    }
    conn->ops = config->ops;
    conn->loop = loop;
    conn->filter = config->filter;
    conn->fd = fd;
    conn->input_max = config->input_max;
    conn->output_high = config->output_high;
    conn->turn_end.run = turn_end_run;
    conn->timer.run = timer_run;
    conn->state = STATE_OPEN;
    watch(conn);
    return WEIR_OK;
}

bool weir_conn_is_open(const weir_conn *conn)
{
    return conn->state == STATE_OPEN;
}

void weir_conn_close(weir_conn *conn)
{
    if (conn->state != STATE_OPEN) {
        return;
    }
    conn->state = STATE_FLUSHING;
    weir_loop_deadline_set(conn->loop, &conn->timer,
                           weir_loop_now_ms(conn->loop) + WEIR_CONN_CLOSE_MS_MAX);
    queue_turn_end(conn);
    watch(conn);
}

void weir_conn_reset(weir_conn *conn, weir_err why)
{
    finish(conn, why);
}

static void on_closed(uv_handle_t *handle)
{
    weir_conn *conn = (weir_conn *)((char *)handle - offsetof(weir_conn, poll));
    weir_loop_turn_end_cancel(conn->loop, &conn->turn_end);
    weir_loop_buffer_give(conn->loop, &conn->in);
    weir_loop_buffer_give(conn->loop, &conn->out);
    conn->ops->closed(conn, (weir_err)conn->why); /* [C1]: the owner's memory from here on */
}

static void finish(weir_conn *conn, weir_err why)
{
    if (conn->state == STATE_CLOSED || conn->state == STATE_NEW) {
        return;
    }
    if (waiting(conn) > 0) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    conn->state = STATE_CLOSED;
    conn->why = (uint8_t)why;
    weir_loop_deadline_cancel(conn->loop, &conn->timer);
    uv_close((uv_handle_t *)&conn->poll, on_closed);
    if (conn->filter.ops != NULL) {
        conn->filter.ops->destroy(conn->filter.filter);
        conn->filter.ops = NULL;
    }
    (void)close(conn->fd);
    conn->fd = -1;
    conn->out.len = 0;
    conn->out_sent = 0;
}
