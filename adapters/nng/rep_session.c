/* adapters/nng/rep_session.c - alone responsible for finding a request's session, and for how long
 * sessions and connections are remembered. The rules are told at the top of rep.c, where [R1] to
 * [R3] stand.
 *
 *   "session" in the text? --known--> that one          --unknown--> error not-found
 *   no: the connection's last hello? --> that one       no: a new one
 *
 * Texts are searched for the word before they are parsed: a request without "session" in it costs
 * no second parse. A command that spells the member with escapes counts as one without.
 *
 * [E1] The list by use holds exactly the sessions of the table, least recently used first. */
#include "adapters/nng/rep_private.h"

#include "adapters/proto/weir1/frame.h"
#include "adapters/proto/weir1/record_json.h"
#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { ID_TEXT_MAX = 64 }; /* bytes of an id that is a string: the session's own limit */

/* ---- Errors of our own ------------------------------------------------------------------------
 */

static void text_refuse(weir_bytes request, const weir_v1_reason *reason, weir_buffer *out)
{
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX];
    weir_v1_writer writer = {out, false};
    weir_v1_write_raw(&writer, "{");
    if (weir_v1_document_parse(request, &document, why) == WEIR_OK) {
        const weir_v1_node *id = weir_v1_node_member(document.root, "id");
        int64_t number = 0;
        weir_bytes text;
        if (weir_v1_node_integer(id, &number) ||
            (weir_v1_node_text(id, &text) && text.len <= ID_TEXT_MAX)) {
            weir_v1_write_raw(&writer, "\"id\":");
            weir_v1_write_node(&writer, id);
            weir_v1_write_raw(&writer, ",");
        }
        weir_v1_document_fini(&document);
    }
    weir_v1_write_raw(&writer, "\"error\":");
    weir_v1_write_reason(&writer, reason);
    weir_v1_write_raw(&writer, "}");
}

/* A frame's type is no printable character; what begins with one was written by a person. */
static bool is_frame(weir_bytes request)
{
    return request.len > 0 && (request.ptr[0] < ' ' || request.ptr[0] > '~');
}

static void command_refuse(rep_command *command, weir_err err, const char *field, const char *text)
{
    weir_buffer out = {0};
    weir_v1_reason reason = {0};
    bool frame = is_frame(command->request_bytes);
    weir_counter_add(&command->rep->adapter->counters.rep_refused, 1);
    (void)weir_v1_refuse(&reason, err, field, "%s", text);
    if (frame) {
        weir_v1_frame asked = {0};
        (void)weir_v1_frame_decode(command->request_bytes, &asked);
        const weir_v1_frame answer = {.type = WEIR_V1_FRAME_ERROR,
                                      .request = asked.request,
                                      .code = weir_bytes_of(weir_err_name(err)),
                                      .text = weir_bytes_of(text)};
        (void)weir_v1_frame_encode(&answer, &out);
    } else {
        text_refuse(command->request_bytes, &reason, &out);
    }
    weir_nng_command_reply(command, weir_buffer_bytes(&out));
    weir_buffer_fini(&out);
}

/* ---- Connections ------------------------------------------------------------------------------
 */

static weir_bytes pipe_key(const rep_pipe *pipe)
{
    return (weir_bytes){(const uint8_t *)&pipe->id, sizeof(pipe->id)};
}

static void pipe_free(rep_pipe *pipe)
{
    weir_nng_rep *rep = pipe->rep;
    pthread_mutex_lock(&rep->pipes_lock);
    (void)weir_map_remove(&rep->pipes, pipe_key(pipe));
    pthread_mutex_unlock(&rep->pipes_lock);
    free(pipe);
}

static void held_append(rep_command ***tail, rep_command *command)
{
    command->next = NULL;
    **tail = command;
    *tail = &command->next;
}

static rep_command *held_take(rep_command **first, rep_command ***tail)
{
    rep_command *command = *first;
    if (command != NULL) {
        *first = command->next;
        *tail = *first == NULL ? first : *tail;
        command->next = NULL;
    }
    return command;
}

/* True: it was there. */
static bool held_remove(rep_command **first, rep_command ***tail, const rep_command *command)
{
    rep_command **link = first;
    while (*link != NULL && *link != command) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return false;
    }
    *link = command->next;
    *tail = *link == NULL ? link : *tail;
    return true;
}

static void session_close(rep_session *session);

/* Nobody waits for the reply: the context is free for the next request. What the session has under
 * way goes on without it, unless too much does. */
static void command_orphan(rep_command *command)
{
    weir_nng_rep *rep = command->rep;
    rep_session *session = command->session;
    (void)held_remove(&command->pipe->held, &command->pipe->held_tail, command);
    if (session != NULL && !held_remove(&session->held, &session->held_tail, command)) {
        rep->orphans++; /* [R4] */
        session->orphans++;
    }
    weir_nng_command_forget(command);
    if (session != NULL && rep->orphans > REP_ORPHANS_MAX) {
        session_close(session);
    }
}

static void pipe_left_run(weir_loop *loop, void *arg)
{
    rep_pipe *pipe = arg;
    weir_nng_rep *rep = pipe->rep;
    (void)loop;
    for (uint32_t i = 0; i < rep->command_count && pipe->commands > 0; i++) {
        rep_command *command = rep->commands[i];
        if (command->state == REP_RUNNING && command->pipe == pipe) {
            command_orphan(command);
        }
    }
    pipe->left = true;
    if (pipe->commands == 0) {
        pipe_free(pipe);
    }
    weir_nng_settle(rep->adapter);
}

void weir_nng_pipe_joined(void *arg, uint32_t id)
{
    weir_nng_rep *rep = arg;
    rep_pipe *pipe = calloc(1, sizeof(*pipe));
    weir_err err = WEIR_NO_MEMORY;
    if (pipe != NULL) {
        pipe->rep = rep;
        pipe->id = id;
        pipe->held_tail = &pipe->held;
        pipe->left_call = (weir_call){.fn = pipe_left_run, .arg = pipe};
        pthread_mutex_lock(&rep->pipes_lock);
        err = weir_map_set(&rep->pipes, pipe_key(pipe), pipe);
        pthread_mutex_unlock(&rep->pipes_lock);
    }
    if (err != WEIR_OK) {
        free(pipe);
        (void)nng_pipe_close((nng_pipe){id});
    }
}

void weir_nng_pipe_left(void *arg, uint32_t id)
{
    weir_nng_rep *rep = arg;
    rep_pipe *pipe = weir_nng_pipe_find(rep, id);
    if (pipe != NULL) {
        weir_nng_hand(rep->adapter, &pipe->left_call);
    }
}

rep_pipe *weir_nng_pipe_find(weir_nng_rep *rep, uint32_t id)
{
    rep_pipe *pipe = NULL;
    pthread_mutex_lock(&rep->pipes_lock);
    pipe = weir_map_get(&rep->pipes, (weir_bytes){(const uint8_t *)&id, sizeof(id)});
    pthread_mutex_unlock(&rep->pipes_lock);
    return pipe;
}

void weir_nng_pipes_fini(weir_nng_rep *rep)
{
    size_t position = 0;
    rep_pipe *pipe = NULL;
    while ((pipe = weir_map_next(&rep->pipes, &position)) != NULL) {
        (void)weir_map_remove(&rep->pipes, pipe_key(pipe));
        free(pipe);
    }
    weir_map_fini(&rep->pipes);
}

static void command_start(rep_command *command);

void weir_nng_pipe_done(rep_pipe *pipe, size_t reply_bytes)
{
    uint64_t enough = pipe->rep->adapter->host->limits->output_bytes_max / 2;
    pipe->waiting_bytes -= reply_bytes;
    pipe->commands--;
    while (!pipe->rep->closed && pipe->waiting_bytes <= enough && pipe->held != NULL) {
        command_start(
            held_take(&pipe->held, &pipe->held_tail)); /* it is in commands: no end here */
    }
    if (pipe->left && pipe->commands == 0) {
        pipe_free(pipe);
    }
}

/* ---- Sessions' lives --------------------------------------------------------------------------
 */

static void use_unlink(rep_session *session)
{
    weir_nng_rep *rep = session->rep;
    *(session->older != NULL ? &session->older->newer : &rep->oldest) = session->newer;
    *(session->newer != NULL ? &session->newer->older : &rep->newest) = session->older;
    session->older = NULL;
    session->newer = NULL;
}

static void use_append(rep_session *session)
{
    weir_nng_rep *rep = session->rep;
    session->older = rep->newest;
    *(rep->newest != NULL ? &rep->newest->newer : &rep->oldest) = session;
    rep->newest = session;
    session->used_ms = weir_loop_now_ms(rep->adapter->loop);
}

static weir_bytes session_key(const rep_session *session)
{
    return (weir_bytes){(const uint8_t *)session->token, REP_TOKEN_BYTES};
}

static void session_destroy_when_idle(rep_session *session)
{
    weir_nng_rep *rep = session->rep;
    if (!session->closing || session->commands > 0 || !weir_v1_session_idle(session->v1)) {
        return;
    }
    weir_loop_turn_end_cancel(rep->adapter->loop, &session->turn_end);
    weir_v1_session_destroy(session->v1);
    free(session);
    rep->closing_count--;
    weir_nng_settle(rep->adapter);
}

/* What the session will never answer gets an answer here. */
static void session_abandon(rep_session *session)
{
    weir_nng_rep *rep = session->rep;
    session->held = NULL;
    session->held_tail = &session->held;
    for (uint32_t i = 0; i < rep->command_count && session->commands > 0; i++) {
        rep_command *command = rep->commands[i];
        if (command->state == REP_RUNNING && command->session == session) {
            command_refuse(command, WEIR_CLOSED, NULL,
                           "The session has ended: say hello, and ask again.");
        }
    }
}

/* [R3] Its replies are on their way, or will never be. */
static void session_close(rep_session *session)
{
    weir_nng_rep *rep = session->rep;
    if (session->closing) {
        return;
    }
    session->closing = true;
    (void)weir_map_remove(&rep->sessions, session_key(session));
    use_unlink(session); /* [E1] */
    rep->session_count--;
    rep->closing_count++;
    weir_counter_subtract(&rep->adapter->counters.sessions, 1);
    session_abandon(session);
    rep->orphans -= session->orphans; /* [R4] a closed session emits no more */
    session->orphans = 0;
    weir_v1_session_close(session->v1);
    weir_loop_kick(rep->adapter->loop);
    weir_loop_at_turn_end(rep->adapter->loop, &session->turn_end);
}

/* Gives it what it had no room for, as far as it has now. */
static void session_feed(rep_session *session)
{
    while (session->held != NULL && !weir_v1_session_blocked(session->v1) &&
           !weir_v1_session_ended(session->v1)) {
        rep_command *command = held_take(&session->held, &session->held_tail);
        (void)weir_v1_session_message(session->v1, command->request_bytes, command->request_number);
    }
}

static void counters_add(rep_session *session)
{
    const weir_v1_counters *now = weir_v1_session_counters(session->v1);
    weir_nng_counters *sum = &session->rep->adapter->counters;
    weir_counter_add(&sum->narrowed_fetch, now->narrowed_fetch - session->counted.narrowed_fetch);
    weir_counter_add(&sum->refused_wait, now->refused_wait - session->counted.refused_wait);
    weir_counter_add(&sum->refused_fetches,
                     now->refused_fetches - session->counted.refused_fetches);
    weir_counter_add(&sum->refused_members,
                     now->refused_members - session->counted.refused_members);
    session->counted = *now;
}

static void session_turn(weir_turn_end *end)
{
    rep_session *session = (rep_session *)((char *)end - offsetof(rep_session, turn_end));
    weir_loop *loop = session->rep->adapter->loop;
    counters_add(session);
    if (weir_v1_session_turn(session->v1)) {
        weir_loop_kick(loop);
    }
    if (!session->closing) {
        session_feed(session);
        if (weir_v1_session_ended(session->v1)) {
            session_close(session);
        } else if (!weir_v1_session_greeted(session->v1) && session->commands == 0) {
            session_close(session); /* what was no hello leaves nothing behind */
        } else if (weir_v1_session_blocked(session->v1)) {
            weir_loop_at_turn_end(loop, &session->turn_end);
        }
    } else if (!weir_v1_session_idle(session->v1)) {
        weir_loop_at_turn_end(loop,
                              &session->turn_end); /* cancels that had no room are tried again */
    }
    session_destroy_when_idle(session);
}

static void session_complete(weir_sink *sink, weir_completion *completion)
{
    rep_session *session = (rep_session *)sink;
    weir_v1_session_completion(session->v1, completion);
    weir_loop_at_turn_end(session->rep->adapter->loop, &session->turn_end);
}

static void session_emit(void *arg, weir_v1_kind kind, weir_bytes bytes, uint64_t request)
{
    rep_session *session = arg;
    weir_nng_rep *rep = session->rep;
    rep_command *command = NULL;
    (void)kind; /* a text begins with {, a frame does not */
    if (request == 0) {
        return; /* nothing is said here that was not asked for */
    }
    command = rep->commands[(request & REP_NUMBER_MASK) - 1];
    if (command->request_number != request) {
        rep->orphans--; /* [R4] its connection is gone */
        session->orphans--;
        return;
    }
    WEIR_ASSERT(command->state == REP_RUNNING && command->session == session); /* [R2] */
    weir_nng_command_reply(command, bytes);
}

static bool token_make(char token[REP_TOKEN_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t chance[REP_TOKEN_BYTES / 2];
    if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(chance); i++) {
        token[2 * i] = digits[chance[i] >> 4];
        token[2 * i + 1] = digits[chance[i] & 15];
    }
    token[REP_TOKEN_BYTES] = '\0';
    return true;
}

static weir_err session_open(rep_session *session)
{
    weir_adapter *adapter = session->rep->adapter;
    const weir_v1_session_config config = {
        .port_ops = &weir_v1_port_real,
        .port = weir_loop_port(adapter->loop),
        .user = &session->sink,
        .limits = adapter->host->limits,
        .host = adapter->host,
        .name = session->token,
        .push = false,
        .origin = "nng",
        .emit_arg = session,
        .emit = session_emit,
    };
    weir_err err = weir_v1_session_create(&config, &session->v1);
    if (err == WEIR_OK) {
        err = weir_map_set(&session->rep->sessions, session_key(session), session);
        if (err != WEIR_OK) {
            weir_v1_session_destroy(session->v1);
        }
    }
    return err;
}

static bool session_expendable(const rep_session *session)
{
    return session != NULL && session->commands == 0;
}

/* NULL: no memory, or all that there may be are busy. */
static rep_session *session_make(weir_nng_rep *rep)
{
    rep_session *session = NULL;
    if (rep->session_count >= rep->adapter->host->limits->connections_max) {
        if (!session_expendable(rep->oldest)) {
            return NULL;
        }
        weir_counter_add(&rep->adapter->counters.sessions_expired, 1);
        session_close(rep->oldest);
    }
    session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->sink.complete = session_complete;
    session->turn_end.run = session_turn;
    session->rep = rep;
    session->held_tail = &session->held;
    if (!token_make(session->token) || session_open(session) != WEIR_OK) {
        free(session);
        return NULL;
    }
    use_append(session); /* [E1] */
    rep->session_count++;
    weir_counter_add(&rep->adapter->counters.sessions, 1);
    return session;
}

/* ---- Routing ----------------------------------------------------------------------------------
 */

/* What a request says about its session. */
typedef struct rep_address {
    bool hello;
    bool named;
    char token[REP_TOKEN_BYTES + 1]; /* named; empty: no token can be like that */
} rep_address;

static bool has_word(weir_bytes text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static rep_address address_read(weir_bytes request)
{
    rep_address address = {0};
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX];
    weir_bytes text = WEIR_BYTES_NULL;
    if (request.len == 0 || request.ptr[0] != '{' ||
        (!has_word(request, "\"session\"") && !has_word(request, "\"hello\"")) ||
        weir_v1_document_parse(request, &document, why) != WEIR_OK) {
        return address;
    }
    address.hello = weir_v1_node_text(weir_v1_node_member(document.root, "cmd"), &text) &&
                    weir_bytes_equal(text, WEIR_TEXT("hello"));
    if (weir_v1_node_kind_of(weir_v1_node_member(document.root, "session")) != WEIR_V1_ABSENT) {
        address.named = true;
        if (weir_v1_node_text(weir_v1_node_member(document.root, "session"), &text) &&
            text.len == REP_TOKEN_BYTES) {
            memcpy(address.token, text.ptr, REP_TOKEN_BYTES);
        }
    }
    weir_v1_document_fini(&document);
    return address;
}

static rep_session *session_find(weir_nng_rep *rep, const char *token)
{
    if (token[0] == '\0') {
        return NULL;
    }
    return weir_map_get(&rep->sessions, (weir_bytes){(const uint8_t *)token, REP_TOKEN_BYTES});
}

static rep_session *session_choose(rep_command *command)
{
    weir_nng_rep *rep = command->rep;
    rep_address address = address_read(command->request_bytes);
    rep_session *session = NULL;
    if (!address.hello) {
        session = session_find(rep, address.named ? address.token : command->pipe->token);
        if (session == NULL && address.named) {
            command_refuse(command, WEIR_NOT_FOUND, "session",
                           "No such session is open: say hello, and use the token in its answer.");
            return NULL;
        }
    }
    if (session == NULL) {
        session = session_make(rep);
        if (session == NULL) {
            command_refuse(command, WEIR_LIMIT, NULL,
                           "All sessions are in use (limit connections_max): ask again later.");
            return NULL;
        }
        memcpy(command->pipe->token, session->token, sizeof(session->token));
        if (rep->draining) {
            weir_v1_session_drain(session->v1);
        }
        return session;
    }
    use_unlink(session);
    use_append(session);
    return session;
}

/* The connection has room for the reply. */
static void command_start(rep_command *command)
{
    rep_session *session = session_choose(command);
    if (session == NULL) {
        return; /* answered */
    }
    command->session = session;
    session->commands++; /* [R1] */
    if (command->request_bytes.len > weir_v1_session_message_max(session->v1)) {
        command_refuse(command, WEIR_TOO_LARGE, NULL,
                       "Send a smaller message (limit packet_bytes_max; connect_bytes_max until "
                       "hello).");
        return;
    }
    weir_loop_kick(command->rep->adapter->loop);
    weir_loop_at_turn_end(command->rep->adapter->loop, &session->turn_end);
    if (session->held != NULL || weir_v1_session_blocked(session->v1)) {
        held_append(&session->held_tail, command);
        return;
    }
    (void)weir_v1_session_message(session->v1, command->request_bytes, command->request_number);
}

void weir_nng_command_route(rep_command *command)
{
    const weir_limits *limits = command->rep->adapter->host->limits;
    rep_pipe *pipe = command->pipe;
    weir_bytes request = command->request_bytes;
    if (!is_frame(request) && (request.len == 0 || request.ptr[0] != '{')) {
        command_refuse(command, WEIR_MALFORMED, NULL,
                       "Begin a message with {: one JSON object; or send a frame of a known type.");
    } else if (pipe->commands > limits->fetches_max) {
        weir_counter_add(&command->rep->adapter->counters.refused_fetches, 1);
        command_refuse(command, WEIR_LIMIT, NULL,
                       "Wait for earlier answers: this many commands of one connection are under "
                       "way already (limit fetches_max).");
    } else if (pipe->held != NULL || pipe->waiting_bytes > limits->output_bytes_max) {
        held_append(&pipe->held_tail, command);
    } else {
        command_start(command);
    }
}

/* ---- All of them ------------------------------------------------------------------------------
 */

static void watch_run(weir_deadline *deadline)
{
    weir_nng_rep *rep = (weir_nng_rep *)((char *)deadline - offsetof(weir_nng_rep, watch));
    uint64_t now_ms = weir_loop_now_ms(rep->adapter->loop);
    while (session_expendable(rep->oldest) &&
           rep->oldest->used_ms + rep->adapter->rep_session_ms <= now_ms) {
        weir_counter_add(&rep->adapter->counters.sessions_expired, 1);
        session_close(rep->oldest);
    }
    weir_nng_sessions_watch(rep);
}

void weir_nng_sessions_init(weir_nng_rep *rep)
{
    rep->watch.run = watch_run;
}

void weir_nng_sessions_watch(weir_nng_rep *rep)
{
    weir_loop *loop = rep->adapter->loop;
    weir_loop_deadline_set(loop, &rep->watch, weir_loop_now_ms(loop) + REP_SESSIONS_WATCH_MS);
}

void weir_nng_sessions_drain(weir_nng_rep *rep)
{
    rep->draining = true;
    for (rep_session *session = rep->oldest; session != NULL; session = session->newer) {
        weir_v1_session_drain(session->v1);
        weir_loop_at_turn_end(rep->adapter->loop, &session->turn_end);
    }
    weir_loop_kick(rep->adapter->loop);
}

void weir_nng_sessions_close(weir_nng_rep *rep)
{
    weir_loop_deadline_cancel(rep->adapter->loop, &rep->watch);
    while (rep->oldest != NULL) {
        session_close(rep->oldest);
    }
}
