/* adapters/local/link.c - one connection of the local socket, on its loop's thread.
 *
 *     input -> session (stream) -> port        completion -> session -> conn output
 *
 * Happy path: bytes come, the session takes whole lines and frames off their front and submits;
 * completions come, the session writes replies into the connection's output; the turn ends, records
 * gathered for subscriptions follow, and the connection writes once.
 *
 * Failures: a session that is blocked stops the reading, a peer that does not read stops its
 * subscriptions, a fault or goodbye closes once the output has left; whatever closes the
 * connection, the link lives on until its operations have come back.
 *
 * [L1] The link is freed at a turn's end, when the connection is gone and the session idle: no
 *      completion comes after that.
 * [L2] Reading is paused exactly while the session is blocked. */
#include "adapters/local/link.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct weir_local_link {
    weir_conn conn;
    weir_sink sink;
    weir_turn_end turn_end;
    weir_local_lane *lane;
    weir_local_link *next;
    weir_local_link **link; /* what points here */
    weir_v1_session *session;
    weir_v1_counters counted; /* what of the session's is in the adapter's counters */
    bool over;                /* connections_max: only told so */
    bool peer_ended;          /* it sends nothing more */
    bool conn_gone;
    bool held;     /* it counts in adapter->held */
    bool draining; /* the session was told; until then an idle one must not be closed */
};

static weir_local_link *link_of_conn(weir_conn *conn)
{
    return (weir_local_link *)((char *)conn - offsetof(weir_local_link, conn));
}

static void count(weir_local_link *link)
{
    weir_adapter *adapter = link->lane->adapter;
    const weir_v1_counters *now = weir_v1_session_counters(link->session);
#define COUNT_ONE(field, metric)                                                                   \
    weir_counter_add(&adapter->field, now->field - link->counted.field);
    WEIR_LOCAL_COUNTERS(COUNT_ONE)
#undef COUNT_ONE
    link->counted = *now;
}

static void release(weir_local_link *link)
{
    if (link->held) {
        link->held = false;
        weir_local_release(link->lane->adapter);
    }
}

static void ask_turn(weir_local_link *link)
{
    weir_loop_at_turn_end(link->lane->loop, &link->turn_end);
}

/* ---- The end of a link -------------------------------------------------------------------------
 */

static void link_free(weir_local_link *link)
{
    weir_adapter *adapter = link->lane->adapter;
    count(link);
    weir_v1_session_destroy(link->session);
    *link->link = link->next;
    if (link->next != NULL) {
        link->next->link = link->link;
    }
    weir_listener_release(adapter->listener, link->over);
    release(link);
    free(link);
    pthread_mutex_lock(&adapter->lock);
    if (--adapter->open == 0) {
        pthread_cond_broadcast(&adapter->none_open);
    }
    pthread_mutex_unlock(&adapter->lock);
}

/* Closes the connection when the conversation is over. Output leaves first. */
static void close_check(weir_local_link *link)
{
    bool drained = link->draining && weir_v1_session_idle(link->session);
    bool silent = link->peer_ended && weir_v1_session_idle(link->session);
    if (weir_v1_session_ended(link->session) || drained || silent) {
        weir_conn_close(&link->conn);
    }
    if (drained && weir_conn_output_bytes(&link->conn) == 0) {
        release(link); /* the peer has everything; that it may linger holds up nobody */
    }
}

/* ---- Turns -------------------------------------------------------------------------------------
 */

static void turn_open(weir_local_link *link)
{
    if (weir_v1_session_turn(link->session)) {
        weir_loop_kick(link->lane->loop);
    }
    if (weir_conn_paused(&link->conn) && !weir_v1_session_blocked(link->session)) {
        weir_conn_resume(&link->conn); /* [L2] */
    }
    close_check(link);
}

static void turn_run(weir_turn_end *end)
{
    weir_local_link *link = (weir_local_link *)((char *)end - offsetof(weir_local_link, turn_end));
    if (!link->conn_gone) {
        turn_open(link);
    } else if (weir_v1_session_turn(link->session)) {
        weir_loop_kick(link->lane->loop);
    }
    count(link);
    if (link->conn_gone && weir_v1_session_idle(link->session)) {
        link_free(link); /* [L1] */
    } else if (weir_v1_session_wants_turn(link->session)) {
        weir_loop_kick(link->lane->loop);
        ask_turn(link);
    }
}

static void on_complete(weir_sink *sink, weir_completion *completion)
{
    weir_local_link *link = (weir_local_link *)((char *)sink - offsetof(weir_local_link, sink));
    ask_turn(link);
    weir_v1_session_completion(link->session, completion);
}

static void on_emit(void *arg, weir_v1_kind kind, weir_bytes bytes, uint64_t request)
{
    weir_local_link *link = arg;
    (void)request;
    weir_buffer *out = weir_conn_output(&link->conn);
    weir_err err = weir_buffer_append(out, bytes.ptr, bytes.len);
    if (err == WEIR_OK && kind == WEIR_V1_TEXT) {
        err = weir_buffer_append(out, "\n", 1);
    }
    if (err != WEIR_OK) {
        weir_conn_reset(&link->conn, err);
        return;
    }
    weir_conn_written(&link->conn);
}

static weir_buffer *on_emit_begin(void *arg)
{
    return weir_conn_output(&((weir_local_link *)arg)->conn);
}

static void on_emit_end(void *arg)
{
    weir_conn_written(&((weir_local_link *)arg)->conn);
}

/* ---- The connection speaks ---------------------------------------------------------------------
 */

static size_t on_input(weir_conn *conn, weir_bytes in)
{
    weir_local_link *link = link_of_conn(conn);
    size_t used = 0;
    weir_err err = weir_v1_session_stream(link->session, in, &used);
    (void)weir_v1_session_submitted(link->session); /* input is followed by a step in any case */
    if (err == WEIR_AGAIN) {
        weir_conn_pause(conn); /* [L2] */
    }
    if (weir_v1_session_greeted(link->session)) {
        weir_conn_deadline(conn, 0);
    }
    ask_turn(link);
    return err == WEIR_CLOSED ? in.len : used;
}

static void on_ended(weir_conn *conn)
{
    weir_local_link *link = link_of_conn(conn);
    link->peer_ended = true;
    weir_v1_session_silent(link->session);
    ask_turn(link);
}

static void on_pressure(weir_conn *conn, bool full)
{
    (void)full; /* on_sent tells the session every size */
    ask_turn(link_of_conn(conn));
}

static void on_sent(weir_conn *conn, size_t waiting)
{
    weir_local_link *link = link_of_conn(conn);
    if (weir_v1_session_output(link->session, waiting)) {
        weir_loop_kick(link->lane->loop);
    }
    if (weir_conn_paused(conn) || weir_v1_session_wants_turn(link->session)) {
        ask_turn(link); /* it may be full no more */
    }
}

static void on_deadline(weir_conn *conn)
{
    weir_local_link *link = link_of_conn(conn);
    weir_v1_session_fail(link->session, WEIR_TIMEOUT,
                         "Say hello within connect_ms_max of connecting.");
    weir_conn_close(conn);
}

static void on_closed(weir_conn *conn, weir_err why)
{
    weir_local_link *link = link_of_conn(conn);
    (void)why;
    link->conn_gone = true;
    weir_v1_session_close(link->session);
    weir_loop_kick(link->lane->loop);
    ask_turn(link);
}

static const weir_conn_ops conn_ops = {
    .input = on_input,
    .ended = on_ended,
    .pressure = on_pressure,
    .deadline = on_deadline,
    .closed = on_closed,
    .sent = on_sent,
};

/* ---- The beginning -----------------------------------------------------------------------------
 */

static weir_err session_open(weir_local_link *link)
{
    weir_adapter *adapter = link->lane->adapter;
    char name[32];
    snprintf(name, sizeof(name), "local-%llu", (unsigned long long)++adapter->sessions);
    const weir_v1_session_config config = {
        .port_ops = &weir_v1_port_real,
        .port = weir_loop_port(link->lane->loop),
        .user = &link->sink,
        .limits = adapter->host->limits,
        .host = adapter->host,
        .name = name,
        .push = true,
        .origin = "local",
        .emit_arg = link,
        .emit = on_emit,
        .emit_begin = on_emit_begin,
        .emit_end = on_emit_end,
    };
    return weir_v1_session_create(&config, &link->session);
}

static void link_add(weir_local_link *link)
{
    weir_local_lane *lane = link->lane;
    link->next = lane->links;
    link->link = &lane->links;
    if (lane->links != NULL) {
        lane->links->link = &link->next;
    }
    lane->links = link;
    lane->adapter->held++;
    link->held = true;
    pthread_mutex_lock(&lane->adapter->lock);
    lane->adapter->open++;
    pthread_mutex_unlock(&lane->adapter->lock);
}

static weir_local_link *link_open(weir_local_lane *lane, int fd)
{
    const weir_limits *limits = lane->adapter->host->limits;
    const weir_conn_config config = {
        .ops = &conn_ops,
        .input_max = (uint32_t)limits->packet_bytes_max + 4096,
        .output_high = (uint32_t)limits->output_bytes_max,
    };
    weir_local_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->lane = lane;
    link->sink.complete = on_complete;
    link->turn_end.run = turn_run;
    if (session_open(link) != WEIR_OK) {
        free(link);
        return NULL;
    }
    if (weir_conn_open(&link->conn, lane->loop, fd, &config) != WEIR_OK) {
        weir_v1_session_destroy(link->session);
        free(link);
        return NULL;
    }
    return link;
}

void weir_local_link_accept(void *arg, weir_loop *loop, int fd, bool over)
{
    weir_adapter *adapter = arg;
    weir_local_lane *lane = &adapter->lanes[weir_loop_index(loop)];
    weir_local_link *link = adapter->draining ? NULL : link_open(lane, fd);
    if (link == NULL) {
        close(fd);
        weir_listener_release(adapter->listener, over);
        return;
    }
    link->over = over;
    link_add(link);
    if (over) {
        weir_v1_session_fail(link->session, WEIR_LIMIT,
                             "Too many connections are open (limit connections_max): close one, or "
                             "connect again later.");
        weir_conn_close(&link->conn);
        return;
    }
    weir_conn_deadline(&link->conn, weir_loop_now_ms(loop) + adapter->host->limits->connect_ms_max);
}

void weir_local_link_drain(weir_local_link *link)
{
    link->draining = true;
    weir_v1_session_drain(link->session);
    weir_loop_kick(link->lane->loop);
    ask_turn(link);
}

void weir_local_link_stop(weir_local_link *link)
{
    weir_conn_reset(&link->conn, WEIR_CLOSED);
}

weir_local_link *weir_local_link_next(const weir_local_link *link)
{
    return link->next;
}
