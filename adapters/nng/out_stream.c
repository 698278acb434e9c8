/* adapters/nng/out_stream.c - alone responsible for peers of PUB and PUSH on tcp and ipc: the
 * Scalability Protocols' stream mapping, spoken here.
 *
 *   greeting   00 'S' 'P' 00 | protocol u16 | 00 00              each way, at once
 *   message    [ipc: 01] | length u64 | body                     to the peer only
 *
 * Integers are big-endian. It is spoken here because the packaged library (1.5.2) lets a PUSH peer
 * that leaves at the wrong moment take the process with it, and cannot say what a PUB dropped
 * (docs/decisions/0061).
 *
 *   accepted --call to the loop--> GREETING --its 8 bytes--> JOINED --end, reset, a byte--> closed
 *
 * Happy path: the listener hands over the descriptor, which travels to the front end's loop; both
 * sides greet; messages are appended to the connection's output, which leaves at the turn's end.
 *
 * Failures: another greeting, or one that does not come within limits.connect_ms_max, or any byte
 * after it: the connection is reset and counted. What a PUSH peer had not acknowledged when it went
 * is counted as lost.
 *
 * [T1] marks are the ends of messages in the byte stream, rising, of which the peer's system may
 * not have everything. */
#include "adapters/nng/out_private.h"

#include "adapters/shared/conn.h"
#include "adapters/shared/listener.h"
#include "core/base/assert.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GREETING_BYTES = 8,
    HEAD_BYTES_MAX = 9,
    PROTOCOL_PUB = 0x20,
    PROTOCOL_SUB = 0x21,
    PROTOCOL_PUSH = 0x50,
    PROTOCOL_PULL = 0x51,
    PUSH_SYSTEM_BYTES = 65536, /* the system's buffer of a PUSH connection: what a death can lose */
    MARKS_MIN = 64,
};

typedef struct stream_carrier {
    weir_nng_out *out;
    weir_listener *_Atomic listener; /* set by the main thread while peers may come already */
    bool ipc;
    bool running;              /* loop */
    struct stream_peer *early; /* loop: came before that */
} stream_carrier;

typedef struct stream_mark {
    uint64_t end;
    uint32_t records;
} stream_mark;

typedef struct stream_peer {
    out_peer peer; /* first */
    weir_conn conn;
    stream_carrier *carrier;
    weir_call call; /* to the loop */
    struct stream_peer *early_next;
    int fd;             /* on the way there */
    bool counted;       /* among the front end's connections */
    uint64_t written;   /* bytes given to the connection, ever */
    uint64_t confirmed; /* of those, that the peer's system has, as far as was seen */
    stream_mark *marks; /* PUSH: a ring: [T1] */
    uint32_t mark_first;
    uint32_t mark_count;
    uint32_t mark_capacity; /* a power of two */
} stream_peer;

static stream_peer *of_conn(weir_conn *conn)
{
    return (stream_peer *)((char *)conn - offsetof(stream_peer, conn));
}

/* ---- What may be lost -------------------------------------------------------------------------
 */

static weir_err marks_reserve(stream_peer *peer)
{
    uint32_t capacity = peer->mark_capacity == 0 ? MARKS_MIN : peer->mark_capacity * 2;
    stream_mark *grown = NULL;
    if (peer->mark_count < peer->mark_capacity) {
        return WEIR_OK;
    }
    grown = malloc(capacity * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < peer->mark_count; i++) {
        grown[i] = peer->marks[(peer->mark_first + i) & (peer->mark_capacity - 1)];
    }
    free(peer->marks);
    peer->marks = grown;
    peer->mark_first = 0;
    peer->mark_capacity = capacity;
    return WEIR_OK;
}

static void mark_add(stream_peer *peer, uint32_t records)
{
    uint32_t at = (peer->mark_first + peer->mark_count) & (peer->mark_capacity - 1);
    peer->marks[at] = (stream_mark){peer->written, records};
    peer->mark_count++;
}

/* Asks the system what the peer's has not acknowledged, and forgets what it has. */
static void marks_confirm(stream_peer *peer, size_t waiting)
{
    int unacknowledged = 0;
    if (peer->mark_count == 0) {
        return;
    }
    if (ioctl(peer->conn.fd, SIOCOUTQ, &unacknowledged) != 0 || unacknowledged < 0) {
        unacknowledged = 0;
    }
    if (peer->written >= waiting + (uint64_t)unacknowledged) {
        peer->confirmed = peer->written - waiting - (uint64_t)unacknowledged;
    }
    while (peer->mark_count > 0 && peer->marks[peer->mark_first].end <= peer->confirmed) {
        peer->mark_first = (peer->mark_first + 1) & (peer->mark_capacity - 1);
        peer->mark_count--;
    }
}

static void marks_lose(stream_peer *peer)
{
    uint64_t lost = 0;
    for (uint32_t i = 0; i < peer->mark_count; i++) {
        lost += peer->marks[(peer->mark_first + i) & (peer->mark_capacity - 1)].records;
    }
    weir_counter_add(&peer->carrier->out->adapter->counters.push_lost, lost);
    free(peer->marks);
}

/* ---- The peer ---------------------------------------------------------------------------------
 */

static size_t head_write(const stream_carrier *carrier, size_t len, uint8_t head[HEAD_BYTES_MAX])
{
    size_t at = 0;
    if (carrier->ipc) {
        head[at++] = 1;
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        head[at++] = (uint8_t)((uint64_t)len >> shift);
    }
    return at;
}

static bool room(const stream_peer *peer, size_t more)
{
    const weir_nng_out *out = peer->carrier->out;
    size_t waiting = weir_conn_output_bytes(&peer->conn);
    return out->part == WEIR_NNG_PUSH || waiting == 0 ||
           waiting + more <= out->adapter->pub_buffer_bytes;
}

static bool give(out_peer *outer, weir_bytes body, uint32_t records)
{
    stream_peer *peer = (stream_peer *)outer;
    bool push = outer->out->part == WEIR_NNG_PUSH;
    uint8_t head[HEAD_BYTES_MAX];
    size_t head_len = head_write(peer->carrier, body.len, head);
    weir_buffer *output = NULL;
    if (!weir_conn_is_open(&peer->conn) || !room(peer, head_len + body.len) ||
        (push && marks_reserve(peer) != WEIR_OK)) {
        return false;
    }
    output = weir_conn_output(&peer->conn);
    if (weir_buffer_reserve(output, head_len + body.len) != WEIR_OK) {
        weir_conn_written(&peer->conn);
        return false;
    }
    (void)weir_buffer_append(output, head, head_len);
    (void)weir_buffer_append(output, body.ptr, body.len);
    peer->written += head_len + body.len;
    if (push) {
        mark_add(peer, records);
    }
    weir_conn_written(&peer->conn);
    return true;
}

static bool ready(const out_peer *outer)
{
    const stream_peer *peer = (const stream_peer *)outer;
    return weir_conn_is_open(&peer->conn) &&
           weir_conn_output_bytes(&peer->conn) < OUT_PUSH_WINDOW_BYTES;
}

static void peer_close(out_peer *outer)
{
    weir_conn_reset(&((stream_peer *)outer)->conn, WEIR_CLOSED);
}

static size_t waiting(const out_peer *outer)
{
    return weir_conn_output_bytes(&((const stream_peer *)outer)->conn);
}

static const out_peer_ops peer_ops = {
    .give = give, .ready = ready, .close = peer_close, .waiting = waiting};

/* ---- The connection ---------------------------------------------------------------------------
 */

static bool greeting_right(const stream_peer *peer, const uint8_t *in)
{
    bool push = peer->carrier->out->part == WEIR_NNG_PUSH;
    const uint8_t right[GREETING_BYTES] = {0, 'S', 'P', 0, 0, push ? PROTOCOL_PULL : PROTOCOL_SUB,
                                           0, 0};
    return memcmp(in, right, sizeof(right)) == 0;
}

static void refuse(stream_peer *peer, weir_err why)
{
    weir_counter_add(&peer->carrier->out->adapter->counters.refused_greeting, 1);
    weir_conn_reset(&peer->conn, why);
}

static size_t conn_input(weir_conn *conn, weir_bytes in)
{
    stream_peer *peer = of_conn(conn);
    if (peer->peer.joined) {
        refuse(peer, WEIR_PROTOCOL); /* nothing is ever said to PUB or PUSH */
        return in.len;
    }
    if (in.len < GREETING_BYTES) {
        return 0;
    }
    if (in.len > GREETING_BYTES || !greeting_right(peer, in.ptr)) {
        refuse(peer, WEIR_PROTOCOL);
        return in.len;
    }
    weir_conn_deadline(conn, 0);
    weir_nng_out_join(peer->carrier->out, &peer->peer);
    return GREETING_BYTES;
}

static void conn_ended(weir_conn *conn)
{
    stream_peer *peer = of_conn(conn);
    marks_confirm(peer, weir_conn_output_bytes(conn));
    weir_conn_reset(conn, WEIR_CLOSED);
}

static void conn_pressure(weir_conn *conn, bool full)
{
    (void)conn;
    (void)full;
}

static void conn_sent(weir_conn *conn, size_t still)
{
    stream_peer *peer = of_conn(conn);
    marks_confirm(peer, still);
    if (still < OUT_PUSH_WINDOW_BYTES / 2) {
        weir_nng_out_room(&peer->peer);
    }
    if (still == 0) {
        weir_nng_settle(peer->carrier->out->adapter);
    }
}

static void conn_deadline(weir_conn *conn)
{
    refuse(of_conn(conn), WEIR_TIMEOUT);
}

static void peer_free(stream_peer *peer)
{
    weir_nng_out *out = peer->carrier->out;
    weir_adapter *adapter = out->adapter;
    if (peer->counted) {
        weir_nng_connection_remove(adapter, out->part);
    }
    weir_listener_release(peer->carrier->listener, false);
    out->leaving_count--;
    free(peer);
    weir_nng_settle(adapter);
}

static void conn_closed(weir_conn *conn, weir_err why)
{
    stream_peer *peer = of_conn(conn);
    (void)why;
    weir_nng_out_leave(&peer->peer);
    marks_lose(peer);
    peer_free(peer);
}

static const weir_conn_ops conn_ops = {
    .input = conn_input,
    .ended = conn_ended,
    .pressure = conn_pressure,
    .deadline = conn_deadline,
    .closed = conn_closed,
    .sent = conn_sent,
};

static void greet(stream_peer *peer)
{
    bool push = peer->carrier->out->part == WEIR_NNG_PUSH;
    const uint8_t greeting[GREETING_BYTES] = {
        0, 'S', 'P', 0, 0, push ? PROTOCOL_PUSH : PROTOCOL_PUB, 0, 0};
    peer->written = sizeof(greeting);
    (void)weir_conn_write(&peer->conn, WEIR_BYTES(greeting));
}

static void peer_open(stream_peer *peer)
{
    weir_nng_out *out = peer->carrier->out;
    const weir_limits *limits = out->adapter->host->limits;
    weir_loop *loop = out->adapter->loop;
    const weir_conn_config config = {.ops = &conn_ops,
                                     .input_max = GREETING_BYTES * 2,
                                     .output_high = (uint32_t)out->adapter->pub_buffer_bytes};
    out->leaving_count++;
    peer->counted = true;
    if (!weir_nng_connection_add(out->adapter, out->part) || out->closed ||
        weir_conn_open(&peer->conn, loop, peer->fd, &config) != WEIR_OK) {
        (void)close(peer->fd);
        peer_free(peer);
        return;
    }
    greet(peer);
    weir_conn_deadline(&peer->conn, weir_loop_now_ms(loop) + limits->connect_ms_max);
}

/* The descriptor has come to the loop. */
static void arrived(weir_loop *loop, void *arg)
{
    stream_peer *peer = arg;
    stream_carrier *carrier = peer->carrier;
    (void)loop;
    if (carrier->running) {
        peer_open(peer);
    } else {
        peer->early_next = carrier->early;
        carrier->early = peer;
    }
}

static void accepted(void *arg, weir_loop *loop, int fd, bool over)
{
    stream_carrier *carrier = arg;
    stream_peer *peer = over ? NULL : calloc(1, sizeof(*peer));
    const int system_bytes = PUSH_SYSTEM_BYTES;
    (void)loop;
    if (peer == NULL) {
        weir_counter_add(&carrier->out->adapter->counters.refused_connections, 1);
        (void)close(fd);
        if (carrier->listener != NULL) {
            weir_listener_release(carrier->listener, over);
        }
        return;
    }
    if (carrier->out->part == WEIR_NNG_PUSH) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &system_bytes, sizeof(system_bytes));
    }
    peer->peer.ops = &peer_ops;
    peer->peer.out = carrier->out;
    peer->carrier = carrier;
    peer->fd = fd;
    peer->call = (weir_call){.fn = arrived, .arg = peer};
    weir_loop_post(carrier->out->adapter->loop, &peer->call);
}

/* ---- The carrier ------------------------------------------------------------------------------
 */

static weir_err carrier_listen(weir_nng_out *out, void **carrier, weir_fault *fault)
{
    weir_adapter *adapter = out->adapter;
    weir_nng_url *url = &adapter->urls[out->part];
    static const char *const sections[] = {"nng.rep", "nng.pull", "nng.pub", "nng.push"};
    stream_carrier *made = calloc(1, sizeof(*made));
    bool ipc = url->transport == WEIR_NNG_IPC;
    weir_listener *listener = NULL;
    weir_err err = WEIR_OK;
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.");
    }
    made->out = out;
    made->ipc = ipc;
    const weir_listener_config config = {
        .loops = adapter->host->loops,
        .section = sections[out->part],
        .address = ipc ? NULL : url->host,
        .port = url->port,
        .port_key = "url",
        .enabled_key = "nng.enabled",
        .path = ipc ? url->path : NULL,
        .insecure = adapter->insecure,
        .connections_max = adapter->host->limits->connections_max,
        .accepted = accepted,
        .arg = made,
    };
    *carrier = made;
    err = weir_listener_open(&config, &listener, fault);
    if (err == WEIR_OK) {
        made->listener = listener;
        url->port = ipc ? 0 : weir_listener_port(listener);
    }
    return err;
}

static stream_peer *early_take(stream_carrier *carrier)
{
    stream_peer *peer = carrier->early;
    if (peer != NULL) {
        carrier->early = peer->early_next;
    }
    return peer;
}

static void carrier_run(void *arg)
{
    stream_carrier *carrier = arg;
    stream_peer *peer = NULL;
    carrier->running = true;
    while ((peer = early_take(carrier)) != NULL) {
        peer_open(peer);
    }
}

static void carrier_unlisten(void *arg)
{
    stream_carrier *carrier = arg;
    if (carrier->listener != NULL) {
        weir_listener_stop(carrier->listener);
    }
}

static bool carrier_shut(void *arg)
{
    (void)arg; /* nothing of it is the library's */
    return true;
}

static void carrier_destroy(void *arg)
{
    stream_carrier *carrier = arg;
    stream_peer *peer = NULL;
    while ((peer = early_take(carrier)) != NULL) { /* it never ran */
        (void)close(peer->fd);
        weir_listener_release(carrier->listener, false);
        free(peer);
    }
    weir_listener_close(carrier->listener);
    free(carrier);
}

const out_carrier_ops weir_nng_stream_carrier = {
    .listen = carrier_listen,
    .run = carrier_run,
    .unlisten = carrier_unlisten,
    .shut = carrier_shut,
    .destroy = carrier_destroy,
};
