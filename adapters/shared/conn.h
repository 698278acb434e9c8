/* adapters/shared/conn.h - one connection on a loop: bytes in, bytes out, nothing of any protocol.
 *
 * The owner embeds a weir_conn in its own object (an idle connection then is one allocation) and
 * gives it a descriptor. The connection reads at most once a turn, into the loop's shared buffer,
 * and writes at most once a turn, when the turn ends; it owns memory only for bytes that wait.
 *
 *     fd -> shared read buffer -> ops->input -> what it did not use is kept -> next input
 *     weir_conn_write -> out -> turn's end: one send -> what did not fit waits for the socket
 *
 * States:   OPEN --close--> FLUSHING --all sent--> LINGERING --peer's end or deadline--> closed
 *             \------------- reset, error, flush deadline --------------------------/
 *
 * Everything runs on the loop's own thread. `closed` is the last call, made once, never from within
 * another call: the owner frees the object there. Until then every function below is harmless. */
#ifndef WEIR_ADAPTERS_SHARED_CONN_H
#define WEIR_ADAPTERS_SHARED_CONN_H

#include "adapters/shared/loop.h"
#include "core/base/buffer.h"

enum {
    WEIR_CONN_CLOSE_MS_MAX = 2000, /* flushing and lingering of a closed connection, together */
    WEIR_CONN_DISCARD_BYTES_MAX = 4194304, /* what a closed connection's peer may still send */
};

typedef struct weir_conn weir_conn;

/* Every slot but the last is filled. None may block. */
typedef struct weir_conn_ops {
    /* Bytes have come, or reading was resumed while some waited. Returns how many of the front were
     * used; the rest comes again, in one piece with what follows it. `in` is never empty and is
     * valid until the call returns; its bytes may be changed in place, and come again as changed.
     * May write, pause, close or reset the connection. The loop steps
     * its port after it: submitting here needs no kick. */
    size_t (*input)(weir_conn *conn, weir_bytes in);
    /* The peer will send nothing more (it closed its half); input that was not used never will be.
     * Answers can still be written; the owner closes, now or when they have left. Once. */
    void (*ended)(weir_conn *conn);
    /* full: more than output_high bytes wait (after a write that the socket did not take whole, or
     * written within `sent`); else: no more than half of output_high wait again, told before
     * `sent`. They alternate, beginning with full. */
    void (*pressure)(weir_conn *conn, bool full);
    /* The deadline set with weir_conn_deadline has passed. */
    void (*deadline)(weir_conn *conn);
    /* It is gone, its descriptor closed, its memory given back. why: CLOSED after weir_conn_close,
     * IO (peer reset, network error), TIMEOUT (it did not take its last bytes), TOO_LARGE (unused
     * input beyond input_max), NO_MEMORY, or what weir_conn_reset said. */
    void (*closed)(weir_conn *conn, weir_err why);
    /* Output was given to the socket at a turn's end; `waiting` bytes still wait. May write and
     * submit. The one slot that may be NULL. */
    void (*sent)(weir_conn *conn, size_t waiting);
} weir_conn_ops;

/* Stands between a connection and its descriptor: TLS. On the loop's thread; none may block. */
typedef struct weir_conn_filter_ops {
    /* As recv and send. AGAIN: nothing now; *wants_write: reading needs the socket writable first.
     * CLOSED: the peer's orderly end. IO: anything else. len is at least 1 on OK. write's MORE: it
     * cannot send before something has been read; it is tried again after that. */
    weir_err (*read)(void *filter, uint8_t *out, size_t size, size_t *len, bool *wants_write);
    weir_err (*write)(void *filter, const uint8_t *bytes, size_t size, size_t *len);
    bool (*pending)(void *filter);  /* bytes can be read although the descriptor is silent */
    void (*shutdown)(void *filter); /* says goodbye, as far as the socket takes it at once */
    void (*destroy)(void *filter);
} weir_conn_filter_ops;

typedef struct weir_conn_filter {
    const weir_conn_filter_ops *ops; /* NULL: the descriptor itself */
    void *filter;                    /* the connection's from open on */
} weir_conn_filter;

typedef struct weir_conn_config {
    const weir_conn_ops *ops; /* must outlive the connection */
    uint32_t input_max;       /* bytes of unused input that are kept: one packet and a little */
    uint32_t output_high;     /* limits.output_bytes_max */
    weir_conn_filter filter;
} weir_conn_config;

/* Opaque but for its size: owners embed it. */
struct weir_conn {
    uv_poll_t poll;
    const weir_conn_ops *ops;
    weir_loop *loop;
    weir_conn_filter filter;
    weir_buffer in;  /* input that was not used */
    weir_buffer out; /* output that was not sent: out_sent bytes of its front were */
    size_t out_sent;
    weir_turn_end turn_end;
    weir_deadline timer;
    uint32_t input_max;
    uint32_t output_high;
    uint32_t discarded;
    int fd;
    uint8_t state;
    uint8_t why;
    uint16_t flags;
};

/* Takes the descriptor, which must be a non-blocking stream socket, and begins to read. The object
 * must be zeroed. On failure (NO_MEMORY, IO) the descriptor and the filter are still the caller's
 * and `closed` will not be called. */
weir_err weir_conn_open(weir_conn *conn, weir_loop *loop, int fd, const weir_conn_config *config);

/* Queues a copy of the bytes for the turn's end. Harmless once the connection is closing.
 * NO_MEMORY: the connection was reset. */
weir_err weir_conn_write(weir_conn *conn, weir_bytes bytes);
/* The output itself, to append to where a copy would be wasteful; then weir_conn_written, always.
 * Append only: what is before len may be on its way. What is appended while the connection is
 * closing is dropped. */
weir_buffer *weir_conn_output(weir_conn *conn);
void weir_conn_written(weir_conn *conn);
size_t weir_conn_output_bytes(const weir_conn *conn); /* that wait */
bool weir_conn_output_full(const weir_conn *conn);    /* more than output_high wait right now */

/* Stops reading: back-pressure on the peer. Counted not at all: one resume undoes any number. */
void weir_conn_pause(weir_conn *conn);
/* Reads again; input that waited is given at this turn's end or the next. */
void weir_conn_resume(weir_conn *conn);
bool weir_conn_paused(const weir_conn *conn);
void weir_conn_input_max(weir_conn *conn, uint32_t input_max);

/* ops->deadline is called once when weir_loop_now_ms has reached at_ms (up to WEIR_DEADLINE_TICK_MS
 * late); 0 takes it back. One per connection: setting it again moves it. */
void weir_conn_deadline(weir_conn *conn, uint64_t at_ms);
uint64_t weir_conn_deadline_at(const weir_conn *conn); /* 0: not set */

/* Sends what was written, then closes both ways; no input is given any more. At most
 * WEIR_CONN_CLOSE_MS_MAX. */
void weir_conn_close(weir_conn *conn);
/* Closes at once (RST when anything is unsent); `why` comes back in `closed`. */
void weir_conn_reset(weir_conn *conn, weir_err why);
/* Neither closed nor closing. */
bool weir_conn_is_open(const weir_conn *conn);

#endif
