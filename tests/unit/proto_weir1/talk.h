/* tests/unit/proto_weir1/talk.h - a session that talks to a fake port: said to, heard, completed by hand.
 *
 * What the session emits is kept in talk->said, frames in talk->frames. */
#ifndef WEIR_TESTS_TALK_H
#define WEIR_TESTS_TALK_H

#include "tests/unit/proto_weir1/fake_port.h"

typedef struct talk {
    weir_port port;
    weir_limits limits;
    weir_v1_session *session;
    weir_buffer said; /* messages, each followed by a newline; frames by their hex on a line */
    size_t said_count;
    uint64_t last_request;
    weir_buffer frames; /* the frames, as they are */
} talk;

static void talk_emit(void *arg, weir_v1_kind kind, weir_bytes bytes, uint64_t request)
{
    talk *t = arg;
    t->said_count++;
    t->last_request = request;
    if (kind == WEIR_V1_BINARY) {
        weir_buffer_append(&t->frames, bytes.ptr, bytes.len);
        return;
    }
    weir_buffer_append(&t->said, bytes.ptr, bytes.len);
    weir_buffer_append(&t->said, "\n", 1);
}

/* Limits are changed in t->limits, which the session reads at each use. */
FAKE_UNUSED static talk *talk_new_in(bool push, weir_host *host)
{
    talk *t = calloc(1, sizeof(*t));
    t->port.room = -1;
    t->limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    const weir_v1_session_config config = {
        .port_ops = &fake_port_ops,
        .port = &t->port,
        .user = t,
        .limits = &t->limits,
        .name = "s1",
        .push = push,
        .origin = push ? "websocket" : "nng",
        .host = host,
        .emit_arg = t,
        .emit = talk_emit,
    };
    if (weir_v1_session_create(&config, &t->session) != WEIR_OK) {
        abort();
    }
    return t;
}

FAKE_UNUSED static talk *talk_new(bool push)
{
    return talk_new_in(push, NULL);
}

/* What was said since the last call, as one string; valid until the next message. */
FAKE_UNUSED static const char *talk_said(talk *t)
{
    static char text[1 << 20];
    size_t len = t->said.len < sizeof(text) - 1 ? t->said.len : sizeof(text) - 1;
    if (len > 0) {
        memcpy(text, t->said.ptr, len);
    }
    text[len] = 0;
    t->said.len = 0;
    t->said_count = 0;
    return text;
}

FAKE_UNUSED static weir_err talk_say(talk *t, const char *text)
{
    return weir_v1_session_message(t->session, weir_bytes_of(text), 0);
}

/* Says it and returns the answer, without its newline. */
FAKE_UNUSED static const char *talk_ask(talk *t, const char *text)
{
    (void)talk_said(t);
    (void)talk_say(t, text);
    char *said = (char *)(uintptr_t)talk_said(t);
    size_t len = strlen(said);
    if (len > 0) {
        said[len - 1] = 0;
    }
    return said;
}

FAKE_UNUSED static fake_op *talk_last(talk *t)
{
    return t->port.count == 0 ? NULL : &t->port.ops[t->port.count - 1];
}

/* Completes an operation; `like` (may be NULL) has what it gives back. */
FAKE_UNUSED static void talk_complete(talk *t, fake_op *op, weir_err err,
                                      const weir_completion *like)
{
    weir_completion completion = {0};
    if (like != NULL) {
        completion = *like;
    }
    completion.type = fake_completion_type(op->kind);
    completion.err = err;
    completion.user = t;
    completion.token = op->token;
    op->done = true;
    weir_v1_session_completion(t->session, &completion);
}

FAKE_UNUSED static void talk_complete_all(talk *t)
{
    for (size_t i = 0; i < t->port.count; i++) {
        if (!t->port.ops[i].done && t->port.ops[i].kind != FAKE_CANCEL) {
            talk_complete(t, &t->port.ops[i], WEIR_OK, NULL);
        }
    }
}

FAKE_UNUSED static void talk_deliver(talk *t, weir_subscriber *subscriber, uint32_t slot,
                                     weir_chunk *chunk, uint32_t first, uint32_t count)
{
    weir_completion completion = {.type = WEIR_COMPLETION_DELIVERY};
    completion.delivery = (weir_delivery){
        .subscriber = subscriber, .chunk = chunk, .first = first, .count = count, .slot = slot};
    weir_v1_session_completion(t->session, &completion);
}

/* Closes, completes what is in flight, and frees. */
FAKE_UNUSED static void talk_free(talk *t)
{
    t->port.room = -1;
    t->port.err = WEIR_OK;
    weir_v1_session_close(t->session);
    for (int i = 0; i < 4 && !weir_v1_session_idle(t->session); i++) {
        weir_v1_session_turn(t->session);
        talk_complete_all(t);
        t->port.count = 0;
    }
    weir_v1_session_destroy(t->session);
    weir_buffer_fini(&t->said);
    weir_buffer_fini(&t->frames);
    free(t);
}

#define TALK_HELLO "{\"cmd\":\"hello\",\"version\":1}"

/* A greeted conversation that pushes. */
FAKE_UNUSED static talk *talk_greeted(void)
{
    talk *t = talk_new(true);
    (void)talk_ask(t, TALK_HELLO);
    return t;
}

#endif
