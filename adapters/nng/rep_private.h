/* adapters/nng/rep_private.h - what the files of REP share.
 *
 *   rep.c          contexts: requests in, replies out
 *   rep_session.c  which session a request belongs to; sessions' lives; connections */
#ifndef WEIR_ADAPTERS_NNG_REP_PRIVATE_H
#define WEIR_ADAPTERS_NNG_REP_PRIVATE_H

#include "adapters/nng/nng_private.h"
#include "adapters/proto/weir1/session.h"
#include "core/base/map.h"

#include <pthread.h>

enum {
    REP_TOKEN_BYTES = 32, /* hexadecimal digits: 128 bits of chance */
    REP_SESSIONS_WATCH_MS = 1000,
    REP_NUMBER_BITS =
        16, /* of a request's number: which command; above them: which request of it */
    REP_NUMBER_MASK = (1 << REP_NUMBER_BITS) - 1,
    REP_ORPHANS_MAX = 4096, /* operations under way whose connections are gone */
};

typedef struct rep_command rep_command;

/* One connection. Made on nng's thread when it joins; freed on the loop when it has left and holds
 * no command. Between those, the loop's. */
typedef struct rep_pipe {
    weir_nng_rep *rep;
    uint32_t id; /* its key in rep->pipes */
    weir_call left_call;
    bool left;
    uint32_t commands;      /* under way */
    uint64_t waiting_bytes; /* of replies that nng has not taken */
    rep_command *held;      /* requests that wait for waiting_bytes to fall */
    rep_command **held_tail;
    char token[REP_TOKEN_BYTES + 1]; /* the session that said hello here last; empty: none */
} rep_pipe;

typedef struct rep_session {
    weir_sink sink; /* first: completions come here */
    weir_turn_end turn_end;
    weir_nng_rep *rep;
    weir_v1_session *v1;
    weir_v1_counters counted;        /* what of the session's is in the adapter's counters */
    char token[REP_TOKEN_BYTES + 1]; /* its key in rep->sessions */
    uint64_t used_ms;
    uint32_t commands; /* RUNNING in it: [R1] */
    uint32_t orphans;  /* of its operations, those nobody waits for: [R4] */
    rep_command *held; /* requests it had no room for, oldest first */
    rep_command **held_tail;
    bool closing; /* out of the table: [R3] */
    struct rep_session *older;
    struct rep_session *newer;
} rep_session;

typedef enum rep_state { REP_RECEIVING = 0, REP_RUNNING, REP_SENDING } rep_state;

struct rep_command {
    weir_nng_rep *rep;
    uint32_t number;         /* 1 and up */
    uint64_t request_number; /* the session's `request`, while RUNNING; else 0 */
    uint64_t requests;       /* taken so far */
    nng_ctx ctx;
    nng_aio *aio;
    weir_call call;
    rep_state state;
    int status; /* of the aio, told by its callback */
    nng_msg *request;
    weir_bytes request_bytes; /* its body */
    size_t reply_bytes;
    rep_pipe *pipe;
    rep_session *session;
    rep_command *next; /* of those held */
};

struct weir_nng_rep {
    weir_adapter *adapter;
    weir_nng_socket socket;
    rep_command **commands;
    uint32_t command_count;
    uint32_t receiving; /* commands in each state; the rest have none yet, or are over */
    uint32_t running;
    uint32_t sending;
    uint32_t orphans; /* [R4] */
    bool running_at_all;
    bool draining;
    bool closed;

    pthread_mutex_t pipes_lock; /* nng's threads add, the loop looks up and removes */
    weir_map pipes;             /* by id */

    weir_map sessions; /* by token */
    uint32_t session_count;
    uint32_t closing_count;
    rep_session *oldest; /* by use */
    rep_session *newest;
    weir_deadline watch;
};

/* Sends the reply of a RUNNING command; loop. */
void weir_nng_command_reply(rep_command *command, weir_bytes bytes);

/* Takes the next request in its place; a RUNNING command without session or list; loop. */
void weir_nng_command_forget(rep_command *command);

/* ---- rep_session.c ----------------------------------------------------------------------------
 */

/* Gives a RUNNING command to its session, or answers it, or holds it. */
void weir_nng_command_route(rep_command *command);

void weir_nng_pipe_joined(void *arg, uint32_t id); /* nng's thread */
void weir_nng_pipe_left(void *arg, uint32_t id);   /* nng's thread */
rep_pipe *weir_nng_pipe_find(weir_nng_rep *rep, uint32_t id);
/* One of its commands is over; `reply_bytes` of its reply wait no more. May free it. */
void weir_nng_pipe_done(rep_pipe *pipe, size_t reply_bytes);
void weir_nng_pipes_fini(weir_nng_rep *rep);

void weir_nng_sessions_init(weir_nng_rep *rep);
void weir_nng_sessions_watch(weir_nng_rep *rep); /* begins to expire */
void weir_nng_sessions_drain(weir_nng_rep *rep);
void weir_nng_sessions_close(weir_nng_rep *rep);

#endif
