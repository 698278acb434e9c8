/* adapters/websocket/speak_weir1.c - weir.v1 inside WebSocket: a message is a message, text or
 * binary.
 *
 * Happy path: a message that came in one piece is given to the session where it lies; one that came
 * in several is collected first. What the session emits is one frame a message.
 *
 * The session answers AGAIN: the message is kept, the link blocked, and both tried again at turns'
 * ends. Before hello the session takes smaller messages: the reader's limit follows it between
 * messages.
 *
 * [V1] link->message holds the beginning of a message, or a whole one while blocked; never both. */
#include "adapters/websocket/link.h"

#include <inttypes.h>
#include <stdio.h>

static weir_v1_session *session_of(const weir_web_link *link)
{
    return link->session;
}

static void weir1_emit(void *arg, weir_v1_kind kind, weir_bytes bytes, uint64_t request)
{
    weir_web_link *link = arg;
    (void)request;
    weir_web_link_frame(link, kind == WEIR_V1_TEXT ? WEIR_WS_TEXT : WEIR_WS_BINARY, true, bytes);
}

static void limit_update(weir_web_link *link)
{
    link->reader.rules.message_bytes_max = weir_v1_session_message_max(session_of(link));
}

static weir_err weir1_open(weir_web_link *link)
{
    weir_web_lane *lane = link->lane;
    char name[48];
    weir_v1_session *session = NULL;
    (void)snprintf(name, sizeof(name), "ws-%u-%" PRIu64, weir_loop_index(lane->loop),
                   ++lane->names_given);
    const weir_v1_session_config config = {
        .port_ops = &weir_v1_port_real,
        .port = weir_loop_port(lane->loop),
        .user = &link->sink,
        .limits = lane->adapter->host->limits,
        .host = lane->adapter->host,
        .name = name,
        .push = true,
        .origin = "websocket",
        .emit_arg = link,
        .emit = weir1_emit,
    };
    weir_err err = weir_v1_session_create(&config, &session);
    if (err == WEIR_OK) {
        link->session = session;
        limit_update(link);
    }
    return err;
}

/* Gives one whole message; false when it was not taken. */
static bool message_give(weir_web_link *link, weir_bytes message)
{
    weir_err err = weir_v1_session_message(session_of(link), message, 0);
    if (err == WEIR_AGAIN) {
        return false;
    }
    limit_update(link);
    if (err == WEIR_CLOSED) {
        weir_web_link_close(link, WEIR_WS_CODE_NORMAL, "The conversation has ended.");
    }
    return true;
}

static void message_forget(weir_web_link *link)
{
    weir_loop_buffer_give(link->lane->loop, &link->message);
}

static void message_keep(weir_web_link *link, weir_bytes piece)
{
    if (link->message.ptr == NULL) {
        link->message = weir_loop_buffer_take(link->lane->loop);
    }
    if (weir_buffer_append(&link->message, piece.ptr, piece.len) != WEIR_OK) {
        weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
    }
}

static void weir1_piece(weir_web_link *link, const weir_ws_event *event)
{
    bool whole = event->first && event->last;
    if (whole && message_give(link, event->bytes)) {
        return;
    }
    message_keep(link, event->bytes);
    if (!event->last) {
        return;
    }
    if (!whole && message_give(link, weir_buffer_bytes(&link->message))) {
        message_forget(link);
    } else {
        weir_web_link_block(link, true); /* [V1] */
    }
}

static void weir1_complete(weir_web_link *link, weir_completion *completion)
{
    weir_v1_session_completion(session_of(link), completion);
}

static void counters_add(weir_web_link *link)
{
    const weir_v1_counters *now = weir_v1_session_counters(session_of(link));
    weir_web_stats *stats = &link->lane->adapter->stats;
    weir_counter_add(&stats->v1_messages_in, now->messages_in - link->counted.messages_in);
    weir_counter_add(&stats->v1_messages_out, now->messages_out - link->counted.messages_out);
    weir_counter_add(&stats->v1_records_in, now->records_in - link->counted.records_in);
    weir_counter_add(&stats->v1_records_out, now->records_out - link->counted.records_out);
    weir_counter_add(&stats->v1_refused, now->refused - link->counted.refused);
    weir_counter_add(&stats->v1_dropped, now->dropped - link->counted.dropped);
    weir_counter_add(&stats->v1_paused_output, now->paused_output - link->counted.paused_output);
    weir_counter_add(&stats->v1_paused_in_flight,
                     now->paused_in_flight - link->counted.paused_in_flight);
    weir_counter_add(&stats->v1_narrowed_fetch, now->narrowed_fetch - link->counted.narrowed_fetch);
    weir_counter_add(&stats->v1_refused_wait, now->refused_wait - link->counted.refused_wait);
    weir_counter_add(&stats->v1_refused_fetches,
                     now->refused_fetches - link->counted.refused_fetches);
    weir_counter_add(&stats->v1_refused_members,
                     now->refused_members - link->counted.refused_members);
    link->counted = *now;
}

static void kick_if(weir_web_link *link, bool submitted)
{
    if (submitted) {
        weir_loop_kick(link->lane->loop);
    }
}

/* Kept input again, now that the session may take it. */
static void unblock(weir_web_link *link)
{
    if (link->message.len > 0 && !message_give(link, weir_buffer_bytes(&link->message))) {
        return;
    }
    message_forget(link);
    weir_web_link_block(link, false);
}

static void weir1_turn(weir_web_link *link)
{
    weir_v1_session *session = session_of(link);
    kick_if(link, weir_v1_session_turn(session));
    if (link->blocked && !weir_v1_session_blocked(session)) {
        unblock(link);
    }
    kick_if(link, weir_v1_session_output(session, weir_web_link_waiting(link)));
    if (weir_v1_session_wants_turn(session)) {
        weir_web_link_block(link, true); /* the port had no room: so it is tried again in a while */
    }
    counters_add(link);
    if (weir_v1_session_ended(session)) {
        weir_web_link_close(link, WEIR_WS_CODE_NORMAL, "The conversation has ended.");
    } else if (link->drain_told && weir_v1_session_idle(session)) {
        weir_web_link_close(link, WEIR_WS_CODE_GOING_AWAY, "The gateway stops.");
    }
}

static void weir1_sent(weir_web_link *link, size_t waiting)
{
    kick_if(link, weir_v1_session_output(session_of(link), waiting));
    if (link->blocked || weir_v1_session_wants_turn(session_of(link))) {
        weir_web_link_gathered(link); /* it may be full no more */
    }
}

static uint64_t weir1_deadline_ms(const weir_web_link *link)
{
    return weir_v1_session_greeted(session_of(link))
               ? UINT64_MAX
               : link->opened_ms + link->lane->adapter->host->limits->connect_ms_max;
}

static void weir1_deadline(weir_web_link *link)
{
    weir_v1_session_fail(session_of(link), WEIR_TIMEOUT, "say hello sooner");
    weir_web_link_close(link, WEIR_WS_CODE_POLICY, "No hello came in time.");
}

static void weir1_drain(weir_web_link *link)
{
    weir_v1_session_drain(session_of(link)); /* the turn closes, when nothing is in flight */
}

static void weir1_refused(weir_web_link *link, weir_err err, const char *text)
{
    weir_v1_session_fail(session_of(link), err, text);
}

static bool weir1_close(weir_web_link *link, bool first)
{
    if (first) {
        weir_v1_session_close(session_of(link));
    }
    kick_if(link,
            weir_v1_session_turn(session_of(link))); /* what had no room: closing itself too */
    return weir_v1_session_idle(session_of(link));
}

static void weir1_destroy(weir_web_link *link)
{
    counters_add(link);
    weir_v1_session_destroy(session_of(link));
}

const weir_web_speaker weir_web_weir1 = {
    .open = weir1_open,
    .piece = weir1_piece,
    .complete = weir1_complete,
    .turn = weir1_turn,
    .sent = weir1_sent,
    .deadline_ms = weir1_deadline_ms,
    .deadline = weir1_deadline,
    .drain = weir1_drain,
    .refused = weir1_refused,
    .close = weir1_close,
    .destroy = weir1_destroy,
};
