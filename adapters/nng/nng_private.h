/* adapters/nng/nng_private.h - what the files of the nng front end share.
 *
 *   adapter.c     settings, life, counters, the ops table
 *   socket.c      opening and closing nng sockets, counting and refusing their connections
 *   rep.c         REP: contexts, connections, sessions of weir.v1
 *   pull.c        PULL: records in
 *   out.c         PUB and PUSH: from the engine to whoever is connected
 *   push.c        what PUSH reads, and from where
 *   out_stream.c  peers of PUB and PUSH on tcp and ipc, spoken here
 *   out_ws.c      peers of PUB and PUSH on ws: streams of nng's
 *   out_inproc.c  peers of PUB and PUSH on inproc: nng's own sockets
 *   body.c url.c  pure
 *
 * nng's own threads run its callbacks. None of them touches state of the front end but counters and
 * what says so: they hand over with weir_loop_post, and everything else happens on `loop`, one of
 * the host's I/O threads. */
#ifndef WEIR_ADAPTERS_NNG_NNG_PRIVATE_H
#define WEIR_ADAPTERS_NNG_NNG_PRIVATE_H

#include "adapters/nng/adapter.h"
#include "adapters/nng/url.h"
#include "adapters/shared/loop.h"
#include "adapters/shared/settings.h"
#include "adapters/shared/stats.h"

#include <nng/nng.h>

#include <stdatomic.h>

typedef enum weir_nng_part {
    WEIR_NNG_REP = 0,
    WEIR_NNG_PULL,
    WEIR_NNG_PUB,
    WEIR_NNG_PUSH,
    WEIR_NNG_PART_COUNT
} weir_nng_part;

/* X(field, metric): those that end in _total only rise, the others are gauges. */
#define WEIR_NNG_COUNTERS_LIST(X)                                                                  \
    X(connections, "weir_nng_connections")                                                         \
    X(rep_connections, "weir_nng_rep_connections")                                                 \
    X(pull_connections, "weir_nng_pull_connections")                                               \
    X(pub_connections, "weir_nng_pub_connections")                                                 \
    X(push_connections, "weir_nng_push_connections")                                               \
    X(accepted, "weir_nng_connections_total")                                                      \
    X(refused_connections, "weir_nng_refused_connections_total")                                   \
    X(refused_greeting, "weir_nng_refused_greeting_total")                                         \
    X(rep_commands, "weir_nng_rep_commands_total")                                                 \
    X(rep_replies, "weir_nng_rep_replies_total")                                                   \
    X(rep_refused, "weir_nng_rep_refused_total")                                                   \
    X(rep_replies_lost, "weir_nng_rep_replies_lost_total")                                         \
    X(narrowed_fetch, "weir_refused_fetch_total")                                                  \
    X(refused_wait, "weir_refused_fetch_wait_total")                                               \
    X(refused_fetches, "weir_refused_fetches_total")                                               \
    X(refused_members, "weir_refused_session_members_total")                                       \
    X(rep_contexts, "weir_nng_rep_contexts")                                                       \
    X(sessions, "weir_nng_sessions")                                                               \
    X(sessions_expired, "weir_nng_sessions_expired_total")                                         \
    X(pull_messages, "weir_nng_pull_messages_total")                                               \
    X(pull_records, "weir_nng_pull_records_total")                                                 \
    X(pull_refused, "weir_nng_pull_refused_total")                                                 \
    X(pull_paused, "weir_nng_pull_paused_total")                                                   \
    X(pub_records, "weir_nng_pub_records_total")                                                   \
    X(pub_messages, "weir_nng_pub_messages_total")                                                 \
    X(pub_dropped, "weir_nng_pub_dropped_total")                                                   \
    X(push_messages, "weir_nng_push_messages_total")                                               \
    X(push_records, "weir_nng_push_records_total")                                                 \
    X(push_lost, "weir_nng_push_lost_total")                                                       \
    X(push_skipped, "weir_nng_push_skipped_total")

typedef struct weir_nng_counters {
#define WEIR_NNG_COUNTER_FIELD(field, metric) weir_counter field;
    WEIR_NNG_COUNTERS_LIST(WEIR_NNG_COUNTER_FIELD)
#undef WEIR_NNG_COUNTER_FIELD
} weir_nng_counters;

typedef struct weir_nng_rep weir_nng_rep;
typedef struct weir_nng_pull weir_nng_pull;
typedef struct weir_nng_out weir_nng_out;

struct weir_adapter {
    weir_host *host;
    weir_loop *loop; /* where everything of it happens */
    weir_nng_counters counters;
    weir_nng_url urls[WEIR_NNG_PART_COUNT]; /* as bound, once started */
    bool insecure;
    uint64_t rep_contexts_max;
    uint64_t rep_session_ms;
    const char *pub_filter;
    const char *push_topic;
    uint64_t pub_buffer_bytes;
    bool batch[WEIR_NNG_PART_COUNT]; /* PUB, PUSH */

    weir_nng_rep *rep; /* NULL: off */
    weir_nng_pull *pull;
    weir_nng_out *out[WEIR_NNG_PART_COUNT]; /* PUB, PUSH */

    bool draining; /* loop */
    bool drained;  /* loop */
    bool closing;  /* loop */
    uv_sem_t closed;
    bool closed_told; /* loop */

    bool hangs;              /* something of the library's; main thread */
    atomic_bool left_behind; /* by stop, as something hangs */
    atomic_uint handing;     /* threads inside weir_nng_hand */
    weir_adapter *left_next; /* of all left behind */
};

/* On the loop, whenever something of a part came to rest: tells the host that it drained, or stop
 * that nothing is left. */
void weir_nng_settle(weir_adapter *adapter);
/* On a thread of nng's: has the loop run `call`. Nothing happens once the adapter was left behind:
 * there may be no loop any more. */
void weir_nng_hand(weir_adapter *adapter, weir_call *call);

/* ---- socket.c ---------------------------------------------------------------------------------
 */

/* An nng socket that listens. Zeroed is none. */
typedef struct weir_nng_socket {
    weir_adapter *adapter;
    weir_nng_part part;
    bool open;
    nng_socket id;
    /* On nng's threads: a connection is there (before its first message), and gone (after its
     * last). May be NULL. */
    void (*joined)(void *arg, uint32_t pipe);
    void (*left)(void *arg, uint32_t pipe);
    void *arg;
} weir_nng_socket;

/* Listens on `socket->id` at the part's URL, which is rewritten with the port that was bound. Main
 * thread. EXISTS, INVALID, IO with a fault. socket->id was opened by the caller and is closed by
 * weir_nng_socket_close whatever is returned. */
weir_err weir_nng_socket_listen(weir_nng_socket *socket, weir_fault *fault);
/* Runs what can hang inside the library on a thread of its own and waits for it: two seconds, and a
 * moment once something hung. False: it has not ended (or there was no thread for it, and it has
 * not begun); all that `arg` reaches stays allocated from then on. Main thread. */
bool weir_nng_bounded(weir_adapter *adapter, void *(*run)(void *arg), void *arg);
/* Closes it: weir_nng_bounded. True when it was not open, too. Main thread. */
bool weir_nng_socket_close(weir_nng_socket *socket);
/* A port of this machine's choice that is free right now, for transports that cannot be asked. */
weir_err weir_nng_port_pick(const weir_nng_url *url, uint16_t *port);
/* A fault that names the setting "nng.rep.url". */
weir_err weir_nng_fault(weir_fault *fault, weir_nng_part part, weir_err err, const char *url,
                        const char *why);
const char *weir_nng_part_name(weir_nng_part part); /* "rep" */
/* Counts one connection in, if the limit allows; and out. Any thread. */
bool weir_nng_connection_add(weir_adapter *adapter, weir_nng_part part);
void weir_nng_connection_remove(weir_adapter *adapter, weir_nng_part part);

/* ---- The parts: each has the same six ---------------------------------------------------------- *
 * create: memory, and listening; main thread. Nothing is announced, and nothing is taken, before
 * run. run: takes in and gives out from now on; loop. drain: takes nothing new; loop. close: ends
 * what is under way; loop. idle: nothing is in flight; loop. closed: idle, and nobody is connected
 * that the loop knows of; loop. shut: closes what is the library's, bounded; false: some of it
 * hangs; after close; main thread. destroy: after shut gave true; main thread. PUB's and PUSH's
 * destroy comes after false, too: once the adapter is left behind, and it keeps what hangs. */

weir_err weir_nng_rep_create(weir_adapter *adapter, weir_nng_rep **rep, weir_fault *fault);
void weir_nng_rep_run(weir_nng_rep *rep);
void weir_nng_rep_drain(weir_nng_rep *rep);
void weir_nng_rep_close(weir_nng_rep *rep);
bool weir_nng_rep_idle(const weir_nng_rep *rep);
bool weir_nng_rep_closed(const weir_nng_rep *rep);
bool weir_nng_rep_shut(weir_nng_rep *rep);
void weir_nng_rep_destroy(weir_nng_rep *rep);

weir_err weir_nng_pull_create(weir_adapter *adapter, weir_nng_pull **pull, weir_fault *fault);
void weir_nng_pull_run(weir_nng_pull *pull);
void weir_nng_pull_drain(weir_nng_pull *pull);
void weir_nng_pull_close(weir_nng_pull *pull);
bool weir_nng_pull_idle(const weir_nng_pull *pull);
bool weir_nng_pull_closed(const weir_nng_pull *pull);
bool weir_nng_pull_shut(weir_nng_pull *pull);
void weir_nng_pull_destroy(weir_nng_pull *pull);

weir_err weir_nng_out_create(weir_adapter *adapter, weir_nng_part part, weir_nng_out **out,
                             weir_fault *fault);
void weir_nng_out_run(weir_nng_out *out);
void weir_nng_out_drain(weir_nng_out *out);
void weir_nng_out_close(weir_nng_out *out);
bool weir_nng_out_idle(const weir_nng_out *out);
bool weir_nng_out_closed(const weir_nng_out *out);
/* Stops listening; main thread, before weir_nng_out_close. */
void weir_nng_out_unlisten(weir_nng_out *out);
bool weir_nng_out_shut(weir_nng_out *out);
void weir_nng_out_destroy(weir_nng_out *out);

#endif
