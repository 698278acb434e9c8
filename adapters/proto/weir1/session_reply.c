/* adapters/proto/weir1/session_reply.c - what leaves a session, and the operations it waits for.
 *
 *     {"id":7,"ok":true, ... }          a command done
 *     {"id":7,"error":{"code":..}}      a command refused
 *     {"type":"records", ... }          pushed: gathered until another message leaves, or the turn
 * ends
 *
 * Messages leave in the order in which they were decided, so gathered records are sent before any
 * reply that comes after them.
 *
 * [S1] Every command is answered exactly once, but for confirm: "none", which only an error
 * answers. [S2] After close nothing is emitted. */
#include "adapters/proto/weir1/session_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- Operations in flight ---------------------------------------------------------------------
 */

static bool is_fetch(weir_v1_op_kind kind)
{
    return kind == WEIR_V1_OP_FETCH || kind == WEIR_V1_OP_FETCH_FRAME;
}

/* Closing a subscriber must always be possible, a member's leave too, and what waits for records
 * must not stop the reading: a member has one take. */
static bool is_limited(weir_v1_op_kind kind)
{
    return !is_fetch(kind) && kind != WEIR_V1_OP_CLOSE && kind != WEIR_V1_OP_UNSUBSCRIBE &&
           kind != WEIR_V1_OP_LEASE && kind != WEIR_V1_OP_PUSH && kind != WEIR_V1_OP_LEAVE &&
           kind != WEIR_V1_OP_LEAVE_OWN;
}

weir_v1_op *weir_v1_op_begin(weir_v1_session *session, weir_v1_op_kind kind,
                             const weir_v1_call *call)
{
    weir_v1_op *op = session->free_ops;
    if (op != NULL) {
        session->free_ops = op->next;
    } else {
        op = malloc(sizeof(*op));
        if (op == NULL) {
            return NULL;
        }
    }
    op->kind = kind;
    op->cancel_wanted = false;
    op->bytes_max = 0;
    op->held_topic = NULL;
    op->why = NULL;
    op->own_topic = false;
    op->again = false;
    op->many = NULL;
    op->subscription = NULL;
    op->member = NULL;
    op->call.request = call->request;
    op->call.frame_request = call->frame_request;
    op->call.frame = call->frame;
    op->call.quiet = call->quiet;
    op->call.id_len = call->id_len;
    memcpy(op->call.id, call->id, call->id_len);
    op->previous = NULL;
    op->next = session->ops;
    if (session->ops != NULL) {
        session->ops->previous = op;
    }
    session->ops = op;
    session->op_count++;
    session->in_flight += is_limited(kind);
    session->fetches += is_fetch(kind);
    return op;
}

void weir_v1_op_end(weir_v1_session *session, weir_v1_op *op)
{
    *(op->previous != NULL ? &op->previous->next : &session->ops) = op->next;
    if (op->next != NULL) {
        op->next->previous = op->previous;
    }
    session->op_count--;
    session->in_flight -= is_limited(op->kind);
    session->fetches -= is_fetch(op->kind);
    session->fetch_bytes -= op->bytes_max;
    session->held -= op->held_topic != NULL;
    session->held_under_way = session->held_under_way && !op->again;
    free(op->held_topic);
    free(op->why);
    op->next = session->free_ops;
    session->free_ops = op;
}

/* ---- Messages out -----------------------------------------------------------------------------
 */

void weir_v1_give_up(weir_v1_session *session)
{
    session->ended = true;
}

static void emit_count(weir_v1_session *session, size_t bytes)
{
    session->counters.messages_out++;
    session->waiting_bytes += bytes;
    if (!session->paused && session->waiting_bytes > session->config.limits->output_bytes_max) {
        session->paused = true;
        session->counters.paused_output++;
    }
}

static void emit_bytes(weir_v1_session *session, weir_v1_kind kind, weir_bytes bytes,
                       uint64_t request)
{
    if (session->closed || session->ended) {
        return; /* [S2] */
    }
    emit_count(session, bytes.len);
    session->config.emit(session->config.emit_arg, kind, bytes, request);
}

void weir_v1_gather_end(weir_v1_session *session)
{
    if (session->gather.len == 0) {
        return;
    }
    weir_v1_writer writer = {&session->gather, false};
    weir_v1_write_raw(&writer, "]}");
    if (writer.failed) {
        weir_v1_give_up(session);
    }
    emit_bytes(session, WEIR_V1_TEXT, weir_buffer_bytes(&session->gather), 0);
    session->gather.len = 0;
    session->gather_count = 0;
    weir_buffer_relax(&session->gather, 4096);
}

weir_buffer *weir_v1_emit_begin(weir_v1_session *session)
{
    if (session->closed || session->ended || session->config.emit_begin == NULL) {
        session->out.len = 0;
        return &session->out;
    }
    weir_v1_gather_end(session);
    return session->config.emit_begin(session->config.emit_arg);
}

void weir_v1_emit_end(weir_v1_session *session, const weir_buffer *out, size_t bytes,
                      uint64_t request)
{
    if (out == &session->out) {
        weir_v1_emit(session, WEIR_V1_BINARY, request);
        return;
    }
    if (bytes > 0) {
        emit_count(session, bytes);
    }
    session->config.emit_end(session->config.emit_arg);
}

void weir_v1_emit(weir_v1_session *session, weir_v1_kind kind, uint64_t request)
{
    weir_v1_gather_end(session);
    emit_bytes(session, kind, weir_buffer_bytes(&session->out), request);
    session->out.len = 0;
    weir_buffer_relax(&session->out, 4096);
}

static weir_v1_writer begin(weir_v1_session *session, const weir_v1_call *call, const char *next)
{
    session->out.len = 0;
    weir_v1_writer writer = {&session->out, false};
    weir_v1_write_raw(&writer, "{");
    if (call->id_len > 0) {
        weir_v1_write_raw(&writer, "\"id\":");
        weir_v1_write_span(&writer, (weir_bytes){(const uint8_t *)call->id, call->id_len});
        weir_v1_write_raw(&writer, ",");
    }
    weir_v1_write_raw(&writer, next);
    return writer;
}

weir_v1_writer weir_v1_reply_begin(weir_v1_session *session, const weir_v1_call *call)
{
    return begin(session, call, "\"ok\":true");
}

void weir_v1_reply_end(weir_v1_session *session, weir_v1_writer *writer, const weir_v1_call *call)
{
    weir_v1_write_raw(writer, "}");
    if (writer->failed) {
        weir_v1_give_up(session);
        return;
    }
    weir_v1_emit(session, WEIR_V1_TEXT, call->request);
}

void weir_v1_reply_ok(weir_v1_session *session, const weir_v1_call *call)
{
    weir_v1_writer writer = weir_v1_reply_begin(session, call);
    weir_v1_reply_end(session, &writer, call);
}

static void frame_error(weir_v1_session *session, const weir_v1_call *call,
                        const weir_v1_reason *reason)
{
    const char *text = reason->text[0] != 0 ? reason->text : weir_err_text(reason->err);
    weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_ERROR,
        .request = call->frame_request,
        .code = weir_bytes_of(reason->code != NULL ? reason->code : weir_err_name(reason->err)),
        .text = weir_bytes_of(text),
    };
    session->out.len = 0;
    if (weir_v1_frame_encode(&frame, &session->out) != WEIR_OK) {
        weir_v1_give_up(session);
        return;
    }
    weir_v1_emit(session, WEIR_V1_BINARY, call->request);
}

weir_v1_writer weir_v1_error_begin(weir_v1_session *session, const weir_v1_call *call,
                                   const weir_v1_reason *reason)
{
    session->counters.refused++;
    weir_v1_writer writer = begin(session, call, "\"error\":");
    weir_v1_write_reason(&writer, reason);
    return writer;
}

void weir_v1_reply_error(weir_v1_session *session, const weir_v1_call *call,
                         const weir_v1_reason *reason)
{
    if (call->frame) {
        session->counters.refused++;
        frame_error(session, call, reason);
        return;
    }
    weir_v1_writer writer = weir_v1_error_begin(session, call, reason);
    weir_v1_reply_end(session, &writer, call);
}

/* The sentence of the error is said to programmers; a peer wants to know what to send instead. */
static const char *advice(weir_err err)
{
    switch (err) {
    case WEIR_NOT_FOUND:
        return "No such topic is declared: create it with the command topic, or publish with name "
               "instead of topic for live delivery.";
    case WEIR_EXISTS:
        return "It exists with other settings: leave it as it is, change its durability with topic "
               "alter, or delete it first.";
    case WEIR_NAME_INVALID:
        return "Use 1 to 249 bytes of UTF-8 for a topic, without + # or control characters, empty "
               "levels or a leading $ or __; + and # stand only in filters. A full name has at most "
               "1024 bytes and 128 levels, and so has that of a retained record, its topic, / and "
               "its key: shorten the key, or leave out retain.";
    case WEIR_OFFSET_OUT_OF_RANGE:
        return "Ask topic offsets for the bounds, and use an offset within them.";
    case WEIR_TOO_LARGE:
        return "Send a smaller record: key, value and headers together are limited by "
               "record_bytes_max.";
    case WEIR_CLOSED:
        return "The gateway stops, or cannot write any more: whether this was done, nobody knows until "
               "it was started again.";
    default:
        return NULL;
    }
}

void weir_v1_reason_of(weir_v1_reason *reason, weir_err err)
{
    const char *text = advice(err);
    (void)weir_v1_refuse(reason, err, NULL, "%s", text != NULL ? text : weir_err_text(err));
}

void weir_v1_reply_err(weir_v1_session *session, const weir_v1_call *call, weir_err err)
{
    weir_v1_reason reason;
    weir_v1_reason_of(&reason, err);
    if (call->frame && err == WEIR_INVALID) {
        (void)weir_v1_refuse(
            &reason, err, NULL,
            "Build the batch for one partition: no weir- headers, header names in UTF-8, "
            "attributes 0, each record within record_bytes_max; with a producer id, an epoch and a "
            "first sequence that are not below 0.");
    }
    weir_v1_reply_error(session, call, &reason);
}

void weir_v1_write_published(weir_v1_writer *writer, const weir_published *published)
{
    const char *level = weir_level_name(published->level);
    weir_v1_write_raw(writer, "\"level\":");
    weir_v1_write_string(writer, weir_bytes_of(level));
    if (published->live) {
        weir_v1_write_raw(writer, ",\"live\":true");
        return;
    }
    weir_v1_write_raw(writer, ",\"partition\":");
    weir_v1_write_unsigned(writer, published->partition);
    if (published->duplicate) {
        weir_v1_write_raw(writer, ",\"duplicate\":true");
        return; /* where it was stored then is not remembered */
    }
    weir_v1_write_raw(writer, ",\"offset\":");
    weir_v1_write_integer(writer, published->offset);
    weir_v1_write_raw(writer, ",\"time\":");
    weir_v1_write_integer(writer, published->timestamp_ms);
}

void weir_v1_reply_op_err(weir_v1_session *session, const weir_v1_op *op, weir_err err)
{
    if (err != WEIR_NOT_FOUND || op->partition == 0) { /* every topic has the first one */
        weir_v1_reply_err(session, &op->call, err);
        return;
    }
    weir_v1_reason reason;
    weir_v1_refuse(
        &reason, err, "partition",
        "No partition %lu is there: the topic has fewer, which topic list tells, or is not "
        "declared.",
        (unsigned long)op->partition);
    weir_v1_reply_error(session, &op->call, &reason);
}
