/* adapters/nng/rep.c - alone responsible for requests: which session each belongs to, and that each
 * gets one reply.
 *
 *   command:  RECEIVING --request--> RUNNING --emit--> SENDING --reply left--> RECEIVING
 *                                       |  \-- held: its session or connection has no room
 *                                       \-- its connection is gone: RECEIVING, no reply
 *
 * A command is one nng context with its aio. There are CONTEXTS_STEP of them, and as many again
 * whenever all are taken, up to nng.rep.contexts; then requests wait in nng, one a connection, and
 * the rest in the sockets.
 *
 * A request belongs to the session whose token it carries ("session"), else to the one that said
 * hello last on its connection, else to a new one (which will take nothing but hello). Sessions
 * outlive their connections: by token they go on after a reconnect. The one used least recently
 * goes first when there are too many, and each goes after nng.rep.session_ms without a request.
 *
 * Happy path: nng's thread posts the command; the loop finds the session, which emits the reply,
 * now or when the engine has completed; the context sends it and receives the next request.
 *
 * Failures: a connection with limits.fetches_max commands under way gets an error at once; one that
 * does not take its replies is held at limits.output_bytes_max, and closed when a reply has waited
 * REPLY_MS_MAX. A request of a connection that is gone is forgotten.
 *
 * [R1] A command in RUNNING or SENDING holds its connection; those in RUNNING also their session.
 * [R2] Only a RUNNING command is given to its session, and the session emits for it once.
 * [R3] A session leaves the table before it is closed, and is destroyed when it is idle.
 * [R4] orphans counts the requests that a session has taken and whose connection is gone: the
 * session's reply to such a one reaches no command, whose request_number is another by then. */
#include "adapters/nng/rep_private.h"

#include "core/base/assert.h"

#include <nng/protocol/reqrep0/rep.h>

#include <stdlib.h>
#include <string.h>

enum { CONTEXTS_STEP = 64, REPLY_MS_MAX = 10000 };

/* ---- Commands ---------------------------------------------------------------------------------
 */

static void command_receive(rep_command *command)
{
    command->state = REP_RECEIVING;
    command->rep->receiving++;
    nng_aio_set_timeout(command->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(command->ctx, command->aio);
}

static void request_free(rep_command *command)
{
    if (command->request != NULL) {
        nng_msg_free(command->request);
        command->request = NULL;
    }
}

static void session_leave(rep_command *command)
{
    rep_session *session = command->session;
    command->session = NULL;
    if (session != NULL) {
        session->commands--; /* [R1] */
    }
}

/* Without a reply: the peer, if there is one, asks again. */
static void command_restart(rep_command *command)
{
    rep_pipe *pipe = command->pipe;
    command->pipe = NULL;
    if (!command->rep->closed) {
        command_receive(command);
    } else {
        command->state = REP_RECEIVING;
    }
    weir_nng_pipe_done(pipe, 0);
}

void weir_nng_command_forget(rep_command *command)
{
    WEIR_ASSERT(command->state == REP_RUNNING);
    request_free(command);
    session_leave(command);
    command->request_number = 0;
    command->rep->running--;
    command_restart(command);
}

void weir_nng_command_reply(rep_command *command, weir_bytes bytes)
{
    weir_nng_rep *rep = command->rep;
    nng_msg *reply = NULL;
    WEIR_ASSERT(command->state == REP_RUNNING); /* [R2] */
    request_free(command);
    session_leave(command);
    command->request_number = 0;
    rep->running--;
    if (nng_msg_alloc(&reply, 0) != 0 || nng_msg_append(reply, bytes.ptr, bytes.len) != 0) {
        nng_msg_free(reply);
        weir_counter_add(&rep->adapter->counters.rep_replies_lost, 1);
        command_restart(command);
        return;
    }
    command->state = REP_SENDING;
    command->reply_bytes = bytes.len;
    command->pipe->waiting_bytes += bytes.len;
    rep->sending++;
    nng_aio_set_msg(command->aio, reply);
    nng_aio_set_timeout(command->aio, REPLY_MS_MAX);
    nng_ctx_send(command->ctx, command->aio);
}

static void reply_sent(rep_command *command)
{
    weir_nng_rep *rep = command->rep;
    rep_pipe *pipe = command->pipe;
    rep->sending--;
    if (command->status == 0) {
        weir_counter_add(&rep->adapter->counters.rep_replies, 1);
    } else {
        weir_counter_add(&rep->adapter->counters.rep_replies_lost, 1);
        if (command->status == NNG_ETIMEDOUT) {
            (void)nng_pipe_close((nng_pipe){pipe->id});
        }
    }
    command->pipe = NULL;
    weir_nng_pipe_done(pipe, command->reply_bytes);
    if (!rep->closed) {
        command_receive(command);
    }
}

static weir_err contexts_grow(weir_nng_rep *rep);

/* The request is here; on the loop. */
static void request_taken(rep_command *command)
{
    weir_nng_rep *rep = command->rep;
    rep_pipe *pipe = NULL;
    command->request_bytes =
        (weir_bytes){nng_msg_body(command->request), nng_msg_len(command->request)};
    pipe = weir_nng_pipe_find(rep, (uint32_t)nng_pipe_id(nng_msg_get_pipe(command->request)));
    if (pipe == NULL || rep->closed) {
        request_free(command);
        if (!rep->closed) {
            command_receive(command);
        }
        return;
    }
    weir_counter_add(&rep->adapter->counters.rep_commands, 1);
    command->pipe = pipe;
    command->state = REP_RUNNING;
    command->requests++;
    command->request_number = command->requests << REP_NUMBER_BITS | command->number;
    rep->running++;
    pipe->commands++; /* [R1] */
    if (rep->receiving == 0) {
        (void)contexts_grow(rep); /* else the requests wait */
    }
    weir_nng_command_route(command);
}

static void command_called(weir_loop *loop, void *arg)
{
    rep_command *command = arg;
    weir_nng_rep *rep = command->rep;
    (void)loop;
    if (command->state == REP_SENDING) {
        reply_sent(command);
    } else {
        rep->receiving--;
        if (command->status == 0) {
            request_taken(command);
        } else if (!rep->closed && command->status != NNG_ECLOSED) {
            command_receive(command);
        }
    }
    weir_nng_settle(rep->adapter);
}

/* On a thread of nng's. */
static void command_moved(void *arg)
{
    rep_command *command = arg;
    command->status = nng_aio_result(command->aio);
    if (command->state == REP_RECEIVING && command->status == 0) {
        command->request = nng_aio_get_msg(command->aio);
    } else if (command->state == REP_SENDING && command->status != 0) {
        nng_msg_free(nng_aio_get_msg(command->aio));
    }
    nng_aio_set_msg(command->aio, NULL);
    weir_nng_hand(command->rep->adapter, &command->call);
}

static rep_command *command_make(weir_nng_rep *rep)
{
    rep_command *command = calloc(1, sizeof(*command));
    if (command == NULL) {
        return NULL;
    }
    command->rep = rep;
    command->number = rep->command_count + 1;
    command->call = (weir_call){.fn = command_called, .arg = command};
    if (nng_aio_alloc(&command->aio, command_moved, command) != 0) {
        free(command);
        return NULL;
    }
    if (nng_ctx_open(&command->ctx, rep->socket.id) != 0) {
        nng_aio_free(command->aio);
        free(command);
        return NULL;
    }
    return command;
}

/* Up to CONTEXTS_STEP more; those that were there before the loop runs wait for run. */
static weir_err contexts_grow(weir_nng_rep *rep)
{
    uint32_t before = rep->command_count;
    uint32_t most = (uint32_t)rep->adapter->rep_contexts_max;
    while (rep->command_count < most && rep->command_count < before + CONTEXTS_STEP) {
        rep_command *command = command_make(rep);
        if (command == NULL) {
            break;
        }
        rep->commands[rep->command_count++] = command;
        weir_counter_add(&rep->adapter->counters.rep_contexts, 1);
        if (rep->running_at_all) {
            command_receive(command);
        }
    }
    return rep->command_count > before ? WEIR_OK : WEIR_NO_MEMORY;
}

/* ---- Life -------------------------------------------------------------------------------------
 */

weir_err weir_nng_rep_create(weir_adapter *adapter, weir_nng_rep **rep, weir_fault *fault)
{
    weir_nng_rep *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.rep.");
    }
    made->adapter = adapter;
    (void)pthread_mutex_init(&made->pipes_lock, NULL);
    *rep = made; /* destroy undoes what follows */
    weir_nng_sessions_init(made);
    made->socket = (weir_nng_socket){.adapter = adapter,
                                     .part = WEIR_NNG_REP,
                                     .joined = weir_nng_pipe_joined,
                                     .left = weir_nng_pipe_left,
                                     .arg = made};
    made->commands = calloc(adapter->rep_contexts_max, sizeof(rep_command *));
    if (made->commands == NULL || nng_rep0_open(&made->socket.id) != 0) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.rep.");
    }
    made->socket.open = true;
    if (contexts_grow(made) != WEIR_OK) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.rep.");
    }
    return weir_nng_socket_listen(&made->socket, fault);
}

void weir_nng_rep_run(weir_nng_rep *rep)
{
    rep->running_at_all = true;
    for (uint32_t i = 0; i < rep->command_count; i++) {
        command_receive(rep->commands[i]);
    }
    weir_nng_sessions_watch(rep);
}

void weir_nng_rep_drain(weir_nng_rep *rep)
{
    weir_nng_sessions_drain(rep);
}

void weir_nng_rep_close(weir_nng_rep *rep)
{
    rep->closed = true;
    weir_nng_sessions_close(rep);
}

bool weir_nng_rep_idle(const weir_nng_rep *rep)
{
    return rep->running == 0 && rep->sending == 0;
}

bool weir_nng_rep_closed(const weir_nng_rep *rep)
{
    return rep->session_count == 0 && rep->closing_count == 0;
}

bool weir_nng_rep_shut(weir_nng_rep *rep)
{
    return weir_nng_socket_close(&rep->socket);
}

static void nothing(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

void weir_nng_rep_destroy(weir_nng_rep *rep)
{
    if (rep == NULL) {
        return;
    }
    for (uint32_t i = 0; i < rep->command_count; i++) {
        nng_aio_stop(rep->commands[i]->aio);
    }
    weir_loop_call_wait(rep->adapter->loop, nothing, NULL); /* every call that was posted has run */
    for (uint32_t i = 0; i < rep->command_count; i++) {
        request_free(rep->commands[i]);
        nng_aio_free(rep->commands[i]->aio);
        free(rep->commands[i]);
    }
    free(rep->commands);
    weir_nng_pipes_fini(rep);
    weir_map_fini(&rep->sessions);
    (void)pthread_mutex_destroy(&rep->pipes_lock);
    free(rep);
}
