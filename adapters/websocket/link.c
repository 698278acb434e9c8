/* adapters/websocket/link.c - alone responsible for one connection's WebSocket life: frames in and
 * out, pings, back-pressure, closing, and when its memory goes.
 *
 *   socket -> weir_conn -> frames -> pieces of messages -> speaker -> session -> port
 *   socket <- weir_conn <- frames <- gathered or whole messages <- speaker <- completions
 *
 * Happy path: the input is unmasked where it lies and given to the speaker piece by piece; what the
 * speaker writes goes into the connection's output as whole frames, or is gathered during a turn
 * and leaves as one.
 *
 * Back-pressure: towards the peer, reading stops while the speaker is blocked (the port has no
 * room, or too much is in flight) or the peer does not take its answers. Pings are answered as they
 * come; once WEIR_WEB_PONG_BYTES_MAX of output wait, only the newest is, when there is room again
 * (RFC 6455 5.5.3): a flood of pings costs a peer that does not read 126 bytes of ours.
 *
 * A flood of control frames meets no back-pressure of the port's; CONTROLS_MAX of one connection
 * are handled in a turn. What was read and may not be handled yet is kept in `rest`.
 *
 * Failures: a bad frame, a silent or stalled peer, no memory: each ends this connection, with a
 * close frame where one can still be understood.
 *
 * Invariants
 * [K1] The link outlives its session, and the session every completion that is owed to it: it is
 * freed only when the connection is gone and the speaker's close said true. [K2] speaker->close is
 * called from the turn's end only, never within another slot. [K3] No piece is given while blocked.
 * [K5] The socket is read only while `rest` is empty: a blocked link holds one read of input, no
 * more. [K4] After the close frame nothing is sent (RFC 6455 5.5.1): frames are dropped unless
 * OPEN. */
#include "adapters/websocket/link.h"

#include "adapters/websocket/http.h"
#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_MS = 32,                  /* of what no completion may announce */
    CONTROLS_MAX = 256,             /* pings and pongs of one connection in RETRY_MS */
    GATHER_FRAME_BYTES_MAX = 32768, /* gathered output is cut into frames of this */
    INPUT_BYTES_MAX = WEIR_HTTP_HEAD_BYTES_MAX + 64,
};

static void rest_read(weir_web_link *link);

static weir_web_link *link_of(weir_conn *conn)
{
    return (weir_web_link *)((char *)conn - offsetof(weir_web_link, conn));
}

static uint64_t now_of(const weir_web_link *link)
{
    return weir_loop_now_ms(link->lane->loop);
}

static bool message_unfinished(const weir_web_link *link)
{
    return !weir_ws_between_messages(&link->reader) || link->message.len > 0;
}

static void ask_turn_end(weir_web_link *link)
{
    weir_loop_at_turn_end(link->lane->loop, &link->turn_end);
}

static void reading_update(weir_web_link *link)
{
    if (link->blocked || link->full || link->throttled || link->rest.len > 0) {
        weir_conn_pause(&link->conn);
    } else if (weir_conn_paused(&link->conn)) {
        link->begun_ms = now_of(link); /* the time in which it was not read was ours */
        weir_conn_resume(&link->conn);
    }
}

/* ---- Frames out ---------------------------------------------------------------------------- */

static uint32_t output_high(const weir_web_link *link)
{
    /* Above what makes subscriptions pause: reading stops for answers only. */
    return (uint32_t)(2 * link->lane->adapter->host->limits->output_bytes_max);
}

/* The connection tells pressure when it writes, which a choked one does not: look at each frame. */
static void full_update(weir_web_link *link, bool full)
{
    if (full == link->full) {
        return;
    }
    link->full = full;
    if (full) {
        WEIR_WEB_COUNT(link->lane->adapter, paused_output);
    }
    reading_update(link);
    ask_turn_end(link); /* what waits in `rest` may go on */
}

static void frame_put(weir_web_link *link, weir_ws_opcode opcode, bool fin, weir_bytes payload)
{
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    size_t head_len = weir_ws_head_write(head, opcode, fin, payload.len, NULL);
    weir_buffer *out = weir_conn_output(&link->conn);
    weir_err err = weir_buffer_reserve(out, head_len + payload.len);
    if (err == WEIR_OK) {
        (void)weir_buffer_append(out, head, head_len);
        (void)weir_buffer_append(out, payload.ptr, payload.len);
    }
    weir_conn_written(&link->conn);
    if (err != WEIR_OK) {
        weir_conn_reset(&link->conn, err);
    } else if (weir_conn_output_full(&link->conn)) {
        full_update(link, true);
    }
}

void weir_web_link_frame(weir_web_link *link, weir_ws_opcode opcode, bool fin, weir_bytes payload)
{
    if (link->state == WEIR_WEB_OPEN) { /* [K4] */
        frame_put(link, opcode, fin, payload);
    }
}

weir_buffer *weir_web_link_gather(weir_web_link *link)
{
    if (link->gather.ptr == NULL) {
        link->gather = weir_loop_buffer_take(link->lane->loop);
    }
    return &link->gather;
}

void weir_web_link_gathered(weir_web_link *link)
{
    ask_turn_end(link);
}

static void gather_flush(weir_web_link *link)
{
    weir_bytes left = weir_buffer_bytes(&link->gather);
    while (left.len > 0) {
        size_t len = left.len < GATHER_FRAME_BYTES_MAX ? left.len : GATHER_FRAME_BYTES_MAX;
        weir_web_link_frame(link, WEIR_WS_BINARY, true, (weir_bytes){left.ptr, len});
        left = (weir_bytes){left.ptr + len, left.len - len};
    }
    weir_loop_buffer_give(link->lane->loop, &link->gather);
}

size_t weir_web_link_waiting(const weir_web_link *link)
{
    return weir_conn_output_bytes(&link->conn) + link->gather.len;
}

/* ---- Closing ------------------------------------------------------------------------------- */

/* No close frame: the peer has sent its own end already, or never spoke WebSocket. */
static void link_shut(weir_web_link *link)
{
    if (link->state == WEIR_WEB_CLOSING) {
        return;
    }
    link->state = WEIR_WEB_CLOSING;
    weir_conn_close(&link->conn);
    ask_turn_end(link); /* [K2] */
}

void weir_web_link_close(weir_web_link *link, uint16_t code, const char *reason)
{
    if (link->state == WEIR_WEB_OPEN) {
        uint8_t payload[WEIR_WS_CONTROL_BYTES_MAX];
        gather_flush(link);
        frame_put(link, WEIR_WS_CLOSE, true,
                  (weir_bytes){payload, weir_ws_close_payload(payload, code, reason)});
    }
    link_shut(link);
}

static void link_free(weir_web_link *link)
{
    weir_adapter *adapter = link->lane->adapter;
    weir_loop_turn_end_cancel(link->lane->loop, &link->turn_end);
    weir_loop_deadline_cancel(link->lane->loop, &link->retry);
    *link->link = link->next;
    if (link->next != NULL) {
        link->next->link = link->link;
    }
    weir_buffer_fini(&link->message);
    weir_buffer_fini(&link->gather);
    weir_buffer_fini(&link->rest);
    free(link->ping);
    free(link);
    weir_web_link_gone(adapter);
}

/* [K1] */
static void session_close(weir_web_link *link)
{
    if (link->speaker == NULL) {
        return;
    }
    bool first = !link->closing_session;
    if (first) {
        link->closing_session = true;
        weir_counter_subtract(&link->lane->adapter->stats.open_links, 1);
    }
    if (link->speaker->close(link, first)) {
        link->speaker->destroy(link);
        link->speaker = NULL;
        link->session = NULL;
    } else {
        weir_loop_deadline_set(link->lane->loop, &link->retry, now_of(link) + RETRY_MS);
    }
}

static void retry_run(weir_deadline *retry)
{
    weir_web_link *link = (weir_web_link *)((char *)retry - offsetof(weir_web_link, retry));
    ask_turn_end(link);
    weir_loop_kick(link->lane->loop);
}

static void turn_end_run(weir_turn_end *end)
{
    weir_web_link *link = (weir_web_link *)((char *)end - offsetof(weir_web_link, turn_end));
    if (link->throttled && now_of(link) >= link->throttled_until_ms) {
        link->throttled = false;
        reading_update(link);
    }
    if (link->state == WEIR_WEB_OPEN) {
        link->speaker->turn(link);
        if (!link->throttled) {
            rest_read(link);
        }
    }
    if (link->state == WEIR_WEB_OPEN) {
        gather_flush(link);
        weir_web_link_deadline(link);
        if (link->blocked) {
            weir_loop_deadline_set(link->lane->loop, &link->retry, now_of(link) + RETRY_MS);
        }
    }
    if (link->state == WEIR_WEB_CLOSING) {
        session_close(link);
        weir_loop_buffer_give(link->lane->loop, &link->gather); /* [K4] */
        if (link->conn_gone && link->speaker == NULL) {
            link_free(link);
        }
    }
}

static void sink_complete(weir_sink *sink, weir_completion *completion)
{
    weir_web_link *link = (weir_web_link *)((char *)sink - offsetof(weir_web_link, sink));
    WEIR_ASSERT(link->speaker != NULL); /* [K1] */
    link->speaker->complete(link, completion);
    ask_turn_end(link);
}

/* ---- Frames in ----------------------------------------------------------------------------- */

static void pong_hold(weir_web_link *link, weir_bytes payload)
{
    if (link->ping == NULL) {
        link->ping = malloc(1 + WEIR_WS_CONTROL_BYTES_MAX);
    }
    if (link->ping == NULL) {
        weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
        return;
    }
    if (link->ping_held) {
        WEIR_WEB_COUNT(link->lane->adapter, pings_skipped);
    }
    link->ping_held = true;
    link->ping[0] = (uint8_t)payload.len;
    memcpy(link->ping + 1, payload.ptr, payload.len);
}

static void pong_held_send(weir_web_link *link)
{
    if (link->ping_held && weir_conn_output_bytes(&link->conn) <= WEIR_WEB_PONG_BYTES_MAX) {
        link->ping_held = false;
        weir_web_link_frame(link, WEIR_WS_PONG, true, (weir_bytes){link->ping + 1, link->ping[0]});
    }
}

/* Control frames promise no work and so meet no back-pressure: after too many the link rests. */
static void throttle(weir_web_link *link)
{
    link->throttled = true;
    link->throttled_until_ms = now_of(link) + RETRY_MS;
    reading_update(link);
    weir_loop_deadline_set(link->lane->loop, &link->retry, link->throttled_until_ms);
}

static void event_handle(weir_web_link *link, const weir_ws_event *event)
{
    switch (event->opcode) {
    case WEIR_WS_PING:
        if (weir_conn_output_bytes(&link->conn) > WEIR_WEB_PONG_BYTES_MAX) {
            pong_hold(link, event->bytes);
        } else {
            weir_web_link_frame(link, WEIR_WS_PONG, true, event->bytes);
        }
        break;
    case WEIR_WS_PONG:
        break; /* its bytes have proved that the peer lives */
    case WEIR_WS_CLOSE:
        weir_web_link_close(link, event->code, NULL);
        break;
    default:
        link->speaker->piece(link, event);
    }
}

static void frame_bad(weir_web_link *link, weir_err err)
{
    uint16_t code = weir_ws_fail_code(&link->reader);
    if (code == WEIR_WS_CODE_TOO_BIG) {
        WEIR_WEB_COUNT(link->lane->adapter, messages_too_big);
    } else {
        WEIR_WEB_COUNT(link->lane->adapter, frames_refused);
    }
    link->speaker->refused(link, err, weir_ws_fail_text(&link->reader));
    weir_web_link_close(link, code, weir_ws_fail_text(&link->reader));
}

/* Returns how many bytes were used. */
static size_t frames_read(weir_web_link *link, uint8_t *in, size_t len)
{
    size_t at = 0;
    unsigned controls = 0;
    while (link->state == WEIR_WEB_OPEN && !link->blocked && !link->full) { /* [K3] */
        weir_ws_event event;
        size_t used = 0;
        weir_err err = weir_ws_read(&link->reader, in + at, len - at, &used, &event);
        if (err == WEIR_MORE) {
            return len;
        }
        if (err != WEIR_OK) {
            frame_bad(link, err);
            return len;
        }
        at += used;
        event_handle(link, &event);
        controls += event.opcode >= WEIR_WS_CLOSE ? 1 : 0;
        if (controls == CONTROLS_MAX) {
            throttle(link);
            break;
        }
    }
    return link->state == WEIR_WEB_OPEN ? at : len;
}

/* What may not be handled yet waits here, and while it does the socket is not read: [K5]. */
static void rest_keep(weir_web_link *link, weir_bytes rest)
{
    link->rest = weir_loop_buffer_take(link->lane->loop);
    if (weir_buffer_append(&link->rest, rest.ptr, rest.len) != WEIR_OK) {
        weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
        return;
    }
    reading_update(link);
    ask_turn_end(link);
}

static void rest_read(weir_web_link *link)
{
    if (link->rest.len == 0) {
        return;
    }
    link->rest_at +=
        frames_read(link, link->rest.ptr + link->rest_at, link->rest.len - link->rest_at);
    if (link->rest_at == link->rest.len) {
        weir_loop_buffer_give(link->lane->loop, &link->rest);
        link->rest_at = 0;
        reading_update(link);
    }
    weir_loop_kick(link->lane->loop); /* pieces may have become operations */
}

/* ---- What the connection tells ------------------------------------------------------------- */

static size_t link_input(weir_conn *conn, weir_bytes in)
{
    weir_web_link *link = link_of(conn);
    size_t at = 0;
    link->heard_ms = now_of(link);
    link->ping_asked = false;
    if (link->state == WEIR_WEB_HEAD) {
        at = weir_web_door_input(link, in);
        if (link->state == WEIR_WEB_HEAD) {
            return at;
        }
    }
    if (link->state != WEIR_WEB_OPEN) {
        return in.len; /* nothing more is wanted of this peer */
    }
    if (message_unfinished(link)) {
        link->begun_bytes += in.len;
    } else {
        link->begun_ms = link->heard_ms;
        link->begun_bytes = 0;
    }
    /* The bytes lie in the loop's buffer or the connection's own; unmasking them there is the
     * point. */
    at += frames_read(link, (uint8_t *)(uintptr_t)in.ptr + at, in.len - at);
    if (at < in.len) {
        rest_keep(link, (weir_bytes){in.ptr + at, in.len - at});
    }
    if (link->state == WEIR_WEB_OPEN) {
        weir_web_link_deadline(link);
    }
    return in.len;
}

static void link_ended(weir_conn *conn)
{
    weir_web_link *link = link_of(conn);
    if (link->state != WEIR_WEB_HTTP) { /* who asked by HTTP may still want the answer */
        link_shut(link);
    }
}

static void link_pressure(weir_conn *conn, bool full)
{
    weir_web_link *link = link_of(conn);
    if (link->state == WEIR_WEB_HTTP) {
        weir_web_tunnel_pressure(link, full);
    } else {
        full_update(link, full);
    }
}

static void link_sent(weir_conn *conn, size_t waiting)
{
    weir_web_link *link = link_of(conn);
    bool progress = waiting < link->waiting_bytes || link->waiting_bytes == 0;
    link->waiting_bytes = waiting;
    if (progress) {
        link->sent_ms = now_of(link);
    }
    if (link->state == WEIR_WEB_OPEN) {
        if (waiting <= output_high(link) / 2) {
            full_update(link, false);
        }
        pong_held_send(link);
        link->speaker->sent(link, waiting + link->gather.len);
    }
}

static void link_closed(weir_conn *conn, weir_err why)
{
    weir_web_link *link = link_of(conn);
    weir_adapter *adapter = link->lane->adapter;
    if (why == WEIR_TIMEOUT) {
        WEIR_WEB_COUNT(adapter, stalled);
    }
    link->state = WEIR_WEB_CLOSING;
    link->conn_gone = true;
    weir_web_tunnel_drop(link);
    weir_listener_release(adapter->listener, link->over);
    ask_turn_end(link);
    weir_loop_kick(link->lane->loop);
}

/* ---- Time ---------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t silence_ms(const weir_web_link *link)
{
    uint64_t ping_ms = link->lane->adapter->ping_ms;
    return ping_ms != 0 ? ping_ms : WEIR_WEB_STALL_MS_MAX;
}

/* When the unfinished message has taken too long. */
static uint64_t dribbled_ms(const weir_web_link *link)
{
    if (!message_unfinished(link) || weir_conn_paused(&link->conn)) {
        return UINT64_MAX;
    }
    return link->begun_ms + link->lane->adapter->message_ms_max + link->begun_bytes;
}

static uint64_t due_ms(const weir_web_link *link)
{
    uint64_t due = 0;
    switch (link->state) {
    case WEIR_WEB_HEAD:
        return link->opened_ms + link->lane->adapter->upgrade_ms_max;
    case WEIR_WEB_HTTP:
        return link->opened_ms + WEIR_WEB_ANSWER_MS_MAX;
    case WEIR_WEB_OPEN:
        due = link->heard_ms + (link->ping_asked ? 2 : 1) * silence_ms(link);
        if (link->waiting_bytes > 0) {
            due = least(due, link->sent_ms + WEIR_WEB_STALL_MS_MAX);
        }
        due = least(due, dribbled_ms(link));
        return least(due, link->speaker->deadline_ms(link));
    default:
        return UINT64_MAX;
    }
}

void weir_web_link_deadline(weir_web_link *link)
{
    uint64_t due = due_ms(link);
    if (due < link->deadline_at_ms) { /* later ones are found when the time has come */
        link->deadline_at_ms = due;
        weir_conn_deadline(&link->conn, due);
    }
}

/* A message may be large or slow, not both: what it has so far is kept in memory. */
static bool dribble_check(weir_web_link *link, uint64_t now_ms)
{
    if (now_ms < dribbled_ms(link)) {
        return true;
    }
    WEIR_WEB_COUNT(link->lane->adapter, dribbled);
    weir_web_link_close(link, WEIR_WS_CODE_POLICY, "The message came too slowly.");
    return false;
}

/* A peer that was not read cannot be heard: silence counts only while reading. */
static void silence_check(weir_web_link *link, uint64_t now_ms)
{
    bool deaf = link->blocked || link->full || link->lane->adapter->ping_ms == 0;
    if (deaf) {
        link->heard_ms = now_ms;
    } else if (now_ms - link->heard_ms >= 2 * silence_ms(link)) {
        WEIR_WEB_COUNT(link->lane->adapter, silent);
        weir_web_link_close(link, WEIR_WS_CODE_POLICY, "Pings were not answered.");
    } else if (now_ms - link->heard_ms >= silence_ms(link) && !link->ping_asked) {
        link->ping_asked = true;
        weir_web_link_frame(link, WEIR_WS_PING, true, WEIR_TEXT(""));
    }
}

static void open_deadline(weir_web_link *link, uint64_t now_ms)
{
    if (link->waiting_bytes > 0 && now_ms - link->sent_ms >= WEIR_WEB_STALL_MS_MAX) {
        weir_conn_reset(&link->conn, WEIR_TIMEOUT);
        return;
    }
    if (link->speaker->deadline_ms(link) <= now_ms) {
        link->speaker->deadline(link);
    }
    if (link->state == WEIR_WEB_OPEN && dribble_check(link, now_ms)) {
        silence_check(link, now_ms);
    }
    ask_turn_end(link);
}

static void link_deadline(weir_conn *conn)
{
    weir_web_link *link = link_of(conn);
    uint64_t now_ms = now_of(link);
    link->deadline_at_ms = UINT64_MAX;
    if (due_ms(link) > now_ms) {
        weir_web_link_deadline(link);
        return;
    }
    switch (link->state) {
    case WEIR_WEB_HEAD:
        WEIR_WEB_COUNT(link->lane->adapter, heads_slow);
        weir_web_door_refuse(link, 408, "The request's head did not come in time.");
        break;
    case WEIR_WEB_HTTP:
        weir_conn_reset(&link->conn, WEIR_TIMEOUT);
        break;
    case WEIR_WEB_OPEN:
        open_deadline(link, now_ms);
        break;
    default:
        break;
    }
    if (link->state == WEIR_WEB_OPEN) {
        weir_web_link_deadline(link);
    }
}

/* ---- The speaker's verbs ------------------------------------------------------------------- */

void weir_web_link_block(weir_web_link *link, bool blocked)
{
    link->blocked = blocked;
    reading_update(link);
    ask_turn_end(link);
}

void weir_web_link_drain(weir_web_link *link)
{
    if (link->state == WEIR_WEB_HEAD) {
        link_shut(link);
    } else if (link->state == WEIR_WEB_OPEN && !link->drain_told) {
        link->drain_told = true;
        link->speaker->drain(link);
        ask_turn_end(link);
        weir_loop_kick(link->lane->loop);
    }
}

void weir_web_link_upgrade(weir_web_link *link, const weir_web_speaker *speaker)
{
    const weir_ws_rules rules = {
        .role = WEIR_WS_SERVER,
        .text_refused = speaker->text_refused,
        .message_bytes_max = link->lane->adapter->host->limits->packet_bytes_max,
    };
    weir_ws_reader_init(&link->reader, &rules);
    link->state = WEIR_WEB_OPEN;
    link->opened_ms = now_of(link);
    if (speaker->open(link) != WEIR_OK) {
        weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
        link->state = WEIR_WEB_CLOSING;
        return;
    }
    link->speaker = speaker;
    weir_counter_add(&link->lane->adapter->stats.open_links, 1);
    if (atomic_load(&link->lane->adapter->draining)) {
        weir_web_link_drain(link);
    }
}

/* ---- Life ---------------------------------------------------------------------------------- */

static const weir_conn_ops conn_ops = {
    .input = link_input,
    .ended = link_ended,
    .pressure = link_pressure,
    .deadline = link_deadline,
    .closed = link_closed,
    .sent = link_sent,
};

static weir_err link_open(weir_web_link *link, int fd)
{
    weir_web_lane *lane = link->lane;
    weir_conn_config config = {
        .ops = &conn_ops,
        .input_max = INPUT_BYTES_MAX,
        .output_high = output_high(link),
    };
    weir_err err = weir_web_link_filter(lane->adapter, fd, &config.filter);
    if (err == WEIR_OK) {
        err = weir_conn_open(&link->conn, lane->loop, fd, &config);
        if (err != WEIR_OK && config.filter.ops != NULL) {
            config.filter.ops->destroy(config.filter.filter);
        }
    }
    return err;
}

void weir_web_link_accept(void *arg, weir_loop *loop, int fd, bool over)
{
    weir_adapter *adapter = arg;
    weir_web_lane *lane = &adapter->lanes[weir_loop_index(loop)];
    pthread_mutex_lock(&adapter->starting); /* from here on adapter->listener is there */
    pthread_mutex_unlock(&adapter->starting);
    weir_web_link *link = calloc(1, sizeof(*link));
    if (link != NULL) {
        link->lane = lane;
        link->over = over;
        link->sink.complete = sink_complete;
        link->turn_end.run = turn_end_run;
        link->retry.run = retry_run;
        link->deadline_at_ms = UINT64_MAX;
        link->opened_ms = link->heard_ms = weir_loop_now_ms(loop);
    }
    if (link == NULL || link_open(link, fd) != WEIR_OK) {
        free(link);
        (void)close(fd);
        weir_listener_release(adapter->listener, over);
        return;
    }
    link->next = lane->links;
    link->link = &lane->links;
    if (link->next != NULL) {
        link->next->link = &link->next;
    }
    lane->links = link;
    weir_counter_add(&adapter->links_live, 1);
    if (over) {
        weir_web_door_refuse(link, 503, "Too many connections: limit connections_max.");
    } else if (atomic_load(&adapter->draining)) {
        weir_web_door_refuse(link, 503, "The gateway stops.");
    } else {
        weir_web_link_deadline(link);
    }
}
