/* adapters/proto/weir1/session.c - the conversation: what it takes, when it waits, how it ends.
 *
 *     new --hello--> greeted --goodbye--> leaving --nothing in flight--> ended
 *      |                |  \--drain--> draining (answers what is in flight, refuses new work)
 *      \---- fault -----+----------------------------------------------> ended
 *     any --close--> closed --last completion--> idle: may be destroyed
 *
 * One message is taken at a time. When the port has no room for its operation, the message is
 * parked: parsed, with how far it got; the session is blocked until a turn brings it through. A
 * message that was taken is never asked for again.
 *
 * A peer that sends but does not read is not read from either: replies would pile up in its output.
 *
 * [S3] At most one message is parked, and while one is, no other is taken.
 * [S4] in_flight never exceeds limits.in_flight_max: at the limit nothing is taken.
 * [S5] An operation's memory lives until its completion came, closed or not.
 * [S6] Fetches add at most one answer to a full output: what was found meanwhile is let go and
 *      fetched again when half has left, one at a time, and until then nothing is taken. Fetches
 *      that still wait for a record hold up nobody. */
#include "adapters/proto/weir1/session_private.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

weir_err weir_v1_session_create(const weir_v1_session_config *config, weir_v1_session **out)
{
    weir_v1_session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return WEIR_NO_MEMORY;
    }
    WEIR_ASSERT(strlen(config->name) <= WEIR_V1_NAME_BYTES_MAX);
    session->config = *config;
    strcpy(session->name, config->name);
    session->config.name = session->name;
    *out = session;
    return WEIR_OK;
}

static void parked_drop(weir_v1_session *session)
{
    if (session->parked_document.root != NULL) {
        weir_v1_document_fini(&session->parked_document);
    }
    weir_buffer_fini(&session->parked_frame);
    session->parked = false;
}

void weir_v1_session_destroy(weir_v1_session *session)
{
    if (session == NULL) {
        return;
    }
    WEIR_ASSERT(weir_v1_session_idle(session)); /* [S5] */
    parked_drop(session);
    weir_v1_fields_fini(&session->fields);
    weir_buffer_fini(&session->out);
    weir_buffer_fini(&session->gather);
    while (session->free_ops != NULL) {
        weir_v1_op *op = session->free_ops;
        session->free_ops = op->next;
        free(op);
    }
    for (uint32_t slot = 0; slot < session->subscription_slots; slot++) {
        free(session->subscriptions[slot]);
    }
    free(session->subscriptions);
    free(session);
}

/* ---- Messages in ------------------------------------------------------------------------------
 */

bool weir_v1_session_blocked(const weir_v1_session *session)
{
    return session->parked || session->leaving || (session->paused && session->config.push) ||
           session->held > 0 || session->in_flight >= session->config.limits->in_flight_max;
}

bool weir_v1_session_wants_turn(const weir_v1_session *session)
{
    bool room = session->in_flight < session->config.limits->in_flight_max;
    return (session->parked && room) || session->grants_wanted || session->closes_wanted ||
           session->cancels_wanted || session->members_wanted ||
           (session->held > 0 && !session->held_under_way && !session->paused);
}

uint64_t weir_v1_session_message_max(const weir_v1_session *session)
{
    const weir_limits *limits = session->config.limits;
    uint64_t packet = limits->packet_bytes_max;
    return session->greeted || packet < limits->connect_bytes_max ? packet
                                                                  : limits->connect_bytes_max;
}

static weir_err too_large(weir_v1_session *session, weir_bytes bytes)
{
    weir_v1_reason reason;
    weir_v1_call call = {0};
    if (bytes.len > 0 && bytes.ptr[0] != '{' &&
        (bytes.ptr[0] < WEIR_V1_FRAME_PRODUCE || bytes.ptr[0] > WEIR_V1_FRAME_SETTLE)) {
        weir_v1_refuse(&reason, WEIR_MALFORMED, NULL,
                       "Begin a message with {: one JSON object on one line; or send a frame of a "
                       "known type.");
    } else {
        weir_v1_refuse(&reason, WEIR_TOO_LARGE, NULL,
                       "Send at most %llu bytes in one message (limit %s).",
                       (unsigned long long)weir_v1_session_message_max(session),
                       session->greeted ? "packet_bytes_max" : "connect_bytes_max until hello");
    }
    weir_v1_reply_error(session, &call, &reason);
    session->ended = true;
    return WEIR_CLOSED;
}

/* Runs the message, or parks it. `document` is taken when it is parked. */
static weir_err run_text(weir_v1_session *session, weir_bytes message, uint64_t request)
{
    weir_v1_document document = {0};
    weir_v1_reason reason = {0};
    weir_v1_call call = {.request = request};
    weir_err err = weir_v1_document_parse(message, &document, reason.text);
    if (err != WEIR_OK) {
        reason.err = err;
        weir_v1_reply_error(session, &call, &reason);
        return WEIR_OK;
    }
    err = weir_v1_command_run(session, &document, request);
    if (err == WEIR_AGAIN) {
        session->parked_document = document;
        return WEIR_AGAIN;
    }
    weir_v1_document_fini(&document);
    return WEIR_OK;
}

static weir_err run_frame(weir_v1_session *session, weir_bytes message, uint64_t request)
{
    weir_err err = weir_v1_frame_run(session, message, request);
    if (err == WEIR_AGAIN && weir_buffer_append(&session->parked_frame, message.ptr, message.len)) {
        weir_v1_give_up(session);
        return WEIR_OK;
    }
    return err;
}

weir_err weir_v1_session_message(weir_v1_session *session, weir_bytes message, uint64_t request)
{
    if (session->ended || session->closed) {
        return WEIR_CLOSED;
    }
    if (weir_v1_session_blocked(session)) {
        return WEIR_AGAIN; /* [S3] [S4] */
    }
    if (message.len > weir_v1_session_message_max(session)) {
        return too_large(session, message);
    }
    session->counters.messages_in++;
    bool text = message.len > 0 && message.ptr[0] == '{';
    weir_err err =
        text ? run_text(session, message, request) : run_frame(session, message, request);
    if (err == WEIR_AGAIN) {
        session->parked = true;
        session->parked_request = request;
    }
    if (session->in_flight >= session->config.limits->in_flight_max) {
        session->counters.paused_in_flight++;
    }
    return session->ended ? WEIR_CLOSED : WEIR_OK;
}

weir_err weir_v1_session_stream(weir_v1_session *session, weir_bytes bytes, size_t *used)
{
    *used = 0;
    while (!session->ended && !session->closed) {
        if (weir_v1_session_blocked(session)) {
            return WEIR_AGAIN;
        }
        weir_bytes rest = {bytes.ptr + *used, bytes.len - *used};
        weir_bytes message;
        size_t step = 0;
        weir_err err = weir_v1_split(&session->splitter, rest,
                                     (size_t)weir_v1_session_message_max(session), &message, &step);
        *used += step;
        if (err == WEIR_MORE) {
            return WEIR_OK;
        }
        if (err == WEIR_TOO_LARGE) {
            return too_large(session, (weir_bytes){rest.ptr + step, rest.len - step});
        }
        err = weir_v1_session_message(session, message, 0);
        WEIR_ASSERT(err != WEIR_AGAIN); /* looked at above */
    }
    return WEIR_CLOSED;
}

/* Tries the parked message again. */
static void parked_run(weir_v1_session *session)
{
    if (session->in_flight >= session->config.limits->in_flight_max) {
        return; /* [S4] */
    }
    weir_err err = WEIR_OK;
    if (session->parked_document.root != NULL) {
        err = weir_v1_command_run(session, &session->parked_document, session->parked_request);
    } else {
        err = weir_v1_frame_run(session, weir_buffer_bytes(&session->parked_frame),
                                session->parked_request);
    }
    if (err != WEIR_AGAIN) {
        parked_drop(session);
    }
}

/* ---- Turns ------------------------------------------------------------------------------------
 */

void weir_v1_fetches_cancel(weir_v1_session *session)
{
    const weir_v1_session_config *config = &session->config;
    session->cancels_wanted = false;
    for (weir_v1_op *op = session->ops, *next = NULL; op != NULL; op = next) {
        next = op->next;
        if (!op->cancel_wanted) {
            continue;
        }
        if (op->held_topic != NULL) { /* not in the port, and answered unless nobody is there */
            op->cancel_wanted = false;
            if (session->closed) {
                weir_v1_op_end(session, op);
            }
            continue;
        }
        if (op->member != NULL && op->member->state == WEIR_V1_MEMBER_LEAVING) {
            op->cancel_wanted = false; /* its leave ends the take */
            continue;
        }
        weir_err err =
            op->member != NULL
                ? config->port_ops->take_cancel(config->port, op->member->member)
                : config->port_ops->fetch_cancel(config->port, config->user, weir_v1_op_token(op));
        session->submitted = true;
        op->cancel_wanted = err == WEIR_AGAIN;
        session->cancels_wanted |= op->cancel_wanted;
    }
}

static bool is_take(const weir_v1_op *op)
{
    return op->kind == WEIR_V1_OP_LEASE || op->kind == WEIR_V1_OP_PUSH;
}

static void takes_cancel_all(weir_v1_session *session)
{
    for (weir_v1_op *op = session->ops; op != NULL; op = op->next) {
        op->cancel_wanted |= is_take(op);
    }
    weir_v1_fetches_cancel(session);
}

/* Fetches and takes. */
static void fetches_cancel_all(weir_v1_session *session)
{
    for (weir_v1_op *op = session->ops; op != NULL; op = op->next) {
        op->cancel_wanted =
            op->kind == WEIR_V1_OP_FETCH || op->kind == WEIR_V1_OP_FETCH_FRAME || is_take(op);
    }
    weir_v1_fetches_cancel(session);
}

bool weir_v1_session_turn(weir_v1_session *session)
{
    if (session->parked && !session->closed && !session->ended) {
        parked_run(session);
    }
    if (session->cancels_wanted) {
        weir_v1_fetches_cancel(session);
    }
    weir_v1_gather_end(session);
    weir_v1_fetches_again(session);
    if (session->grants_wanted || session->closes_wanted) {
        weir_v1_subscriptions_turn(session);
    }
    if (session->members_wanted) {
        weir_v1_members_turn(session);
    }
    weir_v1_goodbye_check(session);
    return weir_v1_session_submitted(session);
}

bool weir_v1_session_submitted(weir_v1_session *session)
{
    bool submitted = session->submitted;
    session->submitted = false;
    return submitted;
}

bool weir_v1_session_output(weir_v1_session *session, uint64_t waiting_bytes)
{
    session->waiting_bytes = waiting_bytes;
    if (session->paused && waiting_bytes < session->config.limits->output_bytes_max / 2) {
        session->paused = false;
        session->grants_wanted = true;
        weir_v1_fetches_again(session);
        weir_v1_subscriptions_turn(session);
        weir_v1_members_turn(session);
    }
    return weir_v1_session_submitted(session);
}

/* ---- Endings ----------------------------------------------------------------------------------
 */

void weir_v1_session_fail(weir_v1_session *session, weir_err err, const char *text)
{
    weir_v1_reason reason;
    weir_v1_call call = {0};
    weir_v1_refuse(&reason, err, NULL, "%s", text);
    if (session->config.push) {
        weir_v1_reply_error(session, &call, &reason);
    }
    session->ended = true;
}

void weir_v1_session_drain(weir_v1_session *session)
{
    if (session->draining || session->ended || session->closed) {
        return;
    }
    session->draining = true;
    if (session->config.push && session->greeted) {
        session->out.len = 0;
        weir_v1_writer writer = {&session->out, false};
        weir_v1_write_raw(&writer, "{\"type\":\"drain\",\"text\":\"The gateway is closing: finish, "
                                   "and connect again later.\"}");
        if (writer.failed) {
            weir_v1_give_up(session);
            return;
        }
        weir_v1_emit(session, WEIR_V1_TEXT, 0);
    }
    fetches_cancel_all(session);
}

void weir_v1_session_silent(weir_v1_session *session)
{
    session->silent = true;
    if (!session->closed) {
        takes_cancel_all(session);
    }
}

void weir_v1_goodbye_check(weir_v1_session *session)
{
    if (session->leaving && !session->ended && session->op_count == 0 &&
        session->subscription_count == 0 && session->member_count == 0) {
        weir_v1_reply_ok(session, &session->goodbye);
        session->ended = true;
    }
}

/* A parked command that never came through: what it had made goes with it. */
static void parked_abandon(weir_v1_session *session)
{
    weir_v1_many *many = session->parked_many;
    session->parked_many = NULL;
    session->parked_subscription = NULL; /* closed with the others */
    if (many != NULL) {
        many->count = many->submitted;
        if (many->done == many->count) {
            weir_v1_many_destroy(many);
        }
    }
    parked_drop(session);
}

void weir_v1_session_close(weir_v1_session *session)
{
    if (session->closed) {
        return;
    }
    session->closed = true;
    session->ended = true;
    session->gather.len = 0;
    parked_abandon(session);
    fetches_cancel_all(session);
    weir_v1_subscriptions_close(session);
    weir_v1_members_close(session, session->draining); /* [M2] */
}

bool weir_v1_session_greeted(const weir_v1_session *session)
{
    return session->greeted;
}

bool weir_v1_session_ended(const weir_v1_session *session)
{
    return session->ended;
}

bool weir_v1_session_idle(const weir_v1_session *session)
{
    if (session->closed) {
        return session->op_count == 0 && session->subscription_count == 0 &&
               session->member_count == 0;
    }
    return session->op_count == 0 && !session->parked;
}

const weir_v1_counters *weir_v1_session_counters(const weir_v1_session *session)
{
    return &session->counters;
}
