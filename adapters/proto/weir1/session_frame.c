/* adapters/proto/weir1/session_frame.c - binary frames in: produce-batch, fetch-batch, lease-batch
 * and settle-ranges.
 *
 * The batches go to the port as they came: they are checked there, on this thread, before the
 * engine sees them. A frame that does not decode is answered with an error frame, and the
 * conversation goes on, since its length told where the next message begins.
 *
 * [B1] Every frame is answered by exactly one frame that carries its request id (0 when the frame
 *      ended before its id). */
#include "adapters/proto/weir1/session_private.h"

static weir_err submit_produce(weir_v1_session *session, const weir_v1_frame *frame,
                               const weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    if (frame->batches.len == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, NULL,
                              "Put at least one RecordBatch behind the request id.");
    }
    weir_v1_op *op = weir_v1_op_begin(session, WEIR_V1_OP_PRODUCE, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->partition = frame->partition;
    weir_err err =
        config->port_ops->produce_batch(config->port, frame->topic, frame->partition,
                                        frame->batches, config->user, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
    }
    return err;
}

static weir_err submit_fetch(weir_v1_session *session, const weir_v1_frame *frame,
                             const weir_v1_call *call, weir_v1_reason *reason)
{
    if (frame->offset < 0 || frame->bytes_max == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, NULL,
                              "Give an offset from 0, and max bytes from 1.");
    }
    weir_err err = weir_v1_fetch_wait_check(session, frame->wait_ms, reason);
    if (err != WEIR_OK) {
        return err;
    }
    weir_fetch fetch = {
        .topic = frame->topic,
        .partition = frame->partition,
        .offset = frame->offset,
        .wait_ms = frame->wait_ms,
    };
    return weir_v1_fetch_submit(session, WEIR_V1_OP_FETCH_FRAME, &fetch, frame->bytes_max, call,
                                reason);
}

static weir_err frame_check(const weir_v1_session *session, weir_err decoded, bool settles,
                            weir_v1_reason *reason)
{
    weir_err err = WEIR_OK;
    switch (decoded) {
    case WEIR_OK:
        err = session->parked ? WEIR_OK : weir_v1_command_allowed(session, reason);
        return err == WEIR_CLOSED && settles ? WEIR_OK : err; /* a drain lets members finish */
    case WEIR_UNSUPPORTED:
        return weir_v1_refuse(reason, WEIR_UNSUPPORTED, NULL,
                              "Send frames of type 1 (produce-batch), 2 (fetch-batch), 3 "
                              "(lease-batch) or 4 (settle-ranges); a text message begins with {.");
    default:
        return weir_v1_refuse(reason, WEIR_MALFORMED, NULL,
                              "Make the frame's length fit its fields: see docs/weir.v1.md.");
    }
}

weir_err weir_v1_frame_run(weir_v1_session *session, weir_bytes message, uint64_t request)
{
    weir_v1_frame frame = {0};
    weir_v1_reason reason = {0};
    weir_err decoded = weir_v1_frame_decode(message, &frame);
    if (decoded == WEIR_OK && frame.type > WEIR_V1_FRAME_SETTLE) {
        decoded = WEIR_UNSUPPORTED; /* an answer is nothing to ask */
    }
    weir_v1_call call = {.request = request, .frame = true, .frame_request = frame.request};
    weir_err err = frame_check(session, decoded, frame.type == WEIR_V1_FRAME_SETTLE, &reason);
    if (err == WEIR_OK) {
        err = frame.type == WEIR_V1_FRAME_PRODUCE ? submit_produce(session, &frame, &call, &reason)
              : frame.type == WEIR_V1_FRAME_FETCH ? submit_fetch(session, &frame, &call, &reason)
              : frame.type == WEIR_V1_FRAME_LEASE
                  ? weir_v1_frame_lease(session, &frame, &call, &reason)
                  : weir_v1_frame_settle(session, &frame, &call, &reason);
    }
    if (err == WEIR_OK) {
        session->submitted = true;
    } else if (err != WEIR_AGAIN && reason.text[0] != 0) {
        weir_v1_reply_error(session, &call, &reason);
    } else if (err != WEIR_AGAIN) {
        weir_v1_reply_err(session, &call, err);
    }
    return err == WEIR_AGAIN ? WEIR_AGAIN : WEIR_OK;
}
